"""A mailbox on an IMAP server (RFC 3501), TLS verified; shelves are folders there."""

from __future__ import annotations

import imaplib
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType

from digest.bounces.mailbox import Mail, Shelf
from digest.bounces.reading import LONGEST
from digest.bounces.server import TIMEOUT, Server, ServerBox, words
from digest.errors import HeldError, LaterError


class ImapBox(ServerBox):
    """See the module."""

    _refusal = imaplib.IMAP4.error

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._prefix = ""
        self._able: frozenset[str] = frozenset()
        self._made: set[Shelf] = set()

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        with suppress(imaplib.IMAP4.error, OSError):
            self._imap.logout()

    def _connect(self, tls: ssl.SSLContext | None) -> None:
        host, port = self._server.host, self._server.port
        self._imap = (
            imaplib.IMAP4_SSL(host, port, ssl_context=tls, timeout=TIMEOUT)
            if tls
            else imaplib.IMAP4(host, port, timeout=TIMEOUT)
        )

    def _start_tls(self, tls: ssl.SSLContext) -> None:
        self._imap.starttls(tls)

    def _log_in(self) -> None:
        self._imap.login(self._server.username, self._server.password)

    def _begin(self) -> None:
        # Asked again: a server may say only after the login what it is able to do (RFC 3501 section 6.2.3).
        _, answer = self._imap.capability()
        self._able = frozenset(bytes(answer[0] or b"").decode("ascii", "replace").upper().split())
        self._prefix = self._personal_namespace()
        folder = self._server.folder
        done, answer = self._imap.select(_quoted(folder))
        if done != "OK":
            raise HeldError(f"{self._server} has no folder “{folder}”: {words(answer)}")

    def mails(self) -> Iterator[Mail]:
        """In the order of their arrival."""
        with self._talking():
            _, found = self._imap.uid("SEARCH", "UNDELETED")
            numbers = found[0].split() if found and found[0] else []
        for number in numbers:
            with self._talking():
                _, parts = self._imap.uid("FETCH", number.decode(), f"(BODY.PEEK[]<0.{LONGEST}>)")
            data = next((part[1] for part in parts if isinstance(part, tuple)), None)
            if data is not None:  # else another program has removed it
                yield Mail(number.decode(), data)

    def file(self, mails: Sequence[tuple[Mail, Shelf]]) -> None:
        """Moves them (RFC 6851), or copies them and marks the first copies as deleted."""
        for shelf in dict.fromkeys(shelf for _, shelf in mails):
            numbers = ",".join(mail.name for mail, wanted in mails if wanted == shelf)
            with self._talking():
                self._move(numbers, self._folder(shelf))

    def _move(self, numbers: str, folder: str) -> None:
        if "MOVE" in self._able:
            self._must("MOVE", numbers, folder)
            return
        self._must("COPY", numbers, folder)
        self._must("STORE", numbers, "+FLAGS.SILENT", "(\\Deleted)")
        if "UIDPLUS" in self._able:  # else what others have marked would go as well
            self._must("EXPUNGE", numbers)

    def _must(self, command: str, *arguments: str) -> None:
        done, answer = self._imap.uid(command, *arguments)
        if done != "OK":
            raise HeldError(f"{self._server} refuses to file mails ({command}): {words(answer)}")

    def _folder(self, shelf: Shelf) -> str:
        name = _quoted(f"{self._prefix}{shelf}")
        if shelf not in self._made:
            self._imap.create(name)  # NO, where it is there already: what is wrong is said by the move
            self._made.add(shelf)
        return name

    def _personal_namespace(self) -> str:
        """What the names of one's own folders begin with (RFC 2342)."""
        if "NAMESPACE" not in self._able:
            return ""
        _, answer = self._imap.namespace()
        match = re.match(rb'\(\("([^"]*)"', answer[0] or b"") if answer and isinstance(answer[0], bytes) else None
        return match[1].decode("ascii", "replace") if match else ""

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except imaplib.IMAP4.abort as exc:
            raise LaterError(f"{self._server} broke off: {words(exc)}") from exc
        except imaplib.IMAP4.error as exc:
            raise HeldError(f"{self._server}: {words(exc)}") from exc


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
