"""An SMTP server on loopback that keeps what it receives, so that sending can be seen and practised.

Messages live in memory, newest last, as the bytes that came over the wire with their envelope
(RFC 5321 section 2.3.1). Nothing in them is trusted: names, subjects and bodies are shown, never run.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from email.utils import parseaddr
from html.parser import HTMLParser

from aiosmtpd.smtp import SMTP, Envelope, Session

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
_PREVIEWED = 300_000  # characters of HTML looked through for the first words


@dataclass(frozen=True, slots=True)
class Part:
    """One leaf of a message: a picture or an attachment. `cid` has no angle brackets."""

    number: int
    content_type: str
    filename: str
    cid: str
    size: int


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it came in: envelope, bytes (CRLF, dots unstuffed), and when (UTC)."""

    number: int
    mail_from: str
    recipient: str
    data: bytes
    at: datetime

    def parsed(self) -> EmailMessage:
        """The message in Python's own model; defects are tolerated."""
        return message_from_bytes(self.data, policy=policy.default)

    def header(self, name: str) -> str:
        """A decoded header, empty when it is missing or can't be read."""
        return _header(self.parsed(), name)

    def headers(self) -> list[tuple[str, str]]:
        """All headers in order, decoded."""
        message = self.parsed()
        raw = message_from_bytes(self.data, policy=policy.compat32)
        return [(name, _shown(message, name, str(value))) for name, value in raw.items()]

    def summary(self) -> Summary:
        """What a row of the mailbox shows."""
        message = self.parsed()
        html, text = _body(message, "html"), _body(message, "plain")
        name, address = parseaddr(_header(message, "From"))
        to = _header(message, "To") or self.recipient
        return Summary(
            number=self.number,
            recipient=self.recipient,
            sender=name or address or self.mail_from,
            to=to,
            to_name=next(filter(None, parseaddr(to)), "") or self.recipient,
            subject=_header(message, "Subject"),
            preview=preview_text(html, text),
            date=_header(message, "Date"),
            at=self.at,
        )

    def html(self) -> str | None:
        """The HTML part, or None."""
        return _body(self.parsed(), "html")

    def text(self) -> str | None:
        """The plain-text part, or None."""
        return _body(self.parsed(), "plain")

    def parts(self) -> Iterator[tuple[Part, bytes]]:
        """Every leaf that is neither the HTML nor the text, with its content."""
        message = self.parsed()
        bodies = [message.get_body((kind,)) for kind in ("html", "plain")]
        for number, leaf in enumerate(message.walk()):
            if leaf.is_multipart() or leaf in bodies:
                continue
            content = leaf.get_payload(decode=True)
            data = content if isinstance(content, bytes) else b""
            cid = str(leaf.get("Content-ID", "")).strip().strip("<>")
            yield Part(number, leaf.get_content_type(), leaf.get_filename() or "", cid, len(data)), data


@dataclass(frozen=True, slots=True)
class Summary:
    """A row of the mailbox, all of it plain text."""

    number: int
    recipient: str
    sender: str
    to: str
    to_name: str
    subject: str
    preview: str
    date: str
    at: datetime

    def matches(self, words: str) -> bool:
        """Whether every word of a search is somewhere in the row."""
        row = " ".join((self.sender, self.to, self.subject, self.preview)).casefold()
        return all(word in row for word in words.casefold().split())


BEHAVIOURS: Mapping[str, tuple[str, str]] = {
    "accept": ("Accept", "250 2.0.0 kept in the local inbox"),
    "defer": ("Defer", "451 4.3.2 told to defer for practice, try again later"),
    "refuse": ("Refuse", "554 5.7.1 told to refuse for practice"),
    "unknown-user": ("No such reader", "550 5.1.1 told to know nobody, for practice"),
}
"""What the server does with every message, by name: its label and its reply."""


class Inbox:
    """The messages received so far. Safe to read from any thread.

    `behaviour` is one of `BEHAVIOURS`; `told` is called with each message kept (from the server's thread);
    `address` is where the server listens, as ``host:port``.
    """

    def __init__(self, address: str = "") -> None:
        self.address = address
        self.behaviour = "accept"
        self.told: Callable[[Received], None] = lambda _message: None
        self._lock = threading.Lock()
        self._messages: list[Received] = []
        self._summaries: dict[int, Summary] = {}

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, mail_from: str, recipient: str, data: bytes) -> Received:
        """Keep one message for one recipient."""
        with self._lock:
            message = Received(len(self._messages) + 1, mail_from, recipient, data, datetime.now(UTC))
            self._messages.append(message)
        self.told(message)
        return message

    def all(self) -> list[Received]:
        """Every message, oldest first."""
        with self._lock:
            return list(self._messages)

    def summaries(self) -> list[Summary]:
        """A row for every message, oldest first; each message is parsed once."""
        for message in self.all():
            if message.number not in self._summaries:
                self._summaries[message.number] = message.summary()
        return [self._summaries[number] for number in sorted(self._summaries)]

    def get(self, number: int) -> Received | None:
        """The message with this number (from 1), or None."""
        with self._lock:
            return self._messages[number - 1] if 0 < number <= len(self._messages) else None


class _Handler:
    """What aiosmtpd calls at RCPT and at end-of-data."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's hook
        self,
        server: SMTP,  # noqa: ARG002
        session: Session,  # noqa: ARG002
        envelope: Envelope,
        address: str,
        rcpt_options: list[str],
    ) -> str:
        if self._inbox.behaviour == "unknown-user":
            return BEHAVIOURS["unknown-user"][1]
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802, ARG002 - aiosmtpd's hook
        if self._inbox.behaviour != "accept":
            return BEHAVIOURS[self._inbox.behaviour][1]
        content = envelope.content or b""
        data = content if isinstance(content, bytes) else content.encode()
        for recipient in envelope.rcpt_tos:
            self._inbox.add(envelope.mail_from or "", recipient, data)
        return BEHAVIOURS["accept"][1]


async def serve_smtp(inbox: Inbox, listening: socket.socket) -> asyncio.Server:
    """Serve SMTP on a socket that is already bound to loopback. The caller closes the server."""
    loop = asyncio.get_running_loop()
    handler = _Handler(inbox)
    return await loop.create_server(
        lambda: SMTP(
            handler,
            data_size_limit=MAX_MESSAGE_BYTES,
            enable_SMTPUTF8=True,
            hostname="localhost",
            ident="digest inbox",
            loop=loop,
        ),
        sock=listening,
    )


# Joiners, soft hyphens and blanks that newsletters pad the preheader with.
_PADDING = re.compile(r"[\u00a0\u00ad\u034f\u061c\u180e\u2007\u200b-\u200f\u2060-\u2064\ufeff]")
_UNREAD = frozenset({"style", "script", "head", "title"})


class _Words(HTMLParser):
    """Collects the words of a body, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._unread: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - HTMLParser's hook
        self.words.append(" ")
        if tag in _UNREAD:
            self._unread.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.words.append(" ")
        if tag in self._unread:
            del self._unread[self._unread.index(tag) :]

    def handle_data(self, data: str) -> None:
        if not self._unread:
            self.words.append(data)


def preview_text(html: str | None, text: str | None, limit: int = 140) -> str:
    """What a mail program shows behind the subject: the first words of the body, of the HTML if there is one.

    >>> preview_text("<style>p{}</style><div>Two\\n stories &amp; more&#847;&zwnj;&nbsp;</div><p>Hello</p>", None)
    'Two stories & more Hello'
    """
    words = text or ""
    if html is not None:
        parser = _Words()
        parser.feed(html[:_PREVIEWED])
        words = "".join(parser.words)
    return clipped(" ".join(_PADDING.sub(" ", words).split()), limit)


def clipped(text: str, room: int) -> str:
    """`text` in `room` characters, with an ellipsis where something is missing.

    >>> clipped("Three stories", 8), clipped("Three", 8), clipped("Three", 0)
    ('Three s…', 'Three', '')
    """
    if len(text) <= room:
        return text
    return text[: room - 1].rstrip() + "…" if room > 1 else ""


def _body(message: EmailMessage, kind: str) -> str | None:
    try:
        part = message.get_body((kind,))
        return None if part is None else str(part.get_content())
    except (LookupError, ValueError, AttributeError):  # a body its own headers contradict
        return None


def _header(message: EmailMessage, name: str) -> str:
    return _shown(message, name, "")


def _shown(message: Message, name: str, fallback: str) -> str:
    try:
        return str(message.get(name, fallback))
    except (ValueError, IndexError, AttributeError, TypeError):  # Python's parser on hostile headers
        return fallback
