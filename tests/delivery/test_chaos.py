"""Everything goes wrong at once, again and again: nobody is lost, and nobody gets it twice who was not in doubt.

``tests/bench/chaos.py`` does the same with ten times as many kills.
"""

import asyncio
import os
import random
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Container
from pathlib import Path

import pytest

from digest.delivery.accounts import Accounts
from digest.delivery.desk import open_desk
from digest.delivery.scripted import Act, Answer, Cut, Drip, ScriptedRelay, Step

KILLS = int(os.environ.get("CHAOS_KILLS", "20"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
READERS = 250 * KILLS
CONNECTIONS = 20
SENDER = Path(__file__).with_name("sender.py")
OFFERED = ("PIPELINING", *ScriptedRelay.extensions)


def not_twice(bench, relay: ScriptedRelay, but: Container[object] = ()) -> Accounts:
    """The equations hold; whoever is still to be tried has got nothing, `but` for those who were in doubt;
    whoever was accepted has got it."""
    accounts = bench.accounts()
    taken = Counter(message.recipient for message in relay.received)
    for state in ("waiting", "deferred", "bounced", "rejected"):
        assert not [entry.email for entry in bench.entries(state) if entry.email in taken and entry.email not in but]
    assert all(entry.email in taken for entry in bench.entries("accepted"))
    return accounts


def test_killed_at_random_moments(bench, issue, tmp_path, until, eventually):
    """kill -9 at random moments of a run, with a restart until it is done: 0 lost, 0 twice but the unknown
    who are sent again; the equations hold after every kill, with at most one unknown a connection more."""
    addresses = bench.subscribe_many(READERS)
    stored = tmp_path / "issue.json"
    stored.write_text(issue.to_json())
    chance = random.Random(SEED)
    with ScriptedRelay(extensions=OFFERED) as relay:
        settings = bench.root / "config/digest.toml"
        text = settings.read_text().replace("port = 2\n", f"port = {relay.port}\n")
        settings.write_text(text.replace("connections = 4", f"connections = {CONNECTIONS}"))
        unknown = 0
        for _ in range(KILLS):
            process = start(bench.root, stored)
            goal = len(relay.received) + chance.randrange(READERS // KILLS)
            until(relay, goal, process)
            time.sleep(chance.random() * 0.02)
            process.kill()
            process.wait()
            eventually(lambda: has_read_all(relay))
            accounts = not_twice(bench, relay)
            assert accounts.unknown <= unknown + CONNECTIONS
            unknown = accounts.unknown
        assert start(bench.root, stored).wait(300) in (0, 3)
        accounts = not_twice(bench, relay)
        assert (accounts.accepted + accounts.unknown, accounts.missing) == (READERS, 0)
        taken = Counter(message.recipient for message in relay.received)
        in_doubt = {entry.email for entry in bench.entries("unknown")}
        assert max(taken.values()) == 1
        assert set(addresses) - set(taken) <= in_doubt
        report = bench.send(issue, relay, unknown="resend")
        assert (report.exit_code, report.accounts.accepted) == (0, READERS)
        again = Counter(message.recipient for message in relay.received)
        assert sorted(again) == sorted(addresses)
        assert {address for address, times in again.items() if times > 1} <= in_doubt
        assert len({message.header("Message-ID") for message in relay.received}) == READERS
        twice = sum(times - 1 for times in again.values())
        print(f"{KILLS} kills, {READERS} readers: 0 lost, {len(in_doubt)} in doubt, {twice} of them sent twice")


def start(root: Path, stored: Path) -> "subprocess.Popen[bytes]":
    repository = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, SENDER, root, stored],
        stdout=subprocess.DEVNULL,
        cwd=repository,
        env={"PYTHONPATH": repository, "PATH": "/usr/bin:/bin"},
    )


def has_read_all(relay: ScriptedRelay) -> bool:
    """Whether the relay has read what a dead process had sent: nobody is connected any more."""
    return len(asyncio.all_tasks(relay._loop)) == 1  # the one that listens


FAULTS: tuple[tuple[str, Answer], ...] = (
    ("MAIL", "451 4.3.0 later"),
    ("MAIL", "421 4.3.2 enough"),
    ("MAIL", Act.HANG_UP),
    ("RCPT", "450 4.2.1 greylisted"),
    ("RCPT", "550 5.1.1 no such user"),
    ("RCPT", "250 ok\r\n250 twice"),
    ("RCPT", Act.HANG_UP),
    ("RCPT", Cut("25")),
    ("DATA", "451 4.3.0 later"),
    ("DATA", "HTTP/1.1 400 Bad Request"),
    ("DATA", "421 4.3.2 bye"),
    ("DATA", Drip("354-slowly\r\n354 go on")),
    (".", "452 4.3.1 full"),
    (".", "554 5.7.1 spam"),
    (".", "250-2.0.0 taken\r\n451 or not"),
    (".", Act.HANG_UP),
    (".", Act.TAKE_AND_HANG_UP),
    (".", Cut("250 2.0")),
    (".", Drip("250 2.0.0 taken in")),
    (".", "421 4.3.2 bye"),
)


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_relay_with_every_fault(bench, issue, scripted, seed, monkeypatch):
    """A relay that refuses, hangs up, mumbles and drips at every verb: run again until done, everybody is
    accepted or refused by its word, and only those in doubt can have got it twice."""
    monkeypatch.setattr("digest.delivery.pace._FIRST_REST", 0.001)  # a 421 is no reason to wait here
    monkeypatch.setattr("digest.delivery.lanes._FIRST_WAIT", 0.01)
    addresses = bench.subscribe_many(400)

    def script(step: Step) -> Answer:
        if step.verb not in ("MAIL", "RCPT", "DATA", "."):
            return None
        draw = zlib.crc32(f"{seed} {step.verb} {step.connection} {len(relay.steps)}".encode())
        fitting = [answer for verb, answer in FAULTS if verb == step.verb]
        return fitting[draw // 12 % len(fitting)] if draw % 12 == 0 else None

    relay = scripted(script)
    in_doubt: set[str] = set()
    for _ in range(60):
        bench.send(issue, relay)
        accounts = not_twice(bench, relay, but=in_doubt)
        in_doubt |= {str(entry.email) for entry in bench.entries("unknown")}
        if not accounts.missing and not accounts.unknown:
            break
        with open_desk(bench.newsletter) as desk:
            desk.ledger(bench.run()).settle_unknown("resend")
    assert (accounts.missing, accounts.unknown) == (0, 0)
    refused = {entry.email for state in ("bounced", "rejected") for entry in bench.entries(state)}
    taken = Counter(message.recipient for message in relay.received)
    assert set(addresses) - refused == {entry.email for entry in bench.entries("accepted")}
    assert {address for address, times in taken.items() if times > 1} <= in_doubt
    assert set(addresses) - refused <= set(taken)
