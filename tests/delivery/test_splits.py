"""What earlier issues and the arms of a test do to a run, with a real relay and a real ledger."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from digest.audience.arms import EQUAL, arm_of
from digest.audience.database import now, open_database
from digest.cli import root
from digest.compose.compiled import Condition, Size, Template
from digest.delivery.deliver import rehearse
from digest.delivery.later import record_later
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


def test_status_and_report_by_arm(bench, compiled, scripted):
    """Each reader's arm, the accounts of each arm, and the reach of a block in each; also where the rest of the run
    got another text, whose variants mean something else."""
    addresses = bench.subscribe_many(12)
    here, there = Place("issues/one.md", 1), Place("issues/one.md", 4)
    arms = tuple(Condition(f'arm == "{name}"', here) for name, _ in EQUAL)
    html = Template('<p>All</p>{% if arm == "b" %}<p>B only</p>{% endif %}', (there, there))
    sizes = (Size("story", 10, Place("issues/one.md", 2)), Size("story", 10, there, (('arm == "b"', True),)))
    issue = replace(compiled(), html=html, arms=EQUAL, conditions=arms, sizes=sizes)
    late = addresses[6:]
    bench.send(issue, scripted(lambda s: "451 later" if s.verb == "RCPT" and s.argument[4:-1] in late else None))
    more = (Condition("subscriber.first_name", here), *arms)
    bench.send(replace(issue, conditions=more, text=Template("New", ())), scripted(), accept_change=True, eager=True)
    dealt = {
        email: arm_of(EQUAL, "one", str(token))
        for email, token in bench.execute("SELECT email, token FROM subscribers")
    }
    connection = open_database(bench.database)
    assert record_later(connection, None, 1, "bounced", now()) == bench.run().id
    connection.close()

    def ask(*arguments: str) -> dict[str, Any]:
        done = CliRunner().invoke(root, [*arguments, "--json", "--project", str(bench.root)], catch_exceptions=False)
        answer: dict[str, Any] = json.loads(done.output)
        return answer

    shown = ask("status", "one", "--readers", "accepted")["readers"]
    assert {reader["email"]: reader["arm"] for reader in shown} == dealt
    report = ask("report", "one")
    many = {name: sum(arm == name for arm in dealt.values()) for name in "ab"}
    assert [(arm["name"], arm["planned"], arm["accepted"]) for arm in report["arms"]] == [
        ("a", many["a"], many["a"]),
        ("b", many["b"], many["b"]),
    ]
    assert {arm["name"]: arm["accepted_later_by_kind"] for arm in report["arms"]}[dealt[addresses[0]]] == {"bounced": 1}
    assert [text["accepted"] for text in report["texts"]] == [6, 6]
    only_b = [text["reach"][1] for text in report["texts"]]
    assert [part["by_arm"]["a"] for part in only_b] == [0, 0]
    assert sum(part["by_arm"]["b"] for part in only_b) == sum(part["readers"] for part in only_b) == many["b"]
    told = CliRunner().invoke(root, ["report", "one", "--project", str(bench.root)]).output
    assert re.search(rf"(?m)^  b +{many['b']} +{many['b']} ", told)
