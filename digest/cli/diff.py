"""``digest diff ISSUE [REV|sent]``: what changed in an issue as its readers read it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from digest.cli.options import FOLDER, Session, command, issue_argument

if TYPE_CHECKING:
    from digest.preview.changes import Change


@command("diff", short_help="Show what changed in an issue, as rendered.")
@issue_argument
@click.argument("revision", metavar="[REV|sent]", default="HEAD")
@click.option("--out", type=FOLDER, metavar="DIR", help="Write a page with both emails side by side.")
def cli(session: Session, issue: str, revision: str, out: Path | None) -> None:
    """Show what changed in ISSUE since a revision of git (else HEAD), or since it was `sent`.

    The rendered text is compared, paragraph by paragraph, for made-up readers of every variant. [-old-] went,
    {+new+} came.
    """
    from digest.compose.composer import compile_issue
    from digest.compose.pictures import picture_files
    from digest.preview.revisions import SENT, differences, earlier
    from digest.preview.share import share_difference

    newsletter = session.newsletter()
    file = newsletter.find_issue(issue)
    after = compile_issue(newsletter, file)
    with earlier(newsletter, file, revision) as before:
        pairs = differences(newsletter, before.compiled, after)
        if out is not None and pairs:
            pictures = {name: data for name, (data, _) in picture_files(newsletter, after).items()}
            share_difference(newsletter, before.name, pairs, before.pictures | pictures, out)
    told: set[str] = set()
    for pair in pairs:
        fresh = [c for c in pair.changes if c.kind not in ("same", "gap") and c.essence not in told]
        told |= {change.essence for change in fresh}
        if fresh:
            session.say(f"{pair.label}:")
        for change in fresh:
            session.say(f"  {_coloured(change)}")
    since = "it was sent" if revision == SENT else revision
    if not pairs:
        session.say(f"{after.slug}: nothing changed since {since}")
    elif not told:
        session.say(f"{after.slug}: the words are the same since {since}, the picture changed")
    if out is not None and pairs:
        session.say(f"Side by side: {out / 'index.html'}")
    session.result(
        {
            "issue": after.slug,
            "since": revision,
            "changed": bool(pairs),
            "changes": [
                {"reader": pair.label, "paragraphs": [c.text for c in pair.changes if c.kind not in ("same", "gap")]}
                for pair in pairs
            ],
        }
    )


def _coloured(change: Change) -> str:
    """For a terminal: red what went, green what came, marked so that it is told without colours too."""
    marks = {"same": ("", "", None), "old": ("[-", "-]", "red"), "new": ("{+", "+}", "green")}
    out = ""
    for kind, piece in change.pieces:
        before, after, colour = marks[kind]
        out += click.style(f"{before}{piece.rstrip()}{after}", fg=colour) if colour else piece.rstrip()
        out += piece[len(piece.rstrip()) :]
    return out
