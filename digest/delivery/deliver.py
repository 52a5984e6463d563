"""Sending an issue, whole: plan, guards, the run, and how it stands afterwards.

`deliver` begins a run or goes on with one; `rehearse` is the same without a relay and without a trace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC
from math import inf
from pathlib import Path

from digest.audience.subscriber import Subscriber
from digest.compose.compiled import CompiledIssue
from digest.delivery import guards
from digest.delivery.accounts import Accounts
from digest.delivery.agenda import Agenda, Confirm, RunReport, Wishes, agreed
from digest.delivery.books import Books, UnknownPolicy
from digest.delivery.desk import Desk, open_desk
from digest.delivery.folder import FolderRelay
from digest.delivery.lock import sole_sender
from digest.delivery.plan import Candidate, Plan, Planner, by_reason, check
from digest.delivery.progress import Watch, unwatched
from digest.delivery.queue import PATIENCE, Queue
from digest.delivery.relay import Relay, unmarked
from digest.delivery.retry import RetryPolicy
from digest.delivery.run import Sender
from digest.delivery.runs import Head, Run
from digest.errors import HeldError
from digest.message.envelope import Message
from digest.message.merge import MergeError, Merger
from digest.newsletter import Newsletter

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
) -> RunReport:
    """Send the issue to everybody who is still to get it.

    `compiled` may be None only for an issue whose run has begun: a run goes on with what it stored.
    `relay` is that of the settings by default; `watch` hears how far it is, `say` what can't wait.

    Raises `InputError` (the audit), `HeldError` (a guard, a flag, nobody agreed), `LaterError` (another
    process is sending it). What stops a run once it is under way is in the report, with the accounts.
    """
    with open_desk(newsletter) as desk:
        clerk = _Clerk(desk, wishes, relay or desk.relay(), desk.sign(), confirm, watch, say)
        run = desk.runs.latest(slug)
        if run is None or run.state == "new":
            if compiled is None:
                raise HeldError(f"{slug} was never sent, and can't be composed")
            _obey(run)
            run = clerk.begin(compiled)
            with sole_sender(newsletter.database, run.id):
                return clerk.send(run)
        with sole_sender(newsletter.database, run.id):
            return clerk.go_on(desk.runs.get(run.id), compiled)


@dataclass(slots=True)
class _Clerk:
    """The steps of `deliver`."""

    desk: Desk
    wishes: Wishes
    relay: Relay
    sign: Callable[[Message], Message] | None
    confirm: Confirm
    watch: Watch
    say: Callable[[str], None]

    def begin(self, compiled: CompiledIssue) -> Run:
        """Plan, audit, guards, consent; then the run is on record, and nothing is sent yet."""
        desk, settings = self.desk, self.desk.newsletter.settings
        desk.require_subscribers()
        planner = Planner(desk.merger(compiled), desk.now(), desk.subscribers.candidates)
        desk.runs.stage(planner.rows())
        plan = planner.plan()
        if plan.planned == 0:
            raise HeldError(f"nobody would get {compiled.slug}: {by_reason(plan.head.excluded)}")
        if not self.wishes.again:
            guards.same_content(desk.runs, compiled)
        unmet = guards.before_run(settings, desk.runs, compiled, plan.planned)
        overridden = guards.require(unmet, self.wishes.overrides)
        readers = min(plan.planned, self.wishes.limit or plan.planned)
        notes = [f"overridden: {guard}" for guard in sorted(overridden)]
        if not settings.unsubscribe.url and not settings.unsubscribe.mailto:
            notes.append("there is no way to unsubscribe yet: set url or mailto under [unsubscribe]")
        self.confirm(self._agenda(compiled, readers, notes, plan=plan))
        _publish(desk, compiled)
        return desk.runs.begin(compiled, plan.head, overridden)

    def go_on(self, run: Run, compiled: CompiledIssue | None) -> RunReport:
        """The rest of a run that has begun, whether it was interrupted or has ended.

        What a person asks for is looked at first, and done once they agree to the number of readers.
        """
        _obey(run)
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
            return RunReport(desk.runs.get(run.id), accounts, notes=notes)
        overridden = self._check_switch(run, text) if switches else frozenset()
        self.confirm(self._agenda(text, readers, notes, accounts=accounts))
        if switches:
            _publish(desk, text)
            desk.runs.override(run.id, overridden)
            desk.runs.change(run.id, text)
        if self.wishes.new_readers and head.planned:
            desk.runs.join(run.id, head)
        if self._on_unknown == "resend":
            ledger.settle_unknown("resend")
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
        if self.wishes.limit is not None:
            return ledger.missing_of(ledger.sample(self.wishes.limit), or_unknown=resend)
        accounts = ledger.accounts()
        return accounts.missing + (accounts.unknown if resend else 0)

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
        sender = Sender(
            self.relay,
            desk.runs,
            Queue(
                Books(ledger, RetryPolicy(settings.delivery.retry_for), self._on_unknown),
                desk.subscribers,
                desk.merger(desk.runs.compiled(run.id)),
                desk.pace(),
                zone=desk.now().tzinfo or UTC,
                only=ledger.sample(wishes.limit) if wishes.limit is not None else None,
                patience=inf if wishes.wait else PATIENCE,
            ),
            connections=settings.smtp.connections,
            total=self._to_try(run),
            wait=wishes.wait,
            sign=self.sign,
            watch=self.watch,
            say=self.say,
        )
        asyncio.run(sender.run())
        if sender.flag == "cancel":
            desk.runs.cancel(run.id)
        accounts = ledger.accounts()
        desk.runs.finish(run.id, done=not accounts.missing and not accounts.unknown)
        return RunReport(
            desk.runs.get(run.id),
            accounts,
            tried=sender.tried,
            seconds=sender.seconds,
            trouble=sender.trouble,
            interrupted=sender.interrupted,
            flag=sender.flag,
            next_attempt=ledger.next_attempt(),
        )


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
    """A dry run: everything but the relay and the records.

    Merges for every reader, and writes a message of each variant (of 50 at most) to the folder `out`.
    Raises `InputError` with all problems of the audit.
    """
    samples: list[Message] = []

    def keep(message: Message) -> None:
        if len(samples) < SAMPLES_AT_MOST:
            samples.append(message)

    with open_desk(newsletter) as desk:
        desk.require_subscribers()
        plan = Planner(desk.merger(compiled), desk.now(), desk.subscribers.candidates, keep).finished()
    if out is not None:
        asyncio.run(_write(FolderRelay(out), samples))
    return plan


async def _write(relay: Relay, messages: Iterable[Message]) -> None:
    connection = await relay.connect()
    for message in messages:
        await connection.send(message, unmarked)
    await connection.close()
