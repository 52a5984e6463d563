"""A mailbox on a POP3 server (RFC 1939), TLS verified.

There are no folders there: a mail is kept as a copy in a Maildir of the newsletter's folder, filed there, and only
then removed from the server, which does it when one leaves.
"""

from __future__ import annotations

import os
import poplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from digest.bounces.mailbox import Mail, Shelf, subfolder
from digest.bounces.reading import LONGEST
from digest.bounces.server import Server, trouble
from digest.errors import HeldError, LaterError
from digest.journal import sync_folder

TIMEOUT = 30.0  # seconds
_LARGE = 8 * LONGEST
_LINES = 4000
"""Of a mail larger than `_LARGE` the first lines are read, and it stays on the server: it is too large to be kept."""


class Pop3Box:
    """See the module; `copies` is the Maildir. A context manager; entering it logs in, leaving it removes what was
    filed. Raises as `digest.bounces.imap.ImapBox` does."""

    def __init__(self, server: Server, copies: Path) -> None:
        self._server = server
        self._copies = copies
        self._large: set[str] = set()

    def __enter__(self) -> Self:
        with trouble(self._server), _refusals(self._server):
            self._pop = self._connected()
            try:
                self._begin()
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        with suppress(poplib.error_proto, OSError):
            # What is marked goes with QUIT (RFC 1939 section 6). It has its copy, whatever else has failed since.
            self._pop.quit()
        with suppress(OSError):
            self._pop.close()  # where it could not be said

    def _connected(self) -> poplib.POP3:
        server = self._server
        if server.tls == "implicit":
            context = ssl.create_default_context()
            return poplib.POP3_SSL(server.host, server.port, context=context, timeout=TIMEOUT)
        return poplib.POP3(server.host, server.port, timeout=TIMEOUT)

    def _begin(self) -> None:
        server = self._server
        if server.tls == "starttls":
            self._pop.stls(ssl.create_default_context())
        try:
            self._pop.user(server.username)
            self._pop.pass_(server.password)
        except poplib.error_proto as exc:
            raise HeldError(f"{server} refuses the login of {server.username}: {_words(exc)}") from exc

    def mails(self) -> Iterator[Mail]:
        """In the order of the server."""
        with trouble(self._server), _refusals(self._server):
            sizes = [line.split() for line in self._pop.list()[1]]
        for number, size in ((n.decode(), int(s)) for n, s, *_ in sizes):
            with trouble(self._server), _refusals(self._server):
                if size > _LARGE:
                    self._large.add(number)
                    lines = self._pop.top(int(number), _LINES)[1]
                else:
                    lines = self._pop.retr(int(number))[1]
            yield Mail(number, b"\r\n".join(lines) + b"\r\n")

    def file(self, mails: Sequence[tuple[Mail, Shelf]]) -> None:
        """Keeps copies, on the disk, and marks the mails as removed."""
        for mail, shelf in mails:
            if mail.name not in self._large:
                self._keep(mail, shelf)
                with trouble(self._server), _refusals(self._server):
                    self._pop.dele(int(mail.name))

    def _keep(self, mail: Mail, shelf: Shelf) -> None:
        name = sha256(mail.data).hexdigest()[:40]  # the same mail once more is the same file
        try:
            folder = subfolder(self._copies, shelf)
            partial = folder / "tmp" / name
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(mail.data)
                stream.flush()
                os.fsync(stream.fileno())
            partial.rename(folder / "cur" / f"{name}:2,S")
            sync_folder(folder / "cur")
        except OSError as exc:
            raise HeldError(f"{self._copies}: a mail can't be kept: {exc.strerror}") from exc


@contextmanager
def _refusals(server: Server) -> Iterator[None]:
    try:
        yield
    except poplib.error_proto as exc:
        raise LaterError(f"{server}: {_words(exc)}") from exc


def _words(exc: poplib.error_proto) -> str:
    text = exc.args[0] if exc.args else ""
    return " ".join((text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)).split())[:200]
