"""A mail server that keeps the bounce mailbox: where it is, how it is reached, and what may be wrong with that."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

from digest.errors import HeldError, LaterError
from digest.sections import is_loopback

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


@contextmanager
def trouble(server: Server) -> Iterator[None]:
    """Errors of the connection as ours: `HeldError` for a certificate, `LaterError` for all that time may mend."""
    try:
        yield
    except ssl.SSLCertVerificationError as exc:
        raise HeldError(f"{server} has a certificate that can't be trusted: {exc.verify_message}") from exc
    except OSError as exc:
        raise LaterError(f"{server} can't be reached: {exc.strerror or exc or 'no answer'}") from exc
