"""A relay that goes away in the middle of a run, and connections that are used up: real servers, really stopped."""

import threading
import time
from collections import Counter

import pytest

from digest.delivery.agenda import RunReport
from digest.delivery.deliver import deliver
from digest.delivery.desk import open_desk
from digest.delivery.progress import Progress
from digest.delivery.scripted import Act, Answer, ScriptedRelay, Step


class Vanishing:
    """A relay that is stopped once it has taken in `after` messages, and started again `away` seconds later
    (never, where that is None), on the same port."""

    def __init__(self, after: int, away: float | None, port: int) -> None:
        self._away = away
        self._gone = threading.Event()
        self._after = after
        offered = ("PIPELINING", *ScriptedRelay.extensions)
        self.first = ScriptedRelay(self._script, offered, port=port)
        self.second = ScriptedRelay(extensions=offered, port=port)

    def _script(self, step: Step) -> Answer:
        if step.verb == "." and len(self.first.received) >= self._after:
            self._gone.set()
            return Act.SAY_NOTHING
        time.sleep(0.001)
        return None

    def __enter__(self) -> "Vanishing":
        self.first.__enter__()
        self._thread = threading.Thread(target=self._life)
        self._thread.start()
        return self

    def _life(self) -> None:
        self._gone.wait(60)
        self.first.__exit__(None, None, None)
        if self._away is not None:
            time.sleep(self._away)
            self.second.__enter__()

    def __exit__(self, *_error: object) -> None:
        self._gone.set()
        self._thread.join()
        if self._away is not None:
            self.second.__exit__(None, None, None)


def send(bench, issue, port: int, seen: list[Progress]) -> RunReport:
    bench.overrides["smtp.port"] = port
    report = deliver(bench.newsletter, issue.slug, issue, watch=lambda progress, _at_end: seen.append(progress))
    assert report.accounts.problems() == []
    return report


@pytest.mark.parametrize("connections", [1, 12])
def test_goes_on_when_the_relay_is_back(bench, issue, free_port, connections):
    """A relay that is away for a while: the run pauses, says so, and goes on by itself, over as many connections."""
    bench.overrides |= {"smtp.connections": connections, "delivery.wait_for_relay": "60s"}
    addresses = bench.subscribe_many(120)
    seen: list[Progress] = []
    with Vanishing(40, 1.2, free_port()) as relay:
        report = send(bench, issue, relay.first.port, seen)
        assert report.trouble is None
        in_doubt = {entry.email for entry in bench.entries("unknown")}
        assert report.accounts.missing == 0  # whoever was merely under way comes again in this run
        taken = Counter(m.recipient for m in (*relay.first.received, *relay.second.received))
        assert max(taken.values()) == 1
        assert set(addresses) - set(taken) <= in_doubt
        assert len(in_doubt) <= connections
        assert len(relay.second.received) >= 60
        assert connections == 1 or relay.second.connections > 1
    paused = [progress.paused for progress in seen if progress.paused]
    assert "connection refused" in paused[0]
    assert "calling again in" in paused[0]
    assert not seen[-1].paused


def test_stays_away(bench, issue, free_port):
    """A relay that does not come back within delivery.wait_for_relay: 75, the reason, and the rest is still there."""
    bench.overrides |= {"smtp.connections": 3, "delivery.wait_for_relay": "1s"}
    bench.subscribe_many(60)
    with Vanishing(10, None, free_port()) as relay:
        begun = time.monotonic()
        report = send(bench, issue, relay.first.port, [])
        assert time.monotonic() - begun < 30
    assert report.exit_code in (3, 75)  # 3: somebody is in doubt
    assert "connection refused" in str(report.trouble)
    assert report.accounts.waiting >= 40
    with ScriptedRelay() as again:
        assert bench.send(issue, again, unknown="drop").accounts.missing == 0


def test_held_while_the_relay_is_away(bench, issue, free_port, monkeypatch):
    """A person's hold is obeyed at once, also in the middle of a pause."""
    monkeypatch.setattr("digest.delivery.lanes._FIRST_WAIT", 300.0)
    bench.overrides |= {"smtp.connections": 2, "delivery.wait_for_relay": "600s"}
    bench.subscribe_many(40)
    held: list[float] = []

    def watch(progress: Progress, _at_end: bool) -> None:
        if progress.paused and not held:
            with open_desk(bench.newsletter) as desk:
                desk.runs.hold("one")
            held.append(time.monotonic())

    with Vanishing(10, None, free_port()) as relay:
        bench.overrides["smtp.port"] = relay.first.port
        report = deliver(bench.newsletter, issue.slug, issue, watch=watch)
    assert report.flag == "hold"
    assert time.monotonic() - held[0] < 20


def test_messages_per_connection(bench, issue, scripted):
    """No connection carries more than smtp.messages_per_connection; the next one is made after a QUIT."""
    bench.overrides |= {"smtp.connections": 2, "smtp.messages_per_connection": 5}
    addresses = bench.subscribe_many(43)
    relay = scripted()
    report = bench.send(issue, relay)
    assert (report.exit_code, Counter(m.recipient for m in relay.received)) == (0, Counter(addresses))
    carried = Counter(step.connection for step in relay.steps if step.verb == ".")
    assert max(carried.values()) == 5
    assert len(relay.verbs("QUIT")) == relay.connections
    assert {entry.attempts for entry in bench.entries("accepted")} == {1}


def test_connections_grow(bench, issue, scripted):
    """The first connection comes alone, further ones once it is there; no more than are set, none too many."""
    bench.overrides["smtp.connections"] = 9
    bench.subscribe_many(300)

    def script(step: Step) -> Answer:
        if step.verb == "connect":
            time.sleep(0.02)
        return None

    relay = scripted(script)
    assert bench.send(issue, relay).exit_code == 0
    assert 1 < relay.connections <= 9
    order = [step.verb for step in relay.steps]
    assert "EHLO" in order[: order.index("connect", 1)]
