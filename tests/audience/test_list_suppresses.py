from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from digest.audience.editing import given_address, set_values
from digest.audience.importing import ImportReport, import_list
from digest.audience.readers import Readers
from digest.audience.store import Subscribers, Suppressions

Take = Callable[..., ImportReport]

STATES = (
    "email,status\nann@example.com,active\nbob@example.com,unsubscribed\ncat@example.com,blocklisted\n"
    "dan@example.com,pending\neve@example.com,bounced\nfay@example.com,complained\n"
)


@pytest.fixture
def take(connection: sqlite3.Connection, readers: Readers, write: Callable[..., Path]) -> Take:
    def taken(text: str, **options: bool) -> ImportReport:
        return import_list(connection, write(text), readers, **options)

    return taken


def suppressed(connection: sqlite3.Connection) -> dict[str, str]:
    return {s.address_key.partition("@")[0]: s.reason for s in Suppressions(connection).all()}


def test_who_is_not_to_be_written_to_is_suppressed(take: Take, connection: sqlite3.Connection) -> None:
    """Unsubscribed, blocklisted, unconfirmed, bounced and complained rows suppress their addresses; once."""
    dry = take(STATES, dry_run=True)
    assert (dry.effect.newly_suppressed, suppressed(connection)) == (5, {})
    assert take(STATES).effect == dry.effect
    expected = {"bob": "unsubscribed", "cat": "blocklisted", "dan": "unconfirmed", "eve": "bounced"}
    assert suppressed(connection) == expected | {"fay": "complained"}
    statuses = [s.status for s in Subscribers(connection).all()]
    assert statuses == ["active", "unsubscribed", "unsubscribed", "pending", "bounced", "complained"]
    again = take(STATES)
    assert (again.effect.newly_suppressed, again.effect.suppressed, again.effect.unchanged) == (0, 5, 6)


def test_agreeing_again_lifts_what_consent_can_lift(
    take: Take, connection: sqlite3.Connection, readers: Readers
) -> None:
    """Active again, by whatever way, a reader who had left or not confirmed is written to; a blocklisted one is not."""
    take(STATES)
    set_values(connection, readers, given_address("bob@example.com"), {"status": "active"})
    connection.execute("UPDATE subscribers SET status = 'active' WHERE email = 'dan@example.com'")
    set_values(connection, readers, given_address("cat@example.com"), {"status": "active"})
    assert suppressed(connection) == {"cat": "blocklisted", "eve": "bounced", "fay": "complained"}
    free = [s.email[:3] for s, excluded in Subscribers(connection).candidates() if not excluded]
    assert free == ["ann", "bob", "dan"]


def test_revive_lifts_it_too(take: Take, connection: sqlite3.Connection) -> None:
    """`revive` brings a reader back whole, and nobody comes back without it."""
    take(STATES)
    back = "email,status\nbob@example.com,active\n"
    assert take(back).effect.stay_away == 1
    assert "bob" in suppressed(connection)
    assert take(back, revive=True).effect.revived == 1
    assert "bob" not in suppressed(connection)


def test_unconfirmed_elsewhere_takes_nobody_off(take: Take, connection: sqlite3.Connection) -> None:
    """A reader who has agreed here stays, although another list waits for their confirmation."""
    take("email\ndan@example.com\n")
    report = take(STATES)
    assert report.effect.newly_suppressed == 4
    assert "dan" not in suppressed(connection)
    dan = Subscribers(connection).by_address("dan@example.com")
    assert dan
    assert dan.status == "active"


def test_a_lasting_reason_takes_the_place_of_a_passing_one(take: Take, connection: sqlite3.Connection) -> None:
    """Suppressed by hand after an import said unsubscribed, an address stays so when its reader comes back."""
    take(STATES)
    assert Suppressions(connection).add(given_address("bob@example.com"), "by hand", "lawyer")
    assert not Suppressions(connection).add(given_address("bob@example.com"), "unsubscribed")
    take("email,status\nbob@example.com,active\n", revive=True)
    assert suppressed(connection)["bob"] == "by hand"
