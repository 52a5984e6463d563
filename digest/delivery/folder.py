"""A folder for a relay: every message as a file, for dry runs, samples and archives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from digest.delivery.outcome import Accepted, Outcome
from digest.delivery.transactions import Mark
from digest.errors import HeldError
from digest.message.envelope import Message


@dataclass(frozen=True, slots=True)
class FolderRelay:
    """A folder that takes every message as a file ``<Message-ID>.eml``."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.folder)

    async def connect(self) -> FolderConnection:
        """Makes the folder, if need be. Raises `HeldError` when that is impossible."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise HeldError(f"{self.folder}: {exc.strerror}") from exc
        return FolderConnection(self.folder)


@dataclass(frozen=True, slots=True)
class FolderConnection:
    """See `FolderRelay`."""

    folder: Path
    has_accepted: bool = True
    takes_ahead: bool = False

    async def send(self, message: Message, mark: Mark) -> Outcome:
        """Writes the file, whole or not at all."""
        await mark()
        file = self.folder / f"{message.message_id.strip('<>').partition('@')[0].replace('/', '_')}.eml"
        part = file.with_suffix(".part")
        try:
            part.write_bytes(message.data)
            part.replace(file)
        except OSError as exc:
            raise HeldError(f"{file}: {exc.strerror}") from exc
        return Accepted(250, file.name)

    async def close(self) -> None:
        """Nothing to do."""
