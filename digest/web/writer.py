"""One thread that writes: many requests, few transactions, each answered when its own is on the disk.

Between two transactions lie `GATHER` seconds: what came meanwhile is committed together, what comes alone at once. So
hundreds of them a second hold the lock of the database for a small part of the time, and a send that runs on the same
file goes on beside them. While another process keeps the database locked, the work waits; it is never dropped.
Whoever waits too long for an answer may leave: what was taken in is written all the same.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from digest.audience import departures
from digest.audience.database import open_database
from digest.errors import DigestError, LaterError
from digest.files import sync_path

log = logging.getLogger(__name__)

GATHER = 0.05  # seconds
TOGETHER = 500  # at most in one transaction
WAITING = 20_000  # at most at a time
PATIENCE = 20.0  # seconds that a request waits for its answer
_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.01  # seconds between two tries for the lock
_TOLD_AFTER = 5.0  # seconds
_FOLDS_EVERY, _FOLDS_AT_LAST = 1.0, 10.0  # seconds between two times that the log is moved into the database
_PATIENCE_ALONE = 2_000  # milliseconds: forgetting waits for readers of the log, so that it can be emptied

T = TypeVar("T")
Item = TypeVar("Item")
Work = Callable[[sqlite3.Connection], T]
Works = Callable[[sqlite3.Connection, Sequence[Item]], Sequence[T]]
"""The same work for many items, in few statements; one answer for each."""


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    work: Callable[..., Any]
    alone: bool = False
    item: Any = None
    one_of_many: bool = False
    done: Future[Any] = field(default_factory=Future)

    @property
    def group(self) -> object:
        """What those have in common that can be done by one call."""
        return self.work if self.one_of_many else self


class Writer:
    """See the module. A context manager: leaving it writes what is waiting, for `closing` seconds at most."""

    def __init__(self, database: Path, *, closing: float = 10.0) -> None:
        self._database = database
        self._log = database.with_name(f"{database.name}-wal")
        self._closing = closing
        self._wrote_at = self._folded_at = 0.0
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._stop_at = float("inf")
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_at = time.monotonic() + self._closing
        self._queue.put(None)
        self._thread.join()

    @property
    def waiting(self) -> int:
        """How many pieces of work wait."""
        return self._queue.qsize()

    @property
    def alive(self) -> bool:
        """Whether anybody writes."""
        return self._thread.is_alive()

    def submit(self, work: Work[T], *, alone: bool = False) -> Future[T]:
        """Have `work` done inside a transaction; the future is done once that is on the disk.

        What `work` raises is undone alone and is the future's exception. `alone`: it makes transactions of its own.
        Raises `LaterError` when too much waits already.
        """
        return self._put(_Job(work, alone))

    def submit_item(self, works: Works[Item, T], item: Item) -> Future[T]:
        """As `submit`, for work that takes all the items that come together at once."""
        return self._put(_Job(works, item=item, one_of_many=True))

    async def do(self, work: Work[T], *, alone: bool = False) -> T:
        """As `submit`, waited for. Raises `LaterError` after `PATIENCE`; the work stays in the queue."""
        return await _waited_for(self.submit(work, alone=alone))

    async def do_item(self, works: Works[Item, T], item: Item) -> T:
        """As `submit_item`, waited for. Raises `LaterError` after `PATIENCE`; the work stays in the queue."""
        return await _waited_for(self.submit_item(works, item))

    def _put(self, job: _Job) -> Future[Any]:
        if self.waiting >= WAITING or not self.alive or self._stop_at < float("inf"):
            raise LaterError("too much is waiting to be written")
        self._queue.put(job)
        return job.done

    # ---- the thread

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        try:
            while jobs := self._gather():
                while connection is None and time.monotonic() < self._stop_at:
                    connection = self._opened()
                if connection is None:
                    return _fail(jobs, LaterError("the server ended before it could be written"))
                self._write(connection, jobs)
                self._wrote_at = time.monotonic()
                self._fold(connection)
        finally:
            self._refuse_rest()
            if connection is not None:
                connection.close()

    def _fold(self, connection: sqlite3.Connection) -> None:
        """Move the log into the database when nobody waits: within a commit, SQLite would do it while some do."""
        idle = time.monotonic() - self._folded_at
        if idle > _FOLDS_AT_LAST or (idle > _FOLDS_EVERY and not self.waiting):
            with suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._folded_at = time.monotonic()

    def _opened(self) -> sqlite3.Connection | None:
        try:
            connection = open_database(self._database)
        except DigestError as exc:  # locked for long; what waits goes on waiting
            log.warning("the database can't be opened: %s", exc)
            time.sleep(1)
            return None
        connection.execute("PRAGMA synchronous = NORMAL")  # `_sync` does the rest
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # see `_fold`
        _be_patient(connection, 0)
        return connection

    def _gather(self) -> list[_Job]:
        """The next jobs to write together; none when it is over. A job that must be alone is."""
        first = self._queue.get()
        if first is None:
            return []
        jobs = [first]
        if not first.alone and self._stop_at == float("inf"):
            time.sleep(max(0.0, self._wrote_at + GATHER - time.monotonic()))
        while len(jobs) < TOGETHER and not jobs[-1].alone:
            try:
                job = self._queue.get_nowait()
            except Empty:
                break
            if job is None:
                self._queue.put(None)  # the end comes after this
                break
            jobs.append(job)
        return jobs

    def _write(self, connection: sqlite3.Connection, jobs: list[_Job]) -> None:
        together = [job for job in jobs if not job.alone]
        if together:
            self._until_written(lambda: self._together(connection, together), together)
        for job in jobs:
            if job.alone:
                self._until_written(lambda job=job: self._alone(connection, job), [job])  # type: ignore[misc]

    def _until_written(self, write: Callable[[], None], jobs: list[_Job]) -> None:
        pause, begun, told = _FIRST_PAUSE, time.monotonic(), False
        while True:
            try:
                return write()
            except (sqlite3.OperationalError, DigestError, OSError) as exc:  # locked, a full disk, a journal refused
                moment = time.monotonic()
                if moment > self._stop_at:
                    return _fail(jobs, LaterError("the server ended before it could be written"))
                if not told and moment - begun > _TOLD_AFTER:
                    told = True
                    log.warning("%d pieces of work wait for the database: %s", len(jobs) + self.waiting, exc)
            except Exception as exc:  # noqa: BLE001 - the thread must live; whoever waits is told
                return _fail(jobs, exc)
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _together(self, connection: sqlite3.Connection, jobs: list[_Job]) -> None:
        with departures.transaction(connection):
            groups = [[*group] for _, group in groupby(jobs, key=lambda job: job.group)]
            answers = [answer for group in groups for answer in _tried(connection, group)]
        self._sync()
        for job, answer, exc in answers:
            _answer(job, answer, exc)

    def _sync(self) -> None:
        """Put what was committed on the disk: an answer says that it is done, not even a power cut may take it back.

        Under ``synchronous = FULL`` SQLite does it before it lets go of the lock, and a send waits for the disk too.
        """
        with suppress(FileNotFoundError):  # everything was just moved from the log into the database, synced
            sync_path(self._log)

    def _alone(self, connection: sqlite3.Connection, job: _Job) -> None:
        _be_patient(connection, _PATIENCE_ALONE)
        try:
            answer = job.work(connection)
        finally:
            _be_patient(connection, 0)
        _answer(job, answer, None)

    def _refuse_rest(self) -> None:
        while True:
            try:
                job = self._queue.get_nowait()
            except Empty:
                return
            if job is not None:
                _fail([job], LaterError("the server is ending"))


def _be_patient(connection: sqlite3.Connection, milliseconds: int) -> None:
    """How long SQLite itself waits for a lock: mostly not at all, `_until_written` does it in finer steps."""
    connection.execute(f"PRAGMA busy_timeout = {milliseconds}")


_Answer = tuple[_Job, Any, Exception | None]


def _tried(connection: sqlite3.Connection, jobs: list[_Job]) -> list[_Answer]:
    """One job, or several of one kind by one call."""
    work = jobs[0].work
    connection.execute("SAVEPOINT job")
    try:
        answers = work(connection, [job.item for job in jobs]) if jobs[0].one_of_many else [work(connection)]
    except sqlite3.OperationalError:
        raise
    except Exception as exc:  # noqa: BLE001 - it is handed to whoever asked
        connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")
        return [(job, None, exc) for job in jobs]
    connection.execute("RELEASE job")
    return [(job, answer, None) for job, answer in zip(jobs, answers, strict=True)]


async def _waited_for(done: Future[T]) -> T:
    try:
        async with asyncio.timeout(PATIENCE):
            return await asyncio.wrap_future(done)  # who leaves takes nothing along: see `_answer`
    except TimeoutError as exc:
        raise LaterError("the database is locked; what was asked for waits") from exc


def _answer(job: _Job, answer: Any, exc: Exception | None) -> None:
    if not job.done.set_running_or_notify_cancel():
        return
    if exc is not None:
        job.done.set_exception(exc)
    else:
        job.done.set_result(answer)


def _fail(jobs: list[_Job], exc: Exception) -> None:
    for job in jobs:
        _answer(job, None, exc)
