"""The end of the path: where messages go. Only this module knows aiosmtplib.

A `Relay` opens `Connection`s; a connection carries one message a transaction (RFC 5321 section 3.3):
MAIL, RCPT, DATA, then ``before_data`` (where the ledger notes that end-of-data begins), then the message
and its final dot. What comes of it is returned as an `Outcome`, or as a `Stop` when the relay refuses us
altogether. Raised is only what makes a connection impossible:

* `HeldError`: the relay refused us (login, STARTTLS, certificate): a person must decide;
* `LaterError`: it can't be reached, or says that it is too busy;
* whatever ``before_data`` raises; the transaction is then broken off before its end, and nothing is sent.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

import aiosmtplib

from digest.delivery.classify import Reply, Stop, Verb, classify, printable, storable
from digest.delivery.outcome import Accepted, Deferred, Outcome, Rejected, Unknown
from digest.errors import HeldError, LaterError
from digest.message.envelope import Message
from digest.sections import SmtpSection

BeforeData = Callable[[], None]

PATIENCE_AT_THE_END = 10
"""How many times longer than for other replies to wait for the one to end-of-data: ten minutes (RFC 5321
section 4.5.3.2.6), with the usual timeout. Giving up early makes *unknown* of what was accepted."""


class Connection(Protocol):
    """One lane to a relay; used by one task at a time."""

    @property
    def has_accepted(self) -> bool:
        """Whether a message was accepted since the connection was made."""

    async def send(self, message: Message, before_data: BeforeData) -> Outcome | Stop:
        """Hand over one message."""

    async def close(self) -> None:
        """Say goodbye, if there is somebody to say it to; never raises."""


class Relay(Protocol):
    """Takes messages over connections."""

    @property
    def name(self) -> str:
        """What people are told it is."""

    async def connect(self) -> Connection:
        """A connection that is ready for its first message."""


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

    @property
    def name(self) -> str:
        """``host:port``."""
        return f"{self.smtp.host}:{self.smtp.port}"

    async def connect(self) -> Connection:
        """Connects, secures, logs in. Raises `HeldError` or `LaterError`."""
        connection = SmtpConnection(self)
        await connection.open()
        return connection


class SmtpConnection:
    """One connection to a relay; it mends itself when the relay has closed it between two messages."""

    def __init__(self, relay: SmtpRelay) -> None:
        self._relay = relay
        self._timeout = relay.smtp.timeout
        self._client = self._new_client()
        self._used = self._hung_up = False
        self._accepted = False

    @property
    def has_accepted(self) -> bool:
        """Whether a message was accepted since the connection was made."""
        return self._accepted

    def _new_client(self) -> aiosmtplib.SMTP:
        smtp = self._relay.smtp
        return aiosmtplib.SMTP(
            hostname=smtp.host.strip("[]"),
            port=smtp.port,
            local_hostname=self._relay.hello,
            timeout=smtp.timeout,
            use_tls=smtp.tls == "implicit",
            start_tls=False,  # done step by step in `open`, so that an error names its verb
            tls_context=self._relay.tls_context,
        )

    async def open(self) -> None:
        """Connects anew. Raises `HeldError` or `LaterError`."""
        self._client = self._new_client()
        self._used = self._accepted = False
        verb: Verb = "connect"
        try:
            await self._client.connect()
            verb = "EHLO"
            await self._hello()
            if self._relay.smtp.tls == "starttls":
                verb = "STARTTLS"
                await self._client.starttls()
                verb = "EHLO"
                await self._hello()
            verb = "AUTH"
            await self._login()
        except (aiosmtplib.SMTPException, OSError, ValueError) as exc:
            self._client.close()
            self._refused(verb, exc)
        except BaseException:
            self._client.close()
            raise

    async def _hello(self) -> None:
        try:
            await self._client.ehlo()
        except aiosmtplib.SMTPHeloError as exc:
            if exc.code not in (500, 502):
                raise
            await self._client.helo()  # RFC 5321 section 3.2: an old server without EHLO

    async def _login(self) -> None:
        smtp = self._relay.smtp
        if smtp.username is None or smtp.password is None:
            return
        await self._client.login(smtp.username, smtp.password.get_secret_value())

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
            raise LaterError(f"{name}: {_trouble(verb, exc)}; {cure}") from exc
        raise HeldError(f"{name}: {printable(str(exc))} (at {verb}){_CURES.get(verb, '')}") from exc

    async def send(self, message: Message, before_data: BeforeData) -> Outcome | Stop:
        """One transaction. A relay that hung up since the last message is called again, once."""
        if not self._client.is_connected:
            await self.open()
        was_used, self._used, self._hung_up = self._used, True, False
        result = await self._transaction(message, before_data)
        if was_used and self._hung_up:
            # 421 or silence to MAIL on a used connection is the relay's limit of messages or of idle time
            # (RFC 5321 section 3.8): it says nothing about this message.
            await self.open()
            self._used = True
            result = await self._transaction(message, before_data)
        self._accepted = self._accepted or isinstance(result, Accepted)
        return result

    async def _transaction(self, message: Message, before_data: BeforeData) -> Outcome | Stop:
        if local := self._local_reason(message):
            return local
        verb: Verb = "MAIL"
        try:
            for verb, command in self._envelope(message):
                reply = Reply(*await self._client.execute_command(*command))
                result = classify(verb, reply)
                if result is not None:
                    self._hung_up = verb == "MAIL" and reply.code == 421
                    await self._reset(reply)
                    return result
            before_data()
            verb = "end-of-data"
            return await self._finish(message)
        except (aiosmtplib.SMTPException, OSError) as exc:
            self._client.close()  # what is still to come would be read as the answer to the next command
            if verb == "end-of-data":
                return Unknown(storable(f"{_trouble(verb, exc)}; the relay may have it or not"))
            self._hung_up = verb == "MAIL" and isinstance(exc, aiosmtplib.SMTPServerDisconnected)
            return Deferred(0, storable(_trouble(verb, exc)))
        except BaseException:
            self._client.close()
            raise

    def _envelope(self, message: Message) -> tuple[tuple[Verb, tuple[bytes, ...]], ...]:
        options = [f"SIZE={len(message.data)}".encode()] if self._client.supports_extension("size") else []
        if message.smtputf8:
            options.append(b"SMTPUTF8")
        sender, recipient = (f"<{a}>".encode() for a in (message.sender, message.recipient))
        return (
            ("MAIL", (b"MAIL", b"FROM:" + sender, *options)),
            ("RCPT", (b"RCPT", b"TO:" + recipient)),
            ("DATA", (b"DATA",)),
        )

    def _local_reason(self, message: Message) -> Rejected | None:
        """Why this relay can't carry the message, known without asking it."""
        if any(not c.isprintable() for c in message.sender + message.recipient):
            return Rejected(0, "5.1.3", "the address holds a control character")
        if message.smtputf8 and not self._client.supports_extension("smtputf8"):
            return Rejected(0, "5.6.7", "the address needs SMTPUTF8, which the relay does not offer")
        limit = self._client.esmtp_extensions.get("size", "").strip()
        if limit.isdecimal() and 0 < int(limit) < len(message.data):  # RFC 1870 section 4: 0 is no limit
            size = len(message.data)
            return Rejected(0, "5.3.4", f"{size} bytes are more than the relay takes ({limit})")
        return None

    async def _finish(self, message: Message) -> Outcome | Stop:
        protocol = self._client.protocol
        if protocol is None or not protocol.is_connected:
            # Not a byte of the message has left, so there is nothing the relay could have.
            return Deferred(0, "connection lost before the message was sent")
        # Dot-stuffing (RFC 5321 section 4.5.2); `Message.data` has CRLF line ends throughout.
        data = message.data.replace(b"\r\n.", b"\r\n..")
        data = b"." + data if data.startswith(b".") else data
        protocol.write(data + (b".\r\n" if data.endswith(b"\r\n") else b"\r\n.\r\n"))
        reply = Reply(*await protocol.read_response(timeout=self._timeout * self._relay.patience))
        result = classify("end-of-data", reply)
        if reply.code == 421 or not reply.is_reply:
            self._client.close()
        return result or Unknown(f"unexpected reply to end-of-data: {storable(str(reply))}")

    async def _reset(self, reply: Reply) -> None:
        """Clear the refused transaction (RFC 5321 section 4.1.1.5), or leave a connection gone astray."""
        if reply.code // 100 in (4, 5) and reply.code != 421:
            with suppress(aiosmtplib.SMTPException, OSError):
                if (await self._client.execute_command(b"RSET")).code // 100 == 2:
                    return
        self._client.close()

    async def close(self) -> None:
        """QUIT, when the relay is still there; never raises."""
        try:
            with suppress(aiosmtplib.SMTPException, OSError):
                if self._client.is_connected:
                    await self._client.execute_command(b"QUIT", timeout=min(self._timeout, 2.0))
        finally:
            self._client.close()


_CURES = {
    "AUTH": "; check [smtp] username and DIGEST_SMTP__PASSWORD",
    "STARTTLS": '; check [smtp] port and tls ("starttls" needs a relay that offers it)',
}


def _trouble(verb: Verb, exc: Exception) -> str:
    """
    >>> _trouble("RCPT", aiosmtplib.SMTPServerDisconnected("Connection lost"))
    'the connection was lost at RCPT'
    """
    root: BaseException = exc
    while isinstance(root.__cause__, Exception):  # not the CancelledError behind asyncio's timeouts
        root = root.__cause__
    match root:
        case ConnectionRefusedError():
            return "connection refused"
        case OSError() if "Connect call failed" in str(root):  # asyncio's sum over several addresses
            return "connection refused"
        case TimeoutError():
            return f"no answer in time at {verb}"
        case aiosmtplib.SMTPServerDisconnected() | ConnectionError() | EOFError():
            return f"the connection was lost at {verb}"
        case OSError(strerror=str(reason)):
            return f"{printable(reason)} (at {verb})"
    return f"{printable(str(root))} (at {verb})"


@dataclass(frozen=True, slots=True)
class FolderRelay:
    """A folder that takes every message as a file ``<Message-ID>.eml``: dry runs, samples, archives."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.folder)

    async def connect(self) -> Connection:
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

    async def send(self, message: Message, before_data: BeforeData) -> Outcome | Stop:
        """Writes the file, whole or not at all."""
        before_data()
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
