"""Pace: rates of the relay and of domains, what was sent before a restart, and a provider that asks for less."""

import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.delivery.pace import Pace, Rest, Window
from digest.quantities import Rate


@given(st.integers(1, 20), st.integers(1, 60), st.lists(st.floats(0, 5), max_size=200))
def test_never_more_than_the_rate(count, seconds, pauses):
    """However one asks, no span of the rate's length ever sees more than its count."""
    window, moment, taken = Window(Rate(count, seconds)), 100.0, []
    for pause in pauses:
        moment += pause
        if not window.wait(moment):
            window.take(moment)
            taken.append(moment)
    for begin in taken:
        assert sum(begin <= at < begin + seconds for at in taken) <= count


@given(st.integers(1, 20), st.integers(1, 60), st.lists(st.floats(0, 5), max_size=60))
def test_a_wait_is_never_in_vain(count, seconds, pauses):
    """After the wait that was told, one more may go."""
    window, moment = Window(Rate(count, seconds)), 100.0
    for pause in pauses:
        moment += pause
        moment += window.wait(moment) + 1e-6
        assert window.wait(moment) == 0
        window.take(moment)


def test_rests_grow_and_end():
    """A provider that keeps asking is left alone twice as long each time, ten minutes at most."""
    rest, waits, moment = Rest(), [], 0.0
    for _ in range(10):
        rest.asked(moment)
        waits.append(rest.wait(moment))
        moment += waits[-1]
    assert waits == [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]


def test_rate_holds_across_runs(bench, compiled, scripted):
    """What a run has sent counts for the next one: a quota is the relay's, not the process's."""
    bench.overrides["smtp.rate"] = "12/s"
    bench.subscribe_many(12)
    taken: list[float] = []
    relay = scripted(lambda step: taken.append(time.monotonic()) if step.verb == "." else None)
    bench.send(compiled("one"), relay)
    bench.send(compiled("two", text="Other."), relay)
    assert len(relay.received) == len(taken) == 24
    assert taken[12] - taken[0] > 0.3


def test_one_provider_is_slowed(bench, issue, scripted, monkeypatch):
    """421 or 4.7.x for one domain lets that domain rest; the others go on meanwhile, and it is not forgotten."""
    monkeypatch.setattr("digest.delivery.pace._FIRST_REST", 1.5)
    bench.overrides["smtp.connections"] = 1
    bench.subscribe(*(f"a{n}@slow.example" for n in range(3)), *(f"b{n}@quick.example" for n in range(6)))
    relay = scripted(
        lambda step: "450 4.7.28 too fast" if step.verb == "RCPT" and step.argument == "TO:<a0@slow.example>" else None
    )
    report = bench.send(issue, relay)
    order = [m.recipient.partition("@")[2] for m in relay.received]
    assert order == ["quick.example"] * 6 + ["slow.example"] * 2
    assert (report.accounts.deferred, report.accounts.accepted) == (1, 8)
    assert len([a for a in relay.verbs("RCPT") if "slow" in a]) == 3


def test_rate_of_a_domain(bench, issue, scripted, monkeypatch):
    """A rate of one domain bounds its readers, and nobody else's."""
    bench.overrides["pace"] = {"slow.example": {"rate": "2/s"}}
    bench.subscribe(*(f"a{n}@slow.example" for n in range(5)), *(f"b{n}@quick.example" for n in range(20)))
    relay = scripted()
    begun = time.monotonic()
    report = bench.send(issue, relay)
    took = time.monotonic() - begun
    assert report.accounts.accepted == 25
    assert took > 1.9
    slow = [n for n, m in enumerate(relay.received) if "slow" in m.recipient]
    assert slow[2:] == [22, 23, 24]


def test_more_aside_than_fits(bench, issue, scripted, monkeypatch):
    """Readers of a slow domain beyond those kept aside are found again: nobody is skipped."""
    monkeypatch.setattr("digest.delivery.queue._ASIDE_AT_MOST", 3)
    bench.overrides["pace"] = {"slow.example": {"rate": "10/s"}}
    addresses = [f"a{n}@slow.example" for n in range(25)] + ["b@quick.example"]
    bench.subscribe(*addresses)
    relay = scripted()
    assert bench.send(issue, relay).exit_code == 0
    assert Counter(m.recipient for m in relay.received) == Counter(addresses)


def test_a_turn_that_is_far_away(bench, issue, scripted):
    """A quota that is used up for hours keeps nobody waiting: 75, with the reason, and the rest is still there."""
    bench.overrides["smtp.rate"] = "3/day"
    bench.subscribe_many(5)
    relay = scripted()
    report = bench.send(issue, relay)
    assert (report.exit_code, report.accounts.accepted, report.accounts.waiting) == (75, 3, 2)
    assert "the rate of the relay is used up: 24 h" in str(report.trouble)
    assert bench.send(issue, relay).accounts.accepted == 3


def test_no_rate_costs_nothing():
    """Without rates nobody ever waits."""
    pace = Pace()
    assert (pace.wait("r", 0.0), pace.domain_wait("x.example", 0.0)) == (0.0, 0.0)
    assert pace.take("r", "x.example", 0.0)


@pytest.mark.parametrize("given_rate", [None, "5/s"])
def test_a_provider_has_a_rate(bench, given_rate):
    """A provider's own rate holds where the settings name none."""
    from digest.delivery.desk import open_desk

    bench.overrides |= {"smtp.provider": "ses", "smtp.rate": given_rate} if given_rate else {"smtp.provider": "ses"}
    with open_desk(bench.newsletter) as desk:
        assert desk.pace().rates == {"relay 127.0.0.1:2": Rate(5, 1) if given_rate else Rate(14, 1)}
