"""Where an import keeps its checked rows before it touches the list, and how it applies them.

The rows wait in a temporary database beside the real one: on disk, so that memory stays bounded, and
unlinked by SQLite as soon as it is made, so that nothing is left of an import that was killed.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from digest.audience.database import now, writing
from digest.audience.rows import Row
from digest.audience.store import new_token
from digest.audience.subscriber import Value
from digest.audience.values import text_of, to_json

BATCH = 1000
"""Rows a write transaction applies: some 15 ms on a small machine."""

_ROWS = """
    CREATE TABLE staging.rows (
        n INTEGER PRIMARY KEY,
        line INTEGER NOT NULL,
        address_key TEXT NOT NULL UNIQUE,
        token TEXT NOT NULL,
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

# What each reader who is in the list already becomes.
_MERGED = """
    CREATE TEMP VIEW merged AS SELECT
        g.n AS n,
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
    FROM staging.rows g JOIN main.subscribers s ON s.address_key = g.address_key
"""

_CHANGES = """
    CREATE TEMP VIEW changes AS SELECT m.*
    FROM merged m JOIN main.subscribers s ON s.id = m.id
    WHERE (m.email, m.status, m.name, m.first_name, m.language, m.timezone, m.tags, m.signed_up,
            m.source, m.note, m.consented_at, m.attributes)
        IS NOT (s.email, s.status, s.name, s.first_name, s.language, s.timezone, s.tags, s.signed_up,
            s.source, s.note, s.consented_at, s.attributes)
"""

_UPDATE = """
    UPDATE main.subscribers SET
        email = c.email, status = c.status, name = c.name, first_name = c.first_name,
        language = c.language, timezone = c.timezone, tags = c.tags, signed_up = c.signed_up,
        source = c.source, note = c.note, consented_at = c.consented_at, attributes = c.attributes,
        updated_at = :now
    FROM changes c WHERE c.id = subscribers.id AND c.n BETWEEN :first AND :last
"""

_ADD = """
    INSERT INTO main.subscribers (
        token, address_key, email, status, name, first_name, language, timezone, tags, signed_up,
        source, note, consented_at, attributes, created_at, updated_at)
    SELECT
        g.token, g.address_key, g.email, coalesce(g.status, 'active'), g.name, g.first_name, g.language,
        g.timezone, coalesce(g.tags, '[]'), g.signed_up, g.source, g.note, g.consented_at,
        json_patch('{}', g.attributes), :now, :now
    FROM staging.rows g WHERE g.n BETWEEN :first AND :last
        AND NOT EXISTS (SELECT 1 FROM main.subscribers s WHERE s.address_key = g.address_key)
    ORDER BY g.n
"""

_STAGE = """
    INSERT OR IGNORE INTO staging.rows (
        line, address_key, token, email, revive, present, status, name, first_name, language, timezone,
        tags, signed_up, source, note, consented_at, attributes)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_BUILT_IN = (
    "status",
    "name",
    "first_name",
    "language",
    "timezone",
    "tags",
    "signed_up",
    "source",
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

    def __init__(self, connection: sqlite3.Connection, *, revive: bool) -> None:
        self._connection = connection
        self._revive = revive

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Around all calls of `add`. Only the temporary database is locked meanwhile."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    def add(self, row: Row) -> int:
        """Keep a row. Returns 0, or the line of an earlier row with the same address, which stays."""
        built_in = row.built_in
        done = self._connection.execute(
            _STAGE,
            (
                row.line,
                row.address.key,
                new_token(),
                row.address.text,
                self._revive,
                f",{','.join(built_in)},",
                *(_stored(built_in.get(column)) for column in _BUILT_IN),
                _encoded(row.attributes),
            ),
        )
        if done.rowcount:
            return 0
        (line,) = self._connection.execute(
            "SELECT line FROM staging.rows WHERE address_key = ?", (row.address.key,)
        ).fetchone()
        return int(line)

    def effect(self) -> Effect:
        """What `apply` would do to the list as it is now."""
        rows = self._count("SELECT count(*) FROM staging.rows")
        found = self._count("SELECT count(*) FROM merged")
        updated = self._count("SELECT count(*) FROM changes")
        gone = self._count(
            "SELECT count(*) FROM staging.rows g JOIN main.subscribers s USING (address_key)"
            " WHERE s.status IN ('unsubscribed', 'bounced', 'complained')"
        )
        revived = self._count(
            "SELECT count(*) FROM merged m JOIN main.subscribers s USING (id)"
            " WHERE s.status IN ('unsubscribed', 'bounced', 'complained') AND m.status = 'active'"
        )
        suppressed = self._count("SELECT count(*) FROM staging.rows JOIN main.suppressions USING (address_key)")
        return Effect(rows - found, updated, found - updated, gone - revived, revived, suppressed)

    def apply(self) -> Iterator[int]:
        """Write the rows into the list, yielding after each batch how many are done."""
        last = self._count("SELECT coalesce(max(n), 0) FROM staging.rows")
        for first in range(1, last + 1, BATCH):
            begun = time.monotonic()
            span = {"first": first, "last": first + BATCH - 1, "now": now()}
            with writing(self._connection):
                self._connection.execute(_UPDATE, span)
                self._connection.execute(_ADD, span)
            yield min(span["last"], last)
            # Leaves a gap for a process that waits for the lock: SQLite's waiting is polling, not a queue.
            time.sleep((time.monotonic() - begun) / 10)

    def _count(self, query: str) -> int:
        (number,) = self._connection.execute(query).fetchone()
        return int(number)


@contextmanager
def staging(connection: sqlite3.Connection, *, revive: bool = False) -> Iterator[Staging]:
    """An empty staging place beside the list, gone afterwards. `revive`: bring back those who had left."""
    connection.execute("ATTACH DATABASE '' AS staging")
    try:
        for statement in (_ROWS, _MERGED, _CHANGES):
            connection.execute(statement)
        yield Staging(connection, revive=revive)
    finally:
        connection.execute("DROP VIEW IF EXISTS temp.changes")
        connection.execute("DROP VIEW IF EXISTS temp.merged")
        connection.execute("DETACH DATABASE staging")


def _encoded(attributes: Mapping[str, Value | None]) -> str:
    plain = {name: None if value is None else to_json(value) for name, value in attributes.items()}
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _stored(value: Value | None) -> str | None:
    if isinstance(value, tuple):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return None if value is None else text_of(value)
