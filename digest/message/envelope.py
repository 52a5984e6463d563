"""A finished message: the bytes for the wire and the envelope around them (RFC 5321 section 2.3.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one recipient.

    `sender` is the envelope sender (MAIL FROM), `recipient` the one RCPT TO, both bare addresses.
    `data` is the whole message, CRLF line ends, ASCII only, not dot-stuffed. `message_id` has its angle
    brackets. `smtputf8` is true when an address needs RFC 6531. `dotless` says that no line begins with a
    dot, by the way it was made; looking for one takes as long as merging.
    """

    sender: str
    recipient: str
    message_id: str
    data: bytes
    smtputf8: bool = False
    dotless: bool = False

    def with_fields(self, fields: bytes) -> Message:
        """The same with `fields` in front, each of which ends with CRLF."""
        return replace(self, data=fields + self.data)
