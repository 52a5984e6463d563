"""The header fields of a message, each with what it is for."""

from __future__ import annotations

from dataclasses import dataclass
from email import message_from_bytes, policy

from digest.message.envelope import Message

EXPLAINED = {
    "from": "Who it is from, as the reader sees it: sender of [newsletter] (RFC 5322).",
    "to": "This reader and nobody else. Each message is made for one person.",
    "subject": "The subject, with this reader's words in it. Tests begin with [Test].",
    "date": "The moment of sending. It differs with every message made.",
    "message-id": "Names this message for good. Made from the reader's opaque token, never from the address,"
    " and the same at every attempt, so that a second copy could be told.",
    "reply-to": "Where an answer goes: reply_to of [newsletter].",
    "list-id": "Names the list, so that readers can sort by it and programs can tell it is one (RFC 2919).",
    "list-unsubscribe": "Where a mail program's own “Unsubscribe” leads (RFC 2369). In a preview the token in it"
    " is inert.",
    "list-unsubscribe-post": "Says that one POST there is enough (RFC 8058); Gmail and Yahoo ask it of large senders.",
    "content-language": "The language it is written in, for screen readers and translators.",
    "dkim-signature": "The domain's signature over these fields and the body (RFC 6376): nobody changed them.",
    "mime-version": "The message has parts (RFC 2045).",
    "content-type": "What the parts are: the same letter as plain text and as HTML, the richest last. The boundary"
    " comes from the issue's fingerprint.",
    "content-transfer-encoding": "How the bytes are written so that they survive the way.",
    "x-pm-message-stream": "Postmark's stream for newsletters.",
    "precedence": "Asks automatic answers to stay silent.",
    "feedback-id": "Lets Gmail count complaints by campaign.",
}
_OWN = "One of yours: headers of [smtp] in config/digest.toml."


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a message's head: as written, decoded where that differs, and why it is there."""

    name: str
    value: str
    decoded: str
    why: str


def explained(message: Message) -> list[Field]:
    """The envelope, then every header field in order."""
    envelope = [
        Field(
            "MAIL FROM",
            message.sender,
            "",
            "The envelope's sender, where the relay sends bounces. The reader's token in it tells whose bounce it is.",
        ),
        Field("RCPT TO", message.recipient, "", "The envelope's recipient: the address the relay is given."),
    ]
    raw = message_from_bytes(message.data, policy=policy.compat32)
    return envelope + [_field(name, str(value)) for name, value in raw.items()]


def _field(name: str, value: str) -> Field:
    written = " ".join(value.split())
    try:
        decoded = str(policy.default.header_factory(name, written))
    except (ValueError, IndexError, AttributeError, TypeError):  # Python's parser on odd headers
        decoded = written
    return Field(name, written, decoded if decoded != written else "", EXPLAINED.get(name.lower(), _OWN))
