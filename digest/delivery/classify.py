"""What a relay's reply means: pure functions from (verb, reply) to an outcome, and when to stop the run.

====================  ==========  ==================================================================
reply                 to          meaning
====================  ==========  ==================================================================
2yz                   the dot     `Accepted`: the relay has taken it on (RFC 5321 section 4.2.1)
4yz                   any verb    `Deferred`: try again later
5yz                   RCPT        `Bounced`: the recipient's
5yz                   DATA, dot   `Rejected`: the message's
552 or 5.3.4          MAIL        `Rejected`: the message is too large (RFC 1870 section 6.1)
any other 5yz         all else    `Stop`: the relay refuses us, not one message
no reply, or garbage  the dot     `Unknown`: the relay may have it or not (RFC 5321 section 6.1)
no reply, or garbage  before      `Deferred`
====================  ==========  ==================================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from digest.delivery.outcome import Accepted, Bounced, Deferred, Outcome, Rejected, Unknown

Verb = Literal["connect", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "end-of-data"]

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?!\S)")  # RFC 3463 section 2
_ADDRESS = re.compile(r"(?:\"[^\"]*\"|[^\s<>\"'(),;:]*)@[^\s<>\"'(),;]*")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f\ud800-\udfff\u2028\u2029]+")
_MAX_REPLY = 400

_DEAD_ADDRESS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
_BARE_DEAD_ADDRESS = frozenset({550, 551, 553})


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of a relay: its code (RFC 5321 section 4.2) and its text, lines joined."""

    code: int
    text: str

    @property
    def is_reply(self) -> bool:
        """False for what no server may answer: codes outside 200 to 599."""
        return 200 <= self.code <= 599

    @property
    def enhanced(self) -> str:
        """The enhanced status code at the text's begin, or nothing (RFC 2034, RFC 3463).

        One that contradicts the reply's own class does not count.

        >>> Reply(550, "5.1.1 no such user").enhanced, Reply(550, "no such user").enhanced
        ('5.1.1', '')
        >>> Reply(450, "5.1.1 well").enhanced
        ''
        """
        match = _ENHANCED.match(self.text.lstrip())
        return match[1] if match and match[1][0] == str(self.code)[0] else ""

    def __str__(self) -> str:
        return f"{self.code} {printable(self.text)}".strip()


@dataclass(frozen=True, slots=True)
class Stop:
    """The relay refuses the sender, the login or the connection: nothing more can be sent as things are."""

    verb: Verb
    reply: Reply

    def __str__(self) -> str:
        """
        >>> str(Stop("AUTH", Reply(535, "5.7.8 bad credentials")))
        'the relay answered 535 5.7.8 bad credentials (to AUTH)'
        """
        return f"the relay answered {self.reply} (to {self.verb})"


def classify(verb: Verb, reply: Reply) -> Outcome | Stop | None:
    """The outcome of one attempt as `reply` to `verb` decides it; None when the attempt goes on.

    >>> classify("RCPT", Reply(550, "5.1.1 no such user <ann@example.com>"))
    Bounced(code=550, enhanced='5.1.1', reply='5.1.1 no such user <address>')
    >>> classify("RCPT", Reply(451, "4.7.1 greylisted"))
    Deferred(code=451, reply='4.7.1 greylisted', lost=False)
    >>> classify("MAIL", Reply(552, "too big"))
    Rejected(code=552, enhanced='', reply='too big')
    >>> classify("MAIL", Reply(550, "5.7.1 not your domain"))
    Stop(verb='MAIL', reply=Reply(code=550, text='5.7.1 not your domain'))
    >>> classify("end-of-data", Reply(250, "2.0.0 queued as 4XYZ"))
    Accepted(code=250, reply='2.0.0 queued as 4XYZ')
    >>> classify("end-of-data", Reply(-1, "HTTP/1.1 400 Bad Request"))
    Unknown(reason='unreadable reply to end-of-data: HTTP/1.1 400 Bad Request')
    >>> classify("RCPT", Reply(251, "will forward")), classify("DATA", Reply(354, "go on"))
    (None, None)
    """
    kind = reply.code // 100 if reply.is_reply else 0
    if (verb == "DATA" and kind == 3) or (verb not in ("DATA", "end-of-data") and kind == 2):
        return None
    text = storable(reply.text)
    match kind:
        case 2 if verb == "end-of-data":
            return Accepted(reply.code, text)
        case 4:
            return Deferred(reply.code, text)
        case 5:
            return _refused(verb, reply, text)
        case _ if verb == "end-of-data":
            return Unknown(f"unreadable reply to end-of-data: {text}")
        case _:
            return Deferred(0, f"unreadable reply to {verb}: {text}")


def _refused(verb: Verb, reply: Reply, text: str) -> Outcome | Stop:
    match verb:
        case "RCPT":
            return Bounced(reply.code, reply.enhanced, text)
        case "DATA" | "end-of-data":
            return Rejected(reply.code, reply.enhanced, text)
        case "MAIL" if reply.code == 552 or reply.enhanced == "5.3.4":
            return Rejected(reply.code, reply.enhanced, text)
        case _:
            return Stop(verb, reply)


def suppresses(bounce: Bounced, *, accepted_another: bool) -> bool:
    """Whether a bounce says that the address itself is dead, so that no later issue goes there.

    A policy or relay problem (5.7.x, "relay denied") never does: one misconfigured relay must not
    suppress a list. A bare 550, 551 or 553 does only on a connection that `accepted_another` reader.

    >>> suppresses(Bounced(550, "5.1.1", ""), accepted_another=False)
    True
    >>> [suppresses(Bounced(550, code, ""), accepted_another=True) for code in ("5.7.1", "5.2.2", "5.0.0")]
    [False, False, False]
    >>> [suppresses(Bounced(550, "", ""), accepted_another=a) for a in (False, True)]
    [False, True]
    >>> suppresses(Bounced(554, "", "relay access denied"), accepted_another=True)
    False
    """
    if bounce.enhanced:
        return bounce.enhanced in _DEAD_ADDRESS
    return bounce.code in _BARE_DEAD_ADDRESS and accepted_another


def asks_for_less(deferral: Deferred) -> bool:
    """Whether the reader's provider wants fewer messages, or none for a while: 421, or 4.7.x (RFC 3463).

    >>> [asks_for_less(Deferred(code, text)) for code, text in ((421, ""), (450, "4.7.28 rate"), (451, "4.3.0 no"))]
    [True, True, False]
    """
    return deferral.code == 421 or Reply(deferral.code, deferral.reply).enhanced.startswith("4.7.")


def printable(text: str) -> str:
    """A relay's words on one line, without control characters, of bounded length.

    >>> printable("a\\r\\n  b\\x1b[31m" + "c" * 1000)[:9]
    'a b [31mc'
    """
    line = _UNPRINTABLE.sub(" ", text[: 4 * _MAX_REPLY]).strip()
    return line if len(line) <= _MAX_REPLY else line[: _MAX_REPLY - 1] + "…"


def storable(text: str) -> str:
    """A relay's words as they may be kept: printable, and naming no address.

    >>> storable('5.1.1 <ann@example.com>: user unknown ("ann lee"@example.com)')
    '5.1.1 <address>: user unknown (address)'
    """
    return _ADDRESS.sub("address", printable(text))
