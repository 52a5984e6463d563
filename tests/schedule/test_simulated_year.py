"""A year goes by: the decision over every minute of it, and the whole of `run-due` where it matters."""

import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from digest.delivery.desk import open_desk
from digest.schedule.due import Policy, Scheduled, Standing, decide
from digest.schedule.noting import Done
from digest.schedule.records import Records
from digest.schedule.when import resolve

ZONES = ("Europe/London", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca")
"""Both halves of the globe, a change of half an hour, and one around a month of the moon."""
YEAR = 2025
MINUTE = timedelta(minutes=1)
AN_HOUR = timedelta(hours=1)
EDITOR = "editor@example.com"


def days() -> list[date]:
    return [date(YEAR, 1, 1) + timedelta(days=n) for n in range(364)]


def test_every_minute_of_a_year_in_five_zones():
    """An issue a day in each zone, at hours the clocks change in: each is begun once, in the first minute in
    which the clock on the wall shows its time or a later one."""
    walls = {zone: deque(datetime(d.year, d.month, d.day, n % 4, 30) for n, d in enumerate(days())) for zone in ZONES}
    scheduled = deque(
        sorted(
            (
                Scheduled(f"{zone} {wall}", resolve(wall, zone).at, resolve(wall, zone).at)
                for zone, times in walls.items()
                for wall in times
            ),
            key=lambda s: s.at,
        )
    )
    there = {zone: ZoneInfo(zone) for zone in ZONES}
    standing: dict[str, Standing] = {}
    begun, expected = 0, 0
    policy = Policy()
    now = datetime(YEAR, 1, 1, tzinfo=UTC) - timedelta(hours=14)
    while now.year <= YEAR:
        told = {
            decision.slug for decision in decide(now, scheduled, standing, {}, policy) if decision.action == "begin"
        }
        meant = set()
        for zone, times in walls.items():
            while times and now.astimezone(there[zone]).replace(tzinfo=None) >= times[0]:
                meant.add(f"{zone} {times.popleft()}")
        assert told == meant, now
        for slug in told:
            standing[slug] = Standing(slug, "done")
        while scheduled and scheduled[0].slug in standing and now - scheduled[0].at > AN_HOUR:  # seen, and refused
            scheduled.popleft()
        standing = standing if scheduled else {}
        begun, expected = begun + len(told), expected + len(meant)
        if len(standing) > 100:
            standing = {s.slug: standing[s.slug] for s in scheduled if s.slug in standing}
        now += MINUTE
    assert begun == expected == 364 * len(ZONES)


def outcome(bench, slugs: list[str], readers: list[str]) -> Counter[str]:
    """What became of each issue; asserts that nobody got one twice, that everybody is accounted for, and that
    whatever was not sent was told, once."""
    taken = bench.paper.taken()
    assert [key for key, number in taken.items() if number > 1 and key[1] != EDITOR] == []
    lines = [line.split("\t") for line in bench.paper.paper.read_text().splitlines()] if taken else []
    mails = {(subject, identifier) for subject, recipient, identifier in lines if recipient == EDITOR}
    found: Counter[str] = Counter()
    with open_desk(bench.newsletter) as desk:
        known = {slug: state for (slug, _), state in Records(desk.storage).known().items()}
        for slug in slugs:
            run = desk.runs.latest(slug)
            got = [reader for reader in readers if taken[slug, reader]]
            told = sum(f"] {slug} is" in subject for subject, _ in mails)
            if run is None or run.state == "new":
                assert got == []
                assert (known[slug], told) in (("held", 1), ("skipped", 1)), slug
                found[known[slug]] += 1
                continue
            accounts = desk.accounts(run)
            assert accounts.problems() == []
            assert accounts.accepted <= len(got) <= accounts.accepted + accounts.unknown
            if accounts.missing or run.flag:  # nobody went on with it for too long
                assert (run.flag, told) == ("hold", 1), slug
                found["held on the way"] += 1
                continue
            assert accounts.accepted + accounts.unknown == len(readers)
            assert told == 0
            if accounts.unknown:
                assert any(f"] {slug}: {accounts.unknown} readers in doubt" in subject for subject, _ in mails)
            found["sent"] += 1
    return found


@dataclass
class Year:
    """An issue a week, written the week before; nights that the machine sleeps through; and when cron calls."""

    chance: random.Random
    issues: dict[datetime, tuple[str, datetime, str]] = field(default_factory=dict)
    """When it is written → its slug, the date and the zone."""
    nights: list[tuple[datetime, datetime]] = field(default_factory=list)
    minutes: set[datetime] = field(default_factory=set)

    def __post_init__(self) -> None:
        chance = self.chance
        for week in range(52):
            zone = chance.choice(ZONES)
            wall = datetime(YEAR, 1, 5, chance.randrange(24), chance.randrange(60)) + timedelta(days=7 * week)
            at = resolve(wall, zone).at
            self.issues[at - timedelta(days=5)] = f"week-{week:02}", wall, zone
            self.minutes |= {at + n * MINUTE for n in (-1, 0, 1, 2, 3)}
            if chance.random() < 0.2:
                begins = at + chance.randrange(-1, 3) * MINUTE
                self.nights.append((begins, begins + timedelta(hours=chance.choice((1, 3, 30)))))
        begin = datetime(YEAR, 1, 1, tzinfo=UTC)
        self.minutes |= {begin + chance.randrange(525_600) * MINUTE for _ in range(300)}

    def calls(self) -> Iterator[datetime]:
        """The minutes in which cron calls, in order; one that is added to `minutes` comes as well."""
        while self.minutes:
            self.minutes.remove(moment := min(self.minutes))
            yield next((end for begins, end in self.nights if begins <= moment < end), moment)

    def written(self, moment: datetime) -> Iterator[tuple[str, datetime, str]]:
        """The issues that are written by then."""
        for at in [at for at in self.issues if at <= moment]:
            yield self.issues.pop(at)


def ways_to_call(bench, chance: random.Random) -> tuple[Callable[[datetime], object], ...]:
    """What a call may meet: nothing, a relay that puts messages off or is away, its own end, a second one."""

    def over(**relay: object) -> Callable[[datetime], object]:
        return lambda moment: bench.call(moment, replace(bench.paper, **relay))

    return (
        *[bench.call] * 14,
        over(puts_off=chance.randrange(1, 5)),
        over(puts_off=chance.randrange(1, 5)),
        over(is_away=True),
        lambda moment: bench.run_due_apart(moment, at_once=2),
        lambda moment: bench.run_due_apart(moment, dies_at=chance.randrange(1, 14)),
        lambda moment: bench.run_due_apart(moment, dies_at=chance.randrange(1, 14), puts_off=chance.randrange(2, 5)),
    )


@settings(
    max_examples=2,
    phases=[Phase.reuse, Phase.generate],  # another seed is no simpler one
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["hold", "skip", "send"]))
def test_run_due_through_a_year(new_bench, seed, on_late):
    """An issue a week; `run-due` in its minute, around it, when a retry is ripe, and at 300 others, with crashes,
    double starts, a relay that puts off or is away, and nights that the machine slept through: every issue exactly
    once, or held and told."""
    bench, chance = new_bench(), random.Random(seed)
    bench.overrides |= {"notify.editor": EDITOR, "notify.on": ("held", "failed"), "smtp.connections": 2}
    bench.overrides |= {"schedule.on_late": on_late, "delivery.wait_for_relay": "0s"}
    readers = bench.subscribe_many(6)
    year, slugs = Year(chance), []
    for moment in year.calls():
        for slug, wall, zone in year.written(moment):
            slugs.append(slug)
            bench.issue(slug, f"{wall:%Y-%m-%d %H:%M}", timezone=zone)
        call = chance.choice(ways_to_call(bench, chance))
        done = call(moment)
        soon = done.next_at if isinstance(done, Done) else None
        if soon is None and call != bench.call and bench.is_under_way():
            soon = moment  # what was broken off goes on at once
        if soon and soon - moment < timedelta(days=1):
            year.minutes.add(soon.replace(second=0, microsecond=0) + MINUTE)
    for n in range(3):
        bench.run_due(moment + (n + 1) * MINUTE)
    found = outcome(bench, slugs, readers)
    assert found.total() == 52
    assert found["sent"] > 35, found


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 1, 2, 30, 200, 500, 1500]),  # minutes that pass before
        st.sampled_from(["call", "call", "twice", "crash"]),
        st.integers(1, 12),  # the step it dies at
    ),
    max_size=12,
)
DATES = st.lists(
    st.tuples(st.sampled_from(ZONES), st.integers(0, 2), st.integers(0, 23), st.sampled_from([0, 30])),
    min_size=1,
    max_size=3,
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DATES, EVENTS, st.sampled_from(["hold", "skip", "send"]))
def test_whatever_happens_to_it(new_bench, dates, events, on_late):
    """Around the night of a clock change: calls, crashes and double starts in any order, then a few quiet
    minutes: every issue exactly once, or held by the policy and told."""
    bench = new_bench()
    bench.overrides |= {"notify.editor": EDITOR, "notify.on": ("held", "failed"), "schedule.on_late": on_late}
    readers = bench.subscribe_many(4)
    slugs = []
    for number, (zone, day, hour, minute) in enumerate(dates):
        slugs.append(f"issue-{number}")
        bench.issue(slugs[-1], f"2025-10-{25 + day} {hour:02}:{minute:02}", timezone=zone)
    moment = datetime(2025, 10, 24, 22, tzinfo=UTC)
    for pause, event, step in events:
        moment += timedelta(minutes=pause)
        if event == "call":
            bench.run_due(moment)
        else:
            bench.run_due_apart(moment, dies_at=step if event == "crash" else 0, at_once=2 if event == "twice" else 1)
    moment = max(moment, datetime(2025, 10, 29, tzinfo=UTC))
    for _ in range(3):
        moment += MINUTE
        bench.run_due(moment)
    assert outcome(bench, slugs, readers).total() == len(slugs)
