"""`received("slug")`: what the ledger says, for many readers and in conditions."""

from __future__ import annotations

import sqlite3
from datetime import date

import pytest

from digest.audience.conditions import expression_problems
from digest.audience.readers import Readers
from digest.audience.received import Received
from digest.audience.segments import Segments
from digest.audience.subscriber import Subscriber
from digest.errors import Place
from digest.expressions import RECEIVED


@pytest.fixture
def ledger(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Three runs: “old” twice, “new” once; every seventh reader bounced."""
    connection.executemany(
        "INSERT INTO runs (id, slug, fingerprint, compiled, state, started_at) VALUES (?, ?, '', '', 'done', 0)",
        [(1, "old"), (2, "old"), (3, "new")],
    )
    rows = [(run, n, "bounced" if n % 7 == 0 else "accepted", 0) for run in (1, 3) for n in range(1, 5001)]
    connection.executemany(
        "INSERT INTO deliveries (run_id, subscriber_id, state, updated_at) VALUES (?, ?, ?, ?)",
        [*rows, (2, 6000, "accepted", 0), (2, 1, "accepted", 0), (3, 6001, "waiting", 0)],
    )
    return connection


def test_what_the_relay_accepted(ledger: sqlite3.Connection) -> None:
    """Accepted in any run of that name counts, once; bounced and waiting do not, nor another issue."""
    both = Received(ledger, ["old", "new"])
    assert [both(n) for n in (1, 7, 6000, 6001, 0, 10**9)] == [("new", "old"), (), ("old",), (), (), ()]
    assert Received(ledger, ["new"])(1) == ("new",)
    assert Received(ledger, ["nobody-sent-it"])(1) == ()
    assert Received(ledger, [])(1) == ()


def test_it_can_travel_with_the_reader(ledger: sqlite3.Connection) -> None:
    """Whoever merges without a ledger at hand finds it among the values."""
    reader = Subscriber(1, "t", "a@example.com", values={"email": "a@example.com"})
    assert Received(ledger, ["old"]).known(reader).values == {"email": "a@example.com", RECEIVED: ("old",)}
    assert Received(ledger, []).known(reader) is reader


def test_a_pass_over_all_asks_a_few_times(ledger: sqlite3.Connection) -> None:
    """Readers in order cost a look-up per thousand and run; what is held stays small, in any order."""
    asked: list[str] = []
    received = Received(ledger, ["old", "new"])
    ledger.set_trace_callback(asked.append)
    assert sum("new" in received(n) for n in range(1, 5001)) == 5000 - 5000 // 7
    assert len(asked) == 6 * 3
    for n in range(0, 10**6, 1000):
        received(n)
    assert len(received._blocks) <= 8


def test_conditions_ask_it(ledger: sqlite3.Connection) -> None:
    """In a segment, and one by one as all at once."""
    segments = Segments({"fresh": 'not received("old")', "again": "fresh and received('new')"}, date(2025, 9, 12))
    at_once = segments.outcomes(["fresh", "again"])
    for got, expected in (((), (True, False)), (("new",), (True, True)), (("new", "old"), (False, False))):
        values = {"email": "a@example.com", RECEIVED: got}
        view = segments.view(values)
        assert (view["fresh"], view["again"]) == expected == at_once(values)
    assert segments.view({})["fresh"] is True  # of whom nothing is known received nothing


@pytest.mark.parametrize(
    "source", ["received()", "received(subscriber.plan)", 'received("a", "b")', "received", "received(1)"]
)
def test_it_takes_the_name_of_one_issue(readers: Readers, source: str) -> None:
    """Anything else is refused where it is declared."""
    (problem, *_) = expression_problems(source, readers.types, readers.segments, Place("config/readers.toml", 7))
    assert problem.place == Place("config/readers.toml", 7)


def test_arms_and_filters_for_the_eye_have_no_place_in_a_segment(readers: Readers) -> None:
    """A segment holds for every issue, and decides by values."""
    for source in ('arm == "a"', 'subscriber.renewed | date == "1"', 'subscriber.city | possessive == "x"'):
        assert expression_problems(source, readers.types, readers.segments, Place("config/readers.toml", 7))
