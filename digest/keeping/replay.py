"""Telling a database of an earlier day who has left since.

Only ever away: somebody who had left by then and came back later stays away, and is asked again.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from digest.audience import departures
from digest.audience.address import Address, parse_address
from digest.audience.database import now, writing
from digest.audience.departures import Departure, address_hash, hash_key, read_departures
from digest.audience.forgetting import Forgotten
from digest.audience.store import Suppressions
from digest.errors import HeldError

_TOGETHER = 1000


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many left, were suppressed and forgotten by the journal's word; how many of whom only a hash is known
    are kept out from now on; the lines of other databases, and the numbers of those that can't be read."""

    left: int = 0
    suppressed: int = 0
    forgotten: int = 0
    kept_out: int = 0
    foreign: int = 0
    broken: tuple[int, ...] = ()


def replay(connection: sqlite3.Connection, database: Path, *, foreign: bool = False) -> Replayed:
    """Do to `connection` what the journal beside `database` says. Doing it twice is doing it once.

    Raises `HeldError` when it is all about another database, unless that is meant (`foreign`).
    """
    key = hash_key(connection)
    known = read_departures(database.with_name(departures.JOURNAL), key)
    if known.foreign and not known.departures and not foreign:
        raise HeldError(
            f"{departures.JOURNAL} knows {known.foreign} departures, and none of them of the database in this backup:"
            " it is another newsletter's, or one that was made anew. Who has left can't be told apart in it;"
            " to use it all the same: digest restore --foreign"
        )
    connection.execute("PRAGMA secure_delete = ON")  # who is forgotten is written over
    counts: Counter[str] = Counter()
    missing = dict(known.departures)
    people = _people(connection, key, known.departures)
    while batch := [person for _, person in zip(range(_TOGETHER), people, strict=False)]:
        with writing(connection):
            for address, who, status in batch:
                missing.pop(who, None)
                counts.update(_apply(connection, address, status, known.departures[who]))
            departures.discard(connection)
    with writing(connection):
        counts["kept_out"] = _keep_out(connection, missing)
        departures.discard(connection)
    return Replayed(
        left=counts["left"],
        suppressed=counts["suppressed"],
        forgotten=counts["forgotten"],
        kept_out=counts["kept_out"],
        foreign=known.foreign,
        broken=known.broken,
    )


def _people(
    connection: sqlite3.Connection, key: bytes, wanted: Mapping[bytes, Departure]
) -> Iterator[tuple[Address, bytes, str]]:
    """Those in the database whom the journal names: their address, its hash, their status (nothing: suppressed only).

    All are found before the first is changed.
    """
    rows = connection.execute(
        "SELECT email, address_key, status FROM subscribers UNION ALL"
        " SELECT address_key, address_key, '' FROM suppressions"
        " WHERE address_key NOT IN (SELECT address_key FROM subscribers)"
    )
    found = [
        (email, who, status) for email, address_key, status in rows if (who := address_hash(key, address_key)) in wanted
    ]
    return ((parse_address(email), who, status) for email, who, status in found)


def _apply(connection: sqlite3.Connection, address: Address, status: str, departure: Departure) -> Iterator[str]:
    if departure.forgotten:
        Forgotten(connection).forget_within(address)
        yield "forgotten"
        return
    if departure.left and status not in ("", departure.left, "complained"):
        connection.execute(
            "UPDATE subscribers SET status = ?, updated_at = ? WHERE address_key = ?",
            (departure.left, now(), address.key),
        )
        yield "left"
    if departure.suppressed and Suppressions(connection).add_within(address, departure.suppressed):
        yield "suppressed"


def _keep_out(connection: sqlite3.Connection, missing: Mapping[bytes, Departure]) -> int:
    """Of whom there is no more than a hash is kept out as those are who were forgotten: an import leaves them out."""
    done = connection.executemany(
        "INSERT OR IGNORE INTO forgotten (address_hash, forgotten_at) VALUES (?, ?)",
        [(who, now()) for who in missing],
    )
    return max(done.rowcount, 0)
