"""Mail transactions (RFC 5321 section 3.3) on a connection that is ready: pipelined where that is offered.

Without PIPELINING each command waits for the reply to the one before. With it (RFC 2920) MAIL, RCPT and
DATA go out at once, and so may those of the next message right behind the final dot of this one: one round
trip a message. Either way the message itself waits for 354 and for the mark that its end begins.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from digest.delivery.classify import Reply, Stop, Verb, classify, printable, storable
from digest.delivery.outcome import Deferred, Outcome, Rejected, Unknown
from digest.delivery.wire import Wire
from digest.message.envelope import Message

Mark = Callable[[], Awaitable[Message | None]]
"""Notes that the end of the data begins; answers with the message that will be sent next, if it is known
already. What it raises breaks the transaction off, and nothing of the message is sent."""

PATIENCE_AT_THE_END = 10
"""How many times longer than for other replies to wait for the one to end-of-data: ten minutes (RFC 5321
section 4.5.3.2.6), with the usual timeout. Giving up early makes *unknown* of what was accepted."""

_Step = tuple[Verb, bytes]


class Transactions:
    """One after the other on `wire`. `extensions` are the relay's, by lower-case keyword."""

    def __init__(
        self,
        wire: Wire,
        extensions: Mapping[str, str],
        timeout: float,
        patience: float = PATIENCE_AT_THE_END,
    ) -> None:
        self._wire = wire
        self._timeout = timeout
        self._patience = patience
        self._extensions = extensions
        self._begun: Message | None = None
        self.pipelining = "pipelining" in extensions
        self.hung_up = False
        """Whether the relay ended the connection in place of an answer to MAIL, which is about no message."""

    async def send(self, message: Message, mark: Mark) -> Outcome | Stop:
        """Hand over one message. Afterwards the connection may be closed. Raises what `mark` raises."""
        self.hung_up = False
        try:
            if self._begun is not message and (local := self.local_reason(message)):
                return local
            refused = await self._envelope(message)
            return await self._content(message, mark) if refused is None else refused
        except BaseException:
            self._wire.close()
            raise

    def can_begin(self, message: Message) -> bool:
        """Whether the connection is there, and not in the middle of another message."""
        return self._wire.is_open and self._begun in (None, message)

    async def _envelope(self, message: Message) -> Outcome | Stop | None:
        """MAIL, RCPT, DATA. None: the relay waits for the message."""
        steps = self._steps(message)
        if self.pipelining and self._begun is not message:
            self._wire.write([command for _, command in steps], len(steps))
        self._begun = None
        refused: Outcome | Stop | None = None
        recipient_taken = False
        for verb, command in steps:
            if not self.pipelining:
                self._wire.write((command,), 1)
            try:
                reply = await self._wire.reply(self._timeout)
            except OSError as exc:
                self._wire.close()  # what is still to come would be read as the answer to the next command
                self.hung_up = verb == "MAIL" and isinstance(exc, ConnectionError)
                return refused or Deferred(0, storable(trouble(verb, exc)), lost=isinstance(exc, ConnectionError))
            verdict = classify(verb, reply)
            recipient_taken |= verb == "RCPT" and verdict is None
            if reply.code == 421 or not reply.is_reply:
                self.hung_up = verb == "MAIL" and reply.code == 421
                self._wire.close()
                return refused or verdict
            refused = refused or verdict
            if refused and not self.pipelining:
                break
        if refused:
            await self._clear(reply, recipient_taken=recipient_taken)
        return refused

    async def _clear(self, last: Reply, *, recipient_taken: bool) -> None:
        """End the refused transaction; `last` is the reply to the last of its commands."""
        if last.code // 100 != 3:
            await self._ask(b"RSET\r\n")  # RFC 5321 section 4.1.1.5
        elif recipient_taken:
            self._wire.close()  # a dot would send an empty message to the reader
        else:
            await self._ask(b".\r\n", or_refused=True)  # RFC 2920 section 3.1

    async def _ask(self, command: bytes, *, or_refused: bool = False) -> None:
        """One command on whose answer only the connection depends."""
        try:
            self._wire.write((command,), 1)
            code = (await self._wire.reply(self._timeout)).code
        except OSError:
            code = 0
        if not (code // 100 == 2 or (or_refused and code // 100 in (4, 5) and code != 421)):
            self._wire.close()

    async def _content(self, message: Message, mark: Mark) -> Outcome | Stop:
        """The message and its final dot, behind them the next envelope."""
        following = await mark()
        if not self._wire.is_open:
            # Not a byte of the message has left, so there is nothing the relay could have.
            return Deferred(0, "the connection was lost before the message was sent", lost=True)
        parts = [*stuffed(message), b".\r\n"]
        if following and self.pipelining and self.local_reason(following) is None:
            # The content may stand first in a group of commands (RFC 2920 section 3.1).
            parts += [command for _, command in self._steps(following)]
            self._begun = following
        self._wire.write(parts, 4 if self._begun else 1)
        try:
            reply = await self._wire.reply(self._timeout * self._patience)
        except OSError as exc:
            lost = trouble("end-of-data", exc)
            unsent = not self._wire.all_sent and self._begun is None
            self._wire.close()
            if unsent:
                return Deferred(0, storable(f"{lost}: before its end was sent"), lost=isinstance(exc, ConnectionError))
            return Unknown(storable(f"{lost}; the relay may have it or not"))
        if reply.code == 421 or not reply.is_reply:
            self._wire.close()
        verdict = classify("end-of-data", reply)
        return verdict or Unknown(f"unexpected reply to end-of-data: {storable(str(reply))}")

    def local_reason(self, message: Message) -> Rejected | None:
        """Why this relay can't carry the message, known without asking it."""
        if not (message.sender.isprintable() and message.recipient.isprintable()):
            return Rejected(0, "5.1.3", "the address holds a control character")
        if message.smtputf8 and "smtputf8" not in self._extensions:
            return Rejected(0, "5.6.7", "the address needs SMTPUTF8, which the relay does not offer")
        limit = self._extensions.get("size", "").strip()
        if limit.isdecimal() and 0 < int(limit) < len(message.data):  # RFC 1870 section 4: 0 is no limit
            size = len(message.data)
            return Rejected(0, "5.3.4", f"{size} bytes are more than the relay takes ({limit})")
        return None

    def _steps(self, message: Message) -> tuple[_Step, _Step, _Step]:
        options = f" SIZE={len(message.data)}" if "size" in self._extensions else ""
        if message.smtputf8:  # the headers name the address as it is, in UTF-8 (RFC 6531 section 3.1)
            options += " SMTPUTF8"
            options += " BODY=8BITMIME" if "8bitmime" in self._extensions else ""
        return (
            ("MAIL", f"MAIL FROM:<{message.sender}>{options}\r\n".encode()),
            ("RCPT", f"RCPT TO:<{message.recipient}>\r\n".encode()),
            ("DATA", b"DATA\r\n"),
        )

    async def close(self) -> None:
        """QUIT, when the relay is there and not in the middle of something; never raises."""
        if self._wire.is_open and self._begun is None:
            try:
                self._wire.write((b"QUIT\r\n",), 1)
                await self._wire.reply(min(self._timeout, 2.0))
            except OSError:
                pass
        self._wire.close()


def stuffed(message: Message) -> tuple[bytes, ...]:
    """The data, dot-stuffed (RFC 5321 section 4.5.2), with a line break at its end.

    >>> b"".join(stuffed(Message("", "", "", b".a\\r\\n..b")))
    b'..a\\r\\n...b\\r\\n'
    """
    data = message.data
    if not message.dotless:
        data = data.replace(b"\r\n.", b"\r\n..")
        data = b"." + data if data.startswith(b".") else data
    return (data,) if data.endswith(b"\r\n") else (data, b"\r\n")


def trouble(verb: Verb, exc: BaseException) -> str:
    """What became of a connection, in words.

    >>> trouble("RCPT", ConnectionResetError())
    'the connection was lost at RCPT'
    """
    while isinstance(exc.__cause__, Exception):  # not the CancelledError behind asyncio's timeouts
        exc = exc.__cause__
    match exc:
        case ConnectionRefusedError():
            return "connection refused"
        case OSError() if "Connect call failed" in str(exc):  # asyncio's sum over several addresses
            return "connection refused"
        case TimeoutError():
            return f"no answer in time at {verb}"
        case ConnectionError() | EOFError():  # the library's own disconnects are among them
            return f"the connection was lost at {verb}"
        case OSError(strerror=str(reason)):
            return f"{printable(reason)} (at {verb})"
    return f"{printable(str(exc))} (at {verb})"
