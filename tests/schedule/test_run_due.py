"""What one call of `run-due` does, and what the next one does not do again."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from digest.delivery.desk import open_desk
from digest.errors import InputError
from digest.schedule.run_due import run_due

NINE = "2025-09-12 08:00"  # 09:00 in London


def test_sent_at_its_moment_and_once(bench):
    """Not a minute before; once at its moment; never again."""
    readers = bench.subscribe_many(5)
    bench.issue("one", "2025-09-12 09:00")
    assert bench.run_due("2025-09-12 07:59").begun == []
    done = bench.run_due(NINE)
    assert (done.told, done.begun, done.ended, done.exit_code) == ([], ["one"], ["one"], 0)
    assert bench.run_due("2025-09-12 08:01").begun == []
    assert bench.paper.taken() == {("one", reader): 1 for reader in readers}


def test_only_ready_issues(bench):
    """A draft is never due."""
    bench.subscribe_many(1)
    bench.issue("one", "2025-09-12 09:00", status="draft")
    assert bench.run_due(NINE).begun == []


def test_the_issues_own_zone(bench):
    """The issue's zone is meant where it has one, else the newsletter's."""
    bench.subscribe_many(1)
    bench.issue("tokyo", "2025-09-12 09:00", timezone="Asia/Tokyo")
    bench.issue("london", "2025-09-12 09:00")
    assert bench.run_due("2025-09-12 00:00").begun == ["tokyo"]
    assert bench.run_due("2025-09-12 08:00").begun == ["london"]


def test_what_is_wrong_holds_it_and_is_told_once(bench):
    """An issue that can't be composed is held with a line and 3; the calls after say nothing."""
    bench.subscribe_many(1)
    bench.issue("one", "2025-09-12 09:00")
    bench.broken["one"] = "a block is not closed"
    done = bench.run_due(NINE)
    assert done.exit_code == 3
    assert "a block is not closed" in done.told[0]
    assert "digest release one" in done.told[0]
    again = bench.run_due("2025-09-12 08:01")
    assert (again.told, again.exit_code) == ([], 0)


def test_released_it_goes_out_however_late(bench):
    """Who lets it go has decided; lateness is no question any more."""
    bench.subscribe_many(2)
    bench.issue("one", "2025-09-12 09:00")
    bench.broken["one"] = "a block is not closed"
    bench.run_due(NINE)
    bench.broken.clear()
    assert bench.run_due("2025-09-13 08:00").begun == []
    with open_desk(bench.newsletter) as desk:
        desk.runs.set_flag(desk.runs.latest("one").id, None)
    assert bench.run_due("2025-09-13 08:01").ended == ["one"]


@pytest.mark.parametrize(("policy", "code", "sent"), [("hold", 3, 0), ("skip", 3, 0), ("send", 0, 2)])
def test_later_than_max_late(bench, policy, code, sent):
    """Six hours are forgiven; after that the policy says what becomes of it, once."""
    bench.overrides["schedule.on_late"] = policy
    bench.subscribe_many(2)
    bench.issue("one", "2025-09-12 09:00")
    bench.issue("two", "2025-09-12 11:00")
    done = bench.run_due("2025-09-12 15:30")
    assert done.exit_code == code
    assert {"hold": done.held, "skip": done.skipped, "send": done.begun[:1]}[policy] == ["one"]
    assert sum(number for (slug, _), number in bench.paper.taken().items() if slug == "one") == sent
    assert sum(number for (slug, _), number in bench.paper.taken().items() if slug == "two") == 2
    assert bench.run_due("2025-09-12 15:31").told == []


def test_a_guard_not_met_holds_it(bench):
    """A test of the same text is asked for; the line says which command makes it."""
    bench.overrides["delivery.require_test"] = True
    bench.subscribe_many(1)
    bench.issue("one", "2025-09-12 09:00")
    done = bench.run_due(NINE)
    assert done.held == ["one"]
    assert "digest test one" in done.told[0]


def test_a_check_is_asked_for(bench, compiled_one):
    """`require_check`: nobody's, one with an error, one with warnings only."""
    from digest.delivery.guards import before_run
    from digest.errors import Problem

    bench.overrides["delivery.require_check"] = True

    def unmet(check):
        with open_desk(bench.newsletter) as desk:
            return [u.message for u in before_run(bench.newsletter, desk.runs, compiled_one, 1, check)]

    assert "nobody has checked it" in unmet(None)[0]
    assert "no such block" in unmet(lambda: [Problem(None, "no such block")])[0]
    assert unmet(lambda: [Problem(None, "long", severity="warning")]) == []


def test_errors_of_the_check_hold_it_in_any_case(bench, compiled_one):
    """At its moment an issue is checked, whatever the settings ask for."""
    from digest.errors import Problem

    bench.subscribe_many(1)
    bench.issue("one", "2025-09-12 09:00")
    problems = (Problem(None, "a hint", severity="warning"), Problem(None, "no such block"))
    done = bench.run_due(NINE, compose=lambda _newsletter, _file: (compiled_one, problems))
    assert done.held == ["one"]
    assert "no such block" in done.told[0]


def test_taken_back_while_it_is_composed(bench, compiled_one):
    """A draft again in the last second: nothing is sent."""
    bench.subscribe_many(1)
    bench.issue("one", "2025-09-12 09:00")

    def compose(_newsletter, _file):
        bench.issue("one", "2025-09-12 09:00", status="draft")
        return compiled_one, ()

    done = bench.run_due(NINE, compose=compose)
    assert (done.begun, done.held, done.exit_code) == ([], [], 0)
    assert bench.paper.taken() == {}


def test_waves_survive_crashes(bench):
    """Killed in each wave and called again: each reader once, in their own hour or after it, none before."""
    zones = ("Asia/Tokyo", "Europe/Paris", "America/New_York")
    for number in range(9):
        bench.subscribe(f"reader{number}@example.org", timezone=zones[number % 3])
    bench.issue("one", "2025-09-12 09:00", timezone="reader")
    for hour, most in ((0, 3), (7, 6), (13, 9)):
        moment = datetime(2025, 9, 12, hour, tzinfo=UTC)
        bench.run_due_apart(moment, dies_at=2)
        bench.run_due(moment.replace(minute=1))
        assert len(bench.paper.taken()) <= most
    accounts = bench.accounts("one")
    assert set(bench.paper.taken().values()) == {1}
    assert accounts.accepted + accounts.unknown == 9
    assert accounts.missing == 0


def test_an_approval_of_the_same_text(bench, compiled_one):
    """Nobody's, another text's, this text's: held, held, sent."""
    from digest.delivery.approval import Approval, approval_file
    from digest.delivery.guards import before_run

    bench.overrides["delivery.require_approval"] = True
    file = approval_file(bench.root, "one")

    def unmet():
        with open_desk(bench.newsletter) as desk:
            return [u.message for u in before_run(bench.newsletter, desk.runs, compiled_one, 1)]

    assert "nobody has approved it" in unmet()[0]
    file.write_text(str(Approval("other", "Ada", "2025-09-12T08:00:00Z")))
    assert "Ada approved another text" in unmet()[0]
    file.write_text(str(Approval(compiled_one.fingerprint, "Ada", "2025-09-12T08:00:00Z")))
    assert unmet() == []
    assert list(bench.newsletter.issue_files()) == []


@pytest.fixture
def compiled_one(bench):
    return bench._compose(bench.newsletter, bench.root / "issues/one.md")[0]


def test_a_file_spoilt_before_its_date_is_not_passed_over(bench):
    """Front matter that can't be read any more holds the issue at the moment it was to go out."""
    bench.subscribe_many(1)
    file = bench.issue("one", "2025-09-12 09:00")
    bench.run_due("2025-09-12 07:58")
    file.write_text(file.read_text()[:40])
    assert bench.run_due("2025-09-12 07:59").told == []
    done = bench.run_due(NINE)
    assert done.held == ["one"]
    assert "can't be read" in done.told[0]


def test_a_date_that_was_never_readable_is_told(bench):
    """A zone that does not exist, and nobody ran `check`: said once when the file has been at rest, and again
    when it was changed and is still wrong."""
    import os

    file = bench.issue("one", "2025-09-12 09:00", timezone="Europe/Londno")
    at = datetime(2025, 9, 12, 7, tzinfo=UTC).timestamp()
    os.utime(file, (at, at))
    assert bench.run_due("2025-09-12 07:05").told == []
    done = bench.run_due("2025-09-12 07:15")
    assert done.exit_code == 3
    assert "one is ready, but its front matter can't be read: digest check one" in done.told[0]
    assert bench.run_due("2025-09-12 07:16").told == []
    os.utime(file, (at + 3600, at + 3600))
    assert len(bench.run_due("2025-09-12 08:15").told) == 1


def test_a_date_taken_back_is_forgotten(bench):
    """A draft again, or another date: nothing is left of the first one."""
    bench.subscribe_many(1)
    bench.issue("one", "2025-09-12 09:00")
    bench.run_due("2025-09-12 07:58")
    bench.issue("one", "2025-09-12 10:00")
    assert bench.run_due(NINE).begun == []
    assert bench.run_due("2025-09-12 09:00").begun == ["one"]


def test_two_at_once_go_out_in_order(bench):
    """The earlier first, then by name, in one call."""
    bench.subscribe_many(2)
    for slug, at in (("b", "09:00"), ("a", "09:00"), ("c", "08:59")):
        bench.issue(slug, f"2025-09-12 {at}")
    assert bench.run_due(NINE).begun == ["c", "a", "b"]


def test_one_issues_trouble_is_not_the_others(bench):
    """What is broken is held; what is due beside it goes out."""
    bench.subscribe_many(1)
    bench.issue("a", "2025-09-12 09:00")
    bench.issue("b", "2025-09-12 09:00")
    bench.broken["a"] = "not to be composed"
    done = bench.run_due(NINE)
    assert (done.held, done.ended) == (["a"], ["b"])


def test_a_clock_set_back_repeats_nothing(bench):
    """The hour comes again, the issue does not."""
    readers = bench.subscribe_many(2)
    bench.issue("one", "2025-09-12 09:00")
    bench.run_due("2025-09-12 08:05")
    for minute in ("07:55", "08:00", "08:05"):
        assert bench.run_due(f"2025-09-12 {minute}").begun == []
    assert bench.paper.taken() == {("one", reader): 1 for reader in readers}


def test_a_journal_that_knows_more_holds_everything(bench):
    """A database of yesterday is found out, told once, and sends nothing until it is accepted."""
    from digest.delivery.sentlog import SentLog

    bench.subscribe_many(3)
    bench.issue("one", "2025-09-12 09:00")
    bench.run_due(NINE)
    for table in ("sendings", "deliveries", "runs", "occurrences"):
        bench.execute(f"DELETE FROM {table}")
    done = bench.run_due("2025-09-12 08:30")
    assert (done.exit_code, done.begun) == (3, [])
    assert "sent.log knows of more" in done.told[0]
    assert bench.run_due("2025-09-12 08:31").told == []
    with open_desk(bench.newsletter) as desk:
        assert [gap.slug for gap in SentLog(bench.newsletter, desk.storage).accept()] == ["one"]
    bench.issue("two", "2025-09-12 09:40")
    assert bench.run_due("2025-09-12 08:40").ended == ["two"]
    assert len(bench.paper.taken()) == 6


def test_readers_of_two_zones_each_at_nine(bench):
    """`timezone: reader`: one run, a wave for each zone, each reader once at nine of their own clock."""
    bench.subscribe("t@example.org", timezone="Asia/Tokyo")
    bench.subscribe("n@example.org", timezone="America/New_York")
    bench.subscribe("l@example.org")
    bench.issue("one", "2025-09-12 09:00", timezone="reader")
    got = []
    for at in ("2025-09-11 23:59", "2025-09-12 00:00", "2025-09-12 08:00", "2025-09-12 12:59", "2025-09-12 13:00"):
        moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
        bench.run_due(moment)
        got.append(sorted(reader for _, reader in bench.paper.taken()))
    assert got[0] == []
    assert got[1] == ["t@example.org"]
    assert got[2] == got[3] == ["l@example.org", "t@example.org"]
    assert got[4] == ["l@example.org", "n@example.org", "t@example.org"]
    assert set(bench.paper.taken().values()) == {1}
    assert bench.accounts("one").accepted == 3


def test_readers_whose_moment_is_long_past(bench):
    """`late_readers = "skip"`: who missed it by more than `max_late` is withdrawn, and accounted for."""
    bench.overrides["schedule.late_readers"] = "skip"
    bench.subscribe("t@example.org", timezone="Asia/Tokyo")
    bench.subscribe("n@example.org", timezone="America/New_York")
    bench.issue("one", "2025-09-12 09:00", timezone="reader")
    moment = datetime(2025, 9, 12, 13, tzinfo=UTC)
    bench.run_due(moment)
    assert list(bench.paper.taken()) == [("one", "n@example.org")]
    assert bench.accounts("one").withdrawn == {"late": 1}


def test_a_sample_sent_by_hand_is_not_made_whole(bench, compiled_one):
    """`digest send --limit 2` was agreed to for two: run-due leaves the others alone."""
    from digest.delivery.agenda import Wishes
    from digest.delivery.deliver import deliver

    bench.subscribe_many(6)
    deliver(bench.newsletter, "one", compiled_one, Wishes(limit=2), relay=bench.paper)
    bench.run_due("2027-01-01 08:00")
    assert bench.accounts("one").accepted == 2
    deliver(bench.newsletter, "one", compiled_one, Wishes(), relay=bench.paper)
    assert bench.accounts("one").accepted == 6


def test_what_comes_back_is_read_before_a_start(bench):
    """The hook for the bounce mailbox is called once a run, before its plan."""
    calls = []
    bench.subscribe_many(1)
    bench.issue("one", "2025-09-12 09:00")
    bench.run_due("2025-09-12 07:00", before_start=calls.append)
    assert calls == []
    bench.run_due(NINE, before_start=calls.append)
    assert len(calls) == 1


def test_a_relay_that_is_away_is_nothing_to_tell(bench):
    """The run is on record and goes on by itself: silent and 0."""
    bench.overrides["delivery.wait_for_relay"] = "0s"
    bench.subscribe_many(2)
    bench.issue("one", "2025-09-12 09:00")
    done = bench.run_due(NINE, replace(bench.paper, is_away=True))
    assert (done.told, done.exit_code, done.begun) == ([], 0, ["one"])
    after = bench.run_due("2025-09-12 08:01")
    assert (after.ended, after.told) == (["one"], [])


def test_a_relay_that_stays_away_is_told_once_and_when_it_is_back(bench):
    """After ten minutes a line and 75, once; a line when it goes on; the second time as the first."""
    bench.overrides |= {"delivery.wait_for_relay": "0s", "smtp.connections": 1}
    bench.subscribe_many(2)
    bench.issue("one", "2025-09-12 09:00")
    away = replace(bench.paper, is_away=True)
    told = {}
    for minute in range(16):
        done = bench.run_due(f"2025-09-12 08:{minute:02}", away)
        if done.told:
            told[minute] = (done.told, done.exit_code)
        assert bool(done.waiting) == (minute >= 10)
    line = "one has waited for 10m, with 2 readers still to send to: paper:25: nobody answers. It goes on by itself"
    assert told == {10: ([line], 75)}
    done = bench.run_due("2025-09-12 08:16", replace(bench.paper, puts_off=1))
    assert (done.told, done.exit_code) == (["one goes on, after 16m in which nothing went out"], 0)
    for minute in range(20, 31):
        done = bench.run_due(f"2025-09-12 08:{minute}", away)
    assert (len(done.told), done.exit_code) == (1, 75)
    assert bench.run_due("2025-09-12 08:31").ended == ["one"]


def test_lost_in_the_middle_it_counts_from_there(bench):
    """A relay is waited for by the one who sends; that time counts as well."""
    bench.overrides |= {"delivery.wait_for_relay": "0s", "smtp.connections": 1}
    bench.subscribe_many(3)
    bench.issue("one", "2025-09-12 09:00")
    tools = bench.tools(NINE)
    until_six = lambda: setattr(tools.clock, "moment", datetime(2025, 9, 12, 8, 6, tzinfo=UTC))  # noqa: E731
    done = run_due(bench.newsletter, replace(tools, relay=replace(bench.paper, breaks_off=2, when_away=until_six)))
    assert (done.told, bench.accounts("one").accepted) == ([], 1)
    done = bench.run_due("2025-09-12 08:10", replace(bench.paper, is_away=True))
    assert "one has waited for 10m, with 2 readers still" in done.told[0]


def test_killed_before_its_start_was_noted(bench):
    """A run that is on record, and its date is not marked: the next call marks and tells it, and goes on."""
    bench.overrides |= {"notify.editor": "editor@example.com", "notify.on": ("start",)}
    bench.subscribe_many(3)
    bench.issue("one", "2025-09-12 09:00")
    bench.run_due("2025-09-12 07:59")
    bench.run_due_apart(datetime(2025, 9, 12, 8, tzinfo=UTC), dies_at=1)
    assert bench.accounts("one").waiting == 3
    bench.execute("UPDATE occurrences SET state = 'planned'")
    bench.execute("DELETE FROM notices")
    bench.run_due("2025-09-12 08:01")
    assert bench.known() == {"one": "begun"}
    assert set(bench.paper.taken().values()) == {1}
    assert ("[Test Weekly] one goes out", "editor@example.com") in bench.paper.taken()
    assert bench.accounts("one").accepted == 3


def test_a_start_is_told_when_it_is_on_record(bench):
    """Dead with the mail just taken: the run is there, and goes on without another mail than this one."""
    bench.overrides |= {"notify.editor": "editor@example.com", "notify.on": ("start",)}
    bench.subscribe_many(3)
    bench.issue("one", "2025-09-12 09:00")
    bench.run_due_apart(datetime(2025, 9, 12, 8, tzinfo=UTC), dies_at=2)
    assert bench.accounts("one").waiting == 3
    bench.run_due("2025-09-12 08:01")
    assert bench.accounts("one").accepted == 3
    lines = [line.split("\t") for line in bench.paper.paper.read_text().splitlines()]
    assert len({identifier for _, recipient, identifier in lines if recipient == "editor@example.com"}) == 1


def test_no_start_is_told_of_what_never_began(bench):
    """Nobody would get it: it is held, and nobody hears that it goes out."""
    bench.overrides |= {"notify.editor": "editor@example.com"}
    bench.subscribe_many(1)
    bench.execute("UPDATE subscribers SET status = 'unsubscribed'")
    bench.issue("one", "2025-09-12 09:00")
    bench.run_due(NINE)
    assert [subject for subject, _ in bench.paper.taken()] == ["[Test Weekly] one is held"]


def test_a_deadline_in_the_middle(bench):
    """What is on its way is answered, nothing more is begun; the next call goes on."""

    @dataclass
    class Slow:
        inner: object
        name: str = "slow:25"

        async def connect(self):
            connection = await self.inner.connect()
            send = connection.send

            async def slowly(message, mark):
                await asyncio.sleep(0.2)
                return await send(message, mark)

            connection.send = slowly
            return connection

    bench.overrides["smtp.connections"] = 1
    bench.subscribe_many(20)
    bench.issue("one", "2025-09-12 09:00")
    done = run_due(bench.newsletter, bench.tools(NINE, Slow(bench.paper)), deadline=timedelta(seconds=2))
    assert (done.exit_code, done.told) == (0, [])
    assert 0 < bench.accounts("one").accepted < 20
    assert bench.accounts("one").unknown == 0
    assert bench.run_due("2025-09-12 08:01").ended == ["one"]
    assert set(bench.paper.taken().values()) == {1}


def test_an_interrupted_run_left_for_too_long_is_held(bench):
    """The machine was off in the middle and comes back after a day: a person is asked first."""
    bench.subscribe_many(4)
    bench.issue("one", "2025-09-12 09:00")
    bench.run_due_apart(datetime(2025, 9, 12, 8, tzinfo=UTC), dies_at=3)
    done = bench.run_due("2025-09-13 08:00")
    assert done.held == ["one"]
    assert "nobody has gone on with it for 1d" in done.told[0]


def test_a_slug_with_two_files_stops_it(bench):
    """What can't be decided for anybody is raised."""
    bench.issue("one", "2025-09-12 09:00")
    (bench.root / "issues/one").mkdir()
    (bench.root / "issues/one/index.md").write_text("---\nsubject: x\n---\n")
    with pytest.raises(InputError, match="there twice"):
        bench.run_due(NINE)
