"""``digest blocks``: the kinds of blocks a theme has, with their fields."""

from __future__ import annotations

import click

from digest.cli.options import Session, command
from digest.compose.theme import Kind
from digest.errors import Place

FORMS = {
    "heading": "a heading",
    "quote": "a quotation",
    "attribution": "a line that begins with a dash",
    "picture": "a picture standing alone",
    "buttons": "links of class button",
    "list": "a list",
    "items": "items begun by ###",
    "contents": "made from the items of the issue",
    "html": "a fence of HTML",
    "mjml": "a fence of MJML",
    "body": "the text",
    "attribute": "in the braces",
}


@command("blocks", short_help="Show the kinds of blocks a theme has.")
@click.option("--theme", "name", default="median", show_default=True, help="The theme.")
def cli(session: Session, name: str) -> None:
    """Show the kinds of blocks a theme has, with the fields of each and where they come from."""
    from digest.compose.theme import load_theme

    theme = load_theme(session.newsletter(), name, Place("--theme"))
    session.result({"theme": name, "blocks": {kind.name: _plain(kind) for kind in theme.kinds.values()}})
    session.say(f"The kinds of the theme {name}. Begin one with “::: kind”, end it with “:::”.")
    for kind in theme.kinds.values():
        session.say(f"\n{kind.name}: {kind.help}")
        for field in kind.fields.values():
            needed = ", required" if field.required else ""
            session.say(f"    {field.name} ({FORMS[field.source]}{needed}): {field.help}")
    session.say("\nonly: governs what stands in it by segments; include: takes in a file of the folder.")


def _plain(kind: Kind) -> dict[str, object]:
    fields = {f.name: {"from": f.source, "required": f.required, "help": f.help} for f in kind.fields.values()}
    return {"help": kind.help, "file": kind.file, "fields": fields}
