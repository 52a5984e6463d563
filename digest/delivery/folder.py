"""Folders for relays: every message as a file, for dry runs, samples and archives.

Two kinds: plain files named by Message-ID, and a Maildir as mail programs read it
(https://cr.yp.to/proto/maildir.html): a message is written whole under ``tmp``, then moved to ``new``.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from digest.delivery.outcome import Accepted, Outcome
from digest.delivery.transactions import Mark
from digest.errors import HeldError
from digest.message.envelope import Message

_number = itertools.count(1)


@dataclass(frozen=True, slots=True)
class FolderRelay:
    """A folder that takes every message: as ``<Message-ID>.eml``, or into a `maildir`."""

    folder: Path
    maildir: bool = False

    @classmethod
    def of(cls, text: str, root: Path) -> FolderRelay:
        """
        >>> FolderRelay.of("maildir:out", Path("/news")).name
        'maildir:/news/out'
        """
        kind, _, folder = text.partition(":")
        return cls(root / Path(folder).expanduser(), kind == "maildir")

    @property
    def name(self) -> str:
        """What the settings and ``--relay`` call it."""
        return f"{'maildir' if self.maildir else 'file'}:{self.folder}"

    async def connect(self) -> FolderConnection:
        """Makes the folder, if need be. Raises `HeldError` when that is impossible."""
        try:
            for part in ("", "tmp", "new", "cur") if self.maildir else ("",):
                (self.folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise HeldError(f"{self.folder}: {exc.strerror}") from exc
        return FolderConnection(self.name, self._into_maildir if self.maildir else self._as_file)

    def _as_file(self, message: Message) -> Path:
        file = self.folder / f"{message.message_id.strip('<>').partition('@')[0].replace('/', '_')}.eml"
        part = file.with_suffix(".part")
        part.write_bytes(message.data)
        return part.replace(file)

    def _into_maildir(self, message: Message) -> Path:
        name = unique_name()
        part = self.folder / "tmp" / name
        with part.open("xb") as stream:
            stream.write(message.data)
            stream.flush()
            os.fsync(stream.fileno())  # "delivered" only what is on the disk, as the specification asks
        return part.rename(self.folder / "new" / name)


@dataclass(frozen=True, slots=True)
class FolderConnection:
    """See `FolderRelay`."""

    relay: str
    write: Callable[[Message], Path]
    has_accepted: bool = True
    takes_ahead: bool = False

    async def send(self, message: Message, mark: Mark) -> Outcome:
        """Writes the file, whole or not at all. Raises `HeldError` when that is impossible."""
        await mark()
        try:
            file = await asyncio.to_thread(self.write, message)
        except OSError as exc:
            raise HeldError(f"{exc.filename or self.relay}: {exc.strerror}") from exc
        return Accepted(250, file.name)

    async def close(self) -> None:
        """Nothing to do."""


def unique_name() -> str:
    """A name for a file in a Maildir that no other delivery anywhere takes: moment, process and count, host."""
    seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
    host = socket.gethostname().replace("/", r"\057").replace(":", r"\072")
    return f"{seconds}.M{microseconds}P{os.getpid()}Q{next(_number)}.{host}"
