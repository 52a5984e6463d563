"""The run: N connections, each with one message at a time, until nobody is left to try.

Everything here happens in one thread on one event loop. A row is claimed in memory, merged, handed to a
connection, marked in the ledger before its end-of-data, and settled by the outcome. What stops a run stops
it cleanly: nothing more is claimed, what is being handed over is awaited and settled.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Literal

from digest.audience.database import now
from digest.audience.store import Subscribers
from digest.delivery.books import Books
from digest.delivery.classify import Stop
from digest.delivery.ledger import Row
from digest.delivery.outcome import Outcome
from digest.delivery.pace import Pace
from digest.delivery.progress import Progress, Watch, unwatched
from digest.delivery.relay import Connection, Relay
from digest.delivery.runs import Flag, Runs
from digest.delivery.storage import FULL_EVERY, storage_errors
from digest.errors import DigestError, HeldError, LaterError
from digest.message.envelope import Message
from digest.message.merge import MergeError, Merger

_CLAIMED_AHEAD = 200  # rows read from the ledger at once; their readers are looked up one by one when sent
_FLAG_EVERY = 0.5  # seconds: a person's flag is obeyed within one
_CALL_AGAIN_AFTER = (0.5, 1.0, 2.0)  # seconds between attempts to get a lost connection back


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run goes by.

    `zone` is that of the Date field; `wait`: stay for the retries; `only`: these subscribers, no others.
    """

    connections: int
    pace: Pace
    zone: tzinfo = UTC
    wait: bool = False
    only: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed row with its message."""

    row: Row
    message: Message


@dataclass(slots=True)
class Sender:
    """Sends what is missing of one run.

    Afterwards `trouble` is what stopped it, if anything did; `flag` what a person asked for meanwhile.
    `total` is how many readers are to be tried, `say` tells a person something at once.
    """

    relay: Relay
    runs: Runs
    books: Books
    subscribers: Subscribers
    merger: Merger
    terms: Terms
    total: int
    watch: Watch = unwatched
    say: Callable[[str], None] = lambda _text: None
    trouble: DigestError | None = None
    interrupted: bool = False
    flag: Flag | None = None
    seconds: float = 0.0
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _main: asyncio.Task[None] | None = None
    _lanes: tuple[asyncio.Task[None], ...] = ()
    _rows: deque[Row] = field(default_factory=deque)
    _phase: Literal["waiting", "deferred"] | None = None
    _after: int = 0
    _lost: LaterError | None = None

    @property
    def tried(self) -> int:
        """How many readers this process has tried, or found gone."""
        return self.books.counts.total()

    async def run(self) -> None:
        """Until nobody is left to try, or something stops it (see `trouble`)."""
        begun = time.monotonic()
        self._main = asyncio.current_task()
        ticker = asyncio.create_task(self._tick(begun))
        try:
            with self._signals():
                await self._passes()
        except asyncio.CancelledError:
            if not self.interrupted:
                raise
        finally:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
            self._conclude()
            self.seconds = time.monotonic() - begun
            self.watch(self._progress(self.seconds), True)

    async def _passes(self) -> None:
        while True:
            before = self.tried
            await self._pass()
            self.books.ledger.flush()
            again_at = self.books.ledger.next_attempt() if self.terms.wait else None
            if again_at is None or self._stop.is_set():
                return
            if again_at <= now() and self.tried == before:
                return  # those who are ripe are not among `only`
            await self._pause((again_at - now()) / 1e6)

    async def _pass(self) -> None:
        """Try everybody who is due once: first those who wait, then the deferred who are ripe."""
        self._phase, self._after, self._lost = "waiting", 0, None
        try:
            # The first connection is made alone: a wrong password is tried once, not ten times.
            first = await self.relay.connect()
        except (HeldError, LaterError) as exc:
            self._halt(exc)
            return
        others = max(0, min(self.terms.connections, self.total) - 1)
        self._lanes = tuple(asyncio.create_task(self._lane(c)) for c in (first, *[None] * others))
        try:
            await asyncio.gather(*self._lanes)
        finally:
            for lane in self._lanes:
                lane.cancel()
            await asyncio.gather(*self._lanes, return_exceptions=True)
            self._lanes = ()
        if not self._stop.is_set() and self._next_row() is not None:
            self._halt(self._lost or LaterError("the relay was lost"))

    async def _lane(self, connection: Connection | None) -> None:
        """One connection's work. Its end leaves the rest to the other lanes, or to a later run.

        When it is cancelled, a row that was marked stays marked: it is unknown.
        """
        try:
            connection = connection or await self._another()
            while connection and (job := await self._next_job()):
                outcome = await self._attempt(connection, job)
                if outcome is None:
                    return
                self._settle(job.row, outcome, connection)
        except DigestError as exc:
            self._halt(exc)
        finally:
            if connection is not None:
                await connection.close()

    async def _another(self) -> Connection | None:
        """A further connection; None when the relay has enough of them."""
        try:
            return await self.relay.connect()
        except LaterError as exc:
            self._lost = exc
            return None

    async def _attempt(self, connection: Connection, job: Job) -> Outcome | Stop | None:
        """One attempt, calling again a relay that was lost. None: it stays lost, the row is put back."""
        for wait in (*_CALL_AGAIN_AFTER, None):
            try:
                return await connection.send(job.message, lambda: self._mark(job))
            except LaterError as exc:
                self._lost = exc
            if wait is not None:
                await self._pause(wait)
            if self._stop.is_set():
                break
        self._rows.appendleft(job.row)
        return None

    def _settle(self, row: Row, outcome: Outcome | Stop, connection: Connection) -> None:
        if isinstance(outcome, Stop):
            self._rows.appendleft(row)
            self._halt(HeldError(f"{self.relay.name}: {outcome}; nobody was marked as bounced for it"))
        elif trouble := self.books.settle(row, outcome, accepted_another=connection.has_accepted):
            self._halt(type(trouble)(f"{self.relay.name}: {trouble}"))

    def _mark(self, job: Job) -> None:
        try:
            self.books.ledger.mark(job.row, job.message.message_id)
        except DigestError as exc:
            self._halt(exc)  # without a ledger nothing may be sent
            raise

    async def _next_job(self) -> Job | None:
        """The next message to send, at the pace that is set; None when there is none, or none is wanted."""
        if wait := self.terms.pace.claim(time.monotonic()):
            await self._pause(wait)
        while not self._stop.is_set() and (row := self._next_row()):
            if job := self._claim(row):
                return job
            await asyncio.sleep(0)  # many may have left: let the other tasks live
        return None

    def _next_row(self) -> Row | None:
        while True:
            while self._rows:
                row = self._rows.popleft()
                if self.terms.only is None or row.subscriber_id in self.terms.only:
                    return row
            if self._phase is None:
                return None
            self._rows.extend(self.books.ledger.due(self._phase, self._after, _CLAIMED_AHEAD))
            if self._rows:
                self._after = self._rows[-1].subscriber_id
            else:
                self._phase, self._after = ("deferred" if self._phase == "waiting" else None), 0

    def _claim(self, row: Row) -> Job | None:
        """Read the reader as they are now, and merge. None: they left, or can't be merged for."""
        subscriber = self.subscribers.get(row.subscriber_id)
        reason = self.subscribers.exclusion(row.subscriber_id)
        if subscriber is None or reason is not None:
            self.books.withdraw(row, reason or "forgotten")
            return None
        try:
            return Job(row, self.merger.message(subscriber, date=datetime.now(self.terms.zone)))
        except MergeError as exc:
            self.books.reject(row, str(exc.problem))
            return None

    def _conclude(self) -> None:
        """Write down what is left in memory."""
        try:
            self.books.close()
        except DigestError as exc:
            self._halt(exc)

    def _halt(self, trouble: DigestError | None) -> None:
        """Claim nothing more; the first trouble is the one that is told, but being held outranks it."""
        if self.trouble is None or (isinstance(trouble, HeldError) and isinstance(self.trouble, LaterError)):
            self.trouble = trouble
        self._stop.set()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), max(0.0, seconds))

    async def _tick(self, begun: float) -> None:
        """Every 100 ms: what the durability rule asks for, a person's flag, and how far it is."""
        look_at = 0.0
        while True:
            await asyncio.sleep(FULL_EVERY)
            moment = time.monotonic()
            try:
                with storage_errors():
                    self.books.ledger.sync()
                    if moment >= look_at:
                        look_at = moment + _FLAG_EVERY
                        self._obey(self.runs.flag(self.books.ledger.run_id))
            except DigestError as exc:
                self._halt(exc)
            self.watch(self._progress(moment - begun), False)

    def _obey(self, flag: Flag | None) -> None:
        if flag is not None and self.flag is None:
            self.flag = flag
            self._halt(None)

    def _progress(self, seconds: float) -> Progress:
        counts = self.books.counts
        return Progress(
            self.total,
            seconds,
            accepted=counts["accepted"],
            deferred=counts["deferred"],
            bounced=counts["bounced"],
            rejected=counts["rejected"] + counts["expired"],
            unknown=counts["unknown"] + counts["dropped"],
            withdrawn=counts["withdrawn"],
        )

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM stop the run cleanly; a second one stops it at once."""
        loop = asyncio.get_running_loop()
        held = []
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError, RuntimeError):  # only the main thread hears of signals
                loop.add_signal_handler(number, self._interrupt)
                held.append(number)
        try:
            yield
        finally:
            for number in held:
                loop.remove_signal_handler(number)

    def _interrupt(self) -> None:
        if self._main and (self.interrupted or not self._lanes):
            self._main.cancel()
        else:
            self.say("stopping when the messages on their way are answered; once more to stop at once")
        self.interrupted = True
        self._halt(None)
