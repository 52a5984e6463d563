"""The end of the path: where messages go. Only this module knows aiosmtplib.

A `Relay` opens `Connection`s; a connection carries one message a transaction: MAIL, RCPT, DATA, then
``mark`` (where the ledger notes that end-of-data begins), then the message and its final dot. What comes of
it is returned as an `Outcome`, or as a `Stop` when the relay refuses us altogether. Raised is only what
makes a connection impossible:

* `HeldError`: the relay refused us (login, STARTTLS, certificate): a person must decide;
* `LaterError`: it can't be reached, or says that it is too busy;
* whatever ``mark`` raises; the transaction is then broken off before its end, and nothing is sent.

The library connects, secures and logs in; then its transport is handed to `Transactions`.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio import sslproto
from dataclasses import dataclass, field
from typing import NoReturn, Protocol, cast

import aiosmtplib

from digest.delivery.classify import Reply, Stop, Verb, classify, printable
from digest.delivery.outcome import Accepted, Outcome
from digest.delivery.transactions import PATIENCE_AT_THE_END, Mark, Transactions, trouble
from digest.delivery.wire import Wire
from digest.errors import HeldError, LaterError
from digest.message.envelope import Message
from digest.sections import SmtpSection

# What asyncio sets aside for each TLS connection to read into: 256 KiB, where replies are a few lines.
sslproto.SSLProtocol.max_size = 16_384


async def unmarked() -> None:
    """A `Mark` that notes nothing: for messages no ledger knows."""


class Connection(Protocol):
    """One lane to a relay; used by one task at a time."""

    @property
    def relay(self) -> str:
        """The name of the relay it leads to."""

    @property
    def has_accepted(self) -> bool:
        """Whether a message was accepted since the connection was made."""

    @property
    def takes_ahead(self) -> bool:
        """Whether it helps to know the next message early: see `Mark`."""

    async def send(self, message: Message, mark: Mark) -> Outcome | Stop:
        """Hand over one message; the one that `mark` named the last time, if it named one."""

    async def close(self) -> None:
        """Say goodbye, if there is somebody to say it to; never raises."""


class Relay(Protocol):
    """Takes messages over connections."""

    @property
    def name(self) -> str:
        """What people are told it is."""

    async def connect(self) -> Connection:
        """A connection that is ready for its first message."""


def relay_name(smtp: SmtpSection) -> str:
    """``host:port``, as messages, rates and the ledger call it."""
    return f"{smtp.host}:{smtp.port}"


@dataclass(frozen=True, slots=True)
class SmtpRelay:
    """A relay that speaks SMTP.

    `hello` is the name given in EHLO. The certificate is always verified, on loopback too, against the
    system's authorities (``SSL_CERT_FILE`` adds to them) or those of `tls_context`.
    """

    smtp: SmtpSection
    hello: str
    tls_context: ssl.SSLContext | None = None
    patience: float = PATIENCE_AT_THE_END
    _trust: list[ssl.SSLContext] = field(default_factory=list, repr=False, compare=False)

    @property
    def name(self) -> str:
        """``host:port``."""
        return relay_name(self.smtp)

    @property
    def trust(self) -> ssl.SSLContext:
        """One for all connections: each would read the system's authorities for itself, half a megabyte of them."""
        if not self._trust:
            self._trust.append(self.tls_context or ssl.create_default_context())
        return self._trust[0]

    async def connect(self) -> Connection:
        """Connects, secures, logs in. Raises `HeldError` or `LaterError`."""
        connection = SmtpConnection(self)
        await connection.open()
        return connection


class SmtpConnection:
    """One connection to a relay; it mends itself when the relay has closed it between two messages."""

    def __init__(self, relay: SmtpRelay) -> None:
        self._relay = relay
        self._accepted = False
        self._sent = 0

    @property
    def relay(self) -> str:
        """``host:port``."""
        return self._relay.name

    @property
    def has_accepted(self) -> bool:
        """Whether a message was accepted since the connection was made."""
        return self._accepted

    @property
    def takes_ahead(self) -> bool:
        """Whether the relay offers PIPELINING, and the next message goes over the same connection."""
        return self._transactions.pipelining and not self._is_used_up

    @property
    def _is_used_up(self) -> bool:
        return self._sent >= self._relay.smtp.messages_per_connection

    async def open(self) -> None:
        """Connects anew. Raises `HeldError` or `LaterError`."""
        client = self._new_client()
        self._sent, self._accepted = 0, False
        verb: Verb = "connect"
        try:
            await client.connect()
            verb = "EHLO"
            await _hello(client)
            if self._relay.smtp.tls == "starttls":
                verb = "STARTTLS"
                await client.starttls()
                verb = "EHLO"
                await _hello(client)
            verb = "AUTH"
            await self._login(client)
            self._take_over(client)
        except (aiosmtplib.SMTPException, OSError, ValueError) as exc:
            _abandon(client)
            self._refused(verb, exc)
        except BaseException:
            _abandon(client)
            raise

    def _new_client(self) -> aiosmtplib.SMTP:
        smtp = self._relay.smtp
        return aiosmtplib.SMTP(
            hostname=smtp.host.strip("[]"),
            port=smtp.port,
            local_hostname=self._relay.hello,
            timeout=smtp.timeout,
            use_tls=smtp.tls == "implicit",
            start_tls=False,  # done step by step in `open`, so that an error names its verb
            tls_context=None if smtp.tls == "none" else self._relay.trust,
        )

    async def _login(self, client: aiosmtplib.SMTP) -> None:
        smtp = self._relay.smtp
        if smtp.username is None or smtp.password is None:
            return
        await client.login(smtp.username, smtp.password.get_secret_value())

    def _take_over(self, client: aiosmtplib.SMTP) -> None:
        if client.transport is None or client.protocol is None:
            raise ConnectionResetError("Connection lost")
        self._transactions = Transactions(
            Wire(client.transport), client.esmtp_extensions, self._relay.smtp.timeout, self._relay.patience
        )
        # The library's client and protocol hold each other, and would hold the connection long after its end.
        client.protocol.transport = client.protocol = client.transport = None

    def _refused(self, verb: Verb, exc: Exception) -> NoReturn:
        name = self._relay.name
        cause = exc.__cause__ or exc
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise HeldError(
                f"{name}: the relay's certificate is not trusted: {cause.verify_message};"
                " trust its authority on this machine (SSL_CERT_FILE) or correct [smtp] host"
            ) from exc
        if isinstance(cause, ssl.SSLError):
            raise HeldError(
                f"{name}: no TLS ({printable(cause.reason or str(cause))}); check [smtp] port and tls:"
                " 465 goes with implicit, 587 with starttls"
            ) from exc
        if isinstance(exc, aiosmtplib.SMTPResponseException):
            reply = Reply(exc.code, exc.message)
            verdict = classify(verb, reply)
            if isinstance(verdict, Stop):
                raise HeldError(f"{name}: {verdict}{_CURES.get(verb, '')}") from exc
            if not reply.is_reply:
                raise HeldError(f"{name} does not speak SMTP: {printable(exc.message)}; check [smtp]") from exc
            raise LaterError(f"{name}: the relay answered {reply} (to {verb})") from exc
        if isinstance(exc, OSError):  # aiosmtplib's timeouts and disconnects are among them
            cure = "is the relay running?"
            if self._relay.smtp.port == 465 and self._relay.smtp.tls != "implicit":
                cure = 'port 465 goes with tls = "implicit"'
            raise LaterError(f"{name}: {trouble(verb, exc)}; {cure}") from exc
        raise HeldError(f"{name}: {printable(str(exc))} (at {verb}){_CURES.get(verb, '')}") from exc

    async def send(self, message: Message, mark: Mark) -> Outcome | Stop:
        """One transaction, on a new connection where this one has carried as many as it may.

        A relay that hung up since the last message is called again, once. Raises `HeldError` or `LaterError`
        when it can't be.
        """
        if self._is_used_up:
            await self._transactions.close()
        if not self._transactions.can_begin(message):
            await self.open()
        was_used, self._sent = self._sent > 0, self._sent + 1
        result = await self._transactions.send(message, mark)
        if was_used and self._transactions.hung_up:
            # 421 or silence to MAIL on a used connection is the relay's limit of messages or of idle time
            # (RFC 5321 section 3.8): it says nothing about this message.
            await self.open()
            self._sent = 1
            result = await self._transactions.send(message, mark)
        self._accepted = self._accepted or isinstance(result, Accepted)
        return result

    async def close(self) -> None:
        """QUIT, when the relay is still there; never raises."""
        await self._transactions.close()


def _abandon(client: aiosmtplib.SMTP) -> None:
    """Close it at once: saying goodbye in TLS could take longer than there is a loop to say it."""
    if client.transport is not None:
        cast("asyncio.Transport", client.transport).abort()
    client.close()


async def _hello(client: aiosmtplib.SMTP) -> None:
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError as exc:
        if exc.code not in (500, 502):
            raise
        await client.helo()  # RFC 5321 section 3.2: an old server without EHLO


_CURES = {
    "AUTH": "; check [smtp] username and DIGEST_SMTP__PASSWORD",
    "STARTTLS": '; check [smtp] port and tls ("starttls" needs a relay that offers it)',
}
