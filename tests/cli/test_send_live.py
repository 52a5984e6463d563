"""`digest send` in a process of its own, and what other commands do to it meanwhile."""

import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import dkim
import pytest

from digest.delivery.scripted import Answer, ScriptedRelay, Step
from digest.message.dkim import new_keys

SLUG = "2025-09-12-coopetition"
PATIENCE = 60  # seconds


def slowly(step: Step) -> Answer:
    """Three messages a second."""
    if step.verb == ".":
        time.sleep(0.3)
    return None


@pytest.fixture
def relay() -> Iterator[ScriptedRelay]:
    """A relay that takes its time."""
    with ScriptedRelay(slowly) as started:
        yield started


@pytest.fixture
def call(digest, folder: Path, relay: ScriptedRelay) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """The command in the sample newsletter, whose list is imported and whose issue is tested."""
    environment = to(relay)

    def run(*arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
        done: subprocess.CompletedProcess[str] = digest(*arguments, cwd=folder, **environment)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    run("subscribers", "import", "subscribers/sample.csv")
    run("test", SLUG, "me@example.com")
    relay.received.clear()
    return run


def to(relay: ScriptedRelay) -> dict[str, str]:
    where = {"HOST": "127.0.0.1", "PORT": str(relay.port), "TLS": "none", "CONNECTIONS": "1"}
    return {f"DIGEST_SMTP__{name}": value for name, value in where.items()}


@pytest.fixture
def stands_still(relay: ScriptedRelay, folder: Path, eventually: Callable[..., Any]) -> Callable[[str], list[int]]:
    """Has the relay answer nobody until a query finds something in the database, so that no command comes too late.

    Returns a list that says, from then on, how many messages it had taken in.
    """

    def until_found(query: str) -> list[int]:
        usual, then = relay.script, []

        def found() -> bool:
            with closing(sqlite3.connect(folder / "subscribers/digest.db")) as database:
                return database.execute(query).fetchone() is not None

        def script(step: Step) -> Answer:
            eventually(found)
            then.append(len(relay.received))
            relay.script = usual
            return usual(step)

        relay.script = script
        return then

    return until_found


@contextmanager
def sending(folder: Path, relay: ScriptedRelay, until: Callable[..., None]) -> Iterator["subprocess.Popen[str]"]:
    """A sender that has just got its first messages through."""
    known = {k: v for k, v in os.environ.items() if not k.startswith("DIGEST_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "digest", "send", SLUG, "--yes"],
        cwd=folder,
        env=known | to(relay) | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(relay, len(relay.received) + 2, process)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_hold_release_cancel(call, relay: ScriptedRelay, folder: Path, until: Any, stands_still: Any) -> None:
    """`hold` and `cancel`, given elsewhere, stop a sender within a second; between them `release` lets it go on;
    whoever has left meanwhile gets nothing, and nobody gets it twice."""
    with sending(folder, relay, until) as sender:
        before = stands_still("SELECT 1 FROM runs WHERE flag = 'hold'")
        call("hold", SLUG)
        assert sender.wait(PATIENCE) == 3
        assert len(relay.received) - before[0] <= 5  # 1.5 seconds
    held = len(relay.received)
    assert "held" in call("send", SLUG, "--yes", code=3).stderr
    assert len(relay.received) == held
    call("release", SLUG)
    gone = re.findall(r"(\S+@\S+?):", call("status", SLUG, "--readers", "waiting").stdout)[-1]
    with sending(folder, relay, until) as sender:
        before = stands_still("SELECT 1 FROM runs WHERE flag = 'cancel'")
        call("subscribers", "unsubscribe", gone)
        call("cancel", SLUG)
        assert sender.wait(PATIENCE) == 0
        assert len(relay.received) - before[0] <= 5
    reached = [message.recipient for message in relay.received]
    assert held < len(reached) == len(set(reached)) < 30
    assert gone not in reached
    assert "cancelled" in call("send", SLUG, "--yes", code=3).stderr


def test_leaving_in_the_middle(call, relay: ScriptedRelay, folder: Path, until: Any, stands_still: Any) -> None:
    """Who unsubscribes while a run goes on, and has not got it yet, is withdrawn."""
    relay.script = lambda step: time.sleep(0.1) if step.verb == "." else None
    with sending(folder, relay, until) as sender:
        stands_still("SELECT 1 FROM subscribers JOIN deliveries ON subscriber_id = id WHERE status = 'unsubscribed'")
        waiting = re.findall(r"(\S+@\S+?):", call("status", SLUG, "--readers", "waiting").stdout)
        call("subscribers", "unsubscribe", waiting[-1])
        assert sender.wait(PATIENCE) == 0
    assert waiting[-1] not in [message.recipient for message in relay.received]
    assert "1  (1 unsubscribed)" in re.sub(r"  +", "  ", call("status", SLUG).stdout)


def test_signed_by_a_key_of_the_environment(digest, folder: Path) -> None:
    """With DIGEST_DKIM__KEY alone, both of its keys sign every message of a run, as dkimpy verifies; the key is
    printed nowhere."""
    keys = new_keys("d2026")
    dns = {f"{key.selector}._domainkey.news.example.com.": key.record().encode() for key in keys}
    secret = "".join(key.pem() for key in keys)
    with ScriptedRelay() as relay:
        own = to(relay) | {"DIGEST_DKIM__KEY": secret, "DIGEST_DKIM__SELECTOR": "d2026"}
        for command in (["subscribers", "import", "subscribers/sample.csv"], ["test", SLUG], ["send", SLUG, "--yes"]):
            done = digest(*command, cwd=folder, **own)
            assert done.returncode == 0, done.stderr
            assert secret.splitlines()[1] not in done.stdout + done.stderr
        sent = [m.data for m in relay.received if not m.header("Subject").startswith("[Test]")]
    assert len(sent) == 30
    for data in sent:
        signatures = [dkim.DKIM(data), dkim.DKIM(data)]
        assert all(
            s.verify(n, dnsfunc=lambda name, timeout=5: dns.get(name.decode())) for n, s in enumerate(signatures)
        )
        assert {s.signature_fields[b"a"] for s in signatures} == {b"rsa-sha256", b"ed25519-sha256"}
