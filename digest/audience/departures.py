"""Who has left, as a journal outside the database knows it: ``left.log`` beside it.

A database can be put back to an earlier day; who left since then stays away all the same. So whoever is no longer
written to (unsubscribed, bounced, complained, suppressed, forgotten) or is again, by whatever way, is noted there
before the transaction is committed, and on the disk before anybody is told. No way out can be missed: the changes are
gathered by triggers of the connection, which are gone with it, and written down by those who commit: `transaction`
and `digest.audience.database.writing`.

A line holds a keyed hash of the address and nothing else that names anybody. The key is made with the database and is
in every backup of it; each line names its key, so that those of another database are told from one's own.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from digest.journal import Journal, Record, stamp

JOURNAL = "left.log"

_GONE = "('unsubscribed', 'bounced', 'complained')"
_NOTE = "INSERT INTO departures (event, address_key, why) SELECT"

_WATCH = (
    "CREATE TEMP TABLE departures"
    " (n INTEGER PRIMARY KEY, event TEXT NOT NULL, address_key TEXT, address_hash BLOB, why TEXT)",
    *(
        f"CREATE TEMP TRIGGER {name} AFTER {event} BEGIN {action}; END"
        for name, event, action in (
            # None for a row that is inserted: whoever a list brings as gone is suppressed too, and a trigger for each
            # new row would take an import of a million readers three seconds more.
            (
                "left",
                f"UPDATE OF status ON main.subscribers WHEN new.status <> old.status AND new.status IN {_GONE}",
                f"{_NOTE} 'left', new.address_key, new.status",
            ),
            (
                "came_back",
                f"UPDATE OF status ON main.subscribers WHEN old.status IN {_GONE} AND new.status NOT IN {_GONE}",
                f"{_NOTE} 'back', new.address_key, NULL",
            ),
            (
                "suppressed",
                "INSERT ON main.suppressions",
                f"{_NOTE} 'suppressed', new.address_key, new.reason",
            ),
            (
                "suppressed_anew",
                "UPDATE ON main.suppressions WHEN new.reason <> old.reason",
                f"{_NOTE} 'suppressed', new.address_key, new.reason",
            ),
            (
                "released",
                "DELETE ON main.suppressions",
                f"{_NOTE} 'released', old.address_key, NULL",
            ),
            (
                "forgot",
                "INSERT ON main.forgotten",
                "INSERT INTO departures (event, address_hash) VALUES ('forgotten', new.address_hash)",
            ),
            (
                "readmitted",
                "DELETE ON main.forgotten",
                "INSERT INTO departures (event, address_hash) VALUES ('readmitted', old.address_hash)",
            ),
        )
    ),
)


def watch(connection: sqlite3.Connection) -> None:
    """Have the changes that this connection makes gathered, until `record`."""
    for statement in _WATCH:
        connection.execute(statement)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that holds the write lock from its start; rolled back when its body raises.

    Who left or came back in it is in the journal before it is committed, and on the disk before it is over. Raises
    what SQLite raises, and `HeldError` as `record` does.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        settle = record(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    settle()


def record(connection: sqlite3.Connection) -> Callable[[], None]:
    """Write down who left or came back in this transaction; to be called right before its commit.

    Inside the transaction, so that the journal's order is that of the commits. What is returned is to be called after
    the commit, and before anybody is told: it waits for the disk, and nobody waits for the database meanwhile. Both
    raise `HeldError` when the journal can't be written; nothing may be committed then.
    """
    gathered = connection.execute(
        "SELECT event, address_key, address_hash, why FROM temp.departures ORDER BY n"
    ).fetchall()
    file = journal_file(connection) if gathered else None
    if file is None:
        return _nothing
    discard(connection)
    key = hash_key(connection)
    name, at = key_name(key), stamp()
    journal = Journal(file)
    journal.extend(
        {
            "at": at,
            "key": name,
            "event": event,
            "who": (hashed or address_hash(key, address_key)).hex(),
            **({"why": why} if why else {}),
        }
        for event, address_key, hashed, why in gathered
    )
    return journal.sync


def _nothing() -> None:
    """Nobody left."""


def discard(connection: sqlite3.Connection) -> None:
    """Leave what was gathered unwritten: the journal knows it already."""
    connection.execute("DELETE FROM temp.departures")


def journal_file(connection: sqlite3.Connection) -> Path | None:
    """The journal beside the database; None for one in memory."""
    (_, _, file) = connection.execute("PRAGMA database_list").fetchone()
    return Path(file).with_name(JOURNAL) if file else None


def hash_key(connection: sqlite3.Connection) -> bytes:
    """What addresses are hashed with: made with the database, and the same in every copy of it."""
    (key,) = connection.execute("SELECT value FROM keys WHERE name = 'forgotten'").fetchone()
    return bytes(key)


def address_hash(key: bytes, address_key: str) -> bytes:
    """The hash of an address's normal form: it says nothing to who has not the key."""
    return hashlib.blake2b(address_key.encode(), key=key, digest_size=32).digest()


def key_name(key: bytes) -> str:
    """What a key is called."""
    return hashlib.blake2b(key, digest_size=6, person=b"name of a key").hexdigest()


# ---- what it says


@dataclass(frozen=True, slots=True)
class Departure:
    """What the journal knows at its end of one address: its status if they left, why it is suppressed, whether it
    was forgotten; empty: none of it (any more)."""

    left: str = ""
    suppressed: str = ""
    forgotten: bool = False

    def __bool__(self) -> bool:
        return bool(self.left or self.suppressed or self.forgotten)

    def after(self, event: object, why: str) -> Departure:
        """What is known after one more event; one that is not known changes nothing."""
        match event:
            case "left":
                return replace(self, left=why or "unsubscribed")
            case "back":
                return replace(self, left="")
            case "suppressed":
                return replace(self, suppressed=why or "suppressed")
            case "released":
                return replace(self, suppressed="")
            case "forgotten":
                return Departure(forgotten=True)
            case "readmitted":
                return replace(self, forgotten=False)
        return self


@dataclass(frozen=True, slots=True)
class Known:
    """What a journal says about the database of one key: by address hash. `foreign` counts the lines of others."""

    departures: Mapping[bytes, Departure]
    foreign: int = 0
    broken: tuple[int, ...] = ()


def read_departures(file: Path, key: bytes) -> Known:
    """What `file` says at its end. Raises `HeldError` when it can't be read."""
    contents = Journal(file).read()
    name = key_name(key)
    own = [line for line in contents.records if line.get("key") == name]
    return Known(_folded(own), len(contents.records) - len(own), contents.broken)


def _folded(lines: Iterable[Record]) -> dict[bytes, Departure]:
    found: dict[bytes, Departure] = {}
    for line in lines:
        try:
            who = bytes.fromhex(str(line.get("who")))
        except ValueError:
            continue
        found[who] = found.get(who, Departure()).after(line.get("event"), str(line.get("why") or ""))
    return {who: departure for who, departure in found.items() if departure}
