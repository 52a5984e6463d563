"""The run: it begins, looks after signals, flags and durability while its lanes send, and ends cleanly.

Everything happens in one thread on one event loop. A row is claimed in memory, merged, handed to a
connection, marked in the ledger before its end-of-data, and settled by the outcome. A connection that
pipelines has its next row claimed while the one before is marked: only its envelope travels early, its own
mark comes before its own content. What stops a run stops it cleanly: nothing more is claimed, what is being
handed over is awaited and settled. How connections are made, lost and found again: `digest.delivery.lanes`.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from digest.audience.database import now
from digest.delivery.books import Books
from digest.delivery.classify import Stop
from digest.delivery.lanes import Lanes
from digest.delivery.outcome import Deferred, Outcome
from digest.delivery.progress import Progress, Watch, unwatched
from digest.delivery.queue import Job, Queue, Wait
from digest.delivery.relay import Connection, Relay
from digest.delivery.runs import Flag, Runs
from digest.delivery.storage import FULL_EVERY, storage_errors
from digest.errors import DigestError, HeldError, LaterError

_ONCE_MORE_AT_MOST = 10_000  # readers: bounds the memory, and what a relay that always breaks off may cost
_M_MMAP_THRESHOLD = -3  # of <malloc.h>: pieces of so many bytes are the system's own
_FLAG_EVERY = 0.5  # seconds: a person's flag is obeyed within one


def run_loop(work: Coroutine[Any, Any, None]) -> None:
    """`asyncio.run`, on uvloop where that is installed (the extra ``fast``)."""
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with suppress(ImportError):
        import uvloop

        loop_factory = uvloop.new_event_loop
        _keep_large_pieces_apart()
    gc.collect()
    gc.freeze()  # what is there now stays there: no collection need look at it again
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(work)
    finally:
        gc.unfreeze()


def _keep_large_pieces_apart() -> None:
    """As glibc does at first, for good.

    uvloop sets 256 KiB aside for each TLS connection. From the first one that is closed, glibc would take such pieces
    from among the small ones, and a run of many connections would grow by some megabytes.
    """
    import ctypes

    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 128 * 1024)


@dataclass(slots=True)
class Sender:
    """Sends what is missing of one run.

    Afterwards `trouble` is what stopped it, if anything did; `flag` what a person asked for meanwhile.
    `total` is how many readers are to be tried; `wait`: stay for the retries; `wait_for_relay`: how many
    seconds a relay that is lost on the way may be away, and `away` what is said meanwhile; `several`: keep
    which relay answered; `say` tells a person something at once.
    """

    relay: Relay
    runs: Runs
    queue: Queue
    connections: int
    total: int
    wait: bool = False
    wait_for_relay: float = 0.0
    several: bool = False
    watch: Watch = unwatched
    say: Callable[[str], None] = lambda _text: None
    trouble: DigestError | None = None
    interrupted: bool = False
    flag: Flag | None = None
    seconds: float = 0.0
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _main: asyncio.Task[None] | None = None
    _lanes: Lanes | None = None
    _once_more: set[int] = field(default_factory=set)
    lost: LaterError | None = None
    away: str = ""

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
        self._lanes = Lanes(self, max(1, min(self.connections, self.total)), self.wait_for_relay)
        try:
            await self._lanes.work(waiting=self.tried > 0)
        except (HeldError, LaterError) as exc:
            self.lost = exc if isinstance(exc, LaterError) else None
            self.halt(exc)
            return
        finally:
            self._lanes, self.away = None, ""
        if not self._stop.is_set() and not self.queue.is_empty():
            if why := self.queue.waits_for:
                self.halt(LaterError(why))
            else:
                self.lost = self.lost or LaterError("the relay was lost")
                self.halt(self.lost)

    async def next_job(self, relay: str) -> Job | None:
        """The next message to send, at the pace that is set; None when there is none, or none is wanted."""
        while not self.stopping:
            found = self.queue.next(time.time(), relay)
            if not isinstance(found, Wait):
                return found
            await self.pause(found.seconds)
        return None

    def job_ahead(self, relay: str) -> Job | None:
        """The next message, if it may be sent right away."""
        found = None if self.stopping else self.queue.next(time.time(), relay)
        return None if isinstance(found, Wait) else found

    def settle(self, job: Job, outcome: Outcome | Stop, connection: Connection) -> None:
        """Note what became of a message, and stop when it comes to that."""
        if isinstance(outcome, Stop):
            self.queue.put_back(job.row)
            self.halt(HeldError(f"{connection.relay}: {outcome}; nobody was marked as bounced for it"))
            return
        if self._merely_lost(job, outcome, connection):
            self.books.ledger.unmark(job.row)
            self.queue.put_back(job.row)
            return
        self.queue.answered(job, outcome, time.time())
        trouble = self.books.settle(
            job.row, outcome, accepted_another=connection.has_accepted, relay=connection.relay if self.several else None
        )
        if trouble:
            self.halt(type(trouble)(f"{connection.relay}: {trouble}"))

    def _merely_lost(self, job: Job, outcome: Outcome, connection: Connection) -> bool:
        """Whether a reader comes next again: a connection that worked broke off, which was not about them.

        Once for each reader; the second time it may well be about them, and is deferred like any trouble.
        """
        if not (isinstance(outcome, Deferred) and outcome.lost and connection.has_accepted):
            return False
        known = len(self._once_more)
        if known < _ONCE_MORE_AT_MOST:
            self._once_more.add(job.row.subscriber_id)
        return len(self._once_more) > known

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
                        self.queue.pace.refresh(time.time())
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
            paused=self.away,
        )

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM stop the run cleanly; a second one stops it at once. Afterwards they do what they did."""
        loop = asyncio.get_running_loop()
        before = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError, RuntimeError):  # only the main thread hears of signals
                handler = signal.getsignal(number)
                loop.add_signal_handler(number, self._interrupt)
                before[number] = handler
        try:
            yield
        finally:
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)

    def _interrupt(self) -> None:
        if self._main and (self.interrupted or not (self._lanes and self._lanes.at_work)):
            self._main.cancel()
        else:
            self.say("stopping when the messages on their way are answered; once more to stop at once")
        self.interrupted = True
        self.halt(None)
