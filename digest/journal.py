"""A journal outside the database: lines of JSON that are only ever added to, and on the disk before one goes on.

It knows what must not be forgotten when the database is put back to an earlier day: what was sent, who has left.
The file is readable by its owner only. Each record is one line, written whole under a lock (``flock``), with the
file and its folder synced. Power that fails in the middle of a line leaves that line broken: it is said, passed
over, and never joined with the one after it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from digest.errors import HeldError
from digest.files import sync_path

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a journal holds: its records in order, and the numbers of lines (from 1) that can't be read."""

    records: tuple[Record, ...] = ()
    broken: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal in `file`, for any number of processes at once."""

    file: Path

    def append(self, record: Record) -> None:
        """Add a record; when this returns it is on the disk. Raises `HeldError` when that is impossible."""
        self.extend([record])
        self.sync()

    def extend(self, records: Iterable[Record]) -> None:
        """Add records, all of them or none; they are on the disk when `sync` returns. Raises `HeldError`."""
        lines = b"".join(map(_line, records))
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT, fcntl.LOCK_EX) as descriptor:
                is_new = os.fstat(descriptor).st_size == 0
                _add(descriptor, lines)
            if is_new:
                sync_path(self.file.parent)
        except OSError as exc:
            raise HeldError(f"{self.file} can't be written: {exc.strerror or exc}; nothing goes on without it") from exc

    def sync(self) -> None:
        """Wait until all that was added is on the disk. Raises `HeldError`."""
        try:
            sync_path(self.file)
        except OSError as exc:
            raise HeldError(f"{self.file} can't be put on the disk: {exc.strerror or exc}") from exc

    def read(self) -> Contents:
        """Everything in it; nothing where there is no file yet. Raises `HeldError` when it can't be read."""
        try:
            with _locked(self.file, os.O_RDONLY, fcntl.LOCK_SH) as descriptor, os.fdopen(os.dup(descriptor), "rb") as f:
                lines = f.read().split(b"\n")
        except FileNotFoundError:
            return Contents()
        except OSError as exc:
            raise HeldError(f"{self.file} can't be read: {exc.strerror or exc}") from exc
        records, broken = [], []
        for number, line in enumerate(lines, 1):
            if line.strip():
                record = _record(line)
                broken.append(number) if record is None else records.append(record)
        return Contents(tuple(records), tuple(broken))


def stamp() -> str:
    """This moment, to the second, in UTC (RFC 3339): ``2025-09-12T08:00:00Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def _locked(file: Path, flags: int, lock: int) -> Iterator[int]:
    descriptor = os.open(file, flags | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, lock)
        yield descriptor
    finally:
        os.close(descriptor)  # lets go of the lock


def _line(record: Record) -> bytes:
    return json.dumps(dict(record), ensure_ascii=False, separators=(",", ":"), default=str).encode() + b"\n"


def _add(descriptor: int, line: bytes) -> None:
    """The lines whole or not at all, and beginning on a line of their own whatever a crash has left before them."""
    end = os.fstat(descriptor).st_size
    if end and os.pread(descriptor, 1, end - 1) != b"\n":
        line = b"\n" + line
    try:
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError:
        os.ftruncate(descriptor, end)  # a full disk: nothing of it stays
        raise


def _record(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
