"""A copy of the database, whole at one moment, also while it is written to.

Made by SQLite's own backup call: a plain copy of the file lacks what is still in the log beside it. The copy is one
file of mode 0600, examined before it gets its name.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from digest.audience.database import APPLICATION_ID, MIGRATIONS
from digest.errors import HeldError, InputError, Place, Problem
from digest.files import sync_path


@dataclass(frozen=True, slots=True)
class Copied:
    """A copy that was made: where, how many bytes, and how many subscribers and runs are in it."""

    file: Path
    size: int
    subscribers: int
    runs: int


def back_up(connection: sqlite3.Connection, file: Path) -> Copied:
    """Copy an open database to `file`, which is there once it is whole; an earlier copy there is replaced.

    Raises `InputError` when something else stands there or it can't be written, `HeldError` when the copy is not
    whole: the database itself is damaged then.
    """
    _refuse_to_overwrite(connection, file)
    with _partial(file) as partial:
        with closing(sqlite3.connect(partial, isolation_level=None)) as copy:
            connection.backup(copy)  # all pages in one step: a writer beside it would make it begin anew
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log of its own
            examine(copy, file)
            (subscribers,) = copy.execute("SELECT count(*) FROM subscribers").fetchone()
            (runs,) = copy.execute("SELECT count(*) FROM runs WHERE state NOT IN ('new', 'replaced')").fetchone()
        size = partial.stat().st_size
    return Copied(file, size, subscribers, runs)


@contextmanager
def _partial(file: Path) -> Iterator[Path]:
    """A file beside `file`, readable by its owner only, that takes its place when it was written."""
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        yield partial
        sync_path(partial)
        partial.replace(file)
        sync_path(file.parent)
    except (OSError, sqlite3.OperationalError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise InputError(Problem(Place(str(file)), f"cannot be written: {reason}", code="file")) from exc
    finally:
        for leftover in (partial, partial.with_name(f"{partial.name}-journal")):
            with suppress(OSError):
                leftover.unlink(missing_ok=True)


def _refuse_to_overwrite(connection: sqlite3.Connection, file: Path) -> None:
    if not file.exists():
        return
    (_, _, own) = connection.execute("PRAGMA database_list").fetchone()
    if file.is_dir():
        raise InputError(Problem(Place(str(file)), "is a folder", "name a file in it", code="file"))
    if own and file.samefile(own):
        raise InputError(Problem(Place(str(file)), "is the database itself", "name another file", code="file"))
    if not _is_ours(file):
        raise InputError(Problem(Place(str(file)), "is there, and no backup of digest", "name another file"))


def _is_ours(file: Path) -> bool:
    """By the header (https://sqlite.org/fileformat.html section 1.3), so that nothing is opened."""
    with file.open("rb") as stream:
        header = stream.read(100)
    return header[:16] == b"SQLite format 3\0" and int.from_bytes(header[68:72]) == APPLICATION_ID


def examine(connection: sqlite3.Connection, file: Path) -> None:
    """Make sure that a database is whole and ours. Raises `InputError` or `HeldError`, naming it as `file`."""
    try:
        ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if not ours or not version:
            raise InputError(Problem(Place(str(file)), "is no database of digest", "name a file of digest backup"))
        if version > len(MIGRATIONS):
            raise HeldError(f"{file} was made by a newer digest: install that version")
        damage = [text for (text,) in connection.execute("PRAGMA integrity_check(3)") if text != "ok"]
    except sqlite3.DatabaseError as exc:
        raise InputError(Problem(Place(str(file)), f"is no database that can be read: {exc}")) from exc
    if damage:
        raise HeldError(f"{file} is damaged: {'; '.join(damage)}")
