"""A real SMTP server with a script: for tests, and for rehearsing what a relay may do to us.

It listens on 127.0.0.1 in a thread of its own and takes messages in like any relay, except where its
script says otherwise::

    def greylisting(step: Step) -> Answer:
        return "451 4.7.1 later" if step.verb == "RCPT" and step.number == 1 else None

    with ScriptedRelay(greylisting) as relay:
        ...                     # send to relay.port
    relay.received              # what it has taken in
"""

from __future__ import annotations

import asyncio
import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Self


class Act(Enum):
    """What a script may do in place of a reply."""

    HANG_UP = "close the connection without a word"
    SAY_NOTHING = "never answer"
    TAKE_AND_HANG_UP = "take the message in, and close the connection without a word"


@dataclass(frozen=True, slots=True)
class Cut:
    """Say this much, without an end, and close the connection."""

    text: str


@dataclass(frozen=True, slots=True)
class Drip:
    """Say it byte by byte, each after so many seconds."""

    text: str
    seconds: float = 0.001


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a client did.

    `verb` is ``connect``, a command, or ``.`` for the end of the data. `number` counts the same verb with
    the same argument, over all connections, from 1. `connection` counts connections from 1.
    """

    verb: str
    argument: str
    number: int
    connection: int


Answer = str | Cut | Drip | Act | None
"""Reply lines (``"550 5.1.1 no"``, ``"250-a\\r\\n250 b"``), an act, or None for the usual answer."""

Script = Callable[[Step], Answer]


@dataclass(frozen=True, slots=True)
class Received:
    """A message that was taken in, with its envelope, dots unstuffed."""

    sender: str
    recipient: str
    data: bytes

    def header(self, name: str) -> str:
        """The first field of this name, unfolded, or nothing."""
        head = self.data.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
        match = re.search(rf"(?im)^{re.escape(name)}:[ \t]*([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", head)
        return match[1].replace("\r\n", "") if match else ""


def _as_usual(_step: Step) -> Answer:
    return None


_USUAL = {
    "connect": "220 scripted.example ESMTP",
    "HELO": "250 scripted.example",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go on",
    ".": "250 2.0.0 taken in",
    "RSET": "250 2.0.0 ok",
    "NOOP": "250 2.0.0 ok",
    "STARTTLS": "220 2.0.0 go on",
    "AUTH": "235 2.7.0 welcome",
    "QUIT": "221 2.0.0 bye",
}


@dataclass
class ScriptedRelay:
    """See the module. `extensions` are EHLO keywords; `tls` serves STARTTLS, or at once when `implicit`.

    Whether PIPELINING is among them or not, commands are answered one after the other as they come.
    """

    script: Script = _as_usual
    extensions: tuple[str, ...] = ("SIZE 10485760", "ENHANCEDSTATUSCODES")
    tls: ssl.SSLContext | None = None
    implicit: bool = False
    port: int = 0
    received: list[Received] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    connections: int = 0
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def verbs(self, verb: str) -> list[str]:
        """The arguments of every command `verb` so far."""
        return [step.argument for step in self.steps if step.verb == verb]

    def _serve(self, started: threading.Event) -> None:
        try:
            self._loop.run_until_complete(self._listen(started))
        finally:
            self._loop.close()

    async def _listen(self, started: threading.Event) -> None:
        self._end = asyncio.Event()
        at_once = self.tls if self.implicit else None
        server = await asyncio.start_server(self._client, "127.0.0.1", self.port, ssl=at_once, limit=2**24)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._end.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await _Session(self, reader, writer, self.connections).serve()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the client went away
        except asyncio.CancelledError:
            pass  # the relay ends; asyncio.streams would log a task that ends as cancelled
        finally:
            writer.transport.abort()

    def answer(self, verb: str, argument: str, connection: int, otherwise: Answer = None) -> Answer:
        """What the script says, `otherwise`, else what is usual."""
        self._counts[verb, argument] += 1
        step = Step(verb, argument, self._counts[verb, argument], connection)
        self.steps.append(step)
        said = self.script(step)
        if said is not None or (said := otherwise) is not None:
            return said
        return self._greeting() if verb == "EHLO" else _USUAL.get(verb, "500 5.5.2 what?")

    def _greeting(self) -> str:
        lines = ["scripted.example", *self.extensions]
        return "\r\n".join(f"250{' ' if n == len(lines) else '-'}{line}" for n, line in enumerate(lines, 1))


class _HungUpError(ConnectionError):
    pass


class _Session:
    """One client's connection."""

    def __init__(
        self, relay: ScriptedRelay, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        self._relay = relay
        self._reader = reader
        self._writer = writer
        self._number = number
        self._sender = self._recipient = ""

    async def serve(self) -> None:
        await self._reply("connect", "")
        while line := await self._reader.readline():
            verb, _, argument = line.decode("utf-8", "replace").strip().partition(" ")
            await self._command(verb.upper(), argument)

    async def _command(self, verb: str, argument: str) -> None:
        said = await self._reply(verb, argument)
        if not said.startswith(("2", "3")):
            return
        match verb:
            case "MAIL":
                self._sender = _path(argument)
            case "RSET":
                self._sender = self._recipient = ""
            case "RCPT":
                self._recipient = _path(argument)
            case "DATA":
                await self._data()
            case "STARTTLS" if self._relay.tls:
                await self._writer.start_tls(self._relay.tls)
            case "QUIT":
                raise _HungUpError

    async def _data(self) -> None:
        lines = []
        while (line := await self._reader.readline()) != b".\r\n":
            if not line.endswith(b"\n"):
                raise _HungUpError  # by the other side
            lines.append(line[1:] if line.startswith(b".") else line)
        message = Received(self._sender, self._recipient, b"".join(lines))
        self._sender = self._recipient = ""
        nobody = None if message.recipient else "554 5.5.1 no recipient"
        said = self._relay.answer(".", message.recipient, self._number, nobody)
        if said is Act.TAKE_AND_HANG_UP or _text(said).startswith("2"):
            self._relay.received.append(message)
        await self._say(said)

    async def _reply(self, verb: str, argument: str) -> str:
        said = self._relay.answer(verb, argument, self._number, self._out_of_order(verb))
        await self._say(said)
        return _text(said)

    def _out_of_order(self, verb: str) -> Answer:
        """Commands that need another one first (RFC 5321 section 4.1.4)."""
        missing = (verb == "RCPT" and not self._sender) or (verb == "DATA" and not self._recipient)
        return "503 5.5.1 bad sequence" if missing else None

    async def _say(self, said: Answer) -> None:
        match said:
            case Act.HANG_UP | Act.TAKE_AND_HANG_UP:
                raise _HungUpError
            case Act.SAY_NOTHING:
                await asyncio.Event().wait()
            case Cut(text):
                self._writer.write(text.encode())
                await self._writer.drain()
                raise _HungUpError
            case Drip(text, seconds):
                for byte in f"{text}\r\n".encode():
                    self._writer.write(bytes([byte]))
                    await asyncio.sleep(seconds)
            case str():
                self._writer.write(f"{said}\r\n".encode())
                await self._writer.drain()


def _path(argument: str) -> str:
    match = re.search(r'<((?:"(?:[^"\\]|\\.)*"|[^>"])*)>', argument)  # “"<>"@example.com” is an address
    return match[1] if match else ""


def _text(said: Answer) -> str:
    """What a client that reads on hears; nothing where it is cut off."""
    return said if isinstance(said, str) else said.text if isinstance(said, Drip) else ""
