from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from digest.audience import database
from digest.audience.database import open_database
from digest.audience.editing import add_subscriber, given_address
from digest.audience.forgetting import Forgotten
from digest.audience.importing import import_list
from digest.audience.readers import Readers
from digest.audience.store import Subscribers, Suppressions

ANN = given_address("Ann.Lee@Example.com")


def fill(connection: sqlite3.Connection, readers: Readers) -> int:
    """Ann is in the list, in the ledger with a reply, among the tests and suppressed. Returns her number."""
    add_subscriber(connection, readers, ANN, {"name": "Ann Unmistakable", "city": "Ulm"})
    ann = Subscribers(connection).by_address(ANN.text)
    assert ann
    connection.execute(
        "INSERT INTO runs (id, slug, fingerprint, compiled, state, started_at) VALUES (1, 'x', 'f', '{}', 'done', 1)"
    )
    connection.execute(
        "INSERT INTO deliveries (run_id, subscriber_id, state, reply, updated_at) VALUES (1, ?, 'bounced', ?, 1)",
        (ann.id, "no Ann.Lee here"),
    )
    connection.execute("INSERT INTO tests VALUES (1, 'x', 'f', 'ann.lee@example.com', 'accepted', 1)")
    Suppressions(connection).add(ANN, "by hand", "Ann Unmistakable called")
    return ann.id


def test_nothing_of_the_person_is_left(connection: sqlite3.Connection, readers: Readers, tmp_path: Path) -> None:
    """Row, suppression, reply and test address are gone, from the bytes of the files too; the number stays."""
    number = fill(connection, readers)
    assert Forgotten(connection).forget(given_address("ANN.LEE@example.com"))
    assert Subscribers(connection).by_address(ANN.text) is None
    assert Subscribers(connection).exclusion(number) == "forgotten"
    assert connection.execute("SELECT subscriber_id, state, reply FROM deliveries").fetchall() == [
        (number, "bounced", "")
    ]
    assert connection.execute("SELECT fingerprint, address FROM tests").fetchall() == [("f", "")]
    for file in tmp_path.glob("digest.db*"):
        found = file.read_bytes().lower()
        assert b"ann.lee" not in found, file
        assert b"unmistakable" not in found, file


def test_an_import_does_not_bring_them_back(
    connection: sqlite3.Connection, readers: Readers, write: Callable[..., Path]
) -> None:
    """However the address is spelled, the row is rejected with its reason; a person who adds them by hand may."""
    assert not Forgotten(connection).forget(ANN)
    file = write("email\nann.lee@EXAMPLE.com\nbob@example.com\n")
    report = import_list(connection, file, readers, shown="list.csv")
    assert str(report.rejects[0]).startswith("list.csv:2: email “ann.lee@EXAMPLE.com” was forgotten")
    assert [s.email for s in Subscribers(connection).all()] == ["bob@example.com"]
    add_subscriber(connection, readers, ANN, {})
    assert import_list(connection, file, readers).rejected == 0


def test_the_hash_is_under_a_key_of_its_own(connection: sqlite3.Connection, tmp_path: Path) -> None:
    """The same address leaves another hash in another database."""
    other = open_database(tmp_path / "other.db")
    for each in (connection, other):
        Forgotten(each).forget(ANN)
    hashes = [each.execute("SELECT address_hash FROM forgotten").fetchone() for each in (connection, other)]
    other.close()
    assert hashes[0] != hashes[1]


def test_a_database_of_the_first_version(tmp_path: Path, readers: Readers) -> None:
    """A file of version 1 is brought forward when it is opened, keeps its readers, and can forget them."""
    file = tmp_path / "first.db"
    old = sqlite3.connect(file)
    for statement in database.MIGRATIONS[0]:
        old.execute(statement)
    old.execute(f"PRAGMA application_id = {database.APPLICATION_ID}")
    old.execute("PRAGMA user_version = 1")
    old.execute(
        "INSERT INTO subscribers (token, address_key, email, status, created_at, updated_at)"
        " VALUES ('t', 'ann.lee@example.com', 'Ann.Lee@Example.com', 'active', 1, 1)"
    )
    old.commit()
    old.close()
    connection = open_database(file)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(database.MIGRATIONS),)
    assert [s.email for s in Subscribers(connection).all()] == ["Ann.Lee@Example.com"]
    assert Forgotten(connection).forget(ANN)
    assert Subscribers(connection).count() == 0
    connection.close()
