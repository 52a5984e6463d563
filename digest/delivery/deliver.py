"""Sending an issue, whole: plan, guards, the run, and how it stands afterwards.

`deliver` begins a run or goes on with one; `rehearse` is the same without a relay and without a trace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from digest.audience.database import now
from digest.audience.readers import load_readers
from digest.audience.subscriber import Subscriber
from digest.compose.compiled import CompiledIssue
from digest.delivery import guards
from digest.delivery.accounts import Accounts
from digest.delivery.agenda import Agenda, Confirm, RunReport, Wishes, agreed
from digest.delivery.books import Books, UnknownPolicy
from digest.delivery.desk import Desk, open_desk
from digest.delivery.folder import FolderRelay
from digest.delivery.ledger import Ledger
from digest.delivery.lock import sole_sender
from digest.delivery.plan import Candidate, Plan, Planner, by_reason, check, variant_name
from digest.delivery.progress import Watch, unwatched
from digest.delivery.queue import PATIENCE, Queue
from digest.delivery.relay import Relay, unmarked
from digest.delivery.retry import RetryPolicy
from digest.delivery.run import Sender, run_loop
from digest.delivery.runs import Head, Run
from digest.delivery.sendings import Sending
from digest.delivery.sentlog import SentLog
from digest.delivery.signing import Together
from digest.errors import HeldError, LaterError, Problem
from digest.message.envelope import Message
from digest.message.merge import MergeError, Merger
from digest.newsletter import Newsletter

if TYPE_CHECKING:
    from digest.message.dkim import Signer

__all__ = ["Agenda", "RunReport", "Wishes", "deliver", "rehearse"]

SAMPLES_AT_MOST = 50


def deliver(
    newsletter: Newsletter,
    slug: str,
    compiled: CompiledIssue | None,
    wishes: Wishes = Wishes(),  # noqa: B008 -- frozen
    *,
    relay: Relay | None = None,
    confirm: Confirm = agreed,
    watch: Watch = unwatched,
    say: Callable[[str], None] = lambda _text: None,
    check: Callable[[], Sequence[Problem]] | None = None,
    begun: Callable[[Run, Agenda], None] = lambda _run, _agenda: None,
    now: Callable[[], int] = now,
) -> RunReport:
    """Send the issue to everybody who is still to get it.

    `compiled` may be None only for an issue whose run has begun: a run goes on with what it stored.
    `relay` is that of the settings by default; `watch` hears how far it is, `say` what can't wait.
    `check` finds the problems of the issue, where ``delivery.require_check`` asks for it. `begun` is called when a
    run has come on record, before its first message. `now` says what time it is, in microseconds since the epoch.

    Raises `InputError` (the audit), `HeldError` (a guard, a flag, nobody agreed), `LaterError` (another
    process is sending it). What stops a run once it is under way is in the report, with the accounts.
    """
    with open_desk(newsletter, now) as desk:
        log = SentLog(newsletter, desk.storage)
        log.require_no_gap()
        clerk = _Clerk(desk, wishes, relay or desk.relay(say), desk.sign(), confirm, watch, say, log, check, begun)
        run = desk.runs.latest(slug)
        if run is None or run.state == "new":
            if compiled is None:
                raise HeldError(f"{slug} was never sent, and can't be composed")
            _obey(run)
            run = clerk.begin(compiled)
            with sole_sender(newsletter.database, run.id):
                clerk.leave_out_late(run)
                return clerk.send(run)
        with sole_sender(newsletter.database, run.id):
            clerk.leave_out_late(run)
            return clerk.go_on(desk.runs.get(run.id), compiled)


@dataclass(slots=True)
class _Clerk:
    """The steps of `deliver`."""

    desk: Desk
    wishes: Wishes
    relay: Relay
    sign: Signer | None
    confirm: Confirm
    watch: Watch
    say: Callable[[str], None]
    log: SentLog
    check: Callable[[], Sequence[Problem]] | None
    begun: Callable[[Run, Agenda], None]

    def begin(self, compiled: CompiledIssue) -> Run:
        """Plan, audit, guards, consent; then the run is on record, and nothing is sent yet."""
        desk = self.desk
        desk.require_subscribers()
        declared = load_readers(desk.newsletter.root)
        planner = Planner(desk.merger(compiled), desk.now(), desk.subscribers.candidates, readers=declared)
        desk.runs.stage(planner.rows())
        plan = planner.plan()
        if plan.planned == 0:
            raise HeldError(f"nobody would get {compiled.slug}: {by_reason(plan.head.excluded)}")
        if not self.wishes.again:
            guards.same_content(desk.runs, compiled)
        unmet = guards.before_run(desk.newsletter, desk.runs, compiled, plan.planned, self.check)
        overridden = guards.require(unmet, self.wishes.overrides)
        readers = min(plan.planned, self.wishes.limit or plan.planned)
        notes = [f"overridden: {guard}" for guard in sorted(overridden)]
        leave = desk.newsletter.settings.unsubscribe
        if not leave.url and not leave.mailto:
            notes.append("there is no way to unsubscribe yet: set url or mailto under [unsubscribe]")
        if desk.newsletter.settings.delivery.relay:
            notes.append("into files, but on record: nobody of these is sent it again (--dry-run records nothing)")
        agenda = self._agenda(compiled, readers, notes, plan=plan)
        self.confirm(agenda)
        _publish(desk, compiled)
        wishes = self.wishes
        run = desk.runs.begin(compiled, plan.head, overridden, goes_on=wishes.limit is None, due=wishes.due)
        self.begun(run, agenda)
        return run

    def go_on(self, run: Run, compiled: CompiledIssue | None) -> RunReport:
        """The rest of a run that has begun, whether it was interrupted or has ended.

        What a person asks for is looked at first, and done once they agree to the number of readers.
        """
        _obey(run)
        if self.desk.runs.is_reduced(run.id):
            raise HeldError(
                f"{run.slug} was sent long ago, and it is not kept who got it ([privacy] keep_deliveries):"
                " to send it again, make a new issue of it"
            )
        desk, ledger = self.desk, self.desk.ledger(run)
        ledger.recover()
        if self._on_unknown == "drop":
            ledger.settle_unknown("drop")
        stored = desk.runs.compiled(run.id)
        switches = self._switches(run, compiled)
        text = compiled if switches and compiled else stored
        head = self._newcomers(run, text)
        readers = self._to_try(run) + (head.planned if self.wishes.new_readers else 0)
        notes = tuple(self._notes(run, compiled, head, switches=switches and readers > 0))
        accounts = ledger.accounts()
        if readers == 0:
            desk.runs.finish(run.id, done=not accounts.missing and not accounts.unknown)
            return RunReport(
                desk.runs.get(run.id), accounts, notes=notes, later=ledger.later(), next_attempt=ledger.next_attempt()
            )
        overridden = self._check_switch(run, text) if switches else frozenset()
        self.confirm(self._agenda(text, readers, notes, accounts=accounts))
        if self.wishes.new_readers and head.planned:
            desk.runs.join(run.id, head)
        if self._on_unknown == "resend":
            ledger.settle_unknown("resend")
        if switches:
            _publish(desk, text)
            desk.runs.override(run.id, overridden)
            merger = desk.merger(text)
            desk.runs.stage((reader.id, variant_name(merger.variant(reader))) for reader in self._missing(run))
            desk.runs.change(run.id, text)
        if self.wishes.limit is None and not self.wishes.unattended:
            desk.runs.agree(run.id, goes_on=True)
        return self.send(run)

    @property
    def _on_unknown(self) -> UnknownPolicy:
        return self.wishes.unknown or self.desk.newsletter.settings.delivery.on_unknown

    def _switches(self, run: Run, compiled: CompiledIssue | None) -> bool:
        changed = compiled is not None and compiled.fingerprint != run.fingerprint
        return changed and self.wishes.accept_change

    def _notes(self, run: Run, compiled: CompiledIssue | None, newcomers: Head, *, switches: bool) -> Iterator[str]:
        if compiled is None:
            yield "the issue can't be composed as it is now; the run goes on with the text it stored"
        elif switches:
            yield "the rest gets the changed text"
        elif compiled.fingerprint != run.fingerprint:
            yield (
                "the issue was changed since the run began; the run goes on with the text it stored"
                " (--accept-change: the rest gets the new one)"
            )
        if newcomers.planned and self.wishes.new_readers:
            yield f"{newcomers.planned} who came after the plan get it too"
        elif newcomers.planned:
            yield f"{newcomers.planned} came after the plan (--new-readers: they get it too)"

    def _check_switch(self, run: Run, compiled: CompiledIssue) -> frozenset[str]:
        """The changed text is tested and audited like the first. Returns the guards overridden."""
        unmet = list(guards.untested(self.desk.newsletter.settings, self.desk.runs, compiled))
        overridden = guards.require(unmet, self.wishes.overrides)
        check(self.desk.merger(compiled), self._missing(run))
        return frozenset(overridden)

    def _missing(self, run: Run) -> Iterator[Subscriber]:
        ledger = self.desk.ledger(run)
        for state in ("waiting", "deferred"):
            for entry in ledger.entries(state):
                if subscriber := self.desk.subscribers.get(entry.subscriber_id):
                    yield subscriber

    def _newcomers(self, run: Run, compiled: CompiledIssue) -> Head:
        """Readers who came after the plan: staged to join it when they are wanted, else only counted."""
        desk, ledger = self.desk, self.desk.ledger(run)
        merger = desk.merger(compiled)

        def came() -> Iterator[Candidate]:
            for subscriber, excluded in desk.subscribers.candidates():
                if excluded is None and not ledger.has(subscriber.id) and _gets(merger, subscriber):
                    yield subscriber, None

        if not self.wishes.new_readers:
            return Head(sum(1 for _ in came()), {})
        planner = Planner(merger, desk.now(), came)
        desk.runs.stage(planner.rows())
        return planner.plan().head

    def _to_try(self, run: Run) -> int:
        """How many are to be tried, those in doubt who are to get it again among them."""
        ledger = self.desk.ledger(run)
        resend = self._on_unknown == "resend"
        if (only := self._only(ledger)) is not None:
            return ledger.missing_of(only, or_unknown=resend)
        accounts = ledger.accounts()
        return accounts.missing - ledger.later() + (accounts.unknown if resend else 0)

    def _only(self, ledger: Ledger) -> frozenset[int] | None:
        """The readers that are to be tried; None for all who are missing."""
        if self.wishes.retries_only:
            return ledger.ripe()
        return None if self.wishes.limit is None else ledger.sample(self.wishes.limit)

    def leave_out_late(self, run: Run) -> None:
        """Withdraw the readers whose own moment is too long ago, where that is asked for."""
        if self.wishes.late_before is not None and run.flag is None:
            self.desk.ledger(run).leave_out_late(self.wishes.late_before)

    def _agenda(
        self,
        compiled: CompiledIssue,
        readers: int,
        notes: Iterable[str],
        plan: Plan | None = None,
        accounts: Accounts | None = None,
    ) -> Agenda:
        return Agenda(compiled.slug, compiled.title, readers, self.relay.name, plan, accounts, tuple(notes))

    def send(self, run: Run) -> RunReport:
        """Everybody due is tried once (with `wait`, until no retry is left). For the sole sender."""
        desk, wishes = self.desk, self.wishes
        settings = desk.newsletter.settings
        ledger = desk.ledger(run)
        if wishes.eager:
            ledger.ripen()
        retry = RetryPolicy(settings.delivery.retry_for, most=settings.delivery.max_attempts)
        sender = Sender(
            self.relay,
            desk.runs,
            Queue(
                Books(ledger, retry, self._on_unknown),
                desk.subscribers,
                desk.merger(desk.runs.compiled(run.id)),
                desk.pace(),
                zone=desk.now().tzinfo or UTC,
                only=self._only(ledger),
                patience=inf if wishes.wait else PATIENCE,
                sign=Together(self.sign.fields) if self.sign else None,
            ),
            connections=settings.smtp.connections,
            total=self._to_try(run),
            wait=wishes.wait,
            wait_for_relay=settings.delivery.wait_for_relay.total_seconds(),
            several=desk.has_several_relays,
            watch=self.watch,
            say=self.say,
        )
        self.log.begins(run)
        sender.watch = self.log.watching(run, ledger.accounts().accepted, sender.watch)
        sending = Sending(desk.storage, run.id)
        sender.watch = sending.watching(sender.watch)
        run_loop(_within(wishes.seconds, sender))
        sending.note(sender.seconds, sender.tried)
        if sender.flag == "cancel":
            desk.runs.cancel(run.id)
        accounts = ledger.accounts()
        desk.runs.finish(run.id, done=not accounts.missing and not accounts.unknown)
        if sender.interrupted and not wishes.unattended:
            desk.runs.agree(run.id, goes_on=False)  # whoever stopped it is there to say how it goes on
        run = desk.runs.get(run.id)
        self.log.ended(run, accounts.accepted)
        return RunReport(
            run,
            accounts,
            tried=sender.tried,
            seconds=sender.seconds,
            trouble=sender.trouble,
            away=sender.trouble is not None and sender.trouble is sender.lost,
            interrupted=sender.interrupted,
            flag=sender.flag,
            next_attempt=ledger.next_attempt(),
            later=ledger.later(),
        )


async def _within(seconds: float | None, sender: Sender) -> None:
    """Runs `sender`; after `seconds` nothing more is begun."""
    if seconds is not None:
        over = LaterError("the time it was given is over")
        asyncio.get_running_loop().call_later(max(0.0, seconds), sender.halt, over)
    await sender.run()


def _publish(desk: Desk, compiled: CompiledIssue) -> None:
    if compiled.pictures:
        from digest.delivery.publishing import publish_pictures  # large: loaded where there is something to publish

        publish_pictures(desk.newsletter, compiled)


def _gets(merger: Merger, subscriber: Subscriber) -> bool:
    try:
        return merger.gets(subscriber)
    except MergeError:
        return True  # the audit says what is wrong


def _obey(run: Run | None) -> None:
    """Raises `HeldError` for a run a person has held or cancelled."""
    if run is None:
        return
    if run.state == "cancelled" or run.flag == "cancel":
        raise HeldError(f"{run.slug} was cancelled; those who were waiting then do not get it any more")
    if run.flag == "hold":
        raise HeldError(f"{run.slug} is held; let it go with: digest release {run.slug}")


def rehearse(newsletter: Newsletter, compiled: CompiledIssue, out: Path | None = None) -> Plan:
    """A dry run: everything but the records, and a relay that sends.

    Audits every reader, and writes a message of each variant (of 50 at most) to the folder `out`; where the
    settings name a folder for a relay (``delivery.relay``), every reader's message to that.
    Raises `InputError` with all problems of the audit, `HeldError` when a file can't be written.
    """
    samples: list[Message] = []

    def keep(message: Message) -> None:
        if len(samples) < SAMPLES_AT_MOST:
            samples.append(message)

    with open_desk(newsletter) as desk:
        desk.require_subscribers()
        declared, merger = load_readers(newsletter.root), desk.merger(compiled)
        plan = Planner(merger, desk.now(), desk.subscribers.candidates, keep, declared).finished()
        if newsletter.settings.delivery.relay:
            asyncio.run(_write(desk.relay(), _everybody(desk, merger)))
    if out is not None:
        asyncio.run(_write(FolderRelay(out), samples))
    return plan


def _everybody(desk: Desk, merger: Merger) -> Iterator[Message]:
    for subscriber, excluded in desk.subscribers.candidates():
        if excluded is None and merger.gets(subscriber):
            yield merger.message(subscriber, date=desk.now(), purpose="dry")


async def _write(relay: Relay, messages: Iterable[Message]) -> None:
    connection = await relay.connect()
    for message in messages:
        await connection.send(message, unmarked)
    await connection.close()
