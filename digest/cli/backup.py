"""``digest backup``: a copy of the database."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from digest.audience.database import open_database
from digest.audience.departures import JOURNAL
from digest.cli.options import Session, command
from digest.delivery.sentlog import SENT_LOG
from digest.errors import InputError, Place, Problem
from digest.keeping.backup import back_up
from digest.keeping.reducing import reduce_old


@command("backup", short_help="Copy the database, safely, also while it is in use.")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
def cli(session: Session, file: Path) -> None:
    """Copy the database to FILE, whole and examined, also while an issue is being sent.

    An earlier backup of that name is replaced. Keep it where only you can read it: it holds the whole list.
    """
    newsletter = session.newsletter()
    database = newsletter.database
    if not database.exists():
        raise InputError(Problem(Place(newsletter.shown(database)), "there is no database yet", code="database"))
    with closing(open_database(database)) as connection:
        if keep := newsletter.settings.privacy.keep_deliveries:
            reduce_old(connection, keep)  # a copy keeps no more than the database may
        copied = back_up(connection, file)
    session.say(
        f"{copied.file}: {copied.size / 1e6:.1f} MB, {copied.subscribers} subscribers, {copied.runs} runs; it is whole"
    )
    journals = f"{newsletter.shown(database.with_name(JOURNAL))} and {SENT_LOG}"
    session.say(f"Leave {journals} where they are: they tell a restored database what has happened since.")
    session.result({"file": str(file), "bytes": copied.size, "subscribers": copied.subscribers, "runs": copied.runs})
