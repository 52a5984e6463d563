"""Reading the database from many threads: each has a connection of its own, which cannot write."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

from digest.audience.database import open_database


class Reading:
    """Connections to one database, one for each thread that asks. A context manager: leaving it closes them."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._mine = threading.local()
        self._all: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            for connection in self._all:
                with suppress(sqlite3.Error):
                    connection.close()
            self._all.clear()

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection. Raises what `open_database` raises."""
        found: sqlite3.Connection | None = getattr(self._mine, "connection", None)
        if found is None:
            found = self._mine.connection = _opened(self._database)
            with self._lock:
                self._all.append(found)
        return found


def _opened(database: Path) -> sqlite3.Connection:
    open_database(database).close()  # made or brought up to date, if need be; and told what is wrong with it
    # Closed at the end by another thread than the one it belongs to.
    connection = sqlite3.connect(database, timeout=5, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    return connection
