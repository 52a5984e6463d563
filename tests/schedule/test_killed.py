"""The real command in processes of its own: killed, called twice at once, stopped, and called again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from digest.delivery.scripted import ScriptedRelay

REPOSITORY = Path(__file__).parents[2]


def slowly(step):
    if step.verb == ".":
        time.sleep(0.02)


@pytest.fixture
def relay():
    with ScriptedRelay(slowly, (*ScriptedRelay.extensions, "PIPELINING")) as relay:
        yield relay


@pytest.fixture
def due(bench, relay):
    """An issue that is due since a minute, with 60 readers."""
    config = bench.root / "config/digest.toml"
    config.write_text(config.read_text().replace("port = 2\n", f"port = {relay.port}\n"))
    bench.subscribe_many(60)
    wall = datetime.now(ZoneInfo("Europe/London")) - timedelta(minutes=1)
    bench.issue("one", f"{wall:%Y-%m-%d %H:%M}")
    return bench


@contextmanager
def started(bench, *arguments):
    process = subprocess.Popen(
        [sys.executable, "-m", "digest", "--project", bench.root, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def holds(process, lock):
    """Whether a process has a lock open. It may close what it has meanwhile."""
    for held in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            if lock in str(held.readlink()):
                return True
    return False


def copies(relay):
    return Counter(message.recipient for message in relay.received)


def test_killed_in_the_middle_and_called_again(due, relay, until):
    """kill -9 twice, then the next call from cron: finished, the accounts hold, nobody twice but who is in doubt."""
    for sent in (10, 30):
        with started(due, "run-due") as process:
            until(relay, sent, process)
            process.send_signal(signal.SIGKILL)
            process.wait()
    with started(due, "run-due") as process:
        said = process.communicate(timeout=60)[0]
    accounts = due.accounts("one")
    due.require_accounts()
    assert accounts.accepted + accounts.unknown == 60
    assert accounts.unknown <= 6  # three connections, twice
    assert max(copies(relay).values()) == 1
    assert process.returncode == (3 if accounts.unknown else 0)
    assert ("in doubt" in said or "may have it or not" in said) == bool(accounts.unknown)


def test_killed_while_it_composes(due, relay, eventually):
    """The process that composes holds no lock on: the next call has it at once."""
    with started(due, "run-due") as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        child = int(eventually(lambda: children.read_text().split())[0])
        eventually(lambda: not holds(child, "run-due.lock"))  # it has only just begun
        os.kill(child, signal.SIGSTOP)  # as one that never ends
        try:
            time.sleep(0.3)
            process.send_signal(signal.SIGKILL)
            process.wait()
            with started(due, "--json", "run-due") as after:
                answer = json.loads(after.communicate(timeout=60)[0])
        finally:
            os.kill(child, signal.SIGKILL)
    assert answer["busy"] is False
    assert answer["done"] == ["one"]
    assert set(copies(relay).values()) == {1}


def test_two_at_once(due, relay, until):
    """The second leaves at once, silent and 0."""
    with started(due, "run-due") as first:
        until(relay, 5, first)
        begun = time.monotonic()
        with started(due, "run-due") as second:
            said = second.communicate(timeout=60)[0]
        took = time.monotonic() - begun
        assert (said, second.returncode) == ("", 0)
        assert first.wait(60) == 0
        assert took < 30
    assert len(relay.received) == 60


def test_a_deadline(due, relay):
    """It begins nothing more after its deadline; the next call does the rest."""
    with started(due, "run-due", "--deadline", "0s") as process:
        assert process.communicate(timeout=60) == ("", None)
        assert process.returncode == 0
    assert len(relay.received) < 60
    with started(due, "run-due") as process:
        assert process.communicate(timeout=60)[0] == ""
    assert copies(relay).total() == 60


def test_the_daemon_is_exact_and_stops_cleanly(due, relay, until, eventually):
    """Due at a second, begun in that second; SIGTERM ends it with 0 in the middle of nothing."""
    at = datetime.now(ZoneInfo("Europe/London")).replace(microsecond=0) + timedelta(seconds=6)
    due.issue("one", f"{at:%Y-%m-%d %H:%M:%S}")
    with started(due, "schedule", "--daemon") as process:
        until(relay, 1, process)
        eventually(lambda: due.execute("SELECT 1 FROM runs WHERE ended_at"))
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 0, said
    ((began, took),) = due.execute("SELECT at, (SELECT started_at FROM runs) - at FROM occurrences")
    assert 0 <= began / 1e6 - at.timestamp() < 30  # what it takes to compose on a busy machine
    assert took <= 0  # it is on record before its date is marked
    assert set(copies(relay).values()) == {1}
    assert len(relay.received) == 60


def test_the_daemon_stops_in_the_middle_of_a_run(due, relay, until):
    """SIGTERM while it sends: what is on its way is answered, nobody is in doubt, the rest goes on later."""
    with started(due, "schedule", "--daemon") as process:
        until(relay, 5, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    accounts = due.accounts("one")
    assert accounts.unknown == 0
    assert 0 < accounts.accepted < 60
    with started(due, "run-due") as process:
        assert process.wait(60) == 0
    assert set(copies(relay).values()) == {1}
    assert len(relay.received) == 60
