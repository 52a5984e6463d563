"""Forgetting a person: erased everywhere, and kept from coming back with the next import.

What is left is a hash of the address under a key of this database. It says nothing to anybody who has only
the hash, and lets an import know the address again. The ledger keeps the row's number, which names nobody.
"""

from __future__ import annotations

import sqlite3

from digest.audience.address import Address
from digest.audience.database import now, writing
from digest.audience.departures import address_hash, hash_key


class Forgotten:
    """The people who were forgotten, as far as anything is known of them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._key = hash_key(connection)

    def any(self) -> bool:
        """Whether anybody was forgotten at all."""
        return self._connection.execute("SELECT 1 FROM forgotten LIMIT 1").fetchone() is not None

    def __contains__(self, address: Address) -> bool:
        found = self._connection.execute("SELECT 1 FROM forgotten WHERE address_hash = ?", (self._hash(address),))
        return found.fetchone() is not None

    def readmit(self, address: Address) -> bool:
        """Let the address in again, since the person asked for it. False: it was not kept out."""
        with writing(self._connection):
            return self.readmit_within(address)

    def readmit_within(self, address: Address) -> bool:
        """As `readmit`, inside the caller's transaction."""
        done = self._connection.execute("DELETE FROM forgotten WHERE address_hash = ?", (self._hash(address),))
        return done.rowcount > 0

    def forget(self, address: Address) -> bool:
        """Erase all that names the person: their row, a suppression, a request, stored replies, tests sent there.

        Whatever it was written over with zeros, in the log of the database too. An issue that is being sent
        passes them over. False: nothing was held on them; the address is kept out all the same.
        """
        self._connection.execute("PRAGMA secure_delete = ON")
        with writing(self._connection):
            held = self.forget_within(address)
        # The pages as they were before are still in the write-ahead log; TRUNCATE leaves nothing of it.
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return held

    def forget_within(self, address: Address) -> bool:
        """As `forget`, inside the caller's transaction; the file may still hold what was written over."""
        held = self._erased(address)
        self._connection.execute(
            "INSERT OR IGNORE INTO forgotten (address_hash, forgotten_at) VALUES (?, ?)",
            (self._hash(address), now()),
        )
        return held

    def _erased(self, address: Address) -> bool:
        run = self._connection.execute
        found = run("SELECT id FROM subscribers WHERE address_key = ?", (address.key,)).fetchone()
        if found:
            run("UPDATE deliveries SET reply = '' WHERE subscriber_id = ? AND reply <> ''", found)
            run("UPDATE later SET detail = '' WHERE subscriber_id = ? AND detail <> ''", found)
            run("UPDATE returned SET subscriber_id = NULL WHERE subscriber_id = ?", found)
            run("DELETE FROM subscribers WHERE id = ?", found)  # what they agreed to, and when they left, with them
        suppressed = run("DELETE FROM suppressions WHERE address_key = ?", (address.key,)).rowcount
        asked = run("DELETE FROM signups WHERE address_key = ?", (address.key,)).rowcount
        tested = run("UPDATE tests SET address = '' WHERE lower(address) IN (?, ?, ?)", spellings(address)).rowcount
        return bool(found or suppressed or asked or tested)

    def _hash(self, address: Address) -> bytes:
        return address_hash(self._key, address.key)


def spellings(address: Address) -> tuple[str, str, str]:
    """How an address may stand in a text, in lower case."""
    return address.key, address.text.lower(), address.wire.lower()
