from __future__ import annotations

import sqlite3
from datetime import date

import pytest

from digest.audience.editing import add_subscriber, given_address
from digest.audience.forgetting import Forgotten
from digest.audience.holding import holding
from digest.audience.readers import Readers
from digest.audience.selecting import Wanted, selected
from digest.audience.store import Subscribers, Suppressions
from digest.errors import InputError

ANN = given_address("Ann@example.com")


@pytest.fixture
def ann(connection: sqlite3.Connection, readers: Readers) -> int:
    """Ann, of whom something is held everywhere. Returns her number."""
    add_subscriber(connection, readers, ANN, {"name": "Ann", "plan": "pro", "tags": "beta", "renewed": "2025-01-02"})
    (number,) = connection.execute("SELECT id FROM subscribers").fetchone()
    run = connection.execute
    run("INSERT INTO runs (id, slug, fingerprint, compiled, state, started_at) VALUES (1, 'one', 'f', '{}', 'done', 1)")
    run(
        "INSERT INTO deliveries (run_id, subscriber_id, state, attempts, code, reply, updated_at)"
        " VALUES (1, ?, 'bounced', 2, 550, 'no such user', 1700000000000000)",
        (number,),
    )
    run("INSERT INTO later VALUES (1, ?, 'complained', 1700000000000000, 'by the loop')", (number,))
    run("INSERT INTO tests VALUES (1, 'one', 'f', 'ANN@example.com', 'accepted', 1700000000000000)")
    run("INSERT INTO consents VALUES (1, ?, 1700000000000000, 1700000060000000, '/join', 'I agree')", (number,))
    run("INSERT INTO leavings VALUES (?, 'active', 1700000000000000)", (number,))
    run("INSERT INTO returned VALUES (x'01', 'soft', ?, 1700000000000000)", (number,))
    run(
        "INSERT INTO signups (token, address_key, email, page, wording, requested_at)"
        " VALUES ('t', 'ann@example.com', 'Ann@example.com', '/join', 'I agree', 1700000000000000)"
    )
    Suppressions(connection).add(ANN, "by hand", "called")
    return int(number)


def test_everything_held_is_shown(connection: sqlite3.Connection, ann: int) -> None:
    """Values, consent, suppression, every message with its state and reply, what came later, tests and requests."""
    found = holding(connection, given_address("ann@EXAMPLE.com"))
    assert found.subscriber
    assert (found.subscriber["id"], found.subscriber["email"]) == (ann, "Ann@example.com")
    assert found.attributes == {"plan": "pro", "renewed": date(2025, 1, 2)}
    (delivery,) = found.records["deliveries"]
    assert (delivery["slug"], delivery["state"], delivery["reply"]) == ("one", "bounced", "no such user")
    assert delivery["updated_at"] == "2023-11-14T22:13:20+00:00"
    kinds = {"suppression", "consents", "leavings", "deliveries", "afterwards", "returned", "tests", "signups"}
    assert {kind for kind, rows in found.records.items() if rows} == kinds
    assert not found.forgotten


def test_forgetting_leaves_nothing_to_show(connection: sqlite3.Connection, ann: int) -> None:
    """Whatever was held anywhere is gone; the ledger's row stays by its number, and that they were forgotten."""
    assert Forgotten(connection).forget(ANN)
    found = holding(connection, ANN)
    assert found.forgotten
    assert found.subscriber is None
    assert not any(found.records.values())
    rows = connection.execute("SELECT subscriber_id, state, reply FROM deliveries").fetchall()
    assert rows == [(ann, "bounced", "")]
    assert connection.execute("SELECT subscriber_id, kind, detail FROM later").fetchall() == [(ann, "complained", "")]
    assert connection.execute("SELECT subscriber_id FROM returned").fetchall() == [(None,)]
    for table in ("consents", "leavings", "signups", "suppressions"):
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


def test_of_a_stranger_nothing_is_held(connection: sqlite3.Connection, ann: int) -> None:
    """Somebody else's address shows nothing."""
    assert not holding(connection, given_address("bob@example.com"))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), "abcd"),
        (Wanted(status="active"), "abc"),
        (Wanted(tag="beta"), "ab"),
        (Wanted(segment="pro"), "a"),
        (Wanted(segment="not pro"), "bcd"),
        (Wanted(segment="subscriber.seats > 2"), "bc"),
        (Wanted(status="active", tag="beta", segment='subscriber.plan == "free"'), "b"),
        (Wanted(segment='received("one")'), "b"),
    ],
)
def test_readers_are_found(connection: sqlite3.Connection, readers: Readers, wanted: Wanted, expected: str) -> None:
    """By status, tag, segment or any expression, and all of them together."""
    for name, values in {
        "a": {"plan": "pro", "tags": "beta"},
        "b": {"plan": "free", "tags": "beta;x", "seats": "3"},
        "c": {"seats": "4"},
        "d": {"status": "unsubscribed"},
    }.items():
        add_subscriber(connection, readers, given_address(f"{name}@example.com"), values)
    b = Subscribers(connection).by_address("b@example.com")
    assert b
    connection.execute(
        "INSERT INTO runs (id, slug, fingerprint, compiled, state, started_at) VALUES (1, 'one', 'f', '{}', 'done', 1)"
    )
    connection.execute(
        "INSERT INTO deliveries (run_id, subscriber_id, state, updated_at) VALUES (1, ?, 'accepted', 1)", (b.id,)
    )
    found = selected(connection, readers, wanted, date(2025, 9, 12))
    assert "".join(subscriber.email[0] for subscriber, _ in found) == expected


def test_a_wrong_segment_is_said(connection: sqlite3.Connection, readers: Readers) -> None:
    """An expression that is none names the nearest right name."""
    with pytest.raises(InputError, match="did you mean “seats”"):
        next(selected(connection, readers, Wanted(segment="subscriber.seatz > 2"), date(2025, 9, 12)))
