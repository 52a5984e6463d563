"""``digest restore``: put a backup back."""

from __future__ import annotations

from pathlib import Path

import click

from digest.cli.options import Session, command
from digest.keeping.replay import Replayed
from digest.keeping.restore import restore


@command("restore", short_help="Put a backup in the database's place; who has left stays away.")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--foreign", is_flag=True, help="Although the journal of departures is of another database.")
def cli(session: Session, file: Path, foreign: bool) -> None:
    """Put FILE, a backup, in the database's place; what was there is kept aside.

    Who has unsubscribed, was suppressed or forgotten since stays so. What was sent since is not sent again:
    nothing is sent until `digest doctor --accept-restored`.
    """
    newsletter = session.newsletter()
    restored = restore(newsletter, file, foreign=foreign)
    session.say(f"{newsletter.shown(newsletter.database)} is {file} now.")
    if restored.aside:
        session.say(f"What was there is {newsletter.shown(restored.aside)}.")
    for line in _replayed(restored.replayed):
        session.say(line)
    if restored.gaps:
        session.say("More was sent than this database knows:")
        for gap in restored.gaps:
            session.say(f"  {gap}")
        session.say("Nothing is sent until you have said that this is right: digest doctor --accept-restored")
    replayed = restored.replayed
    session.result(
        {
            "aside": str(restored.aside) if restored.aside else None,
            "left": replayed.left,
            "suppressed": replayed.suppressed,
            "forgotten": replayed.forgotten,
            "kept_out": replayed.kept_out,
            "held": [gap.slug for gap in restored.gaps],
        }
    )


def _replayed(replayed: Replayed) -> list[str]:
    counts = [
        (replayed.left, "left since, and are out"),
        (replayed.suppressed, "were suppressed since, and are again"),
        (replayed.forgotten, "were forgotten since, and are again"),
        (replayed.kept_out, "came and left since: imports leave them out"),
        (replayed.foreign, "lines of the journal are of another database, and were passed over"),
    ]
    lines = [f"{number} {text}." for number, text in counts if number]
    if replayed.broken:
        lines.append(f"The journal can't be read in line {', '.join(map(str, replayed.broken))}.")
    return lines or ["Nobody has left since."]
