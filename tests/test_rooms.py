"""The shape of the house: imports follow the path of the data, and one library has one importer."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "digest"

FOUNDATION = {
    "errors",
    "expressions",
    "files",
    "journal",
    "listening",
    "quantities",
    "sections",
    "settings",
    "toml",
    "newsletter",
}
COMPILED = "compose.compiled"  # what composing ends in is what merging begins with

LANGUAGE = {"expressions", "bounds", "localized"}  # of issues and segments

MAY_IMPORT = {
    "issue": {"errors", "memo", *LANGUAGE},
    "compose": {*FOUNDATION, *LANGUAGE, "memo", "issue", "audience"},
    "audience": {"errors", "journal", *LANGUAGE, "toml", COMPILED},
    "bounces": {*FOUNDATION, "audience", "message", "delivery"},
    "keeping": {*FOUNDATION, "audience", "delivery"},
    "message": {"errors", *LANGUAGE, "sections", "settings", "audience", COMPILED},
    "delivery": {*FOUNDATION, "audience", "message", COMPILED, "compose.pictures"},
    "checks": {*FOUNDATION, "audience", "compose", "message", "delivery", "schedule.planned", "web.addresses"},
    "preview": {*FOUNDATION, "issue", "audience", "compose", "message", "delivery", "checks", "schedule.hands"},
    "schedule": {*FOUNDATION, "issue", "audience", "message", "delivery", COMPILED},
    "web": {
        *FOUNDATION,
        *("audience", "message", "delivery", COMPILED),
        *("compose.dates", "compose.pictures", "compose.theme"),
    },
}
"""Room → what it may import besides itself. The command line may import everything; nothing imports it."""

ONE_IMPORTER = {
    "mjml": {"compose/mjml/render.py"},
    "premailer": {"compose/inlining.py"},
    "aiosmtplib": {"delivery/relay.py"},
    "pydantic_settings": {"settings.py"},
    "markdown_it": {"issue/markdown.py", "issue/rules.py", "issue/directives.py", "issue/tree.py"},
    "lxml": {"compose/mjml/select.py"},
    "babel": {"localized.py", "compose/dates.py"},
    "PIL": {"compose/imaging.py", "compose/playmark.py"},
    "dns": {"checks/dns_records.py"},
    "flufl": {"bounces/wording.py"},
}
"""Library → the files that import it, so that each can be replaced in one place."""

WEB = ("starlette", "uvicorn", "watchfiles")


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files(folder: Path = PACKAGE) -> list[Path]:
    return sorted(folder.rglob("*.py"))


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_follow_the_path_of_the_data(room: str) -> None:
    """A room takes from those before it on the data's way, never from those after it."""
    allowed = MAY_IMPORT[room] | {room}
    for file in _files(PACKAGE / room):
        for name in _imports(file):
            if not name.startswith("digest."):
                continue
            inner = name.removeprefix("digest.")
            fits = any(inner == way or inner.startswith(f"{way}.") for way in allowed)
            assert fits, f"{file.relative_to(PACKAGE)} imports {name}"


def test_nothing_imports_the_command_line() -> None:
    """The commands sit on top."""
    others = [file for file in _files() if file.parent.name != "cli" and file.name != "__main__.py"]
    assert not [f for f in others for name in _imports(f) if name.startswith("digest.cli")]


@pytest.mark.parametrize("library", ONE_IMPORTER)
def test_one_library_has_one_importer(library: str) -> None:
    """Each of the packages at the heart is used in one place."""
    found = {f.relative_to(PACKAGE).as_posix() for f in _files() for n in _imports(f) if n.split(".")[0] == library}
    assert found == ONE_IMPORTER[library]


def test_the_web_framework_stays_with_the_pages() -> None:
    """Nothing that composes or sends loads it."""
    found = {f.parent.name for f in _files() for name in _imports(f) if name.split(".")[0] in WEB}
    assert found == {"preview", "web"}
