"""One call of ``digest run-due``: everything that is due is begun, what was interrupted goes on, retries are made.

It may be killed at any moment, called twice at once, or late: what was done is on record, and the next call does
the rest. The order of steps is what makes that so: a run is on record, whole, before it is told and before its
first message; a date is marked as held before it is told; a lock (`digest.delivery.lock`) dies with its holder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from digest.compose.compiled import CompiledIssue
from digest.delivery.agenda import RunReport, Wishes
from digest.delivery.deliver import deliver
from digest.delivery.desk import Desk, open_desk
from digest.delivery.lock import sole_run_due
from digest.delivery.relay import Relay
from digest.delivery.sentlog import SentLog
from digest.errors import HeldError, InputError, LaterError, Problem
from digest.newsletter import Newsletter
from digest.schedule.clock import Clock, SystemClock
from digest.schedule.due import Decision, Policy, Scheduled, decide, next_moment
from digest.schedule.noting import Done, Notes
from digest.schedule.planned import Dated, Dates, means_to_be_sent, read_dates
from digest.schedule.records import Records, micros, moment_at
from digest.schedule.when import resolve

SETTLING = 3.0  # seconds since a file was last written: an editor may be in the middle of it
SETTLING_AT_MOST = 10.0
AT_REST = timedelta(minutes=10)
"""Since a file was last written: nobody is typing any more, and what can't be read is told."""

Composed = tuple[CompiledIssue | None, Sequence[Problem]]
"""An issue as it is now, and everything `digest check` finds in it; None where it can't be composed."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a call works with. `compose` composes and checks an issue, in a process of its own.

    `relay`: that of the settings, if none is given. `before_start` is called before a run begins: what came back
    of earlier ones is read first. `log` hears what a person at a terminal may want to know. Once `stopped` is true,
    nothing more is begun.
    """

    compose: Callable[[Newsletter, Path], Composed]
    clock: Clock = field(default_factory=SystemClock)
    relay: Relay | None = None
    before_start: Callable[[Newsletter], None] = lambda _newsletter: None
    log: Callable[[str], None] = lambda _text: None
    stopped: Callable[[], bool] = lambda: False


def run_due(newsletter: Newsletter, tools: Tools, *, deadline: timedelta | None = None) -> Done:
    """Do what is due. After `deadline` nothing more is begun.

    Raises `InputError`, `HeldError` or `LaterError` only where nothing can be done at all: a slug with two
    files, a database that can't be used.
    """
    newsletter.database.parent.mkdir(parents=True, exist_ok=True)
    try:
        busy = "another run-due is at work"
        with sole_run_due(newsletter.database, busy), open_desk(newsletter, tools.clock.now) as desk:
            return _Pass(desk, tools, deadline).run()
    except LaterError as exc:
        tools.log(str(exc))
        return Done(busy=True)


class _Pass:
    """The steps of one call: what is next (`_next`), doing it (`_carry_out`); `notes` keep what came of it."""

    def __init__(self, desk: Desk, tools: Tools, deadline: timedelta | None) -> None:
        self.desk, self.tools, self.newsletter = desk, tools, desk.newsletter
        settings = desk.newsletter.settings
        self.policy = Policy(settings.schedule.max_late, settings.schedule.on_late)
        self.records = Records(desk.storage)
        self.notes = Notes(desk, self.records, tools.relay or desk.relay(), tools.log)
        self.done = self.notes.done
        self.ends = None if deadline is None else time.monotonic() + deadline.total_seconds()
        self.dates: dict[str, Dated] = {}
        self.scheduled: list[Scheduled] = []

    @property
    def now(self) -> datetime:
        return moment_at(self.tools.clock.now())

    def run(self) -> Done:
        tried: set[tuple[object, ...]] = set()
        while self._may_go_on() and (decision := self._next(tried)):
            tried.add(_key(decision))
            self._carry_out(decision)
        self.records.looked_at(self.now)
        self.notes.tell_editor()
        self.notes.beat()
        self.done.next_at = next_moment(self.now, self.scheduled, self.records.next_turns())
        return self.done

    def _may_go_on(self) -> bool:
        if self.done.exit_code == 130 or self.tools.stopped():
            return False
        return self.ends is None or time.monotonic() < self.ends

    # ---- deciding

    def _next(self, tried: Collection[tuple[object, ...]]) -> Decision | None:
        """The first thing to do that was not tried in this call; read anew each time, for a run takes its time."""
        now = self.now
        standing = self.records.standing(now, self.policy.max_late)
        ended = {slug for slug, run in standing.items() if run.state != "new"}
        dates = read_dates(self.newsletter, ended)
        known = self.records.known()
        self.dates = {d.slug: d for d in dates.dated if d.front.status == "ready"}
        zones = self.records.zones() if any(d.by_reader for d in self.dates.values()) else []
        readable = [d.scheduled(zones) for d in self.dates.values()]
        self.records.plan(readable, known, keep={*dates.unreadable, *ended})
        self._unreadable(dates, {slug for slug, _ in known})
        self.scheduled = sorted([*readable, *_spoilt(dates, known)], key=lambda s: (s.at, s.slug))
        decisions = decide(now, self.scheduled, standing, known, self.policy)
        decision = next((d for d in decisions if _key(d) not in tried), None)
        return decision if decision and self._journal_agrees() else None

    def _unreadable(self, dates: Dates, known: Collection[str]) -> None:
        """An issue whose date was never seen, for it can't be read, would not go out, and nobody would know."""
        for slug, file in dates.unreadable.items():
            if slug in known or not means_to_be_sent(file):
                continue
            written = datetime.fromtimestamp(file.stat().st_mtime, UTC)
            if self.now - written > AT_REST:
                self.notes.unreadable(slug, written)

    def _journal_agrees(self) -> bool:
        """Whether the database knows all that was sent; where not, nothing is done."""
        try:
            SentLog(self.newsletter, self.desk.storage).require_no_gap()
        except HeldError as exc:
            self.notes.journal(str(exc))
            return False
        return True

    # ---- doing

    def _carry_out(self, decision: Decision) -> None:
        slug, due = decision.slug, decision.due
        try:
            match decision.action:
                case "begin":
                    assert due is not None  # noqa: S101 -- only a date begins a run
                    self._begin(slug, due)
                case "go_on":
                    self._go_on(slug)
                case "hold":
                    self.notes.hold(slug, due, decision.why)
                case "skip":
                    self.notes.skip(slug, due, decision.why)
        except LaterError as exc:
            self.tools.log(f"{slug}: {exc}")
        except (InputError, HeldError) as exc:
            self.notes.hold(slug, due, str(exc))
        except Exception as exc:  # noqa: BLE001 -- one issue's trouble must not keep the others from their readers
            self.notes.hold(slug, due, f"internal error: {type(exc).__name__}: {exc}", kind="failed")

    def _begin(self, slug: str, due: datetime) -> None:
        dated = self.dates[slug]
        self._let_settle(dated.file)
        compiled, problems = self.tools.compose(self.newsletter, dated.file)
        if errors := [p for p in problems if p.severity == "error"]:
            raise InputError(errors)
        again = {d.slug: d for d in read_dates(self.newsletter).dated}.get(slug)
        if again is None or (again.front.status, again.moment) != ("ready", dated.moment):
            return  # taken back in the last second
        self.tools.before_start(self.newsletter)
        waves = _by_zone(dated, self.records.zones()) if dated.by_reader else None
        report = deliver(
            self.newsletter,
            slug,
            compiled,
            replace(self._wishes(), due=waves),
            relay=self.tools.relay,
            say=self.tools.log,
            check=lambda: problems,
            begun=lambda _run, agenda: self.notes.started(slug, due, agenda.title, agenda.readers),
            now=self.tools.clock.now,
        )
        self._see(due, report)

    def _let_settle(self, file: Path) -> None:
        """Wait while somebody is writing the file."""
        for _ in range(int(SETTLING_AT_MOST)):
            if self.now.timestamp() - file.stat().st_mtime >= SETTLING or self.now.timestamp() < file.stat().st_mtime:
                return
            self.tools.clock.sleep(1.0)

    def _go_on(self, slug: str) -> None:
        self.records.looked_at(self.now)
        if due := self.records.begun_unnoted(slug):
            self._note_begun(slug, due)
        wishes = replace(self._wishes(), retries_only=not self.records.agreed_to_whole(slug))
        report = deliver(
            self.newsletter,
            slug,
            None,
            wishes,
            relay=self.tools.relay,
            say=self.tools.log,
            now=self.tools.clock.now,
        )
        self._see(None, report)

    def _note_begun(self, slug: str, due: datetime) -> None:
        """Whoever began it was killed before that was noted."""
        run = self.desk.runs.latest(slug)
        if run is not None:
            self.notes.started(slug, due, self.desk.runs.compiled(run.id).title, self.desk.accounts(run).missing)

    def _wishes(self) -> Wishes:
        schedule = self.newsletter.settings.schedule
        return Wishes(
            eager=False,
            unattended=True,
            late_before=micros(self.now - schedule.max_late) if schedule.late_readers == "skip" else None,
            seconds=None if self.ends is None else self.ends - time.monotonic(),
        )

    def _see(self, due: datetime | None, report: RunReport) -> None:
        """Note how a run stands now."""
        accounts, run, trouble = report.accounts, report.run, report.trouble
        if report.interrupted:
            self.done.leave_with(130)
        if report.tried or (trouble is None and not report.interrupted):
            self.notes.goes_on(run)
        if isinstance(trouble, HeldError):
            self.notes.hold(run.slug, due, str(trouble), kind="failed", accounts=accounts)
        elif trouble is not None:
            self.tools.log(f"{run.slug}: {trouble}")
            if report.away:
                self.notes.waits(run, accounts, str(trouble), lost=report.tried > 0)
        if accounts.unknown and not accounts.missing:
            self.notes.in_doubt(run, accounts)
        if run.state == "done":
            self.notes.ended(run, accounts)


def _key(decision: Decision) -> tuple[object, ...]:
    return decision.action, decision.slug, decision.due


def _spoilt(dates: Dates, known: Mapping[tuple[str, datetime], str]) -> Iterator[Scheduled]:
    """Dates seen earlier of files that can't be read now."""
    for (slug, at), state in known.items():
        if state in ("planned", "held") and slug in dates.unreadable:
            yield Scheduled(slug, at, at, readable=False)


def _by_zone(dated: Dated, zones: Sequence[str]) -> dict[str | None, int]:
    moments: dict[str | None, int] = {zone: micros(resolve(dated.moment.wall, zone).at) for zone in zones}
    return {**moments, None: micros(dated.moment.at)}
