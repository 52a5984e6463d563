"""What is known, and what is refused, before anything is sent."""

import pytest

from digest.delivery.agenda import Agenda, Wishes
from digest.delivery.deliver import deliver, rehearse
from digest.delivery.desk import open_desk
from digest.delivery.runs import Head
from digest.errors import HeldError, InputError


def agenda_of(bench, issue, **wishes) -> Agenda:
    """What a person would be asked to agree to; nobody agrees."""
    seen: list[Agenda] = []

    def refuse(agenda: Agenda) -> None:
        seen.append(agenda)
        raise HeldError("no")

    with pytest.raises(HeldError, match=r"^no$"):
        deliver(bench.newsletter, issue.slug, issue, Wishes(**wishes), confirm=refuse)
    return seen[0]


def test_plan_counts(bench, compiled):
    """The plan counts candidates, exclusions by reason, variants by size, and the largest message."""
    issue = compiled(audience='"@example.org" in subscriber.email')
    bench.subscribe("a@example.org", "b@example.org", "out@example.com")
    bench.subscribe("c@example.org", first_name="Ada")
    bench.subscribe("gone@example.org", status="unsubscribed")
    bench.subscribe("dead@example.org")
    bench.execute("INSERT INTO suppressions VALUES ('dead@example.org', 'manual', '', 0)")
    plan = agenda_of(bench, issue).plan
    assert plan is not None
    assert (plan.head.candidates, plan.planned) == (6, 3)
    assert plan.head.excluded == {"audience": 1, "unsubscribed": 1, "suppressed": 1}
    assert [(v.name, v.readers, v.sample.email) for v in plan.variants] == [
        ("0", 2, "a@example.org"),
        ("1", 1, "c@example.org"),
    ]
    assert plan.largest > 500


def test_nothing_is_recorded_without_consent(bench, issue):
    """Who does not agree leaves no run behind."""
    bench.subscribe_many(2)
    agenda_of(bench, issue)
    assert bench.execute("SELECT count(*) FROM runs") == [(0,)]


def test_the_rest_needs_consent_too(bench, compiled, scripted):
    """What is asked for with a run that has begun is done after consent: refused, nothing has changed."""
    bench.subscribe_many(2)
    bench.send(
        compiled(text="Old."),
        scripted(lambda step: "what?" if "reader0001" in step.argument and step.verb == "." else None),
    )
    bench.subscribe("late@example.org")
    agenda = agenda_of(bench, compiled(text="New."), accept_change=True, new_readers=True, unknown="resend")
    assert agenda.readers == 2
    accounts = bench.accounts()
    assert (accounts.planned, accounts.unknown) == (2, 1)
    assert bench.run().fingerprint == compiled(text="Old.").fingerprint


def test_rehearsal(bench, issue, tmp_path):
    """A dry run writes a message of each variant with inert links, and records nothing."""
    bench.subscribe_many(3)
    bench.subscribe("ada@example.org", first_name="Ada")
    plan = rehearse(bench.newsletter, issue, tmp_path / "out")
    assert plan.planned == 4
    files = sorted((tmp_path / "out").iterdir())
    assert [f.suffix for f in files] == [".eml", ".eml"]
    assert any(b"Subject: The first one, Ada" in f.read_bytes() for f in files)
    assert bench.execute("SELECT count(*) FROM runs") == [(0,)]


def test_audit_comes_first(bench, compiled, scripted):
    """A value missing for some reader stops everything before the relay is called, with line and count."""
    issue = compiled(text="Dear {{ subscriber.first_name }}")
    bench.subscribe_many(3)
    bench.subscribe("ada@example.org", first_name="Ada")
    relay = scripted()
    with pytest.raises(InputError) as caught:
        bench.send(issue, relay)
    assert len(caught.value.problems) == 1
    assert "issues/one.md:1" in str(caught.value)
    assert "3 of 4 readers" in str(caught.value)
    assert relay.connections == 0


def test_empty_list(bench, issue):
    """Without a subscriber the cure is the import."""
    with pytest.raises(InputError, match="digest subscribers import"):
        deliver(bench.newsletter, issue.slug, issue)


def test_empty_audience(bench, compiled):
    """An audience that leaves nobody is a person's business."""
    bench.subscribe_many(2)
    with pytest.raises(HeldError, match="nobody would get one: 2 not in its audience"):
        deliver(bench.newsletter, "one", compiled(audience="false"))


def test_needs_a_test(bench, issue, compiled, scripted):
    """The run is held until a test of this very text was accepted; another text needs another test."""
    bench.overrides["delivery.require_test"] = True
    bench.subscribe_many(2)
    relay = scripted()
    with pytest.raises(HeldError, match=r"require_test: .*digest test one"):
        bench.send(issue, relay)
    note_test(bench, issue.fingerprint, "bounced")
    with pytest.raises(HeldError):
        bench.send(issue, relay)
    note_test(bench, issue.fingerprint, "accepted")
    with pytest.raises(HeldError):
        bench.send(compiled(text="Changed."), relay)
    assert bench.send(issue, relay).exit_code == 0


def note_test(bench, fingerprint: str, outcome: str) -> None:
    with open_desk(bench.newsletter) as desk:
        desk.runs.note_test("one", fingerprint, "ed@example.org", outcome)


def test_changed_rest_needs_a_test(bench, compiled, scripted):
    """--accept-change asks for a test of the changed text, and audits it for the rest."""
    bench.subscribe_many(2)
    bench.send(compiled(), scripted(lambda step: "451 no" if step.verb == "RCPT" else None))
    relay = scripted()
    bench.overrides["delivery.require_test"] = True
    with pytest.raises(HeldError, match="require_test"):
        bench.send(compiled(text="New."), relay, accept_change=True)
    bench.overrides["delivery.require_test"] = False
    with pytest.raises(InputError, match="2 of 2 readers"):
        bench.send(compiled(text="{{ subscriber.first_name }}"), relay, accept_change=True)
    assert relay.received == []
    assert bench.run().fingerprint == compiled().fingerprint


def test_change_of_audience(bench, compiled, scripted):
    """A list a fifth larger or smaller than the last run's is held; an override is recorded."""
    relay = scripted()
    addresses = bench.subscribe_many(10)
    bench.send(compiled("first", text="1"), relay)
    bench.subscribe("one@example.com", "two@example.com")
    bench.send(compiled("second", text="2"), relay)
    bench.subscribe("three@example.com", "four@example.com", "five@example.com")
    with pytest.raises(HeldError, match="max_change: 15 readers, where second had 12: a change of 25%"):
        bench.send(compiled("third", text="3"), relay)
    bench.send(compiled("third", text="3"), relay, overrides=frozenset({"max_change"}))
    assert bench.run("third").overrides == ("max_change",)
    for address in addresses:
        bench.leave(address)
    with pytest.raises(HeldError, match="max_change"):
        bench.send(compiled("fourth", text="4"), relay)


def test_way_to_unsubscribe(bench, issue):
    """Through a relay elsewhere nobody is written to who could not leave; on loopback one is warned."""
    bench.subscribe_many(1)
    assert any("unsubscribe" in note for note in agenda_of(bench, issue).notes)
    bench.overrides |= {"smtp.host": "smtp.example.com"}
    with pytest.raises(HeldError, match=r"unsubscribe: .*\[unsubscribe\]"):
        deliver(bench.newsletter, "one", issue)
    bench.overrides |= {"unsubscribe.mailto": "leave@news.example.com"}
    assert agenda_of(bench, issue).notes == ()


def test_all_guards_at_once(bench, issue):
    """Every guard that is not met is told in one pass."""
    bench.overrides |= {"smtp.host": "smtp.example.com", "delivery.require_test": True}
    bench.subscribe_many(1)
    with pytest.raises(HeldError, match=r"(?s)require_test.*unsubscribe.*--override require_test --override"):
        deliver(bench.newsletter, "one", issue)


def test_renamed_issue(bench, compiled, scripted):
    """Content that went out under another slug is refused, and sent with --again."""
    bench.subscribe_many(2)
    relay = scripted()
    bench.send(compiled("one"), relay)
    with pytest.raises(HeldError, match="went out as one"):
        bench.send(compiled("renamed"), relay)
    assert len(relay.received) == 2
    assert bench.send(compiled("renamed"), relay, again=True).exit_code == 0


def test_held_before_it_began(bench, issue, scripted):
    """An issue can be held before there is a run; released, it is sent."""
    bench.subscribe_many(1)
    with open_desk(bench.newsletter) as desk:
        run = desk.runs.hold("one")
    relay = scripted()
    with pytest.raises(HeldError, match="digest release one"):
        bench.send(issue, relay)
    with open_desk(bench.newsletter) as desk:
        desk.runs.set_flag(run.id, None)
    assert bench.send(issue, relay).exit_code == 0


def test_planned_twice_at_once(bench, issue):
    """Of two processes that plan the same issue, one begins it; the other goes away."""
    from digest.errors import LaterError

    bench.subscribe_many(2)
    with open_desk(bench.newsletter) as first, open_desk(bench.newsletter) as second:
        for desk in (first, second):
            desk.runs.stage([(1, ""), (2, "")])
        first.runs.begin(issue, Head(2, {}))
        with pytest.raises(LaterError, match="another process"):
            second.runs.begin(issue, Head(2, {}))
    assert bench.accounts().waiting == 2


def test_stored_issue_is_enough(bench, issue, scripted):
    """A run that has begun goes on without the issue's file: what it stored is what it sends."""
    bench.subscribe_many(2)
    bench.send(issue, scripted(lambda step: "451 no" if step.verb == "RCPT" else None))
    relay = scripted()
    bench.overrides["smtp.port"] = relay.port
    report = deliver(bench.newsletter, "one", None)
    assert (report.exit_code, len(relay.received)) == (0, 2)
