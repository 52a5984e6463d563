"""Where an import keeps its checked rows before it touches the list, and how it applies them.

The rows wait in a temporary database beside the real one: on disk, so that memory stays bounded, and
unlinked by SQLite as soon as it is made, so that nothing is left of an import that was killed.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from digest.audience.database import now, writing
from digest.audience.rows import Row
from digest.audience.store import new_tokens
from digest.audience.subscriber import Value
from digest.audience.values import text_of, to_json

BATCH = 1000
"""Rows the first write transaction applies; the next are as large as keeps the lock held about `HELD`."""
HELD = 0.045
"""Seconds. A disk that stumbles still stays under a tenth of a second."""
_LEAST, _MOST = 100, 8000

_CACHE = 16_000
"""KiB of pages kept of each of the two databases."""

_LARGE = 20_000
"""Rows from which on a list goes in by address, so that the index grows at one place; a shorter one as it comes."""

_ROWS = """
    CREATE TABLE staging.rows (
        n INTEGER PRIMARY KEY,
        line INTEGER NOT NULL,
        address_key TEXT NOT NULL,
        email TEXT NOT NULL,
        revive INTEGER NOT NULL,
        present TEXT NOT NULL,  -- the columns the row has, each between commas
        status TEXT,
        name TEXT,
        first_name TEXT,
        language TEXT,
        timezone TEXT,
        tags TEXT,
        signed_up TEXT,
        source TEXT,
        note TEXT,
        consented_at TEXT,
        attributes TEXT NOT NULL  -- a JSON merge patch (RFC 7396): null removes
    )
"""

# In which order the rows go into the list, of several with one address only the first. Made when all are there:
# sorting once is much cheaper than keeping an index in order.
_TURNS = """
    CREATE TABLE staging.turns (turn INTEGER PRIMARY KEY, n INTEGER NOT NULL)
"""
_INDEX = "CREATE INDEX staging.rows_by_key ON rows (address_key, n)"
_TAKE_TURNS = "INSERT INTO staging.turns (n) SELECT min(n) FROM staging.rows GROUP BY address_key ORDER BY "

# What each reader who is in the list already becomes.
_MERGED = """
    CREATE TEMP VIEW merged AS SELECT
        t.turn AS turn,
        s.id AS id,
        g.email AS email,
        CASE
            WHEN g.revive THEN coalesce(g.status, 'active')
            WHEN s.status IN ('unsubscribed', 'bounced', 'complained') THEN s.status
            ELSE coalesce(g.status, s.status)
        END AS status,
        iif(instr(g.present, ',name,'), g.name, s.name) AS name,
        iif(instr(g.present, ',first_name,'), g.first_name, s.first_name) AS first_name,
        iif(instr(g.present, ',language,'), g.language, s.language) AS language,
        iif(instr(g.present, ',timezone,'), g.timezone, s.timezone) AS timezone,
        iif(instr(g.present, ',tags,'), coalesce(g.tags, '[]'), s.tags) AS tags,
        iif(instr(g.present, ',signed_up,'), g.signed_up, s.signed_up) AS signed_up,
        iif(instr(g.present, ',source,'), g.source, s.source) AS source,
        iif(instr(g.present, ',note,'), g.note, s.note) AS note,
        iif(instr(g.present, ',consented_at,'), g.consented_at, s.consented_at) AS consented_at,
        json_patch(s.attributes, g.attributes) AS attributes
    FROM staging.turns t JOIN staging.rows g USING (n) JOIN main.subscribers s ON s.address_key = g.address_key
"""

_CHANGED = """
    (m.email, m.status, m.name, m.first_name, m.language, m.timezone, m.tags, m.signed_up,
     m.source, m.note, m.consented_at, m.attributes)
    IS NOT (s.email, s.status, s.name, s.first_name, s.language, s.timezone, s.tags, s.signed_up,
     s.source, s.note, s.consented_at, s.attributes)
"""
_CHANGES = f"""
    CREATE TEMP VIEW changes AS SELECT m.*
    FROM merged m JOIN main.subscribers s ON s.id = m.id WHERE {_CHANGED}
"""  # noqa: S608 -- constants of this module

_GONE = "s.status IN ('unsubscribed', 'bounced', 'complained')"
_EFFECT = f"""
    SELECT count(*), coalesce(sum({_CHANGED}), 0), coalesce(sum({_GONE}), 0),
        coalesce(sum({_GONE} AND m.status = 'active'), 0)
    FROM merged m JOIN main.subscribers s ON s.id = m.id
"""  # noqa: S608 -- as above

_SUPPRESSED = """
    SELECT count(*) FROM main.suppressions x
    WHERE EXISTS (SELECT 1 FROM staging.rows g WHERE g.address_key = x.address_key)
"""

_LEAVERS = """
    CREATE TABLE staging.leavers AS SELECT s.id FROM main.subscribers s
    WHERE s.source = ? AND s.status IN ('active', 'pending')
        AND NOT EXISTS (SELECT 1 FROM staging.rows g WHERE g.address_key = s.address_key)
"""

_UPDATE = """
    UPDATE main.subscribers SET
        email = c.email, status = c.status, name = c.name, first_name = c.first_name,
        language = c.language, timezone = c.timezone, tags = c.tags, signed_up = c.signed_up,
        source = c.source, note = c.note, consented_at = c.consented_at, attributes = c.attributes,
        updated_at = :now
    FROM changes c WHERE c.id = subscribers.id AND c.turn BETWEEN :first AND :last
"""

_ADD = """
    INSERT INTO main.subscribers (
        token, address_key, email, status, name, first_name, language, timezone, tags, signed_up,
        source, note, consented_at, attributes, created_at, updated_at)
    SELECT
        new_token(), g.address_key, g.email, coalesce(g.status, 'active'), g.name, g.first_name, g.language,
        g.timezone, coalesce(g.tags, '[]'), g.signed_up, g.source, g.note, g.consented_at,
        iif(instr(g.attributes, ':null'), json_patch('{}', g.attributes), g.attributes), :now, :now
    FROM staging.turns t JOIN staging.rows g USING (n) WHERE t.turn BETWEEN :first AND :last
        AND NOT EXISTS (SELECT 1 FROM main.subscribers s WHERE s.address_key = g.address_key)
    ORDER BY t.turn
"""

_STAGE = """
    INSERT INTO staging.rows (
        line, address_key, email, revive, present, source, status, name, first_name, language, timezone,
        tags, signed_up, note, consented_at, attributes)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_BUILT_IN = (
    "status",
    "name",
    "first_name",
    "language",
    "timezone",
    "tags",
    "signed_up",
    "note",
    "consented_at",
)


@dataclass(frozen=True, slots=True)
class Effect:
    """What applying does: readers added, updated and found the same; of those found, how many stay
    unsubscribed, bounced or complained, and how many come back; of all, how many are suppressed."""

    added: int
    updated: int
    unchanged: int
    stay_away: int
    revived: int
    suppressed: int


class Staging:
    """Checked rows on their way into the list; made by `staging`."""

    def __init__(self, connection: sqlite3.Connection, *, revive: bool, source: str = "") -> None:
        self._connection = connection
        self._source = source
        self._revive = revive

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Around all calls of `add`. Only the temporary database is locked meanwhile."""
        self._connection.execute("BEGIN")
        try:
            yield
            self._connection.execute(_INDEX)
            large = self._count("SELECT coalesce(max(n), 0) FROM staging.rows") > _LARGE
            self._connection.execute(_TAKE_TURNS + ("address_key" if large else "min(n)"))
        finally:
            self._connection.execute("COMMIT")

    def add(self, rows: Iterable[Row]) -> None:
        """Keep rows; of several with the same address the first one counts."""
        self._connection.executemany(_STAGE, map(self._staged, rows))

    def repeated(self) -> Iterator[tuple[int, int, str]]:
        """Rows that do not count, in order: their line, that of the first with the same address, the address."""
        if self._count("SELECT (SELECT count(*) FROM staging.rows) - (SELECT count(*) FROM staging.turns)"):
            yield from self._connection.execute(
                "SELECT g.line, (SELECT f.line FROM staging.rows f WHERE f.address_key = g.address_key ORDER BY f.n),"
                " g.email FROM staging.rows g WHERE g.n NOT IN (SELECT n FROM staging.turns) ORDER BY g.n"
            )

    def _staged(self, row: Row) -> tuple[object, ...]:
        built_in = row.built_in
        return (
            row.line,
            row.address.key,
            row.address.text,
            self._revive,
            f",{','.join(built_in)},",
            # Of a feed only those it brought are its own: the source of a reader who was there stays.
            built_in.get("source") or self._source or None,
            *[v if v is None or type(v) is str else _stored(v) for v in map(built_in.get, _BUILT_IN)],
            f"{{{','.join([_pair(name, value) for name, value in row.attributes.items()])}}}",
        )

    def effect(self) -> Effect:
        """What `apply` would do to the list as it is now."""
        rows = self._count("SELECT count(*) FROM staging.turns")
        suppressed = self._count(_SUPPRESSED)
        if not self._count("SELECT EXISTS (SELECT 1 FROM main.subscribers)"):
            return Effect(rows, 0, 0, 0, 0, suppressed)
        found, updated, gone, revived = self._connection.execute(_EFFECT).fetchone()
        return Effect(rows - found, updated, found - updated, gone - revived, revived, suppressed)

    def missing(self) -> tuple[int, int]:
        """How many readers that the source brought, and who have not left, are not among the rows; of how many."""
        self._connection.execute(_LEAVERS, (self._source,))
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
        last = self._count("SELECT coalesce(max(turn), 0) FROM staging.turns")
        done, size = 0, BATCH
        while done < last:
            size = min(size, last - done)
            begun = time.monotonic()
            self._write({"first": done + 1, "last": done + size, "now": now()}, size)
            held = time.monotonic() - begun
            done += size
            yield done
            # Leaves a gap for a process that waits for the lock: SQLite's waiting is polling, not a queue.
            time.sleep(held / 20)
            size = _next_size(size, held)

    def _write(self, span: Mapping[str, int], size: int) -> None:
        with writing(self._connection):
            added = self._connection.execute(_ADD, span)
            if added.rowcount < size:  # the others were there; those just added have nothing to change
                self._connection.execute(_UPDATE, span)

    def _count(self, query: str) -> int:
        (number,) = self._connection.execute(query).fetchone()
        return int(number)


@contextmanager
def staging(connection: sqlite3.Connection, *, revive: bool = False, source: str = "") -> Iterator[Staging]:
    """An empty staging place beside the list, gone afterwards. `revive`: bring back those who had left."""
    connection.execute("ATTACH DATABASE '' AS staging")
    try:
        connection.execute("PRAGMA staging.page_size = 16384")
        connection.execute("PRAGMA staging.journal_mode = OFF")  # nothing of it is ever read again
        connection.execute(f"PRAGMA staging.cache_size = {-_CACHE}")
        connection.execute(f"PRAGMA main.cache_size = {-_CACHE}")
        connection.execute("PRAGMA wal_autocheckpoint = 16000")  # pages: one that changes often is copied once
        connection.create_function("new_token", 0, new_tokens(1000).__next__)
        for statement in (_ROWS, _TURNS, _MERGED, _CHANGES):
            connection.execute(statement)
        yield Staging(connection, revive=revive, source=source)
    finally:
        connection.execute("DROP VIEW IF EXISTS temp.changes")
        connection.execute("DROP VIEW IF EXISTS temp.merged")
        connection.execute("DETACH DATABASE staging")
        connection.execute("PRAGMA wal_autocheckpoint = 1000")
        connection.execute("PRAGMA main.cache_size = -2000")


@lru_cache(maxsize=8192, typed=True)
def _pair(name: str, value: Value | None) -> str:
    """A member of a JSON object."""
    plain = None if value is None else to_json(value)
    return f"{json.dumps(name)}:{json.dumps(plain, ensure_ascii=False, separators=(',', ':'))}"


def _stored(value: Value) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) if isinstance(value, tuple) else text_of(value)


def _next_size(size: int, held: float) -> int:
    """How many rows to write next, after `size` rows held the lock for `held` seconds.

    >>> _next_size(1000, 0.015), _next_size(1000, 0.06), _next_size(100, 5.0), _next_size(8000, 0.001)
    (2000, 750, 100, 8000)
    """
    return max(_LEAST, min(_MOST, int(size * min(2.0, HELD / held))))
