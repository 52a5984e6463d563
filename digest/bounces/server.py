"""A mail server that keeps the bounce mailbox: where it is, how it is reached, and what may be wrong with that."""

from __future__ import annotations

import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ClassVar, Literal, Self
from urllib.parse import unquote, urlsplit

from digest.errors import HeldError, LaterError
from digest.sections import is_loopback

TIMEOUT = 30.0  # seconds

_PORTS = {"imap": 143, "imaps": 993, "pop3": 110, "pop3s": 995}


@dataclass(frozen=True, slots=True)
class Server:
    """`tls`: from the first byte, after STARTTLS (STLS), or none, which is for this machine only."""

    protocol: Literal["imap", "pop3"]
    host: str
    port: int
    tls: Literal["implicit", "starttls", "none"]
    username: str
    password: str = field(repr=False)
    folder: str = "INBOX"

    @classmethod
    def of(cls, address: str, username: str, password: str) -> Self:
        """From an address as `[bounces]` has it.

        >>> server = Server.of("imaps://mail.example.com/Bounces", "b", "")
        >>> server.port, server.tls, server.folder
        (993, 'implicit', 'Bounces')
        >>> Server.of("pop3://mail.example.com", "b", "").tls, Server.of("imap://127.0.0.1:1143", "b", "").tls
        ('starttls', 'none')
        """
        parts = urlsplit(address)
        host = parts.hostname or ""
        return cls(
            protocol="imap" if parts.scheme.startswith("imap") else "pop3",
            host=host,
            port=parts.port or _PORTS[parts.scheme],
            tls="implicit" if parts.scheme.endswith("s") else "none" if is_loopback(host) else "starttls",
            username=username,
            password=password,
            folder=unquote(parts.path.strip("/")) or "INBOX",
        )

    def __str__(self) -> str:
        return f"the mailbox at {self.host}:{self.port}"


class ServerBox(ABC):
    """A mailbox on a server. A context manager; entering it logs in.

    Entering raises `LaterError` when the server can't be reached, `HeldError` when it refuses the login, the
    certificate or the folder.
    """

    _refusal: ClassVar[type[Exception]]
    """What the protocol's library raises where the server says no."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def __enter__(self) -> Self:
        server = self._server
        with self._talking():
            self._connect(ssl.create_default_context() if server.tls == "implicit" else None)
            try:
                if server.tls == "starttls":
                    self._start_tls(ssl.create_default_context())
                try:
                    self._log_in()
                except self._refusal as exc:
                    raise HeldError(f"{server} refuses the login of {server.username}: {words(exc)}") from exc
                self._begin()
            except BaseException:
                self.__exit__()
                raise
        return self

    @abstractmethod
    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None: ...

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Whatever goes wrong comes out as ours."""
        with _trouble(self._server), self._refusals():
            yield

    @abstractmethod
    def _connect(self, tls: ssl.SSLContext | None) -> None:
        """`tls`: from the first byte."""

    @abstractmethod
    def _start_tls(self, tls: ssl.SSLContext) -> None: ...

    @abstractmethod
    def _log_in(self) -> None: ...

    @abstractmethod
    def _begin(self) -> None:
        """What is to be done once it is logged in."""

    @abstractmethod
    def _refusals(self) -> AbstractContextManager[None]:
        """The errors of the protocol's library as ours."""


@contextmanager
def _trouble(server: Server) -> Iterator[None]:
    """Errors of the connection as ours: `HeldError` for a certificate, `LaterError` for all that time may mend."""
    try:
        yield
    except ssl.SSLCertVerificationError as exc:
        raise HeldError(f"{server} has a certificate that can't be trusted: {exc.verify_message}") from exc
    except socket.gaierror as exc:
        raise LaterError(f"{server} is not found: {exc.strerror}") from exc
    except OSError as exc:
        raise LaterError(f"{server} can't be reached: {exc.strerror or exc or 'no answer'}") from exc


def words(answer: Any) -> str:
    """What a server said, as the libraries give it (an error, lines, bytes), on one line of 200 characters at most.

    >>> words(OSError(b"-ERR  no")), words([b"NO", b"more"]), words([])
    ('-ERR no', 'NO', '')
    """
    if isinstance(answer, BaseException):
        answer = answer.args
    if isinstance(answer, list | tuple):
        answer = answer[0] if answer else ""
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
    return " ".join(text.split())[:200]
