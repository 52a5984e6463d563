"""What a reader may see and change about themselves: the rows behind the pages of their settings."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from digest.audience.address import parse_address
from digest.audience.database import now
from digest.audience.forgetting import Forgotten
from digest.audience.holding import holding
from digest.audience.store import Subscribers

LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a reader may set. `tags` are those chosen of the ones on offer."""

    name: str
    language: str
    tags: tuple[str, ...]


class WishError(ValueError):
    """A value that no page of ours would send; the message is the name of the words that say so."""


def wishes(name: str, language: str, tags: Sequence[str], languages: Sequence[str], offered: Sequence[str]) -> Wishes:
    """Values of a form, checked. Raises `WishError`."""
    if len(name) > LONGEST_NAME or not name.isprintable():  # also CR and LF: it stands in a header
        raise WishError("preferences.wrong_name")
    if (language and language not in languages) or set(tags) - set(offered):
        raise WishError("preferences.wrong_choice")
    return Wishes(name, language, tuple(tag for tag in offered if tag in tags))


def change(connection: sqlite3.Connection, token: str, wanted: Wishes, offered: Sequence[str]) -> bool:
    """Write a reader's wishes, inside the caller's transaction; tags not on offer stay. False: no such reader."""
    row = connection.execute(
        "SELECT id, coalesce(name, ''), tags FROM subscribers WHERE token = ?", (token,)
    ).fetchone()
    if row is None:
        return False
    number, name, tags = row
    kept = [tag for tag in json.loads(tags) if tag not in offered]
    connection.execute(
        "UPDATE subscribers SET name = ?, first_name = iif(?, NULL, first_name), language = ?, tags = ?, updated_at = ?"
        " WHERE id = ?",
        (
            wanted.name or None,
            name != wanted.name,  # the first word of the new one takes its place
            wanted.language or None,
            json.dumps([*kept, *wanted.tags], ensure_ascii=False),
            now(),
            number,
        ),
    )
    return True


def erase(connection: sqlite3.Connection, token: str) -> bool:
    """Forget the reader of `token`. It makes its own transaction. False: the token names nobody (any more)."""
    reader = Subscribers(connection).by_token(token)
    if reader is None:
        return False
    Forgotten(connection).forget(parse_address(reader.email))
    return True


def everything(connection: sqlite3.Connection, token: str) -> Mapping[str, Any] | None:
    """All that is held on the reader of `token`, as ``digest subscribers show --json`` says it; None when the token
    names nobody."""
    reader = Subscribers(connection).by_token(token)
    if reader is None:
        return None
    return holding(connection, parse_address(reader.email)).to_dict()
