"""The run: N connections, each with one message at a time, until nobody is left to try.

Everything here happens in one thread on one event loop. A row is claimed in memory, merged, handed to a
connection, marked in the ledger before its end-of-data, and settled by the outcome. A connection that
pipelines has its next row claimed while the one before is marked: only its envelope travels early, its own
mark comes before its own content. What stops a run stops it cleanly: nothing more is claimed, what is being
handed over is awaited and settled.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

from digest.audience.database import now
from digest.delivery.books import Books
from digest.delivery.classify import Stop
from digest.delivery.outcome import Outcome
from digest.delivery.progress import Progress, Watch, unwatched
from digest.delivery.queue import Job, Queue, Wait
from digest.delivery.relay import Connection, Relay
from digest.delivery.runs import Flag, Runs
from digest.delivery.storage import FULL_EVERY, storage_errors
from digest.errors import DigestError, HeldError, LaterError
from digest.message.envelope import Message

_FLAG_EVERY = 0.5  # seconds: a person's flag is obeyed within one
_CALL_AGAIN_AFTER = (0.5, 1.0, 2.0)  # seconds between attempts to get a lost connection back


class _GoneError(Exception):
    """The reader left while the message waited for its turn; says why."""


@dataclass(slots=True)
class _Lane:
    """One connection's work. Its end leaves the rest to the other lanes, or to a later run.

    When it is cancelled, a row that was marked stays marked: it is unknown.
    """

    sender: Sender
    connection: Connection | None
    _ahead: Job | None = None

    async def work(self) -> None:
        """Until nobody is left, or the relay is lost."""
        sender = self.sender
        try:
            self.connection = self.connection or await sender.another()
            while self.connection and (job := await self._next_job()):
                try:
                    outcome = await self._attempt(self.connection, job)
                except _GoneError as gone:
                    sender.queue.withdraw(job, str(gone))
                    continue
                if outcome is None:
                    return
                sender.settle(job, outcome, self.connection)
        except DigestError as exc:
            sender.halt(exc)
        finally:
            if self._ahead:
                sender.queue.put_back(self._ahead.row)
            if self.connection:
                await self.connection.close()

    async def _next_job(self) -> Job | None:
        if self._ahead is None:
            job = await self.sender.next_job()
            return await self.sender.signed(job) if job else None
        if self.sender.stopping:
            return None
        job, self._ahead = self._ahead, None
        return job

    async def _attempt(self, connection: Connection, job: Job) -> Outcome | Stop | None:
        """One attempt, calling again a relay that was lost. None: it stays lost, the row is put back."""
        for wait in (*_CALL_AGAIN_AFTER, None):
            try:
                return await connection.send(job.message, lambda: self._mark(connection, job))
            except LaterError as exc:
                self.sender.lost = exc
            if wait is not None:
                await self.sender.pause(wait)
            if self.sender.stopping:
                break
        self.sender.queue.put_back(job.row)
        return None

    async def _mark(self, connection: Connection, job: Job) -> Message | None:
        """See `Mark`: the ledger's, and the next message where it helps to know it."""
        if reason := self.sender.queue.gone(job, time.monotonic()):
            raise _GoneError(reason)
        self._ahead = self.sender.job_ahead() if connection.takes_ahead else None
        try:
            await self.sender.books.ledger.marked(job.row, job.message.message_id)
        except DigestError as exc:
            self.sender.halt(exc)  # without a ledger nothing may be sent
            raise
        if self._ahead is None:
            return None
        self._ahead = await self.sender.signed(self._ahead)
        return self._ahead.message


@dataclass(slots=True)
class Sender:
    """Sends what is missing of one run.

    Afterwards `trouble` is what stopped it, if anything did; `flag` what a person asked for meanwhile.
    `total` is how many readers are to be tried; `wait`: stay for the retries; `sign` is called in
    threads; `say` tells a person something at once.
    """

    relay: Relay
    runs: Runs
    queue: Queue
    connections: int
    total: int
    wait: bool = False
    sign: Callable[[Message], Message] | None = None
    watch: Watch = unwatched
    say: Callable[[str], None] = lambda _text: None
    trouble: DigestError | None = None
    interrupted: bool = False
    flag: Flag | None = None
    seconds: float = 0.0
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _main: asyncio.Task[None] | None = None
    _lanes: tuple[asyncio.Task[None], ...] = ()
    lost: LaterError | None = None

    @property
    def books(self) -> Books:
        """Where outcomes go."""
        return self.queue.books

    @property
    def stopping(self) -> bool:
        """Whether nothing more is to be begun."""
        return self._stop.is_set()

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
            again_at = self.books.ledger.next_attempt() if self.wait else None
            if again_at is None or self._stop.is_set():
                return
            if again_at <= now() and self.tried == before:
                return  # those who are ripe are not among `only`
            await self.pause((again_at - now()) / 1e6)

    async def _pass(self) -> None:
        """Try everybody who is due once: first those who wait, then the deferred who are ripe."""
        self.lost = None
        self.queue.begin()
        try:
            # The first connection is made alone: a wrong password is tried once, not ten times.
            first = await self.relay.connect()
        except (HeldError, LaterError) as exc:
            self.halt(exc)
            return
        others = max(0, min(self.connections, self.total) - 1)
        self._lanes = tuple(asyncio.create_task(_Lane(self, c).work()) for c in (first, *[None] * others))
        try:
            await asyncio.gather(*self._lanes)
        finally:
            for lane in self._lanes:
                lane.cancel()
            await asyncio.gather(*self._lanes, return_exceptions=True)
            self._lanes = ()
        if not self._stop.is_set() and not self.queue.is_empty():
            why = self.queue.waits_for
            self.halt(LaterError(why) if why else self.lost or LaterError("the relay was lost"))

    async def another(self) -> Connection | None:
        """A further connection; None when the relay has enough of them."""
        try:
            return await self.relay.connect()
        except LaterError as exc:
            self.lost = exc
            return None

    async def signed(self, job: Job) -> Job:
        """The job with its message signed, by another thread: at most one a connection is under way."""
        if self.sign is None:
            return job
        loop = asyncio.get_running_loop()
        return replace(job, message=await loop.run_in_executor(None, self.sign, job.message))

    async def next_job(self) -> Job | None:
        """The next message to send, at the pace that is set; None when there is none, or none is wanted."""
        while not self.stopping:
            found = self.queue.next(time.monotonic())
            if not isinstance(found, Wait):
                return found
            await self.pause(found.seconds)
        return None

    def job_ahead(self) -> Job | None:
        """The next message, if it may be sent right away."""
        found = None if self.stopping else self.queue.next(time.monotonic())
        return None if isinstance(found, Wait) else found

    def settle(self, job: Job, outcome: Outcome | Stop, connection: Connection) -> None:
        """Note what became of a message, and stop when it comes to that."""
        if isinstance(outcome, Stop):
            self.queue.put_back(job.row)
            self.halt(HeldError(f"{self.relay.name}: {outcome}; nobody was marked as bounced for it"))
            return
        self.queue.answered(job, outcome, time.monotonic())
        if trouble := self.books.settle(job.row, outcome, accepted_another=connection.has_accepted):
            self.halt(type(trouble)(f"{self.relay.name}: {trouble}"))

    def _conclude(self) -> None:
        """Write down what is left in memory."""
        try:
            self.books.close()
        except DigestError as exc:
            self.halt(exc)

    def halt(self, trouble: DigestError | None) -> None:
        """Claim nothing more; the first trouble is the one that is told, but being held outranks it."""
        if self.trouble is None or (isinstance(trouble, HeldError) and isinstance(self.trouble, LaterError)):
            self.trouble = trouble
        self._stop.set()

    async def pause(self, seconds: float) -> None:
        """Wait, unless we are stopping."""
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
                self.halt(exc)
            self.watch(self._progress(moment - begun), False)

    def _obey(self, flag: Flag | None) -> None:
        if flag is not None and self.flag is None:
            self.flag = flag
            self.halt(None)

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
        self.halt(None)
