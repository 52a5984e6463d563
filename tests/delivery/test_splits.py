"""What earlier issues and the arms of a test do to a run, with a real relay and a real ledger."""

from __future__ import annotations

from dataclasses import replace

import pytest

from digest.audience.arms import EQUAL, arm_of
from digest.compose.compiled import Condition, Template
from digest.delivery.deliver import rehearse
from digest.delivery.trial import send_test
from digest.errors import InputError, Place


def test_an_issue_for_those_who_missed_another(bench, compiled, scripted):
    """Whoever the relay accepted the first issue for does not get the second; whom it bounced for does."""
    bench.subscribe("a@example.org", "b@example.org", "c@example.org")
    first = compiled("one")
    bench.send(first, scripted(lambda step: "550 5.1.1 no" if step.verb == "RCPT" and "b@" in step.argument else None))
    bench.execute("DELETE FROM suppressions")
    bench.execute("UPDATE subscribers SET status = 'active'")
    bench.subscribe("d@example.org")
    again = replace(compiled("two", audience='not received("one")', text="Anew."), received=("one",))
    relay = scripted(lambda _step: None)
    bench.send(again, relay, overrides=frozenset({"max_change"}))
    assert sorted(m.recipient for m in relay.received) == ["b@example.org", "d@example.org"]


def test_the_ledger_says_which_arm_a_reader_was_in(bench, compiled, scripted):
    """The variant that a row keeps holds the arm, and everybody got their own."""
    bench.subscribe_many(12)
    here = Place("issues/one.md", 1)
    arms = tuple(Condition(f'arm == "{name}"', here) for name, _ in EQUAL)
    issue = replace(compiled(), text=Template("Arm {{ arm }}\n", (here,)), arms=EQUAL, conditions=arms)
    relay = scripted(lambda _step: None)
    bench.send(issue, relay)
    rows = bench.execute("SELECT email, token, variant FROM deliveries JOIN subscribers ON id = subscriber_id")
    got = {m.recipient: m.data for m in relay.received}
    assert len(rows) == 12
    for email, token, variant in rows:
        arm = arm_of(EQUAL, "one", str(token))
        assert variant == {"a": "10", "b": "01"}[arm]
        assert issue.arm_in(str(variant)) == arm
        assert f"Arm=20=\r\n{arm}".encode() in got[email]


def test_a_test_can_choose_the_arm(bench, compiled, scripted):
    """`--arm`: the same reader as either; an arm there is none of is answered with those there are."""
    bench.subscribe("a@example.org")
    issue = replace(compiled(), text=Template("Arm {{ arm }}\n", (Place("x.md", 1),)), arms=EQUAL)
    relay = scripted(lambda _step: None)
    bench.overrides["smtp.port"] = relay.port
    for arm in ("a", "b"):
        send_test(bench.newsletter, issue, ["ed@example.org"], arm=arm)
        assert f"Arm=20=\r\n{arm}".encode() in relay.received[-1].data
    with pytest.raises(InputError, match=r"no arm “c” \(one of: a, b\)"):
        send_test(bench.newsletter, issue, ["ed@example.org"], arm="c")


def test_a_mistyped_reader_is_guessed(bench, issue):
    """`--as` with a slip of the finger names the reader who was meant."""
    bench.subscribe("ada@example.org", "zoe@example.org")
    with pytest.raises(InputError, match=r"no reader “ade@example.org” \(did you mean “ada@example.org”\?\)"):
        send_test(bench.newsletter, issue, ["ed@example.org"], as_reader="ade@example.org")


def test_a_dry_run_says_what_is_worth_a_look(bench, compiled):
    """The plan carries the audit's warnings; its largest message is that of the longest values."""
    bench.subscribe("ann@gmial.com")
    long = f"{'x' * 60}@example.org"
    bench.subscribe(long, "b@example.org")
    plan = rehearse(bench.newsletter, compiled())
    assert plan.largest_reader == long
    assert [p.code for p in plan.warnings] == ["for-nobody", "empty-segment", "doubtful-domain"]
