"""How the ledger commits: the durability rule, and SQLite's errors in our words.

Commits run under ``synchronous=NORMAL``, which survives the death of the process but not a power cut,
with a ``FULL`` one at least every 100 ms; with durability ``power`` every commit is ``FULL``.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from digest.audience import departures
from digest.audience.database import now
from digest.errors import HeldError, LaterError

FULL_EVERY = 0.1  # seconds

Durability = Literal["process", "power"]


@contextmanager
def storage_errors() -> Iterator[None]:
    """SQLite's errors as ours: `LaterError` for a locked database, `HeldError` for a full or broken disk."""
    try:
        yield
    except sqlite3.OperationalError as exc:
        if "locked" in str(exc) or "busy" in str(exc):
            raise LaterError("the database is locked by another program; nothing is lost, run it again") from exc
        raise HeldError(f"the database can't be written ({exc}); nothing more is sent until it can") from exc
    except sqlite3.DatabaseError as exc:
        raise HeldError(f"the database can't be used ({exc})") from exc


class Storage:
    """A connection (in autocommit mode) under the durability rule; `now` is the moment that is written down."""

    def __init__(
        self, connection: sqlite3.Connection, durability: Durability = "process", now: Callable[[], int] = now
    ) -> None:
        self.connection = connection
        connection.execute("PRAGMA cache_size = -400")  # KiB: a run goes through its rows in their order
        self.now = now
        self._always_full = durability == "power"
        self._full_at = 0.0
        self._unsynced = False
        self._mode = ""

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction, rolled back when its body raises. Raises `LaterError` or `HeldError`."""
        moment = time.monotonic()
        full = self._always_full or moment - self._full_at >= FULL_EVERY
        with storage_errors():
            self._set_mode("FULL" if full else "NORMAL")
            with departures.transaction(self.connection):
                yield self.connection
        self._unsynced = not full
        if full:
            self._full_at = moment

    def _set_mode(self, mode: str) -> None:
        if mode != self._mode:
            self.connection.execute(f"PRAGMA synchronous = {mode}")
            self._mode = mode

    def change(self, statement: str, values: Sequence[object]) -> int:
        """One statement in a transaction of its own; returns the number of rows it changed."""
        with self.transaction() as db:
            return db.execute(statement, values).rowcount

    def sync(self, *, at_once: bool = False) -> None:
        """Make sure that no commit older than `FULL_EVERY` lacks its fsync; to be called that often.

        `at_once`: that no commit at all does.
        """
        if at_once:
            self._full_at = 0.0
        if self._unsynced and time.monotonic() - self._full_at >= FULL_EVERY:
            with self.transaction() as db:  # any write will do: its fsync covers the log before it
                db.execute("UPDATE runs SET state = state WHERE id = (SELECT max(id) FROM runs)")
