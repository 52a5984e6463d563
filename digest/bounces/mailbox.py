"""Where mails come from and where they go when they are done with: never away.

Each kind of mailbox files what is understood under *Handled* and what is not under *Unrecognised*, where a person
finds it. A mail is filed when what it says is on the disk; killed in between, it is read again and counted once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from digest.bounces.reading import LONGEST
from digest.errors import HeldError, InputError, Place, Problem

Shelf = Literal["Handled", "Unrecognised"]


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail: how its mailbox calls it, and its first `LONGEST` bytes at least."""

    name: str
    data: bytes


class Mailbox(Protocol):
    """A source of mails, open."""

    def mails(self) -> Iterator[Mail]:
        """Every mail that was not filed. Raises `LaterError` when the connection is lost."""

    def file(self, mails: Sequence[tuple[Mail, Shelf]]) -> None:
        """Put mails away. Raises `LaterError` or `HeldError`; they are then found again."""


class MaildirBox:
    """A Maildir; shelves are its subfolders (Maildir++), as a mail server shows them too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mails(self) -> Iterator[Mail]:
        """The new ones first, in the order of their names."""
        for file in [f for part in ("new", "cur") for f in sorted((self.folder / part).glob("[!.]*"))]:
            try:
                with file.open("rb") as stream:
                    yield Mail(f"{file.parent.name}/{file.name}", stream.read(LONGEST))
            except (FileNotFoundError, IsADirectoryError):
                continue  # another program has moved it
            except OSError as exc:
                raise _unreadable(file, exc) from exc

    def file(self, mails: Sequence[tuple[Mail, Shelf]]) -> None:
        """Renames them: there is never a moment at which one is in no place."""
        try:
            for mail, shelf in mails:
                name = mail.name.partition("/")[2].partition(":")[0]
                target = subfolder(self.folder, shelf) / "cur" / f"{name}:2,S"
                file = self.folder / mail.name
                if file.exists():
                    file.rename(target)
        except OSError as exc:
            raise HeldError(f"{self.folder}: a mail can't be moved: {exc.strerror}") from exc


def subfolder(folder: Path, shelf: Shelf) -> Path:
    """A Maildir's subfolder, made when need be."""
    made = folder / f".{shelf}"
    for part in ("cur", "new", "tmp"):
        (made / part).mkdir(parents=True, exist_ok=True, mode=0o700)
    (made / "maildirfolder").touch(mode=0o600)
    return made


class FileBox:
    """A file: one mail (.eml), or many (mbox, RFC 4155). It stays as it is."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def mails(self) -> Iterator[Mail]:
        """In the order of the file."""
        try:
            with self._file.open("rb") as stream:
                for number, data in enumerate(_split(stream), 1):
                    yield Mail(str(number), data)
        except OSError as exc:
            raise _unreadable(self._file, exc) from exc

    def file(self, mails: Sequence[tuple[Mail, Shelf]]) -> None:
        """Nothing: whoever has made the file keeps it."""


def _split(stream: BinaryIO) -> Iterator[bytes]:
    """The mails of an mbox, or the one mail; of each the first `LONGEST` bytes, however long its lines are."""
    gathered, size, blank, many = list[bytes](), 0, True, False
    while line := stream.readline(65536):
        if blank and line.startswith(b"From ") and (many or not size):
            if size:
                yield b"".join(gathered)
            gathered, size, many = [], 0, True
        elif size < LONGEST:
            gathered.append(line[: LONGEST - size])
            size += len(gathered[-1])
        blank = line in (b"\n", b"\r\n")
    if size:
        yield b"".join(gathered)


def local_mailbox(path: Path, shown: str) -> MaildirBox | FileBox:
    """The Maildir or file at `path`. Raises `InputError` for what is neither."""
    if path.is_file():
        return FileBox(path)
    if (path / "cur").is_dir() and (path / "new").is_dir():
        if not os.access(path, os.W_OK):
            raise InputError(Problem(Place(shown), "may not be written to: what is read is filed in it", code="file"))
        return MaildirBox(path)
    wrong = "a folder, but no Maildir: it has no cur and new" if path.is_dir() else "there is no such file or folder"
    raise InputError(Problem(Place(shown), wrong, "name a Maildir, an mbox or an .eml", code="file"))


def _unreadable(file: Path, exc: OSError) -> InputError:
    return InputError(Problem(Place(str(file)), f"cannot be read: {exc.strerror}", code="file"))
