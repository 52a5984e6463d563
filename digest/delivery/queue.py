"""Who comes next: rows of the ledger, claimed in memory, as messages ready to be handed over.

Where no pace is set, readers are looked up and messages made (and signed) several at a time. What was looked at
longer than a tenth of a second ago is looked at once more before the message goes: whoever has left gets nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from itertools import islice
from typing import Literal

from digest.audience.store import Subscribers
from digest.audience.subscriber import Subscriber
from digest.delivery.books import Books
from digest.delivery.classify import asks_for_less
from digest.delivery.ledger import Row
from digest.delivery.outcome import Accepted, Deferred, Outcome
from digest.delivery.pace import RELAY, Pace
from digest.delivery.progress import span
from digest.message.envelope import Message
from digest.message.merge import MergeError, Merger

PATIENCE = 120.0  # seconds
_CLAIMED_AHEAD = 200  # rows read from the ledger at once
_LOOKED_AHEAD = 50  # readers looked up at once
_ASIDE_AT_MOST = 5000  # rows kept in memory because their domain has to wait; more are found again later
_FRESH = 0.1  # seconds that a look at a reader holds
_AT_A_TIME = 50  # rows looked at before the other tasks get their turn
_READY = 8  # messages made at once: one after the other takes a third longer, with all else out of the caches
_KEEPS = 1.0  # seconds that a message made ahead may wait


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed row, when its reader was looked at, the domain it goes to, and its message."""

    row: Row
    looked_at: float
    domain: str
    message: Message


@dataclass(frozen=True, slots=True)
class Wait:
    """Nobody may be sent to yet."""

    seconds: float


@dataclass(slots=True)
class Queue:
    """The rows of one run that are due: first those who wait, then the deferred who are ripe.

    `only`: these subscribers, no others. A reader whose domain has to wait is set aside; where nobody's turn
    comes within `patience` (seconds), `next` gives up, and `waits_for` says why. `sign` makes the fields of messages'
    signatures.
    """

    books: Books
    subscribers: Subscribers
    merger: Merger
    pace: Pace
    zone: tzinfo = UTC
    only: frozenset[int] | None = None
    patience: float = PATIENCE
    sign: Callable[[Sequence[Message]], Sequence[bytes]] | None = None
    waits_for: str = ""
    _rows: deque[Row] = field(default_factory=deque)
    _aside: deque[tuple[Row, str]] = field(default_factory=deque)
    _phase: Literal["waiting", "deferred"] | None = "waiting"
    _after: int = 0
    _passed_over: bool = False
    _out: set[int] = field(default_factory=set)
    """Subscribers whose row is with a connection: the ledger may still call it waiting."""
    _looks: dict[int, tuple[Subscriber, str | None]] = field(default_factory=dict)
    _looked_at: float = 0.0
    _jobs: deque[Job] = field(default_factory=deque)
    """Made ahead, where no pace is set."""

    def begin(self) -> None:
        """From the first row again."""
        self._rows.clear()
        self._jobs.clear()
        self._aside.clear()
        self._phase, self._after, self._passed_over, self.waits_for = "waiting", 0, False, ""

    def put_back(self, row: Row) -> None:
        """A claimed row that was not sent after all."""
        self._out.discard(row.subscriber_id)
        self._unmake()
        self._rows.appendleft(row)

    def next(self, moment: float, relay: str) -> Job | Wait | None:
        """The next message to hand over to `relay` at `moment` (of the pace's clock); None when nobody is left."""
        if job := self._made_ahead(moment, relay):
            self._out.add(job.row.subscriber_id)
            return job
        for _ in range(_AT_A_TIME):
            if seconds := self.pace.wait(relay, moment):
                return self._patiently(seconds, _why(self.pace.why(relay, moment)))
            row = self._ready(moment) or self._next_row()
            if row is None:
                return self._wait_for_domains(moment)
            if job := self._claim(row, moment, relay):
                self._out.add(row.subscriber_id)
                return self._signed([job])[0]
        return Wait(0.0)

    def _made_ahead(self, moment: float, relay: str) -> Job | None:
        """The next of the jobs made ahead. None: there is no other, or there is a pace to keep."""
        if self._jobs and not (self.pace.is_free and 0 <= moment - self._jobs[0].looked_at < _KEEPS):
            self._unmake()
        if not self._jobs and self.pace.is_free:
            made = []
            for _ in range(_READY):
                row = self._ready(moment) or self._next_row()
                if row is None:
                    break
                if job := self._claim(row, moment, relay):
                    made.append(job)
            self._jobs.extend(self._signed(made))
        return self._jobs.popleft() if self._jobs else None

    def _signed(self, jobs: list[Job]) -> list[Job]:
        if self.sign is None:
            return jobs
        # Put together here: what another thread makes takes memory of its own. One by one: each is there once.
        for number, fields in enumerate(self.sign([job.message for job in jobs])):
            jobs[number] = replace(jobs[number], message=jobs[number].message.with_fields(fields))
        return jobs

    def _unmake(self) -> None:
        """The jobs made ahead are rows again."""
        self._rows.extendleft(job.row for job in reversed(self._jobs))
        self._jobs.clear()

    def gone(self, job: Job, moment: float) -> str | None:
        """Why the reader is not to get it any more, when that was not looked at just before."""
        if 0 <= moment - job.looked_at < _FRESH:
            return None
        return self.subscribers.exclusion(job.row.subscriber_id)

    def withdraw(self, job: Job, reason: str) -> None:
        """A reader who has left since the row was claimed."""
        self._out.discard(job.row.subscriber_id)
        self.books.withdraw(job.row, reason)

    def answered(self, job: Job, outcome: Outcome, moment: float) -> None:
        """A job is done. Slows down for a provider that asks for it, and no longer than it does."""
        self._out.discard(job.row.subscriber_id)
        match outcome:
            case Deferred() if asks_for_less(outcome):
                self.pace.slow_down(job.domain, moment)
            case Accepted():
                self.pace.accepted(job.domain, moment)

    def is_empty(self) -> bool:
        """Whether nobody is left to try."""
        row = self._next_row()
        if row is not None:
            self.put_back(row)
        return row is None and not self._aside and not self._jobs

    def _ready(self, moment: float) -> Row | None:
        """The first of those set aside, once their domain may be sent to."""
        if self._aside and not self.pace.domain_wait(self._aside[0][1], moment):
            return self._aside.popleft()[0]
        return None

    def _wait_for_domains(self, moment: float) -> Wait | None:
        if self._aside:
            self._aside.rotate(-1)  # the next time, look at another domain first
            domains = {domain for _, domain in self._aside}
            seconds = min(self.pace.domain_wait(domain, moment) for domain in domains)
            return self._patiently(seconds, f"readers at {', '.join(sorted(domains)[:3])} have to wait for their turn")
        if self._passed_over:
            self.books.ledger.flush()  # or those who have been sent to would be found waiting
            self.begin()
            return Wait(0.0)
        return None

    def _patiently(self, seconds: float, why: str) -> Wait | None:
        if seconds > self.patience:
            self.waits_for = f"{why}: {span(seconds)} more"
            return None
        return Wait(min(seconds, 1.0))

    def _next_row(self) -> Row | None:
        while True:
            while self._rows:
                row = self._rows.popleft()
                if row.subscriber_id not in self._out and (self.only is None or row.subscriber_id in self.only):
                    return row
            if self._phase is None:
                return None
            self._rows.extend(self.books.ledger.due(self._phase, self._after, _CLAIMED_AHEAD))
            if self._rows:
                self._after = self._rows[-1].subscriber_id
            else:
                self._phase, self._after = ("deferred" if self._phase == "waiting" else None), 0

    def _claim(self, row: Row, moment: float, relay: str) -> Job | None:
        """Read the reader as they are now, and merge. None: they left, must wait, or can't be merged for."""
        subscriber, reason = self._look(row, moment)
        if subscriber is None or reason is not None:
            self.books.withdraw(row, reason or "forgotten")
            return None
        domain = subscriber.email.rpartition("@")[2].lower()
        if self.pace.domain_wait(domain, moment):
            self._set_aside(row, domain)
            return None
        if not self.pace.take(relay, domain, moment):
            self._rows.appendleft(row)  # somebody else was quicker; now it is known how long to wait
            return None
        return self._merged(row, domain, subscriber)

    def _look(self, row: Row, moment: float) -> tuple[Subscriber | None, str | None]:
        """The reader, and why they are not to get it, as they were less than `_FRESH` ago."""
        found = self._looks.pop(row.subscriber_id, None) if 0 <= moment - self._looked_at < _FRESH else None
        if found is None:
            coming = (r.subscriber_id for r in islice(self._rows, _LOOKED_AHEAD - 1))
            wanted = [n for n in coming if self.only is None or n in self.only]
            self._looks, self._looked_at = self.subscribers.some([row.subscriber_id, *wanted]), moment
            found = self._looks.pop(row.subscriber_id, None)
        return found or (None, None)

    def _set_aside(self, row: Row, domain: str) -> None:
        if len(self._aside) < _ASIDE_AT_MOST:
            self._aside.append((row, domain))
        else:
            self._passed_over = True

    def _merged(self, row: Row, domain: str, subscriber: Subscriber) -> Job | None:
        date = datetime.now(self.zone).replace(microsecond=0)
        try:
            return Job(row, self._looked_at, domain, self.merger.message(subscriber, date=date))
        except MergeError as exc:
            self.books.reject(row, str(exc.problem))
            return None


def _why(rate: str) -> str:
    """
    >>> _why("relay smtp.example.com:587"), _why("warm-up of news.example.com")
    ('the rate of the relay is used up', 'the warm-up of news.example.com has used up its day')
    """
    return "the rate of the relay is used up" if rate.startswith(RELAY) else f"the {rate} has used up its day"
