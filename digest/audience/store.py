"""Subscribers and suppressions in the database, as values.

A reader is *excluded* from every issue for one reason: its status when that is not ``active``, else
``suppressed`` when its address is on the suppression list. A reader whose row is gone is ``forgotten``.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from digest.audience.address import Address, AddressError, parse_address
from digest.audience.database import now, writing
from digest.audience.subscriber import Subscriber, Value
from digest.audience.values import from_json

_COLUMNS = "id, token, email, status, name, first_name, language, timezone, tags, attributes, signed_up"
_PAGE = 1000
_TOKEN_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567" * 8  # five bits of every byte


def new_token() -> str:
    """An opaque name for a subscriber: 120 random bits as 24 lower-case letters and digits.

    It survives a local part, a path and a mail system that folds case.
    """
    return next(new_tokens())


def new_tokens(block: int = 1) -> Iterator[str]:
    """Tokens without end. Those of one block begin with the same four letters, so that they stand together
    in an index; what follows is 100 random bits of each one's own."""
    while True:
        text = secrets.token_bytes(4 + 20 * block).translate(_TOKEN_LETTERS).decode("ascii")
        yield from (text[:4] + text[start : start + 20] for start in range(4, len(text), 20))


class Subscribers:
    """The list. Reading streams in pages, so that it neither holds all readers nor blocks a writer."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def all(self) -> Iterator[Subscriber]:
        """Every subscriber of any status, by id."""
        return (subscriber for subscriber, _ in self.candidates())

    def candidates(self) -> Iterator[tuple[Subscriber, str | None]]:
        """Every subscriber by id, with the reason to exclude them, or None for one who may be written to."""
        after = 0
        while rows := self._connection.execute(
            f"SELECT {_COLUMNS}, x.address_key IS NOT NULL"  # noqa: S608 -- a constant list of columns
            " FROM subscribers s LEFT JOIN suppressions x USING (address_key)"
            " WHERE id > ? ORDER BY id LIMIT ?",
            (after, _PAGE),
        ).fetchall():
            after = rows[-1][0]
            for row in rows:
                yield _subscriber(row), _exclusion(row[3], row[-1])

    def exclusion(self, number: int) -> str | None:
        """Why this subscriber is not to be written to at this moment, or None."""
        row = self._connection.execute(
            "SELECT status, x.address_key IS NOT NULL"
            " FROM subscribers s LEFT JOIN suppressions x USING (address_key) WHERE id = ?",
            (number,),
        ).fetchone()
        return _exclusion(*row) if row else "forgotten"

    def get(self, number: int) -> Subscriber | None:
        """The subscriber with this id."""
        return self._one("id = ?", number)

    def some(self, numbers: Sequence[int]) -> dict[int, tuple[Subscriber, str | None]]:
        """Those of these subscribers that there are, by id, each with the reason to exclude them now, or None."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS}, x.address_key IS NOT NULL"  # noqa: S608 -- a constant list of columns
            " FROM subscribers s LEFT JOIN suppressions x USING (address_key)"
            " WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(numbers),),
        )
        return {row[0]: (_subscriber(row), _exclusion(row[3], row[-1])) for row in rows}

    def by_address(self, address: str) -> Subscriber | None:
        """The subscriber at an address, however it is spelled; None also for what is no address."""
        try:
            return self._one("address_key = ?", parse_address(address).key)
        except AddressError:
            return None

    def by_token(self, token: str) -> Subscriber | None:
        """The subscriber with this token."""
        return self._one("token = ?", token)

    def count(self, status: str | None = None) -> int:
        """How many there are, of one status or altogether."""
        (number,) = self._connection.execute(
            "SELECT count(*) FROM subscribers WHERE ?1 IS NULL OR status = ?1", (status,)
        ).fetchone()
        return int(number)

    def leave(self, address: Address, status: str, note: str = "") -> bool:
        """Mark the subscriber as gone (``unsubscribed``, ``bounced``, ``complained``). False: no such reader."""
        with writing(self._connection):
            found = self._connection.execute(
                "UPDATE subscribers SET status = ?, note = coalesce(nullif(?, ''), note), updated_at = ?"
                " WHERE address_key = ?",
                (status, note, now(), address.key),
            )
        return found.rowcount > 0

    def _one(self, where: str, value: object) -> Subscriber | None:
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM subscribers WHERE {where}",  # noqa: S608 -- both are constants of this class
            (value,),
        ).fetchone()
        return _subscriber(row) if row else None


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address never to write to: its normal form, why, a person's note, since when (microseconds)."""

    address_key: str
    reason: str
    note: str
    created_at: int


class Suppressions:
    """The addresses never to write to, subscribed or not."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, address: Address, reason: str, note: str = "") -> bool:
        """Suppress an address. False: it already was, and the first reason stays.

        But for one that ends when the person agrees again: any other reason takes its place.
        """
        with writing(self._connection):
            return self.add_within(address, reason, note)

    def add_within(self, address: Address, reason: str, note: str = "") -> bool:
        """As `add`, inside the caller's transaction."""
        done = self._connection.execute(
            "INSERT INTO suppressions (address_key, reason, note, created_at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (address_key) DO UPDATE"
            " SET reason = excluded.reason, note = excluded.note, created_at = excluded.created_at"
            " WHERE reason IN ('unsubscribed', 'unconfirmed') AND reason <> excluded.reason",
            (address.key, reason, note, now()),
        )
        return done.rowcount > 0

    def remove(self, address: Address) -> bool:
        """Take an address off the list. False: it was not on it."""
        with writing(self._connection):
            done = self._connection.execute("DELETE FROM suppressions WHERE address_key = ?", (address.key,))
        return done.rowcount > 0

    def get(self, address: Address) -> Suppression | None:
        """The entry of an address."""
        row = self._connection.execute(
            "SELECT address_key, reason, note, created_at FROM suppressions WHERE address_key = ?",
            (address.key,),
        ).fetchone()
        return Suppression(*row) if row else None

    def all(self) -> Iterator[Suppression]:
        """Every entry, by address."""
        rows = self._connection.execute(
            "SELECT address_key, reason, note, created_at FROM suppressions ORDER BY address_key"
        )
        return (Suppression(*row) for row in rows)


def _exclusion(status: str, suppressed: int) -> str | None:
    if status != "active":
        return status
    return "suppressed" if suppressed else None


def built_in_values(
    email: str,
    *,
    name: str | None = None,
    first_name: str | None = None,
    language: str | None = None,
    timezone: str | None = None,
    tags: tuple[str, ...] = (),
    signed_up: date | None = None,
) -> dict[str, Value]:
    """The built-in attributes of a reader that have a value; `first_name` is else the first word of `name`.

    >>> built_in_values("ada@example.com", name="Ada Example")["first_name"]
    'Ada'
    """
    values: Mapping[str, Value | None] = {
        "email": email,
        "tags": tags,
        "name": name,
        "first_name": first_name or (name.split()[0] if name and name.strip() else None),
        "language": language,
        "timezone": timezone,
        "signed_up": signed_up,
    }
    return {key: value for key, value in values.items() if value is not None}


def _subscriber(row: tuple[object, ...]) -> Subscriber:
    number, token, email, status, name, first_name, language, timezone, tags, attributes, signed_up = row[:11]
    values = built_in_values(
        email,  # type: ignore[arg-type]  # the columns' types are the schema's
        name=name,  # type: ignore[arg-type]
        first_name=first_name,  # type: ignore[arg-type]
        language=language,  # type: ignore[arg-type]
        timezone=timezone,  # type: ignore[arg-type]
        tags=() if tags == "[]" else tuple(json.loads(tags)),  # type: ignore[arg-type]
        signed_up=date.fromisoformat(signed_up) if signed_up else None,  # type: ignore[arg-type]
    )
    for key, raw in json.loads(attributes).items():  # type: ignore[arg-type]
        values[key] = from_json(raw)
    return Subscriber(number, token, email, status, values)  # type: ignore[arg-type]
