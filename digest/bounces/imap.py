"""A mailbox on an IMAP server (RFC 3501), TLS verified; shelves are folders there."""

from __future__ import annotations

import imaplib
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

from digest.bounces.mailbox import Mail, Shelf
from digest.bounces.reading import LONGEST
from digest.bounces.server import Server, trouble
from digest.errors import HeldError, LaterError

TIMEOUT = 30.0  # seconds


class ImapBox:
    """See the module. A context manager; entering it logs in.

    Entering raises `LaterError` when the server can't be reached, `HeldError` when it refuses the login, the
    certificate or the folder.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._prefix = ""
        self._able: frozenset[str] = frozenset()
        self._made: set[Shelf] = set()

    def __enter__(self) -> Self:
        with trouble(self._server), _refusals(self._server):
            self._imap = self._connected()
            try:
                self._begin()
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        with suppress(imaplib.IMAP4.error, OSError):
            self._imap.logout()

    def _begin(self) -> None:
        server = self._server
        if server.tls == "starttls":
            self._imap.starttls(ssl.create_default_context())
        try:
            self._imap.login(server.username, server.password)
        except imaplib.IMAP4.error as exc:
            raise HeldError(f"{server} refuses the login of {server.username}: {_words(exc)}") from exc
        # Asked again: a server may say only after the login what it is able to do (RFC 3501 section 6.2.3).
        _, answer = self._imap.capability()
        self._able = frozenset(bytes(answer[0] or b"").decode("ascii", "replace").upper().split())
        self._prefix = self._personal_namespace()
        done, answer = self._imap.select(_quoted(server.folder))
        if done != "OK":
            raise HeldError(f"{server} has no folder “{server.folder}”: {_words(answer)}")

    def _connected(self) -> imaplib.IMAP4:
        server = self._server
        if server.tls == "implicit":
            context = ssl.create_default_context()
            return imaplib.IMAP4_SSL(server.host, server.port, ssl_context=context, timeout=TIMEOUT)
        return imaplib.IMAP4(server.host, server.port, timeout=TIMEOUT)

    def mails(self) -> Iterator[Mail]:
        """In the order of their arrival."""
        with trouble(self._server), _refusals(self._server):
            _, found = self._imap.uid("SEARCH", "UNDELETED")
            numbers = found[0].split() if found and found[0] else []
        for number in numbers:
            with trouble(self._server), _refusals(self._server):
                _, parts = self._imap.uid("FETCH", number.decode(), f"(BODY.PEEK[]<0.{LONGEST}>)")
            data = next((part[1] for part in parts if isinstance(part, tuple)), None)
            if data is not None:  # else another program has removed it
                yield Mail(number.decode(), data)

    def file(self, mails: Sequence[tuple[Mail, Shelf]]) -> None:
        """Moves them (RFC 6851), or copies them and marks the first copies as deleted."""
        for shelf in dict.fromkeys(shelf for _, shelf in mails):
            numbers = ",".join(mail.name for mail, wanted in mails if wanted == shelf)
            with trouble(self._server), _refusals(self._server):
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
            raise HeldError(f"{self._server} refuses to file mails ({command}): {_words(answer)}")

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
def _refusals(server: Server) -> Iterator[None]:
    try:
        yield
    except imaplib.IMAP4.abort as exc:
        raise LaterError(f"{server} broke off: {_words(exc)}") from exc
    except imaplib.IMAP4.error as exc:
        raise HeldError(f"{server}: {_words(exc)}") from exc
    except socket.gaierror as exc:
        raise LaterError(f"{server} is not found: {exc.strerror}") from exc


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _words(answer: Any) -> str:
    """A server's words on one line."""
    if isinstance(answer, BaseException):
        answer = answer.args[0] if answer.args else ""
    if isinstance(answer, list):
        answer = answer[0] if answer else ""
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
    return " ".join(text.split())[:200]
