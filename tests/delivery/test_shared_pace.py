"""Rates are the relay's and the provider's: they hold across processes and restarts."""

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.audience.database import open_database
from digest.delivery.keeping import Table
from digest.delivery.pace import Pace, Window
from digest.delivery.scripted import ScriptedRelay
from digest.delivery.storage import Storage
from digest.quantities import Rate

SENDER = Path(__file__).with_name("sender.py")


def spans(moments: list[float], seconds: float) -> int:
    """The most of `moments` in any span of this length."""
    return max((sum(1 for m in moments if start <= m < start + seconds) for start in moments), default=0)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0.0, 2.0)), min_size=1, max_size=40), st.integers(1, 5))
def test_any_processes_share_a_rate(tmp_path_factory, asks, count):
    """However three processes ask, together they get no more than the rate in any span of its length."""
    file = tmp_path_factory.mktemp("pace") / "digest.db"
    connections = [open_database(file) for _ in range(3)]
    paces = [Pace({"relay r": Rate(count, 2)}, Table(Storage(connection))) for connection in connections]
    moment, taken = 1000.0, []
    for who, pause in asks:
        moment += pause
        if not paces[who].wait("r", moment) and paces[who].take("r", "x.example", moment):
            taken.append(moment)
    for connection in connections:
        connection.close()
    assert taken
    assert spans(taken, 2) <= count


def test_two_issues_at_once(bench, compiled, tmp_path):
    """Two processes that send two issues at the same time share smtp.rate between them."""
    bench.subscribe_many(24)
    with ScriptedRelay() as relay:
        text = (
            (bench.root / "config/digest.toml")
            .read_text()
            .replace("port = 2\n", f'port = {relay.port}\nrate = "16/s"\n')
        )
        (bench.root / "config/digest.toml").write_text(text)
        processes = []
        for slug in ("one", "two"):
            (tmp_path / f"{slug}.json").write_text(compiled(slug, text=slug).to_json())
            processes.append(
                subprocess.Popen(
                    [sys.executable, SENDER, bench.root, tmp_path / f"{slug}.json"],
                    stdout=subprocess.DEVNULL,
                    env={"PYTHONPATH": str(SENDER.parents[2]), "PATH": "/usr/bin:/bin"},
                )
            )
        assert [process.wait(120) for process in processes] == [0, 0]
        assert len(relay.received) == 48
    taken = bench.execute("SELECT updated_at / 1e6 FROM deliveries WHERE state = 'accepted' ORDER BY 1")
    moments = [float(str(at)) for (at,) in taken]
    assert moments[-1] - moments[0] > 1.8  # 48 at 16 a second; each by itself would need half a second
    for slug in ("one", "two"):
        assert bench.accounts(slug).accepted == 24


def test_a_clock_put_back():
    """What was sent "later than now" counts as sent just now: a clock put back by a year stops nobody for a year."""
    window = Window.again(Rate(1, 10), [(1e9, 1e9, 1)], now=5.0)
    assert window.wait(5.0) == 10.0


def test_a_rest_survives_the_process(bench, compiled, scripted, monkeypatch):
    """A provider that asked for less is left alone by the next process too, which says so; the others are not."""
    monkeypatch.setattr("digest.delivery.pace._FIRST_REST", 3.0)
    bench.subscribe("a@slow.example", "b@quick.example")
    relay = scripted(lambda step: "421 4.7.28 too fast" if step.argument == "TO:<a@slow.example>" else None)
    bench.send(compiled("one"), relay)
    assert [name for name, until in bench.execute("SELECT name, rest_until FROM paces") if until] == [
        "domain slow.example"
    ]
    relay = scripted()
    before = time.monotonic()
    report = bench.send(compiled("two", text="Two."), relay)
    assert [m.recipient for m in relay.received] == ["b@quick.example", "a@slow.example"]
    assert time.monotonic() - before > 0.5
    assert report.exit_code == 0
    assert bench.execute("SELECT rest_until FROM paces") == [(0,)]


@pytest.mark.parametrize(("days", "accepted"), [(0, 3), (1, 6), (2, 12), (9, 20)])
def test_warm_up(bench, issue, scripted, days, accepted):
    """A new domain sends what its day allows, the rest goes on with 75; behind the ramp there is no limit."""
    bench.overrides |= {"warm_up.start": "3/day", "warm_up.growth": "100%", "warm_up.end": "1000/day"}
    bench.subscribe_many(20)
    bench.execute(
        "INSERT INTO paces (name, begun_at) VALUES ('warm-up of news.example.com', ?)",
        int((time.time() - days * 86400 - 60) * 1e6),
    )
    report = bench.send(issue, scripted())
    assert report.accounts.accepted == accepted
    assert report.exit_code == (0 if accepted == 20 else 75)
    assert accepted == 20 or "warm-up of news.example.com" in str(report.trouble)


def backup(bench, port: int, **more: object) -> None:
    bench.overrides["relays"] = {"backup": {"host": "localhost", "port": port, "tls": "none", **more}}


def test_failover_when_the_first_is_down(bench, issue, scripted, free_port):
    """The next relay takes everything when the first is not there; the ledger knows which one it was."""
    addresses = bench.subscribe_many(8)
    relay = scripted()
    backup(bench, relay.port)
    bench.overrides["smtp.port"] = free_port()
    from digest.delivery.deliver import deliver

    said: list[str] = []
    report = deliver(bench.newsletter, issue.slug, issue, say=said.append)
    assert (report.exit_code, Counter(m.recipient for m in relay.received)) == (0, Counter(addresses))
    assert {entry.relay for entry in bench.entries("accepted")} == {f"localhost:{relay.port}"}
    assert len([line for line in said if "going on with the next relay" in line]) == 1


def test_failover_in_the_middle(bench, issue, scripted, monkeypatch):
    """A relay that goes down in the middle: the rest goes over the next one, nobody gets it twice."""
    monkeypatch.setattr("digest.delivery.pace._FIRST_REST", 0.01)  # 421 is also what a provider says
    addresses = bench.subscribe_many(60)
    second = scripted()
    first = ScriptedRelay(lambda step: "421 4.3.2 closing" if len(first.received) >= 20 else None)
    with first:
        backup(bench, second.port)
        report = bench.send(issue, first)
    taken = Counter(m.recipient for m in (*first.received, *second.received))
    assert report.accounts.accepted + report.accounts.deferred == 60
    assert max(taken.values()) == 1
    assert set(taken) == set(addresses) - {entry.email for entry in bench.entries("deferred")}
    assert second.received


def test_failover_when_login_is_refused(bench, issue, scripted):
    """A first relay that refuses the login is tried once, its words are said, the next one sends."""
    bench.subscribe_many(5)
    refusing = scripted(
        lambda step: "535 5.7.8 bad credentials" if step.verb == "AUTH" else None, extensions=("AUTH PLAIN",)
    )
    good = scripted()
    backup(bench, good.port)
    bench.overrides |= {"smtp.username": "weekly", "smtp.password": "correct horse"}
    report = bench.send(issue, refusing)
    assert (report.exit_code, len(good.received), refusing.connections) == (0, 5, 1)


def test_all_relays_down(bench, issue, free_port):
    """When none is there: 75, each named with its reason, and everybody waits."""
    bench.subscribe_many(3)
    ports = free_port(), free_port()
    bench.overrides["smtp.port"] = ports[0]
    backup(bench, ports[1])
    from digest.delivery.deliver import deliver

    report = deliver(bench.newsletter, issue.slug, issue)
    assert (report.exit_code, report.accounts.waiting) == (75, 3)
    assert f"127.0.0.1:{ports[0]}" in str(report.trouble)
    assert f"localhost:{ports[1]}" in str(report.trouble)
