"""Leaving and coming back by the reader's own link: the one way that the public pages go.

A token stands for one reader, never expires, and says nothing about the address. Leaving takes effect in the
transaction it is written in: a send that is under way asks for a reader's status right before each message.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from digest.audience.database import now

REGRET_DAYS = 7
"""How long the page lets a reader take leaving back."""

_DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True, slots=True)
class Parting:
    """What became of a reader: `kind` is ``left`` or ``back``; `changed` is false when it was so before.

    `reader` is their number, `address_key` the address's normal form, `language` theirs or nothing, `at` in
    microseconds.
    """

    kind: Literal["left", "back"]
    changed: bool
    reader: int
    address_key: str
    language: str
    at: int


def leave_within(connection: sqlite3.Connection, tokens: Sequence[str]) -> list[Parting | None]:
    """Unsubscribe the readers of these tokens inside the caller's transaction; None for one that names nobody.

    Doing it twice is doing it once. Somebody who complained stays so: it says more. A hundred take few statements:
    nothing else can be written meanwhile.
    """
    moment = now()
    found = {row[0]: row[1:] for row in connection.execute(_READERS, (json.dumps([*filter(_is_token, tokens)]),))}
    _count(connection, sum(token in found for token in tokens), len(tokens))
    leaving = [number for number, _, status, _ in found.values() if status not in _GONE]
    if leaving:
        numbers = json.dumps(leaving)
        connection.execute(_REMEMBER, (moment, numbers))
        connection.execute(_LEAVE, (moment, numbers))
    changed = set(leaving)
    partings: list[Parting | None] = []
    for token in tokens:
        if token not in found:
            partings.append(None)
            continue
        number, key, _, language = found[token]
        partings.append(Parting("left", number in changed, number, key, language, moment))
        changed.discard(number)  # of two who press the same button, one changes something
    return partings


def come_back_within(connection: sqlite3.Connection, token: str) -> Parting | None:
    """Take back what `leave_within` did: the reader is what they were before. None: there is nothing to take back.

    Only somebody who left by the link, `REGRET_DAYS` ago at most.
    """
    found = connection.execute(_READERS, (json.dumps([token] if _is_token(token) else []),)).fetchone()
    _count(connection, found is not None, 1)
    if found is None or not may_come_back(connection, token):
        return None
    _, number, key, _, language = found
    moment = now()
    connection.execute(
        "UPDATE subscribers SET status = (SELECT was FROM leavings WHERE subscriber_id = id), updated_at = ?"
        " WHERE id = ?",
        (moment, number),
    )
    connection.execute("DELETE FROM leavings WHERE subscriber_id = ?", (number,))
    return Parting("back", True, number, key, language, moment)


def may_come_back(connection: sqlite3.Connection, token: str) -> bool:
    """Whether the reader left by the link lately."""
    found = connection.execute(
        "SELECT 1 FROM subscribers s JOIN leavings l ON l.subscriber_id = s.id"
        " WHERE s.token = ? AND s.status = 'unsubscribed' AND l.left_at >= ?",
        (token, now() - REGRET_DAYS * _DAY),
    )
    return found.fetchone() is not None


_GONE = ("unsubscribed", "complained")
_READERS = (
    "SELECT token, id, address_key, status, coalesce(language, '') FROM subscribers"
    " WHERE token IN (SELECT value FROM json_each(?))"
)
_REMEMBER = (
    "INSERT OR REPLACE INTO leavings SELECT id, status, ? FROM subscribers WHERE id IN (SELECT value FROM json_each(?))"
)
_LEAVE = "UPDATE subscribers SET status = 'unsubscribed', updated_at = ? WHERE id IN (SELECT value FROM json_each(?))"


def _is_token(text: str) -> bool:
    return text.isascii() and text.isalnum()


def _count(connection: sqlite3.Connection, known: int, of: int) -> None:
    # A link of nobody is written down as well: a transaction that writes nothing would be over sooner.
    connection.execute(
        "INSERT INTO link_days VALUES (?, ?, ?) ON CONFLICT (day) DO UPDATE"
        " SET used = used + excluded.used, unknown = unknown + excluded.unknown",
        (datetime.now(UTC).date().isoformat(), known, of - known),
    )
