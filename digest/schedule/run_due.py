"""One call of ``digest run-due``: everything that is due is begun, what was interrupted goes on, retries are made.

It may be killed at any moment, called twice at once, or late: what was done is on record, and the next call does
the rest. The order of steps is what makes that so: a run is on record, whole, before its first message; a date
is marked as held before it is told; a lock (`digest.delivery.lock`) dies with its holder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from digest.compose.compiled import CompiledIssue
from digest.delivery.accounts import Accounts
from digest.delivery.agenda import Agenda, RunReport, Wishes
from digest.delivery.deliver import deliver
from digest.delivery.desk import Desk, open_desk
from digest.delivery.lock import alone
from digest.delivery.relay import Relay
from digest.delivery.sentlog import SentLog
from digest.errors import HeldError, InputError, LaterError, Problem
from digest.newsletter import Newsletter
from digest.schedule.clock import Clock, SystemClock
from digest.schedule.due import Decision, Policy, Scheduled, decide, next_moment
from digest.schedule.planned import Dated, Dates, means_to_be_sent, read_dates
from digest.schedule.records import Notice, Records, micros
from digest.schedule.telling import beat, tell
from digest.schedule.when import resolve
from digest.schedule.wording import account_lines, one_line

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
    of earlier ones is read first. `log` hears what a person at a terminal may want to know.
    """

    compose: Callable[[Newsletter, Path], Composed]
    clock: Clock = field(default_factory=SystemClock)
    relay: Relay | None = None
    before_start: Callable[[Newsletter], None] = lambda _newsletter: None
    log: Callable[[str], None] = lambda _text: None


@dataclass(slots=True)
class Done:
    """What a call came to. `told` are the lines somebody has to read; `next_at` when there is more to do."""

    told: list[str] = field(default_factory=list)
    exit_code: int = 0
    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    busy: bool = False
    next_at: datetime | None = None


def run_due(newsletter: Newsletter, tools: Tools, *, deadline: timedelta | None = None) -> Done:
    """Do what is due. After `deadline` nothing more is begun.

    Raises `InputError`, `HeldError` or `LaterError` only where nothing can be done at all: a slug with two
    files, a database that can't be used.
    """
    newsletter.database.parent.mkdir(parents=True, exist_ok=True)
    lock = newsletter.database.with_name(f"{newsletter.database.name}.run-due.lock")
    try:
        with alone(lock, "another run-due is at work"), open_desk(newsletter) as desk:
            return _Pass(desk, tools, deadline).run()
    except LaterError as exc:
        tools.log(str(exc))
        return Done(busy=True)


class _Pass:
    """The steps of one call."""

    def __init__(self, desk: Desk, tools: Tools, deadline: timedelta | None) -> None:
        self.desk, self.tools, self.newsletter = desk, tools, desk.newsletter
        settings = desk.newsletter.settings
        self.policy = Policy(settings.schedule.max_late, settings.schedule.on_late)
        self.records = Records(desk.storage)
        self.relay = tools.relay or desk.relay()
        self.ends = None if deadline is None else time.monotonic() + deadline.total_seconds()
        self.done = Done()
        self.dates: dict[str, Dated] = {}
        self.scheduled: list[Scheduled] = []

    # ---- deciding

    def run(self) -> Done:
        tried: set[Decision] = set()
        while self._may_go_on() and (decision := self._next(tried)):
            tried.add(decision)
            self._carry_out(decision)
        self.records.looked_at(self.now)
        self._tell()
        turns = self.records.next_turns()
        self.done.next_at = next_moment(self.now, self.scheduled, turns)
        return self.done

    def _may_go_on(self) -> bool:
        return self.done.exit_code != 130 and (self.ends is None or time.monotonic() < self.ends)

    @property
    def now(self) -> datetime:
        return self.tools.clock.now()

    def _next(self, tried: set[Decision]) -> Decision | None:
        """The first thing to do that was not tried in this call; read anew each time, for a run takes its time."""
        now = self.now
        standing = self.records.standing(now, self.policy.max_late)
        ended = {slug for slug, run in standing.items() if run.state != "new"}
        dates = read_dates(self.newsletter, ended)
        known = self.records.known()
        self.dates = {d.slug: d for d in dates.dated if d.front.status == "ready"}
        zones = self.records.zones() if any(d.by_reader for d in self.dates.values()) else []
        readable = [d.scheduled(zones) for d in self.dates.values()]
        self.records.plan(readable, known, dates.unreadable)
        self._unreadable(dates, {slug for slug, _ in known})
        self.scheduled = sorted([*readable, *_spoilt(dates, known)], key=lambda s: (s.at, s.slug))
        before = {_key(decision) for decision in tried}
        decisions = decide(now, self.scheduled, standing, known, self.policy)
        decision = next((d for d in decisions if _key(d) not in before), None)
        return decision if decision and self._journal_agrees() else None

    def _unreadable(self, dates: Dates, known: Collection[str]) -> None:
        """An issue whose date was never seen, for it can't be read, would not go out, and nobody would know."""
        for slug, file in dates.unreadable.items():
            if slug in known or not means_to_be_sent(file):
                continue
            written = datetime.fromtimestamp(file.stat().st_mtime, UTC)
            if self.now - written > AT_REST:
                text = f"{slug} is ready, but its front matter can't be read: digest check {slug}"
                key = f"unreadable:{slug}:{micros(written)}"
                self._note_once("held", key, f"{slug} can't be scheduled", text, HeldError.exit_code)

    def _journal_agrees(self) -> bool:
        """Whether the database knows all that was sent; where not, that is told once and nothing is done."""
        try:
            SentLog(self.newsletter, self.desk.storage).require_no_gap()
        except HeldError as exc:
            key = f"journal:{sha256(str(exc).encode()).hexdigest()}"
            self._note_once("held", key, "nothing is sent", str(exc), exit_code=HeldError.exit_code)
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
                    self._hold(slug, due, decision.why)
                case "skip":
                    self._skip(slug, due, decision.why)
        except LaterError as exc:
            self.tools.log(f"{slug}: {exc}")
        except (InputError, HeldError) as exc:
            self._hold(slug, due, str(exc))
        except Exception as exc:  # noqa: BLE001 -- one issue's trouble must not keep the others from their readers
            self._hold(slug, due, f"internal error: {type(exc).__name__}: {exc}", kind="failed")

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
            confirm=lambda agenda: self._started(slug, due, agenda),
            say=self.tools.log,
            check=lambda: problems,
        )
        self._report(slug, due, report)

    def _let_settle(self, file: Path) -> None:
        """Wait while somebody is writing the file."""
        for _ in range(int(SETTLING_AT_MOST)):
            if self.now.timestamp() - file.stat().st_mtime >= SETTLING or self.now.timestamp() < file.stat().st_mtime:
                return
            self.tools.clock.sleep(1.0)

    def _started(self, slug: str, due: datetime, agenda: Agenda) -> None:
        self.records.mark(slug, due, "begun", "", self.now)
        self.done.begun.append(slug)
        self.tools.log(f"{slug}: to {agenda.readers} readers, through {agenda.relay}")
        text = f"{slug}, “{agenda.title}”, goes out now to {agenda.readers} readers, through {agenda.relay}."
        self._note("start", f"start:{slug}:{micros(due)}", f"{slug} goes out", text)
        self._tell_editor()

    def _go_on(self, slug: str) -> None:
        self.records.looked_at(self.now)
        wishes = replace(self._wishes(), retries_only=not self.records.agreed_to_whole(slug))
        self._report(
            slug, None, deliver(self.newsletter, slug, None, wishes, relay=self.tools.relay, say=self.tools.log)
        )

    def _wishes(self) -> Wishes:
        schedule = self.newsletter.settings.schedule
        return Wishes(
            eager=False,
            unattended=True,
            late_before=micros(self.now - schedule.max_late) if schedule.late_readers == "skip" else None,
            seconds=None if self.ends is None else self.ends - time.monotonic(),
        )

    # ---- noting

    def _report(self, slug: str, due: datetime | None, report: RunReport) -> None:
        accounts, run = report.accounts, report.run
        if report.interrupted:
            self.done.exit_code = 130
        if isinstance(report.trouble, HeldError):
            self._hold(slug, due, str(report.trouble), kind="failed", accounts=accounts)
        elif report.trouble is not None:
            self.tools.log(f"{slug}: {report.trouble}")
        if accounts.unknown and not accounts.missing:
            text = (
                f"{accounts.unknown} readers of {slug} may have it or not. Decide with:"
                f" digest send {slug} --unknown resend (or drop)\n\n{account_lines(accounts)}"
            )
            key = f"unknown:{run.id}:{accounts.unknown}"
            self._note_once("held", key, f"{slug}: {accounts.unknown} readers in doubt", text, HeldError.exit_code)
        if run.state == "done":
            self.done.ended.append(slug)
            self.tools.log(f"{slug}: done, {accounts.accepted} of {accounts.planned} accepted by the relay")
            self._note("end", f"end:{run.id}:{accounts.planned}", f"{slug} is sent", account_lines(accounts))

    def _hold(
        self, slug: str, due: datetime | None, why: str, *, kind: str = "held", accounts: Accounts | None = None
    ) -> None:
        """A person has to decide; told once."""
        why = why.removeprefix("held, nothing was sent:\n")
        self.desk.runs.hold(slug)
        account = f"\n\n{account_lines(accounts)}" if accounts else ""
        cure = (
            f"When it is mended: digest release {slug}, and the next run-due sends it."
            f" At another time: digest schedule {slug} WHEN"
        )
        key = f"held:{slug}:{micros(due or self.now)}:{micros(self.now)}"
        text = f"{slug} is held:\n{why}\n\n{cure}{account}"
        notice = self._notice(kind, key, f"{slug} is held", text)
        self.records.mark(slug, due, "held", why, self.now, notice)
        self.done.held.append(slug)
        self._say(f"{slug} is held: {one_line(why)} (then: digest release {slug})", HeldError.exit_code)

    def _skip(self, slug: str, due: datetime | None, why: str) -> None:
        text = f"{slug} is not sent: {why}.\n\nTo send it after all: digest send {slug}"
        notice = self._notice("held", f"skipped:{slug}:{micros(due or self.now)}", f"{slug} is not sent", text)
        self.records.mark(slug, due, "skipped", why, self.now, notice)
        self.done.skipped.append(slug)
        self._say(f"{slug} is not sent: {why}", HeldError.exit_code)

    def _notice(self, kind: str, key: str, subject: str, text: str) -> Notice | None:
        """None where nobody wants to hear it."""
        notify = self.newsletter.settings.notify
        return Notice(key, kind, subject, text, self.now) if notify.editor and kind in notify.on else None

    def _note(self, kind: str, key: str, subject: str, text: str) -> None:
        if notice := self._notice(kind, key, subject, text):
            self.records.note(notice)

    def _note_once(self, kind: str, key: str, subject: str, text: str, exit_code: int) -> None:
        """Said here once as well, whether there is an editor or not."""
        if self.records.note(Notice(key, kind, subject, text, self.now)):
            self._say(one_line(text), exit_code)
            if not self._notice(kind, key, subject, text):
                self.records.told([Notice(key, kind, subject, text, self.now)], self.now)

    def _say(self, line: str, exit_code: int) -> None:
        self.done.told.append(line)
        self.done.exit_code = max(self.done.exit_code, exit_code)

    def _tell(self) -> None:
        self._tell_editor()
        url = self.newsletter.settings.notify.heartbeat
        if url and self.done.exit_code == 0 and (why := beat(url)):
            self.tools.log(why)

    def _tell_editor(self) -> None:
        if why := tell(self.desk, self.relay, self.records, self.now):
            self.tools.log(why)


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
