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

from digest.bounces.mailbox import Mail, Shelf, subfolder
from digest.bounces.reading import LONGEST
from digest.bounces.server import TIMEOUT, Server, ServerBox, words
from digest.errors import HeldError, LaterError
from digest.files import sync_path

_LARGE = 8 * LONGEST
_LINES = 4000
"""Of a mail larger than `_LARGE` the first lines are read, and it stays on the server: it is too large to be kept."""


class Pop3Box(ServerBox):
    """See the module; `copies` is the Maildir. Leaving it removes what was filed."""

    _refusal = poplib.error_proto

    def __init__(self, server: Server, copies: Path) -> None:
        super().__init__(server)
        self._copies = copies
        self._large: set[str] = set()

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        with suppress(poplib.error_proto, OSError):
            # What is marked goes with QUIT (RFC 1939 section 6). It has its copy, whatever else has failed since.
            self._pop.quit()
        with suppress(OSError):
            self._pop.close()  # where it could not be said

    def _connect(self, tls: ssl.SSLContext | None) -> None:
        host, port = self._server.host, self._server.port
        self._pop = (
            poplib.POP3_SSL(host, port, context=tls, timeout=TIMEOUT)
            if tls
            else poplib.POP3(host, port, timeout=TIMEOUT)
        )

    def _start_tls(self, tls: ssl.SSLContext) -> None:
        self._pop.stls(tls)

    def _log_in(self) -> None:
        self._pop.user(self._server.username)
        self._pop.pass_(self._server.password)

    def _begin(self) -> None:
        """There is one folder, open already."""

    def mails(self) -> Iterator[Mail]:
        """In the order of the server."""
        with self._talking():
            sizes = [line.split() for line in self._pop.list()[1]]
        for number, size in ((n.decode(), int(s)) for n, s, *_ in sizes):
            with self._talking():
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
                with self._talking():
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
            sync_path(folder / "cur")
        except OSError as exc:
            raise HeldError(f"{self._copies}: a mail can't be kept: {exc.strerror}") from exc

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except poplib.error_proto as exc:
            raise LaterError(f"{self._server}: {words(exc)}") from exc
