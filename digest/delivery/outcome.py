"""What became of one attempt to hand one message to a relay.

Nothing here is ever called *delivered*: 250 means accepted for relay, not read (RFC 5321 section 4.2.1).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accepted:
    """250 to end-of-data. `reply` is the relay's text, where providers put their identifier."""

    code: int
    reply: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """4yz anywhere, or connection trouble before end-of-data: try again later. `code` 0: no reply.

    `lost`: the connection broke off, which says nothing yet about the message.
    """

    code: int
    reply: str
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Bounced:
    """5yz to RCPT: the recipient's. `enhanced` is the RFC 3463 code, empty when there was none."""

    code: int
    enhanced: str
    reply: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """5yz after the data, 552/5.3.4 at MAIL, or a local reason (`code` 0): the message's."""

    code: int
    enhanced: str
    reply: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The connection was lost after end-of-data was sent: the relay may have it or not."""

    reason: str


Outcome = Accepted | Deferred | Bounced | Rejected | Unknown
