"""The lanes of a run: N connections with one message at a time each, and what is done when the relay is lost.

A pass begins with one connection and opens more as long as the relay takes them. A lane that loses its
connection calls the relay again, a little later each time. While others hold theirs it soon gives up: the
relay has enough of them. The last one left stays on the line: sending pauses, and goes on by itself when the
relay is back within the time that is set.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from digest.delivery.progress import span
from digest.delivery.queue import Job
from digest.delivery.relay import Connection
from digest.errors import DigestError, LaterError
from digest.message.envelope import Message

if TYPE_CHECKING:
    from digest.delivery.run import Sender

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds between calls of a relay that is lost
_CALLS_BESIDE_OTHERS = 3
_GROWTH = 4  # so many times as many connections with each step


class _GoneError(Exception):
    """The reader left while the message waited for its turn; says why."""


@dataclass(slots=True)
class Lanes:
    """The lanes of one pass, `most` at once. `wait`: how many seconds a lost relay is waited for.

    >>> [round(wait, 1) for wait, _ in zip(waits(), range(8))]
    [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    """

    run: Sender
    most: int
    wait: float
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _filling: asyncio.Task[None] | None = None
    _open: int = 0
    _calling: int = 0
    _idle: bool = False
    """Whether a lane has found nothing to do: no further ones are needed."""

    @property
    def at_work(self) -> bool:
        """Whether a connection is there, or is called for."""
        return bool(self._open or self._calling)

    async def work(self, *, waiting: bool) -> None:
        """Until nobody is left to try, or the relay is lost. `waiting`: also for a first connection.

        Raises `HeldError` or `LaterError` when there is none.
        """
        try:
            # Made alone: a wrong password is tried once, not ten times.
            first = await self.run.relay.connect()
        except LaterError as exc:
            if not waiting or (found := await self.call_again(exc)) is None:
                raise
            first = found
        self._open += 1
        self._start(self._lane(first))
        self._fill()
        try:
            while self._tasks:
                done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                self._tasks -= done
                for task in done:
                    task.result()  # a lane raises what is wrong with us, not what a relay does
        finally:
            rest = tuple(self._tasks)
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        return task

    def _fill(self) -> None:
        if self._filling is None or self._filling.done():
            self._filling = self._start(self._open_more())

    async def _open_more(self) -> None:
        """More connections, until one is refused, there are enough, or nobody waits for one."""
        while (room := self.most - self._open) > 0 and self._open and not (self._idle or self.run.stopping):
            opened = await asyncio.gather(*(self._another() for _ in range(min(room, _GROWTH * self._open))))
            for connection in filter(None, opened):
                self._open += 1
                self._start(self._lane(connection))
            if None in opened:
                return

    async def _another(self) -> Connection | None:
        try:
            return await self.run.relay.connect()
        except LaterError as exc:
            self.run.lost = exc
        except DigestError as exc:
            self.run.halt(exc)
        return None

    async def _lane(self, connection: Connection) -> None:
        lane = _Lane(self, connection)
        try:
            await lane.work()
        finally:
            if lane.connection is not None:
                self._open, self._idle = self._open - 1, True

    async def call_again(self, lost: LaterError) -> Connection | None:
        """A connection for a lane that has lost its own. None: to be given up.

        Raises `HeldError` when the relay refuses us.
        """
        run, given_up_at = self.run, time.monotonic() + self.wait
        self._calling += 1
        try:
            for number, pause in enumerate(waits(), 1):
                self._tell(lost, pause, given_up_at)
                await run.pause(min(pause, max(0.0, given_up_at - time.monotonic())))
                if run.stopping:
                    return None
                try:
                    connection = await run.relay.connect()
                except LaterError as exc:
                    run.lost = lost = exc
                else:
                    run.away = ""
                    return connection
                alone = not self._open and self._calling == 1
                if time.monotonic() >= given_up_at or (number >= _CALLS_BESIDE_OTHERS and not alone):
                    return None
        finally:
            self._calling -= 1
        return None

    def _tell(self, lost: LaterError, pause: float, given_up_at: float) -> None:
        if not self._open:
            left = max(0.0, given_up_at - time.monotonic())
            self.run.away = f"paused: {lost}; calling again in {span(min(pause, left))}, for {span(left)} at most"

    async def recovered(self, lost: LaterError) -> Connection | None:
        """`call_again` for an open lane; when it succeeds, the other lanes come back too."""
        self._open -= 1
        connection = await self.call_again(lost)
        if connection:
            self._open += 1
            self._fill()
        return connection


def waits() -> Iterator[float]:
    """Seconds to wait before each call of a relay that is lost."""
    wait = _FIRST_WAIT
    while True:
        yield wait
        wait = min(2 * wait, _LONGEST_WAIT)


@dataclass(slots=True)
class _Lane:
    """One connection's work. Its end leaves the rest to the other lanes, or to a later run.

    When it is cancelled, a row that was marked stays marked: it is unknown.
    """

    lanes: Lanes
    connection: Connection | None
    _ahead: Job | None = None

    async def work(self) -> None:
        """Until nobody is left, or the relay is lost."""
        run = self.lanes.run
        try:
            while self.connection and (job := await self._next_job(self.connection)):
                try:
                    outcome = await self.connection.send(job.message, partial(self._mark, job))
                except _GoneError as gone:
                    run.queue.withdraw(job, str(gone))
                except LaterError as lost:
                    run.queue.put_back(job.row)
                    run.lost = lost
                    self.connection = None
                    self.connection = await self.lanes.recovered(lost)
                else:
                    run.settle(job, outcome, self.connection)
        except DigestError as exc:
            run.halt(exc)
        finally:
            if self._ahead:
                run.queue.put_back(self._ahead.row)
            if self.connection:
                await self.connection.close()

    async def _next_job(self, connection: Connection) -> Job | None:
        run = self.lanes.run
        if self._ahead is None:
            return await run.next_job(connection.relay)
        if run.stopping:
            return None
        job, self._ahead = self._ahead, None
        return job

    async def _mark(self, job: Job) -> Message | None:
        """See `Mark`: the ledger's, and the next message where it helps to know it."""
        run, connection = self.lanes.run, self.connection
        if reason := run.queue.gone(job, time.time()):
            raise _GoneError(reason)
        self._ahead = run.job_ahead(connection.relay) if connection and connection.takes_ahead else None
        try:
            await run.books.ledger.marked(job.row, job.message.message_id)
        except DigestError as exc:
            run.halt(exc)  # without a ledger nothing may be sent
            raise
        return self._ahead.message if self._ahead else None
