"""``digest init DIR``: a newsletter's folder, ready to preview."""

from __future__ import annotations

import shlex
from datetime import date
from pathlib import Path

import click

from digest.cli.options import FOLDER, Session, command
from digest.errors import InputError, Problem
from digest.newsletter import shipped

_STARTER = Path(__file__).parent / "starter"


@command("init", short_help="Make a new newsletter's folder.")
@click.argument("folder", metavar="DIR", type=FOLDER)
def cli(session: Session, folder: Path) -> None:
    """Make a new newsletter in DIR, which must be new or empty."""
    today = date.today()  # noqa: DTZ011 -- the date on the writer's wall
    files = starter_files(today)
    if _occupied(folder):
        raise InputError(Problem(None, f"{folder} is not empty", "name a new or an empty folder", code="not-empty"))
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    session.result({"folder": str(folder.resolve()), "files": sorted(files)})
    session.say(_next_steps(folder, f"{today.isoformat()}-hello"))


def starter_files(today: date) -> dict[str, bytes]:
    """What a new newsletter consists of: path in its folder → content."""
    hello = (_STARTER / "hello.md").read_text(encoding="utf-8").replace("{date}", today.isoformat())
    return {
        ".gitignore": (_STARTER / "gitignore").read_bytes(),
        "config/digest.toml": shipped("config", "digest.toml").read_bytes(),
        "config/readers.toml": shipped("config", "readers.toml").read_bytes(),
        f"issues/{today.isoformat()}-hello.md": hello.encode(),
        "subscribers/sample.csv": shipped("subscribers", "sample.csv").read_bytes(),
        "subscribers/test.csv": shipped("subscribers", "test.csv").read_bytes(),
        "templates/house/theme.toml": (_STARTER / "theme.toml").read_bytes(),
    }


def _occupied(folder: Path) -> bool:
    # A repository made for the newsletter, with nothing in it yet, is as good as empty.
    return folder.is_dir() and any(entry.name != ".git" for entry in folder.iterdir())


def _next_steps(folder: Path, first: str) -> str:
    steps = (
        (f"cd {shlex.quote(str(folder))}", ""),
        (f"digest preview {first}", "see the first issue in the browser"),
        ("digest subscribers import subscribers/sample.csv", "made-up readers to try it on"),
        ('digest new "My first issue"', "begin one of your own"),
        ("digest check", "find what is still missing"),
    )
    lines = (f"  {command:<50}{why}".rstrip() for command, why in steps)
    return "\n".join(
        (
            f"A new newsletter is in {folder}. Next:",
            *lines,
            "Name, addresses and relay go into config/digest.toml, the password into DIGEST_SMTP__PASSWORD.",
        )
    )
