"""One process at a time for one run: a lock that dies with its holder, however it dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from digest.errors import LaterError

_A_GLANCE = 0.3  # seconds: longer than `is_running` looks at the lock


def _lock_file(database: Path, run_id: int) -> Path:
    return database.with_name(f"{database.name}.run-{run_id}.lock")


@contextmanager
def sole_sender(database: Path, run_id: int) -> Iterator[None]:
    """Holds the run `run_id` of this database. Raises `LaterError` when another process does.

    ``flock`` belongs to the open file: the kernel lets go of it when the process ends, also by ``kill -9``.
    """
    with _alone(_lock_file(database, run_id), "another process is sending this issue; follow it with: digest status"):
        yield


@contextmanager
def sole_run_due(database: Path, busy: str) -> Iterator[None]:
    """Keeps every ``digest run-due`` of this database from beginning. Raises `LaterError(busy)` when one is at work."""
    with _alone(database.with_name(f"{database.name}.run-due.lock"), busy):
        yield


@contextmanager
def _alone(file: Path, busy: str) -> Iterator[None]:
    """Holds the lock `file`, which is there only while somebody does. Raises `LaterError(busy)` when another does."""
    descriptor = _acquire(file, busy)
    try:
        yield
    finally:
        with suppress(OSError):
            file.unlink()  # while it is still held: whoever waits for this inode looks again
        os.close(descriptor)


def _acquire(file: Path, busy: str) -> int:
    give_up = time.monotonic() + _A_GLANCE
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if file.exists() and file.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except BlockingIOError as exc:
            if time.monotonic() > give_up:
                os.close(descriptor)
                raise LaterError(busy) from exc
            time.sleep(0.02)
        except FileNotFoundError:
            pass
        os.close(descriptor)


def is_running(database: Path, run_id: int) -> bool:
    """Whether some process, perhaps this one, is sending this run now."""
    try:
        descriptor = os.open(_lock_file(database, run_id), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
