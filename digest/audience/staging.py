"""Where an import keeps its checked rows before it touches the list, and how it applies them.

The rows wait in a temporary database beside the real one: on disk, so that memory stays bounded, and
unlinked by SQLite as soon as it is made, so that nothing is left of an import that was killed.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, groupby, islice
from operator import attrgetter

from digest.audience import merging
from digest.audience.database import now, writing
from digest.audience.entry import Row
from digest.audience.store import new_tokens

BATCH = 1000
"""Rows the first write transaction applies; the next are as large as keeps the lock held about `HELD`."""
HELD = 0.03
"""Seconds. A disk that stumbles still stays under a tenth of a second."""
_LEAST, _MOST = 100, 8000
_SHAPES_AT_MOST = 10_000
_CHECKPOINT = 25
"""Writes after which the log is copied into the database: between two of them, when nobody waits for the lock."""

_PAGE = 4096
_CACHE = 4000
"""KiB of pages kept of each of the two databases. More are not faster, and grow with the list."""

_LARGE = 20_000
"""Rows from which on a list goes in by address, so that the index grows at one place; a shorter one as it comes."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What applying does: readers added, updated and found the same; of those found, how many stay
    unsubscribed, bounced or complained, and how many come back; of all, how many were suppressed before, and how
    many are from now on, because the list says that they are not to be written to."""

    added: int
    updated: int
    unchanged: int
    stay_away: int
    revived: int
    suppressed: int
    newly_suppressed: int


class Staging:
    """Checked rows on their way into the list; made by `staging`."""

    def __init__(self, connection: sqlite3.Connection, *, source: str = "") -> None:
        self._connection = connection
        self._source = source
        self._shapes: dict[tuple[tuple[str, ...], str], int] = {}
        self._says_status = False
        self._tokens = new_tokens(BATCH)
        self.longest = 0.0
        """Seconds that the longest write held the lock of the database."""

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Around all calls of `add`. Only the temporary database is locked meanwhile."""
        self._connection.execute("BEGIN")
        try:
            yield
            self._connection.execute(merging.INDEX)
            large = self._count("SELECT coalesce(max(n), 0) FROM staging.rows") > _LARGE
            self._connection.execute(merging.TAKE_TURNS + ("address_key" if large else "min(n)"))
        finally:
            self._connection.execute("COMMIT")

    def add(self, rows: Iterable[Row]) -> None:
        """Keep rows; of several with the same address the first one counts."""
        for (columns, named), group in groupby(rows, attrgetter("columns", "named")):
            shape = self._shape(columns, named)
            self._connection.executemany(
                _staging(columns),
                [(r.line, r.address.key, r.address.text, r.attributes, shape, *r.values) for r in group],
            )

    def _shape(self, columns: tuple[str, ...], named: str) -> int:
        self._says_status |= "status" in columns
        if (shape := self._shapes.get((columns, named))) is None:
            if len(self._shapes) == _SHAPES_AT_MOST:
                self._shapes.clear()
            insert = "INSERT INTO staging.shapes (present, named) VALUES (?, ?)"
            shape = self._connection.execute(insert, (f",{','.join(columns)},", named)).lastrowid or 0
            self._shapes[columns, named] = shape
        return shape

    def repeated(self) -> Iterator[tuple[int, int, str]]:
        """Rows that do not count, in order: their line, that of the first with the same address, the address."""
        if self._count("SELECT (SELECT count(*) FROM staging.rows) - (SELECT count(*) FROM staging.turns)"):
            yield from self._connection.execute(
                "SELECT g.line, (SELECT f.line FROM staging.rows f WHERE f.address_key = g.address_key ORDER BY f.n),"
                " g.email FROM staging.rows g WHERE g.n NOT IN (SELECT n FROM staging.turns) ORDER BY g.n"
            )

    def effect(self) -> Effect:
        """What `apply` is going to do to the list as it is now. Call it once, before `apply`."""
        run = self._connection.execute
        rows = self._count("SELECT count(*) FROM staging.turns")
        suppressed = self._count(merging.SUPPRESSED)
        empty = not self._count("SELECT EXISTS (SELECT 1 FROM main.subscribers)")
        added = run(merging.ALL if empty else merging.NEW).rowcount
        updated = run(merging.DIFFERENT).rowcount if added < rows else 0
        newly = 0
        if self._says_status:
            newly = self._count(f"SELECT count(*) {merging.NEWLY_SUPPRESSED}")
            run(f"INSERT OR IGNORE INTO staging.work SELECT t.turn {merging.NEWLY_SUPPRESSED}")
        found, gone, revived = run(merging.EFFECT).fetchone() if added < rows else (0, 0, 0)
        return Effect(added, updated, found - updated, gone - revived, revived, suppressed, newly)

    def missing(self) -> tuple[int, int]:
        """How many readers that the source brought, and who have not left, are not among the rows; of how many."""
        self._connection.execute(merging.LEAVERS, (self._source,))
        here = "SELECT count(*) FROM main.subscribers WHERE source = ? AND status IN ('active', 'pending')"
        (total,) = self._connection.execute(here, (self._source,)).fetchone()
        return self._count("SELECT count(*) FROM staging.leavers"), int(total)

    def remove_missing(self) -> None:
        """Unsubscribe those whom `missing` counted."""
        for first in range(1, self._count("SELECT count(*) FROM staging.leavers") + 1, BATCH):
            with writing(self._connection):
                self._connection.execute(
                    "UPDATE main.subscribers SET status = 'unsubscribed', updated_at = ?,"
                    " note = coalesce(note, 'no longer in ' || source) WHERE status IN ('active', 'pending')"
                    " AND id IN (SELECT id FROM staging.leavers WHERE rowid BETWEEN ? AND ?)",
                    (now(), first, first + BATCH - 1),
                )

    def apply(self) -> Iterator[int]:
        """Write the rows into the list, yielding after each batch how many are done."""
        done, size = 0, BATCH
        for batch in count(1):
            last, number = self._connection.execute(
                "SELECT max(turn), count(*) FROM (SELECT turn FROM staging.work WHERE turn > ? LIMIT ?)", (done, size)
            ).fetchone()
            if not number:
                return
            begun = time.monotonic()
            self._write({"first": done + 1, "last": last, "now": now(), "source": self._source or None}, number)
            held = time.monotonic() - begun
            self.longest = max(self.longest, held)
            done = last
            yield done
            # Leaves a gap for a process that waits for the lock: SQLite's waiting is polling, not a queue.
            time.sleep(held / 20)
            if batch % _CHECKPOINT == 0:
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            size = _next_size(number, held)

    def _write(self, span: Mapping[str, object], size: int) -> None:
        # A list's own iterator runs no Python code, so that Ctrl-C is heard after the statement, not in the middle
        # of it, where SQLite would take it for a failure.
        tokens = iter(list(islice(self._tokens, size)))
        self._connection.create_function("new_token", 0, tokens.__next__)
        with writing(self._connection):
            added = self._connection.execute(merging.ADD, span)
            if added.rowcount < size:  # the others were there; those just added have nothing to change
                self._connection.execute(merging.UPDATE, span)
            if self._says_status:
                self._connection.execute(merging.SUPPRESS, span)

    def _count(self, query: str) -> int:
        (number,) = self._connection.execute(query).fetchone()
        return int(number)


@contextmanager
def staging(connection: sqlite3.Connection, *, revive: bool = False, source: str = "") -> Iterator[Staging]:
    """An empty staging place beside the list, gone afterwards.

    `revive`: bring back those who had left. `source`: of new readers whose row names none.
    """
    (quoted,) = connection.execute("SELECT quote(?)", (source or None,)).fetchone()
    connection.execute("ATTACH DATABASE '' AS staging")
    try:
        connection.execute(f"PRAGMA staging.page_size = {_PAGE}")
        connection.execute("PRAGMA staging.journal_mode = OFF")  # nothing of it is ever read again
        connection.execute(f"PRAGMA staging.cache_size = {-_CACHE}")
        connection.execute(f"PRAGMA main.cache_size = {-_CACHE}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        for statement in (
            merging.ROWS,
            merging.SHAPES,
            merging.TURNS,
            merging.WORK,
            merging.MERGED.format(revive=int(revive), source=quoted),
            merging.CHANGES,
        ):
            connection.execute(statement)
        yield Staging(connection, source=source)
    except BaseException:
        # Ctrl-C may leave a statement amid its rows, which holds the place: then it goes with the connection.
        with suppress(sqlite3.OperationalError):
            _clear(connection)
        raise
    _clear(connection)


def _clear(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    connection.execute("DROP VIEW IF EXISTS temp.changes")
    connection.execute("DROP VIEW IF EXISTS temp.merged")
    connection.execute("DETACH DATABASE staging")
    connection.execute("PRAGMA wal_autocheckpoint = 1000")
    connection.execute("PRAGMA main.cache_size = -2000")


@lru_cache(maxsize=64)
def _staging(columns: tuple[str, ...]) -> str:
    """How rows with these built-in columns are kept."""
    names = ", ".join(("line", "address_key", "email", "attributes", "shape", *columns))
    marks = ", ".join("?" * (len(columns) + 5))
    return f"INSERT INTO staging.rows ({names}) VALUES ({marks})"  # noqa: S608 -- columns of ours


def _next_size(size: int, held: float) -> int:
    """How many rows to write next, after `size` rows held the lock for `held` seconds.

    >>> _next_size(1000, 0.015), _next_size(1000, 0.04), _next_size(100, 5.0), _next_size(8000, 0.001)
    (2000, 750, 100, 8000)
    """
    return max(_LEAST, min(_MOST, int(size * min(2.0, HELD / held))))
