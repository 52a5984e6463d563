"""What is left when the sender dies, is interrupted, or loses its database: nobody lost, nobody twice."""

import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from digest.delivery.scripted import Act, Answer, ScriptedRelay, Step

CONNECTIONS = 4
PATIENCE = 60  # seconds
A_SECOND = 340  # messages that `slowly` lets through in one, at most
SENDER = Path(__file__).with_name("sender.py")


@pytest.fixture
def start(bench, issue, tmp_path):
    """Starts a sender in a process of its own; killed, if it still lives, when the test ends."""
    stored = tmp_path / "issue.json"
    stored.write_text(issue.to_json())
    started = []

    def go(relay: ScriptedRelay, *more: str) -> "subprocess.Popen[str]":
        settings = bench.root / "config/digest.toml"
        settings.write_text(settings.read_text().replace("port = 2\n", f"port = {relay.port}\n"))
        process = subprocess.Popen(
            [sys.executable, SENDER, bench.root, stored, *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=Path(__file__).parents[2],
            env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"},
        )
        started.append(process)
        return process

    yield go
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def identifiers(relay: ScriptedRelay) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for message in relay.received:
        found.setdefault(message.recipient, []).append(message.header("Message-ID"))
    return found


def slowly(step: Step) -> Answer:
    """Takes 3 ms for every message, one after the other, so that there is a middle to be killed in."""
    if step.verb == ".":
        time.sleep(0.003)
    return None


def test_killed_again_and_again(bench, issue, scripted, start, until):
    """kill -9 at random moments, then another run, until done: nobody is missing, nobody gets it twice but
    those held as unknown, at most one a connection and kill; sent again they keep their Message-ID."""
    addresses = bench.subscribe_many(300)
    relay = scripted(slowly)
    chance, kills = random.Random(7), 0
    for _ in range(5):
        already = len(relay.received)
        process = start(relay)
        until(relay, already + chance.randrange(5, 50), process)
        time.sleep(chance.random() / 50)
        process.kill()
        process.wait()
        kills += 1
        assert bench.accounts().unknown <= kills * CONNECTIONS
    process = start(relay)
    assert process.wait(PATIENCE) in (0, 3)
    accounts = bench.accounts()
    assert accounts.accepted + accounts.unknown == 300
    assert accounts.unknown <= kills * CONNECTIONS
    unknown = {entry.email for entry in bench.entries("unknown")}
    before = Counter(message.recipient for message in relay.received)
    assert max(before.values()) == 1
    assert set(addresses) - set(before) <= unknown
    report = bench.send(issue, relay, unknown="resend")
    assert (report.exit_code, report.accounts.accepted) == (0, 300)
    after = identifiers(relay)
    assert sorted(after) == addresses
    twice = {address for address, ids in after.items() if len(ids) > 1}
    assert twice <= unknown
    assert all(len(set(ids)) == 1 for ids in after.values())


def test_killed_is_timed(bench, issue, scripted, start, until, eventually):
    """Of a process that was killed the report knows how long it sent, to a second or so, and how many it tried."""
    bench.subscribe_many(4000)
    relay = scripted(slowly)
    process = start(relay)
    until(relay, 10, process)
    begun = time.monotonic()
    found = eventually(lambda: bench.execute("SELECT seconds, tried FROM sendings WHERE tried AND seconds > 0.5"))
    process.kill()
    process.wait()
    ((seconds, tried),) = found
    assert 0.5 < seconds < time.monotonic() - begun + 5
    assert 10 < tried <= bench.accounts().accepted + CONNECTIONS


def test_interrupted(bench, issue, scripted, start, until):
    """SIGINT: what is on its way is awaited and settled, nothing more is begun, 130; the next run does the rest."""
    addresses = bench.subscribe_many(200)
    relay = scripted(slowly)
    process = start(relay)
    until(relay, 20, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130
    accounts = bench.accounts()
    assert (accounts.unknown, accounts.accepted) == (0, len(relay.received))
    assert 0 < accounts.waiting < 200
    assert bench.send(issue, relay).exit_code == 0
    assert Counter(m.recipient for m in relay.received) == Counter(addresses)


def test_interrupted_twice(bench, issue, scripted, start, eventually):
    """A second signal stops at once, and what was on its way is unknown."""
    settings = bench.root / "config/digest.toml"
    settings.write_text(settings.read_text().replace("timeout = 30\n", "timeout = 600\n"))
    bench.subscribe_many(10)
    relay = scripted(lambda step: Act.SAY_NOTHING if step.verb == "." else None)
    process = start(relay)
    eventually(lambda: len(relay.verbs(".")) == CONNECTIONS)
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert "once more to stop at once" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 130
    accounts = bench.accounts()
    assert (accounts.unknown, accounts.waiting) == (CONNECTIONS, 10 - CONNECTIONS)


def test_two_senders(bench, issue, scripted, start, until):
    """A second sender of the same issue says so and leaves with 75; a killed one blocks nobody."""
    bench.subscribe_many(4000)
    relay = scripted(slowly)
    first = start(relay)
    until(relay, 3, first)
    second = start(relay)
    output, _ = second.communicate(timeout=PATIENCE)
    assert second.returncode == 75
    assert "another process is sending this issue" in output
    first.kill()
    first.wait()
    relay.script = lambda _step: None
    report = bench.send(issue, relay, unknown="drop")
    assert (report.exit_code, report.accounts.missing) == (0, 0)


def test_held_in_the_middle(bench, issue, scripted, start, until):
    """`hold` stops a running sender within a second; nobody begins again before the release.

    The second is told from the messages that came in it: a busy machine's clock says little.
    """
    from digest.delivery.desk import open_desk
    from digest.errors import HeldError

    bench.subscribe_many(2000)
    relay = scripted(slowly)
    process = start(relay)
    until(relay, 5, process)
    with open_desk(bench.newsletter) as desk:
        desk.runs.hold("one")
    held = len(relay.received)
    assert process.wait(PATIENCE) == 3
    assert len(relay.received) - held < 1.5 * A_SECOND
    assert bench.accounts().unknown == 0
    with pytest.raises(HeldError, match="digest release one"):
        bench.send(issue, relay)
    with open_desk(bench.newsletter) as desk:
        desk.runs.set_flag(bench.run().id, None)
    process = start(relay)
    until(relay, len(relay.received) + 5, process)
    with open_desk(bench.newsletter) as desk:
        desk.runs.set_flag(bench.run().id, "cancel")
    assert process.wait(PATIENCE) == 0
    accounts = bench.accounts()
    assert accounts.accepted == len(relay.received)
    assert accounts.withdrawn == {"cancelled": 2000 - accounts.accepted}
    with pytest.raises(HeldError, match="cancelled"):
        bench.send(issue, relay)


def test_database_locked(bench, issue, scripted, monkeypatch):
    """A database that another program keeps locked: nothing is sent without its mark, 75, and no loss."""
    monkeypatch.setattr("digest.audience.database.BUSY_SECONDS", 0.1)
    addresses = bench.subscribe_many(40)
    blocker = threading.Event()
    other: list[sqlite3.Connection] = []

    def script(step: Step) -> Answer:
        if step.verb == "RCPT" and len(relay.received) >= 10 and not blocker.is_set():
            blocker.set()
            other.append(sqlite3.connect(bench.database, isolation_level=None, check_same_thread=False))
            other[0].execute("PRAGMA busy_timeout = 5000")
            other[0].execute("BEGIN IMMEDIATE")
        return None

    relay = scripted(script)
    from digest.errors import LaterError

    with pytest.raises(LaterError, match="locked by another program"):
        bench.send(issue, relay)
    sent = len(relay.received)
    assert sent < 20
    other[0].execute("ROLLBACK")
    other[0].close()
    accounts = bench.accounts()
    assert accounts.unknown <= CONNECTIONS
    assert accounts.accepted + accounts.unknown == sent
    assert bench.send(issue, relay, unknown="drop").exit_code == 0
    assert Counter(m.recipient for m in relay.received) == Counter(addresses)


def test_disk_full(bench, issue, scripted, start):
    """A disk that is full stops the run with the reason and 3; what was not marked was not sent."""
    addresses = bench.subscribe_many(400)
    bench.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    relay = scripted()
    process = start(relay, str(bench.database.stat().st_size + 400_000))
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3, output
    assert "the database can't be written" in output
    assert 0 < len(relay.received) < 400
    accounts = bench.accounts()
    assert accounts.unknown <= CONNECTIONS
    assert accounts.accepted + accounts.unknown == len(relay.received)
    assert bench.send(issue, relay, unknown="drop").exit_code == 0
    assert Counter(m.recipient for m in relay.received) == Counter(addresses)
