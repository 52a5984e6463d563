"""Runs against real servers on loopback: what each reply does to the accounts, and what a second run does."""

from collections import Counter
from typing import Any

import pytest

from digest.audience.database import now
from digest.delivery.scripted import Act, Answer, ScriptedRelay, Step
from digest.errors import HeldError, LaterError


def to(verb: str, *answers: Answer, whom: str = "") -> Any:
    """A script: the n-th time that `verb` (with `whom` in its argument) comes, the n-th answer, then as usual."""

    def script(step: Step) -> Answer:
        if step.verb != verb or whom not in step.argument:
            return None
        return answers[step.number - 1] if step.number <= len(answers) else None

    return script


def once(verb: str, answer: Answer) -> Any:
    """A script: the first time that `verb` comes at all, the answer."""
    seen: list[Step] = []

    def script(step: Step) -> Answer:
        if step.verb != verb or seen:
            return None
        seen.append(step)
        return answer

    return script


def recipients(relay: ScriptedRelay) -> Counter[str]:
    return Counter(message.recipient for message in relay.received)


def test_everybody_once(bench, issue, scripted):
    """Every planned reader gets exactly one message; those who are not active get none."""
    addresses = bench.subscribe_many(50)
    bench.subscribe("gone@example.org", status="unsubscribed")
    bench.subscribe("new@example.org", status="pending")
    relay = scripted()
    report = bench.send(issue, relay)
    assert recipients(relay) == Counter(addresses)
    assert (report.exit_code, report.accounts.accepted) == (0, 50)
    assert report.accounts.excluded == {"unsubscribed": 1, "pending": 1}
    assert 1 < relay.connections <= 4
    assert report.run.state == "done"


def test_second_run_sends_nothing(bench, issue, scripted):
    """A second run of a finished issue sends nothing, makes no connection, and leaves with 0."""
    bench.subscribe_many(5)
    relay = scripted()
    bench.send(issue, relay)
    connections = relay.connections
    assert bench.send(issue, relay).exit_code == 0
    assert (len(relay.received), relay.connections) == (5, connections)


def test_message_id_is_kept(bench, issue, scripted):
    """The ledger keeps the Message-ID that was sent, and it says nothing about the address."""
    bench.subscribe_many(1)
    relay = scripted()
    bench.send(issue, relay)
    (entry,) = bench.entries("accepted")
    assert relay.received[0].header("Message-ID") == entry.message_id
    assert "reader" not in entry.message_id
    assert entry.reply == "2.0.0 taken in"


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "."])
def test_deferred_then_accepted(bench, issue, scripted, verb):
    """A 451 to any command defers one reader; the next run sends to that one only."""
    bench.subscribe_many(3)
    relay = scripted(once(verb, "451 4.3.0 later"))
    first = bench.send(issue, relay)
    assert (first.exit_code, first.accounts.deferred, first.accounts.accepted) == (75, 1, 2)
    assert first.next_attempt is not None
    second = bench.send(issue, relay)
    assert (second.exit_code, second.accounts.accepted) == (0, 3)
    assert set(recipients(relay).values()) == {1}


def test_deferred_waits_for_its_moment(bench, issue, scripted):
    """A run that is not eager (cron's) leaves a deferred reader alone until the next attempt is ripe."""
    bench.subscribe_many(1)
    relay = scripted(to("RCPT", "451 4.7.1 greylisted"))
    bench.send(issue, relay)
    assert bench.send(issue, relay, eager=False).exit_code == 75
    assert len(relay.verbs("RCPT")) == 1
    bench.execute("UPDATE deliveries SET next_attempt_at = next_attempt_at - 80000000")
    assert bench.send(issue, relay, eager=False).exit_code == 0


def test_retries_run_out(bench, issue, scripted):
    """A reader deferred for longer than retry_for is expired, and not tried again."""
    bench.subscribe_many(1)
    relay = scripted(lambda step: "451 4.2.2 full" if step.verb == "RCPT" else None)
    bench.send(issue, relay)
    bench.execute("UPDATE deliveries SET claimed_at = claimed_at - 25 * 3600 * 1000000")
    report = bench.send(issue, relay)
    assert (report.exit_code, report.accounts.expired) == (0, 1)
    bench.send(issue, relay)
    assert len(relay.verbs("RCPT")) == 2


def test_waits_for_retries(bench, issue, scripted, monkeypatch):
    """With `wait` the run stays until the deferred reader is accepted."""
    monkeypatch.setattr("digest.delivery.deliver.RetryPolicy", quick_retries)
    bench.subscribe_many(2)
    relay = scripted(to("RCPT", "451 later", "451 later", whom="reader0002"))
    report = bench.send(issue, relay, wait=True)
    assert (report.exit_code, report.accounts.accepted) == (0, 2)
    assert bench.entries("accepted")[1].attempts == 3


def test_waits_for_what_is_not_ripe_yet(bench, issue, scripted, monkeypatch):
    """With `wait`, a run that begins before anybody is ripe stays for them."""
    monkeypatch.setattr("digest.delivery.deliver.RetryPolicy", quick_retries)
    bench.subscribe_many(1)
    relay = scripted(to("RCPT", "451 later"))
    bench.send(issue, relay)
    bench.execute("UPDATE deliveries SET next_attempt_at = ?", now() + 400_000)
    assert bench.send(issue, relay, wait=True, eager=False).exit_code == 0


def test_waits_only_for_its_own(bench, issue, scripted):
    """With `wait` and a limit, deferred readers outside the sample keep nobody waiting."""
    bench.subscribe_many(8)
    relay = scripted(lambda step: "451 later" if step.verb == "RCPT" else None)
    bench.send(issue, relay)
    relay.script = lambda _step: None
    report = bench.send(issue, relay, limit=3, wait=True)
    assert (report.exit_code, report.accounts.accepted, report.accounts.deferred) == (75, 3, 5)


def quick_retries(retry_for: Any, most: int) -> Any:
    from datetime import timedelta

    from digest.delivery.retry import RetryPolicy

    return RetryPolicy(retry_for, first=timedelta(milliseconds=50), most=most)


def test_bounce_suppresses_the_dead(bench, issue, scripted):
    """A 550 5.1.1 at RCPT bounces the reader and suppresses the address; a later issue leaves them out."""
    bench.subscribe_many(3)
    relay = scripted(to("RCPT", "550 5.1.1 <reader0002@example.org>: no such user", whom="reader0002"))
    report = bench.send(issue, relay)
    assert (report.exit_code, report.accounts.bounced, report.accounts.accepted) == (0, 1, 2)
    assert bench.suppressed() == ["reader0002@example.org"]
    (entry,) = bench.entries("bounced")
    assert (entry.code, entry.enhanced) == (550, "5.1.1")
    assert "@" not in entry.reply
    assert bench.execute("SELECT status FROM subscribers WHERE id = 2") == [("bounced",)]


def test_bare_refusal_needs_a_witness(bench, issue, scripted):
    """A bare 550 suppresses only on a connection that has accepted another reader."""
    bench.overrides["smtp.connections"] = 1
    bench.subscribe("dead1@example.org", "a@example.org", "dead2@example.org", "b@example.org")
    report = bench.send(issue, scripted(lambda s: "550 no" if s.verb == "RCPT" and "dead" in s.argument else None))
    assert (report.accounts.bounced, report.accounts.accepted) == (2, 2)
    assert bench.suppressed() == ["dead2@example.org"]


@pytest.mark.parametrize("reply", ["554 5.7.1 relay denied", "550 5.1.1 no such user", "550 no"])
def test_refusing_relay_suppresses_nobody(bench, issue, scripted, reply):
    """A relay that refuses everybody stops the run at ten; nobody is suppressed, or bounced for good."""
    addresses = bench.subscribe_many(30)
    relay = scripted(lambda step: reply if step.verb == "RCPT" else None)
    report = bench.send(issue, relay)
    assert report.exit_code == 3
    assert isinstance(report.trouble, HeldError)
    assert reply.partition(" ")[2] in str(report.trouble)
    assert 10 <= len(relay.verbs("RCPT")) <= 13
    assert bench.suppressed() == []
    assert (report.accounts.bounced, report.accounts.missing) == (0, 30)
    mended = scripted()
    assert bench.send(issue, mended).exit_code == 0
    assert recipients(mended) == Counter(addresses)


def test_neighbours_of_a_closed_domain(bench, issue, scripted):
    """Many dead addresses in a row do not stop a run whose relay has accepted somebody."""
    bench.overrides["smtp.connections"] = 1
    bench.subscribe("first@example.org", *(f"staff{n}@closed.example" for n in range(15)), "last@example.org")
    relay = scripted(lambda step: "550 5.1.2 no such domain" if "closed" in step.argument else None)
    report = bench.send(issue, relay)
    assert (report.exit_code, report.accounts.bounced, report.accounts.accepted) == (0, 15, 2)
    assert len(bench.suppressed()) == 15


def test_rejected_message(bench, issue, scripted):
    """A 5yz after the data rejects the message to that reader, and suppresses nobody."""
    bench.subscribe_many(2)
    relay = scripted(to(".", "554 5.6.0 not this", whom="reader0001"))
    report = bench.send(issue, relay)
    assert (report.exit_code, report.accounts.rejected, report.accounts.accepted) == (0, 1, 1)
    assert bench.suppressed() == []


def test_refused_sender_stops(bench, issue, scripted):
    """A 550 at MAIL stops the run in the relay's own words; everybody is still waiting."""
    bench.subscribe_many(6)
    relay = scripted(lambda step: "550 5.7.1 not your domain" if step.verb == "MAIL" else None)
    report = bench.send(issue, relay)
    assert report.exit_code == 3
    assert "550 5.7.1 not your domain" in str(report.trouble)
    assert report.accounts.waiting == 6


def test_lost_after_the_data_is_held(bench, issue, scripted):
    """A connection lost after end-of-data makes one reader unknown, held until decided, then sent again
    under the same Message-ID."""
    bench.subscribe_many(5)
    relay = scripted(to(".", Act.TAKE_AND_HANG_UP, whom="reader0003"))
    report = bench.send(issue, relay)
    assert (report.exit_code, report.accounts.unknown, report.accounts.accepted) == (3, 1, 4)
    assert bench.send(issue, relay).exit_code == 3
    assert len(relay.received) == 5
    assert bench.send(issue, relay, unknown="resend").exit_code == 0
    twice = [m.header("Message-ID") for m in relay.received if m.recipient == "reader0003@example.org"]
    assert len(twice) == 2
    assert len(set(twice)) == 1


def test_unknown_can_be_dropped(bench, issue, scripted):
    """--unknown drop settles the unknown without sending."""
    bench.subscribe_many(2)
    relay = scripted(to(".", Act.HANG_UP, whom="reader0002"))
    bench.send(issue, relay)
    report = bench.send(issue, relay, unknown="drop")
    assert (report.exit_code, report.accounts.dropped, report.run.state) == (0, 1, "done")


@pytest.mark.parametrize("policy", ["resend", "drop"])
def test_policy_for_unknown(bench, issue, scripted, policy):
    """delivery.on_unknown decides at once: resend defers the reader, drop drops them."""
    bench.overrides["delivery.on_unknown"] = policy
    bench.subscribe_many(2)
    report = bench.send(issue, scripted(to(".", Act.HANG_UP, whom="reader0002")))
    accounts = report.accounts
    assert (accounts.unknown, accounts.deferred, accounts.dropped) == (
        0,
        int(policy == "resend"),
        int(policy == "drop"),
    )


@pytest.mark.parametrize("verb", ["RCPT", "DATA"])
def test_lost_before_the_data(bench, issue, scripted, verb):
    """A connection that worked and is lost before end-of-data is no doubt, and not about the reader: the lane calls
    again, the reader comes again in the same run, no attempt is counted."""
    bench.overrides["smtp.connections"] = 1
    addresses = bench.subscribe_many(4)
    lost: list[int] = []

    def script(step: Step) -> Answer:
        if step.verb == verb and step.connection == 1 and len(relay.received) == 2 and not lost:
            lost.append(step.connection)
            return Act.HANG_UP
        return None

    relay = scripted(script)
    report = bench.send(issue, relay)
    assert (report.exit_code, report.accounts.accepted, relay.connections, lost) == (0, 4, 2, [1])
    assert sorted(m.recipient for m in relay.received) == addresses
    assert {entry.attempts for entry in bench.entries("accepted")} == {1}


def test_lost_twice_is_deferred(bench, issue, scripted):
    """A reader at whom connections break off comes again once; then it may be about them, and they are deferred."""
    bench.overrides["smtp.connections"] = 1
    bench.subscribe_many(4)
    relay = scripted(lambda s: Act.HANG_UP if s.verb == "RCPT" and "reader0002" in s.argument else None)
    report = bench.send(issue, relay)
    assert (report.exit_code, report.accounts.deferred, report.accounts.accepted) == (75, 1, 3)
    assert sum("reader0002" in argument for argument in relay.verbs("RCPT")) == 2


def test_no_answer_is_deferred(bench, issue, scripted):
    """A relay that does not answer in time at RCPT may be asking about the reader: deferred at once."""
    bench.overrides |= {"smtp.connections": 1, "smtp.timeout": 1.0}
    bench.subscribe_many(3)
    relay = scripted(lambda s: Act.SAY_NOTHING if s.verb == "RCPT" and "reader0002" in s.argument else None)
    report = bench.send(issue, relay)
    assert (report.accounts.deferred, report.accounts.accepted) == (1, 2)
    assert sum("reader0002" in argument for argument in relay.verbs("RCPT")) == 1


@pytest.mark.parametrize("answer", ["421 4.7.0 enough of you", Act.HANG_UP])
def test_relay_with_a_limit_per_connection(bench, issue, scripted, answer):
    """A relay that ends a used connection at MAIL is called again, and the reader loses no attempt."""
    bench.overrides["smtp.connections"] = 1
    bench.subscribe_many(7)
    mails: Counter[int] = Counter()

    def script(step: Step) -> Answer:
        if step.verb == "MAIL":
            mails[step.connection] += 1
            return answer if mails[step.connection] > 2 else None
        return None

    relay = scripted(script)
    report = bench.send(issue, relay)
    assert (report.exit_code, report.accounts.accepted) == (0, 7)
    assert {entry.attempts for entry in bench.entries("accepted")} == {1}
    assert relay.connections == 4


def test_relay_that_takes_fewer_connections(bench, issue, scripted):
    """A relay that refuses further connections gets everything over the ones it takes."""
    bench.subscribe_many(20)
    relay = scripted(lambda step: "421 4.7.0 too many" if step.verb == "connect" and step.connection > 1 else None)
    report = bench.send(issue, relay)
    assert (report.exit_code, report.accounts.accepted) == (0, 20)


def test_relay_goes_down(bench, issue, scripted, monkeypatch):
    """A relay that is lost in the middle leaves the rest waiting, and 75; the next run sends exactly that."""
    monkeypatch.setattr("digest.delivery.lanes._FIRST_WAIT", 0.05)
    addresses = bench.subscribe_many(40)
    down = []

    def script(step: Step) -> Answer:
        if step.verb == "." and len(relay.received) >= 12:
            down.append(step)
        return Act.HANG_UP if down and step.verb != "." else None

    relay = scripted(script)
    report = bench.send(issue, relay)
    assert report.exit_code == 75
    assert isinstance(report.trouble, LaterError)
    assert report.accounts.unknown == 0
    assert report.accounts.missing == 40 - report.accounts.accepted > 0
    second = scripted()
    assert bench.send(issue, second).exit_code == 0
    assert recipients(relay) + recipients(second) == Counter(addresses)


def test_relay_that_breaks_off_everything(bench, issue, scripted):
    """A relay that hangs up after every message stops the run after ten, not after the whole list."""
    bench.subscribe_many(60)
    relay = scripted(lambda step: Act.HANG_UP if step.verb == "." else None)
    report = bench.send(issue, relay)
    assert report.exit_code == 3
    assert 10 <= report.accounts.unknown <= 13
    assert report.accounts.waiting == 60 - report.accounts.unknown


def test_absent_relay(bench, issue):
    """A relay that is not there: 75, its address is said, everybody waits."""
    bench.subscribe_many(3)
    with ScriptedRelay() as gone:
        port = gone.port
    bench.overrides["smtp.port"] = port
    from digest.delivery.deliver import deliver

    report = deliver(bench.newsletter, issue.slug, issue)
    assert report.exit_code == 75
    assert f"127.0.0.1:{port}: connection refused" in str(report.trouble)
    assert report.accounts.waiting == 3


def test_refused_login_is_tried_once(bench, issue, scripted):
    """A wrong password is tried on one connection only, and nothing is sent."""
    bench.overrides |= {"smtp.username": "weekly", "smtp.password": "correct horse"}
    bench.subscribe_many(9)
    relay = scripted(
        lambda step: "535 5.7.8 bad credentials" if step.verb == "AUTH" else None, extensions=("AUTH PLAIN",)
    )
    report = bench.send(issue, relay)
    assert (report.exit_code, relay.connections) == (3, 1)
    assert "535 5.7.8 bad credentials" in str(report.trouble)
    assert "correct horse" not in str(report.trouble)
    assert report.accounts.waiting == 9


def test_those_who_leave_in_the_middle(bench, issue, scripted):
    """Who unsubscribes, is suppressed or is forgotten while waiting is withdrawn, and gets nothing."""
    bench.subscribe_many(4)
    bench.send(issue, scripted(lambda step: "451 later" if step.verb == "RCPT" else None))
    bench.leave("reader0001@example.org")
    bench.execute("INSERT INTO suppressions VALUES ('reader0002@example.org', 'manual', '', 0)")
    bench.execute("DELETE FROM subscribers WHERE email = 'reader0003@example.org'")
    relay = scripted()
    report = bench.send(issue, relay)
    assert recipients(relay) == {"reader0004@example.org": 1}
    assert report.accounts.withdrawn == {"unsubscribed": 1, "suppressed": 1, "forgotten": 1}


def test_values_are_read_when_sent(bench, issue, scripted):
    """A new name and a new address are used, though the plan is older."""
    bench.subscribe_many(1)
    bench.send(issue, scripted(lambda step: "451 later" if step.verb == "RCPT" else None))
    bench.execute("UPDATE subscribers SET first_name = 'Ada'")
    relay = scripted()
    bench.send(issue, relay)
    assert relay.received[0].header("Subject") == "The first one, Ada"


def test_cannot_be_merged_any_more(bench, compiled, scripted):
    """A value that has gone since the audit rejects one reader with its place, and never reaches the relay."""
    issue = compiled(text="Dear {{ subscriber.first_name }}")
    bench.subscribe_many(2)
    bench.execute("UPDATE subscribers SET first_name = 'Ada'")
    bench.send(issue, scripted(lambda step: "451 later" if step.verb == "RCPT" else None))
    bench.execute("UPDATE subscribers SET first_name = NULL WHERE id = 1")
    relay = scripted()
    report = bench.send(issue, relay)
    assert (report.accounts.rejected, report.accounts.accepted) == (1, 1)
    assert "issues/one.md:1" in bench.entries("rejected")[0].reply


def test_limit_is_the_same_sample(bench, issue, scripted):
    """--limit sends to a sample by hash; asking again for as many sends nothing, without it all the rest."""
    addresses = bench.subscribe_many(20)
    relay = scripted()
    first = bench.send(issue, relay, limit=6)
    assert (first.exit_code, first.accounts.accepted, first.accounts.waiting) == (0, 6, 14)
    assert sorted(recipients(relay)) != addresses[:6]
    bench.send(issue, relay, limit=6)
    assert len(relay.received) == 6
    assert bench.send(issue, relay).exit_code == 0
    assert recipients(relay) == Counter(addresses)


def test_rate_is_kept(bench, issue, scripted):
    """smtp.rate bounds messages a second over all connections."""
    import time

    bench.overrides["smtp.rate"] = "20/s"
    bench.subscribe_many(30)
    begun = time.monotonic()
    bench.send(issue, scripted())
    assert 0.45 < time.monotonic() - begun < 15


def test_changed_issue_goes_on_as_stored(bench, compiled, scripted):
    """The rest of a run gets the stored text, and the caller is told; --accept-change switches it."""
    bench.subscribe_many(3)
    bench.send(
        compiled(text="Old."),
        scripted(lambda step: "451 no" if "reader0001" not in step.argument and step.verb == "RCPT" else None),
    )
    relay = scripted(lambda step: "451 no" if "reader0003" in step.argument else None)
    bench.send(compiled(text="New."), relay)
    assert b"Old." in relay.received[0].data
    relay.script = lambda _step: None
    bench.send(compiled(text="New."), relay, accept_change=True)
    assert b"New." in relay.received[1].data
    assert bench.run().fingerprint == compiled(text="New.").fingerprint
    kept = bench.execute("SELECT fingerprint FROM runs WHERE state = 'replaced'")
    assert kept == [(compiled(text="Old.").fingerprint,)]


def test_finished_run_keeps_its_text(bench, compiled, scripted):
    """--accept-change after everybody has it changes nothing on record."""
    bench.subscribe_many(1)
    relay = scripted()
    bench.send(compiled(text="Old."), relay)
    bench.send(compiled(text="New."), relay, accept_change=True)
    assert bench.run().fingerprint == compiled(text="Old.").fingerprint


def test_new_readers(bench, issue, scripted):
    """Readers who came after the plan get it only with --new-readers; the accounts take them in."""
    bench.subscribe_many(2)
    relay = scripted()
    bench.send(issue, relay)
    bench.subscribe("late@example.org")
    report = bench.send(issue, relay)
    assert len(relay.received) == 2
    assert "1 came after the plan" in report.notes[0]
    report = bench.send(issue, relay, new_readers=True)
    assert recipients(relay)["late@example.org"] == 1
    assert (report.accounts.candidates, report.accounts.planned) == (3, 3)


def test_garbage_for_replies(bench, issue, scripted):
    """A server that answers nonsense in the middle defers, at the end leaves in doubt; nothing crashes."""
    bench.subscribe_many(3)
    noise = "\x00\xff HTTP/1.1 400 Bad Request"
    relay = scripted(
        lambda step: (
            noise
            if (step.verb, step.argument) in (("RCPT", "TO:<reader0001@example.org>"), (".", "reader0002@example.org"))
            else None
        )
    )
    report = bench.send(issue, relay)
    assert (report.accounts.deferred, report.accounts.unknown, report.accounts.accepted) == (1, 1, 1)


def test_silence_ends(bench, issue, scripted):
    """A relay that stops answering is given up after the timeout: before the data deferred, after it unknown."""
    bench.overrides["smtp.timeout"] = 1.0
    bench.subscribe_many(3)
    silent = {("RCPT", "TO:<reader0001@example.org>"), (".", "reader0002@example.org")}
    relay = scripted(lambda step: Act.SAY_NOTHING if (step.verb, step.argument) in silent else None)
    report = bench.send(issue, relay)
    assert (report.accounts.deferred, report.accounts.unknown, report.accounts.accepted) == (1, 1, 1)
