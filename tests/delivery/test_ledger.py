"""The ledger by itself: the equation after every step, the mark, the commits, the lock."""

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digest.audience.database import now, open_database
from digest.delivery.ledger import Ledger, Row, Settled
from digest.delivery.lock import is_running, sole_sender
from digest.delivery.runs import Head, Runs
from digest.delivery.storage import Storage
from digest.errors import LaterError

READERS = 6


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    connection = open_database(tmp_path / "ledger.db")
    yield Storage(connection)
    connection.close()


def begin(storage: Storage, issue) -> Ledger:
    runs = Runs(storage)
    runs.stage((number, "") for number in range(1, READERS + 1))
    return Ledger(storage, runs.begin(issue, Head(READERS + 3, {"pending": 1, "audience": 2})).id)


def mark(ledger: Ledger, row: Row, message_id: str) -> None:
    ledger.mark(row, message_id)
    ledger.flush()


ROW = st.integers(1, READERS)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("mark"), ROW),
        st.tuples(st.sampled_from(["accepted", "bounced", "rejected", "deferred", "expired", "unknown"]), ROW),
        st.tuples(st.sampled_from(["unsubscribed", "forgotten"]), ROW),
        st.tuples(st.sampled_from(["recover", "resend", "drop", "ripen", "cancel", "put back"]), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_the_equation_always_holds(tmp_path_factory, issue, steps):
    """Whatever is done to a run in whatever order, the accounts add up after every step."""
    connection = open_database(tmp_path_factory.mktemp("ledger") / "x.db")
    try:
        storage = Storage(connection)
        ledger = begin(storage, issue)
        for step, number in steps:
            take(ledger, storage, step, Row(number))
            ledger.flush()
            for running in (False, True):
                accounts = ledger.accounts(running=running)
                assert accounts.problems() == []
                assert accounts.planned == READERS
    finally:
        connection.close()


def take(ledger: Ledger, storage: Storage, step: str, row: Row) -> None:
    match step:
        case "mark":
            mark(ledger, row, "<m@x>")
        case "recover":
            ledger.recover()
        case "resend" | "drop":
            ledger.settle_unknown("resend" if step == "resend" else "drop")
        case "ripen":
            ledger.ripen()
        case "cancel":
            Runs(storage).cancel(ledger.run_id)
        case "put back":
            ledger.put_back(1, now())
        case "unsubscribed" | "forgotten":
            ledger.withdraw(row, step)
        case "accepted" | "bounced" | "rejected" | "deferred" | "expired" | "unknown":
            ledger.settle(row, Settled(step, again_at=now() if step == "deferred" else None))
        case _:
            raise AssertionError(step)


def test_the_mark_survives(storage, issue, tmp_path):
    """A mark is committed by the next flush, with the outcomes before it; an outcome alone is not yet."""
    ledger = begin(storage, issue)
    other = Ledger(Storage(open_database(tmp_path / "ledger.db")), ledger.run_id)
    mark(ledger, Row(1), "<m1@x>")
    assert other.accounts().unknown == 1
    ledger.settle(Row(1), Settled("accepted"))
    assert other.accounts().accepted == 0
    mark(ledger, Row(2), "<m2@x>")
    assert (other.accounts().accepted, other.accounts().unknown) == (1, 1)
    assert other.accounts(running=True).in_flight == 1
    assert ledger.recover() == 1
    assert [entry.subscriber_id for entry in other.entries("unknown")] == [2]
    other._storage.connection.close()  # the connection of this test


def test_a_mark_can_be_taken_back(storage, issue):
    """Where nothing was sent after all the row waits again; one that has an outcome keeps it."""
    ledger = begin(storage, issue)
    mark(ledger, Row(1), "<m1@x>")
    mark(ledger, Row(2), "<m2@x>")
    ledger.settle(Row(2), Settled("accepted"))
    ledger.unmark(Row(1))
    ledger.unmark(Row(2))
    ledger.unmark(Row(3))
    ledger.flush()
    assert ledger.recover() == 0
    accounts = ledger.accounts()
    assert (accounts.accepted, accounts.waiting) == (1, accounts.planned - 1)


def test_a_failed_mark_is_forgotten(storage, issue, tmp_path):
    """A mark that could not be committed is not made up for later; the outcomes before it are."""
    ledger = begin(storage, issue)
    ledger.settle(Row(1), Settled("accepted"))
    storage.connection.execute("PRAGMA busy_timeout = 20")
    blocker = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(LaterError, match="locked"):
        mark(ledger, Row(2), "<m2@x>")
    blocker.execute("ROLLBACK")
    blocker.close()
    ledger.flush()
    accounts = ledger.accounts()
    assert (accounts.accepted, accounts.unknown, accounts.waiting) == (1, 0, READERS - 1)


def synchronous_of_commits(storage: Storage, action, times: int) -> list[str]:
    """How each commit ran, as SQLite was told."""
    (number,) = storage.connection.execute("PRAGMA synchronous").fetchone()
    mode = {1: "NORMAL", 2: "FULL"}[number]
    told: list[str] = []

    def trace(statement: str) -> None:
        nonlocal mode
        if statement.startswith("PRAGMA synchronous"):
            mode = statement.rpartition(" ")[2]
        if statement == "COMMIT":
            told.append(mode)

    storage.connection.set_trace_callback(trace)
    for number in range(times):
        action(number)
    storage.connection.set_trace_callback(None)
    return told


def test_commits_are_cheap_but_never_old(storage, issue, monkeypatch):
    """Commits run under NORMAL with a FULL one every 100 ms; `sync` makes up for one when work pauses."""
    clock = SimpleNamespace(moment=time.monotonic(), monotonic=lambda: clock.moment)
    monkeypatch.setattr("digest.delivery.storage.time", clock)
    ledger = begin(storage, issue)
    mark(ledger, Row(1), "<m@x>")
    clock.moment += 0.12
    told = synchronous_of_commits(storage, lambda _n: mark(ledger, Row(1), "<m@x>"), 5)
    assert told == ["FULL", "NORMAL", "NORMAL", "NORMAL", "NORMAL"]
    clock.moment += 0.12
    assert synchronous_of_commits(storage, lambda _n: ledger.sync(), 2) == ["FULL"]


def test_power_durability(tmp_path, issue):
    """delivery.durability = "power": every commit is FULL."""
    connection = open_database(tmp_path / "power.db")
    storage = Storage(connection, "power")
    ledger = begin(storage, issue)
    assert set(synchronous_of_commits(storage, lambda _n: mark(ledger, Row(1), "<m@x>"), 3)) == {"FULL"}
    connection.close()


def test_the_sample_is_stable_and_differs_by_issue(bench, compiled):
    """The hashed sample of a run is the same every time, grows by addition, and is another for each issue."""
    from digest.delivery.desk import open_desk

    bench.subscribe_many(200)
    with open_desk(bench.newsletter) as desk:
        ledgers = []
        for slug in ("one", "two"):
            desk.runs.stage((number, "") for number in range(1, 201))
            ledgers.append(desk.ledger(desk.runs.begin(compiled(slug), Head(200, {}))))
        first, second = ledgers
        assert first.sample(20) == first.sample(20) < first.sample(50)
        assert len(first.sample(20)) == 20
        assert first.sample(20) != second.sample(20)


def test_the_lock_dies_with_its_holder(tmp_path):
    """One sender a run; the lock ends with the process that held it, and leaves no file when it ends well."""
    database = tmp_path / "x.db"
    assert not is_running(database, 1)
    with sole_sender(database, 1):
        assert is_running(database, 1)
        assert not is_running(database, 2)
        with pytest.raises(LaterError, match="another process"), sole_sender(database, 1):
            pass
        with sole_sender(database, 2):
            pass
    assert list(tmp_path.iterdir()) == []
    if (child := os.fork()) == 0:
        with sole_sender(database, 1):
            os._exit(0)  # as a killed process ends: nothing is tidied up
    os.waitpid(child, 0)
    assert not is_running(database, 1)
    with sole_sender(database, 1):
        assert is_running(database, 1)


def test_another_version_stored_it(storage, issue):
    """A compiled issue in a form this version does not know holds the run instead of guessing."""
    from digest.errors import HeldError

    ledger = begin(storage, issue)
    storage.connection.execute("UPDATE runs SET compiled = '{\"format\": 99}'")
    with pytest.raises(HeldError, match="another version"):
        Runs(storage).compiled(ledger.run_id)
