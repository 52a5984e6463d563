"""Who asked to join, until they confirm (double opt-in); all of it inside the caller's transaction.

Nobody learns here who is subscribed: a request is written down the same way whether its address is on the list or
not, and everybody who asks gets the same message. The list itself changes only when the link in it is followed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from digest.audience.address import Address, parse_address
from digest.audience.database import now
from digest.audience.forgetting import Forgotten
from digest.audience.leaving import Parting
from digest.audience.store import new_token

KEPT = 7 * 86_400_000_000  # microseconds that a request waits to be confirmed
AGAIN = 86_400_000_000  # microseconds until one address gets another message
ATTEMPTS = 8
_FIRST_RETRY = 60_000_000  # microseconds; doubled each time


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for, and where and in which words they agreed."""

    address: Address
    name: str
    language: str
    tags: tuple[str, ...]
    page: str
    wording: str


@dataclass(frozen=True, slots=True)
class Due:
    """A message to be sent: to whom, and the token that confirms."""

    id: int
    token: str
    email: str
    language: str
    attempts: int


def ask(connection: sqlite3.Connection, wanted: Request) -> None:
    """Write a request down. An address that was written to within the last day is not written to again."""
    moment = now()
    connection.execute(
        "INSERT INTO signups (token, address_key, email, name, language, tags, page, wording, requested_at,"
        " next_attempt_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (address_key) DO UPDATE SET token = excluded.token, name = excluded.name,"
        " language = excluded.language, tags = excluded.tags, page = excluded.page, wording = excluded.wording,"
        " requested_at = excluded.requested_at, mailed_at = NULL, attempts = 0,"
        " next_attempt_at = excluded.next_attempt_at WHERE requested_at < ?",
        (
            new_token(),
            wanted.address.key,
            wanted.address.text,
            wanted.name or None,
            wanted.language or None,
            json.dumps(wanted.tags, ensure_ascii=False),
            wanted.page,
            wanted.wording,
            moment,
            moment,
            moment - AGAIN,
        ),
    )


def is_waiting(connection: sqlite3.Connection, token: str) -> str | None:
    """The language of the request that `token` confirms, or nothing; None: it confirms nothing (any more)."""
    row = connection.execute(
        "SELECT coalesce(language, '') FROM signups WHERE token = ? AND requested_at >= ?", (token, now() - KEPT)
    ).fetchone()
    return row[0] if row else None


def confirm(connection: sqlite3.Connection, token: str) -> Parting | None:
    """Make who asked a reader, with what they agreed to; None: the token confirms nothing.

    Somebody who had left is back: they asked for it themselves. Tags are added to those there are.
    """
    row = connection.execute(
        "SELECT id, email, address_key, name, language, tags, page, wording, requested_at FROM signups"
        " WHERE token = ? AND requested_at >= ?",
        (token, now() - KEPT),
    ).fetchone()
    if row is None:
        return None
    number, email, key, name, language, tags, page, wording, asked = row
    reader = _made_active(connection, email, key, name, language, json.loads(tags))
    connection.execute(
        "INSERT INTO consents (subscriber_id, requested_at, confirmed_at, page, wording) VALUES (?, ?, ?, ?, ?)",
        (reader, asked, now(), page, wording),
    )
    Forgotten(connection).readmit_within(parse_address(email))
    connection.execute("DELETE FROM signups WHERE id = ?", (number,))
    return Parting("back", True, reader, key, language or "", now())


def _made_active(
    connection: sqlite3.Connection, email: str, key: str, name: str | None, language: str | None, tags: Sequence[str]
) -> int:
    moment = now()
    row = connection.execute("SELECT id, tags FROM subscribers WHERE address_key = ?", (key,)).fetchone()
    if row:
        merged = list(dict.fromkeys([*json.loads(row[1]), *tags]))
        connection.execute(
            "UPDATE subscribers SET status = 'active', name = coalesce(?, name), language = coalesce(language, ?),"
            " tags = ?, consented_at = ?, updated_at = ? WHERE id = ?",
            (name, language, json.dumps(merged, ensure_ascii=False), _today(), moment, row[0]),
        )
        connection.execute("DELETE FROM leavings WHERE subscriber_id = ?", (row[0],))
        return int(row[0])
    added = connection.execute(
        "INSERT INTO subscribers (token, address_key, email, name, status, language, tags, signed_up, source,"
        " consented_at, created_at, updated_at) VALUES (?, ?, ?, ?, 'active', ?, ?, ?, 'signup', ?, ?, ?)",
        (
            new_token(),
            key,
            email,
            name,
            language,
            json.dumps(list(tags), ensure_ascii=False),
            _today(),
            _today(),
            moment,
            moment,
        ),
    )
    return added.lastrowid or 0


# ---- the messages


def due(connection: sqlite3.Connection, most: int) -> list[Due]:
    """Messages to send now, the oldest first. Who complained or is suppressed gets none, whoever asks."""
    rows = connection.execute(
        "SELECT id, token, email, coalesce(language, ''), attempts FROM signups s WHERE next_attempt_at <= ?"
        " AND NOT EXISTS (SELECT 1 FROM suppressions x WHERE x.address_key = s.address_key)"
        " AND NOT EXISTS (SELECT 1 FROM subscribers r WHERE r.address_key = s.address_key AND r.status = 'complained')"
        " ORDER BY next_attempt_at LIMIT ?",
        (now(), most),
    ).fetchall()
    return [Due(*row) for row in rows]


def mailed(connection: sqlite3.Connection, number: int) -> None:
    """Note that the relay has accepted the message."""
    connection.execute(
        "UPDATE signups SET mailed_at = ?, next_attempt_at = NULL, attempts = attempts + 1 WHERE id = ?",
        (now(), number),
    )


def not_mailed(connection: sqlite3.Connection, number: int, *, final: bool) -> None:
    """Note that it did not; unless it is `final`, it is tried again, `ATTEMPTS` times in all, ever more slowly."""
    connection.execute(
        "UPDATE signups SET attempts = attempts + 1,"
        " next_attempt_at = iif(? OR attempts + 1 >= ?, NULL, ? + (? << attempts)) WHERE id = ?",
        (final, ATTEMPTS, now(), _FIRST_RETRY, number),
    )


def remove_old(connection: sqlite3.Connection) -> int:
    """Delete the requests that nobody confirmed in time; returns how many."""
    return connection.execute("DELETE FROM signups WHERE requested_at < ?", (now() - KEPT,)).rowcount


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
