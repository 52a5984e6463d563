"""What a call of ``digest run-due`` leaves behind: the records of what became of a date, and what is told of it.

Everything is on record before it is told, and told once: in a line that cron mails, with the exit code that says
who is asked, and by mail to the editor where that is wished for (`digest.schedule.telling`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

from digest.delivery.accounts import Accounts
from digest.delivery.desk import Desk
from digest.delivery.relay import Relay
from digest.delivery.runs import Run
from digest.errors import HeldError, LaterError
from digest.quantities import spoken
from digest.schedule.records import Notice, Records, micros, moment_at
from digest.schedule.telling import beat, tell
from digest.schedule.wording import account_lines, one_line

PATIENCE = timedelta(minutes=10)
"""A relay that is away for longer is worth a word: it may need a person."""

_RANK = (0, LaterError.exit_code, HeldError.exit_code, 130)
"""Exit codes; of several the later one counts."""


@dataclass(slots=True)
class Done:
    """What a call came to. `told` are the lines somebody has to read; `next_at` when there is more to do."""

    told: list[str] = field(default_factory=list)
    exit_code: int = 0
    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    busy: bool = False
    next_at: datetime | None = None

    def say(self, line: str, exit_code: int) -> None:
        """A line to be read, and the code that goes with it."""
        self.told.append(line)
        self.leave_with(exit_code)

    def leave_with(self, exit_code: int) -> None:
        """The gravest of several codes stays."""
        self.exit_code = max(self.exit_code, exit_code, key=_RANK.index)


@dataclass(slots=True)
class Notes:
    """Notes what became of what, for one call; `log` hears what only a person at a terminal wants to know."""

    desk: Desk
    records: Records
    relay: Relay
    log: Callable[[str], None]
    done: Done = field(default_factory=Done)

    @property
    def _now(self) -> datetime:
        return moment_at(self.desk.storage.now())

    # ---- a run that goes its way

    def started(self, slug: str, due: datetime, title: str, readers: int) -> None:
        """A date has begun its run, which is on record."""
        text = f"{slug}, “{title}”, goes out now to {readers} readers, through {self.relay.name}."
        notice = self._notice("start", f"start:{slug}:{micros(due)}", f"{slug} goes out", text)
        self.records.mark(slug, due, "begun", "", self._now, notice)
        self.done.begun.append(slug)
        self.log(f"{slug}: to {readers} readers, through {self.relay.name}")
        self.tell_editor()

    def ended(self, run: Run, accounts: Accounts) -> None:
        """Everybody is settled."""
        self.done.ended.append(run.slug)
        self.log(f"{run.slug}: done, {accounts.accepted} of {accounts.planned} accepted by the relay")
        notice = self._notice("end", f"end:{run.id}:{accounts.planned}", f"{run.slug} is sent", account_lines(accounts))
        if notice:
            self.records.note(notice)

    def waits(self, run: Run, accounts: Accounts, why: str, *, lost: bool) -> None:
        """The relay is away, or was `lost` in the middle. That is nothing to tell, unless it stays away."""
        since = self.records.waits_since(run.id, self._now, lost=lost)
        if (away := self._now - since) < PATIENCE:
            return
        self.done.waiting.append(run.slug)
        text = (
            f"{run.slug} has waited for {spoken(away)}, with {accounts.missing} readers still to send to: {why}."
            " It goes on by itself"
        )
        self.once("failed", _waits_key(run.id, since), f"{run.slug} waits", text, LaterError.exit_code)

    def goes_on(self, run: Run) -> None:
        """The relay takes messages again: told to whom was told that it did not."""
        since = self.records.waits_no_more(run.id)
        if since is None or not self.records.was_noted(key := _waits_key(run.id, since)):
            return
        self.records.is_settled(key, self._now)
        text = f"{run.slug} goes on, after {spoken(self._now - since)} in which nothing went out"
        self.once("failed", f"goes-on:{key}", f"{run.slug} goes on", text, 0)

    # ---- what a person has to decide

    def hold(
        self, slug: str, due: datetime | None, why: str, *, kind: str = "held", accounts: Accounts | None = None
    ) -> None:
        """Let nothing more of an issue be sent until it is released; told once."""
        why = why.removeprefix("held, nothing was sent:\n")
        why = why.replace("(in an emergency: ", f"(in an emergency: digest release {slug}; digest send {slug} ")
        self.desk.runs.hold(slug)
        account = f"\n\n{account_lines(accounts)}" if accounts else ""
        cure = (
            f"When it is mended: digest release {slug}, and the next run-due sends it."
            f" At another time: digest schedule {slug} WHEN"
        )
        key = f"held:{slug}:{micros(due or self._now)}:{micros(self._now)}"
        notice = self._notice(kind, key, f"{slug} is held", f"{slug} is held:\n{why}\n\n{cure}{account}")
        self.records.mark(slug, due, "held", why, self._now, notice)
        self.done.held.append(slug)
        self.done.say(f"{slug} is held: {one_line(why)} (then: digest release {slug})", HeldError.exit_code)

    def skip(self, slug: str, due: datetime | None, why: str) -> None:
        """A date passes without its issue."""
        text = f"{slug} is not sent: {why}.\n\nTo send it after all: digest send {slug}"
        notice = self._notice("held", f"skipped:{slug}:{micros(due or self._now)}", f"{slug} is not sent", text)
        self.records.mark(slug, due, "skipped", why, self._now, notice)
        self.done.skipped.append(slug)
        self.done.say(f"{slug} is not sent: {why}", HeldError.exit_code)

    def in_doubt(self, run: Run, accounts: Accounts) -> None:
        """Nobody is left but those of whom nobody knows whether they have it."""
        text = (
            f"{accounts.unknown} readers of {run.slug} may have it or not. Decide with:"
            f" digest send {run.slug} --unknown resend (or drop)\n\n{account_lines(accounts)}"
        )
        subject = f"{run.slug}: {accounts.unknown} readers in doubt"
        self.once("held", f"unknown:{run.id}:{accounts.unknown}", subject, text, HeldError.exit_code)

    def unreadable(self, slug: str, written: datetime) -> None:
        """An issue seems to be ready, and its date can't be read; told again when the file was `written` anew."""
        text = f"{slug} is ready, but its front matter can't be read: digest check {slug}"
        subject = f"{slug} can't be scheduled"
        self.once("held", f"unreadable:{slug}:{micros(written)}", subject, text, HeldError.exit_code)

    def journal(self, why: str) -> None:
        """The journal knows more than the database: nothing at all is sent."""
        key = f"journal:{sha256(why.encode()).hexdigest()}"
        self.once("held", key, "nothing is sent", why, HeldError.exit_code)

    # ---- telling

    def once(self, kind: str, key: str, subject: str, text: str, exit_code: int) -> None:
        """Say it once for its key, here and to the editor."""
        notice = Notice(key, kind, subject, text, self._now)
        if self.records.note(notice):
            self.done.say(one_line(text), exit_code)
            if not self._is_wanted(kind):
                self.records.is_settled(key, self._now)

    def tell_editor(self) -> None:
        """Mail what was noted and not told yet; where that fails, a later call does."""
        if why := tell(self.desk, self.relay, self.records, self._now):
            self.log(why)

    def beat(self) -> None:
        """The heartbeat, where all is well: nothing to decide, and no relay away for long."""
        url = self.desk.newsletter.settings.notify.heartbeat
        if url and self.done.exit_code == 0 and not self.done.waiting and (why := beat(url)):
            self.log(why)

    def _is_wanted(self, kind: str) -> bool:
        notify = self.desk.newsletter.settings.notify
        return bool(notify.editor) and kind in notify.on

    def _notice(self, kind: str, key: str, subject: str, text: str) -> Notice | None:
        """None where nobody wants to hear it."""
        return Notice(key, kind, subject, text, self._now) if self._is_wanted(kind) else None


def _waits_key(run_id: int, since: datetime) -> str:
    return f"waits:{run_id}:{micros(since)}"
