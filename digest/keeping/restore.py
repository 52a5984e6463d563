"""Putting a backup in the database's place, so that nobody comes back and nothing is sent again.

The backup is copied beside the database, brought up to date, and told by the journal who has left since
(`digest.audience.departures`); then it takes the database's place in one step, and what was there is kept aside.
What was sent since, the other journal knows: nothing is sent until a person has looked at it
(`digest.delivery.sentlog`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from digest.audience.database import open_database
from digest.delivery.desk import open_desk
from digest.delivery.lock import is_running, sole_run_due
from digest.delivery.sentlog import Gap, SentLog
from digest.errors import DigestError, HeldError, InputError, LaterError, Place, Problem
from digest.keeping.backup import back_up, examine
from digest.keeping.replay import Replayed, replay
from digest.newsletter import Newsletter


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of it: where the database that was replaced is (None: there was none), what the journal changed,
    and the issues of which more was sent than the backup knows."""

    aside: Path | None
    replayed: Replayed
    gaps: tuple[Gap, ...]


def restore(newsletter: Newsletter, backup: Path, *, foreign: bool = False, now: datetime | None = None) -> Restored:
    """Put `backup` in the place of the newsletter's database.

    `foreign`: although it is another newsletter's, or of a database that was made anew: the journal of those who
    left says nothing of it then. Raises `InputError` for a file that is no backup, `HeldError` for one that is
    damaged, newer or foreign, `LaterError` while something is being sent. Where it raises, nothing has changed.
    """
    database = newsletter.database
    database.parent.mkdir(parents=True, exist_ok=True)
    busy = "digest run-due is at work; try again when it has ended"
    with sole_run_due(database, busy), _prepared(database, backup) as copy:
        with closing(open_database(copy)) as connection:
            replayed = replay(connection, database, foreign=foreign)
        aside = _put(copy, database, now or datetime.now())  # noqa: DTZ005 -- the wall clock names a file
    with open_desk(newsletter) as desk:
        gaps = SentLog(newsletter, desk.storage).gaps()
    return Restored(aside, replayed, tuple(gaps))


@contextmanager
def _prepared(database: Path, backup: Path) -> Iterator[Path]:
    """A copy of the backup beside the database, gone afterwards."""
    if not backup.is_file():
        raise InputError(Problem(Place(str(backup)), "there is no such file", "name a file of digest backup"))
    if database.exists() and backup.samefile(database):
        raise InputError(Problem(Place(str(backup)), "is the database itself", "name a file of digest backup"))
    copy = database.with_name(f".{database.name}.restored")
    _remove(copy)
    try:
        # Not `immutable`: another database, whose log is beside it, may be given too.
        with closing(sqlite3.connect(f"{backup.resolve().as_uri()}?mode=ro", uri=True)) as source:
            examine(source, backup)
            back_up(source, copy)
        yield copy
    except sqlite3.Error as exc:
        raise InputError(Problem(Place(str(backup)), f"is no database that can be read: {exc}")) from exc
    finally:
        _remove(copy)


def _put(copy: Path, database: Path, moment: datetime) -> Path | None:
    aside = database.with_name(f"{database.stem}.replaced-{moment:%Y%m%d-%H%M%S}{database.suffix}")
    if not database.exists():
        copy.replace(database)
        return None
    try:
        with closing(open_database(database)) as current:
            _refuse_while_sending(current, database)
            back_up(current, aside)
            with closing(sqlite3.connect(copy)) as source:
                # Written over inside one transaction: who has it open, such as `digest serve`, goes on with it.
                source.backup(current)
    except (sqlite3.OperationalError, LaterError) as exc:
        raise LaterError(f"{database} is in use ({exc}); nothing was changed, try again") from exc
    except (sqlite3.DatabaseError, DigestError):
        if not _is_unusable(database):
            raise
        _move(database, aside)
        copy.replace(database)
    return aside


def _refuse_while_sending(current: sqlite3.Connection, database: Path) -> None:
    open_runs = current.execute("SELECT id, slug FROM runs WHERE state IN ('open', 'new')").fetchall()
    for number, slug in open_runs:
        if is_running(database, number):
            raise HeldError(f"{slug} is being sent; hold it first (digest hold {slug}), then restore")


def _is_unusable(database: Path) -> bool:
    """Whether what is there is no database any more: the very reason to restore one."""
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            examine(connection, database)
    except (sqlite3.DatabaseError, DigestError):
        return True
    return False


def _move(database: Path, aside: Path) -> None:
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            database.with_name(database.name + suffix).rename(aside.with_name(aside.name + suffix))


def _remove(copy: Path) -> None:
    for suffix in ("-wal", "-shm", "-journal", ""):
        with suppress(OSError):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)
