"""``digest new TITLE``: a new issue, a draft with today's date."""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import date
from pathlib import Path

import click

from digest.cli.options import Session, command
from digest.errors import InputError, Place, Problem
from digest.newsletter import Newsletter

_LONGEST_SLUG = 60


@command("new", short_help="Begin a new issue.")
@click.argument("title", metavar="TITLE")
def cli(session: Session, title: str) -> None:
    """Begin a new issue with TITLE as its subject: issues/DATE-TITLE.md, a draft."""
    newsletter = session.newsletter()
    title = " ".join(title.split())
    if not title or not title.isprintable():
        raise InputError(Problem(None, "the title is empty or has invisible characters", code="title"))
    file = write_issue(newsletter, title, newsletter.today)
    session.result({"file": newsletter.shown(file), "slug": file.stem})
    session.say(newsletter.shown(file))


def write_issue(newsletter: Newsletter, title: str, today: date) -> Path:
    """Write the draft and return its file. Raises `InputError` where the slug is taken."""
    slug = f"{today.isoformat()}-{slug_of(title)}"
    file = newsletter.root / "issues" / f"{slug}.md"
    taken = newsletter.issue_files().get(slug)
    if taken is not None:
        raise InputError(
            Problem(Place(newsletter.shown(taken)), "is there already", "choose another title", code="exists")
        )
    file.parent.mkdir(exist_ok=True)
    with file.open("x", encoding="utf-8") as stream:
        stream.write(draft(newsletter, title, today))
    return file


def draft(newsletter: Newsletter, title: str, today: date) -> str:
    """The text of a new issue."""
    authors = list(newsletter.settings.authors)[:1]
    themes = sorted(f.parent.name for f in newsletter.root.glob("templates/*/theme.toml"))
    front = [
        f"subject: {_quoted(title)}",
        'preheader: ""',
        f"date: {today.isoformat()}",
        *([f"authors: [{authors[0]}]"] if authors else []),
        "audience: all",
        "status: draft",
        *([f"theme: {themes[0]}"] if len(themes) == 1 else []),
    ]
    return "\n".join(
        (
            "---",
            *front,
            "---",
            "",
            "::: hero",
            f"# {_markdown(title)}",
            ":::",
            "",
            "Good morning{% if subscriber.first_name %}, {{ subscriber.first_name }}{% endif %}.",
            "",
            "::: story",
            "## The first story",
            "",
            "Once upon a time …",
            ":::",
            "",
        )
    )


def slug_of(title: str) -> str:
    """The title as the name of a file and of a page: letters and digits of any script, no accents.

    >>> slug_of("Café “Noir”: 3 ways!"), slug_of("Новости"), slug_of("!?")
    ('cafe-noir-3-ways', 'новости', 'issue')
    """
    bare = "".join(c for c in unicodedata.normalize("NFKD", title).casefold() if not unicodedata.combining(c))
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFC", bare))
    slug = ""
    for word in words:
        if slug and len(slug) + 1 + len(word) > _LONGEST_SLUG:
            break
        slug = f"{slug}-{word}" if slug else word[:_LONGEST_SLUG]
    return slug or "issue"


def _quoted(text: str) -> str:
    # A JSON string is a YAML double-quoted scalar: `:`, `#`, quotes and `no` are safe in it.
    return json.dumps(text, ensure_ascii=False)


def _markdown(text: str) -> str:
    """`text` as words of a heading: nothing in it is markup. Jinja stays, as it does in the subject."""
    return re.sub(r"([\\`*_\[\]<>#|~]|\{(?![{%])|(?<![}%])\})", r"\\\1", text)
