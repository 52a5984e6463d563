"""The words of a mail, decoded as far as that goes, and the codes among them."""

from __future__ import annotations

import re
from email.header import decode_header, make_header
from email.message import Message

from digest.bounces.letter import Failure
from digest.delivery.classify import storable

ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")
"""An enhanced status code (RFC 3463) among other words; no part of an address of four numbers."""

CODE = re.compile(r"(?<![\d.])([45]\d\d)(?=[\s-])")
"""A server's code for what failed (RFC 5321 section 4.2)."""

_LONGEST_HEADER = 2000


def failure_of(words: str, status: str = "", recipients: frozenset[str] = frozenset()) -> Failure:
    """One failure from the server's own words and the `status` that whoever reports it made of them.

    The server's code counts; the reporter's where it gave none, or where theirs says no more than that it failed.

    >>> failure_of("550 5.1.1 <a@x.example>: unknown", "5.0.0")
    Failure(recipients=frozenset(), code=550, enhanced='5.1.1', text='550 5.1.1 <address>: unknown')
    >>> failure_of("550 no", "5.1.1").enhanced, failure_of("550 5.7.1 no", "5.1.1").enhanced
    ('5.1.1', '5.7.1')
    """
    said, reported = ENHANCED.search(words), ENHANCED.search(status)
    code = CODE.search(words)
    best = said[1] if said else reported[1] if reported else ""
    if said and reported and best.endswith(".0.0"):
        best = reported[1]
    return Failure(recipients, int(code[1]) if code else 0, best, storable(words))


def body(part: Message) -> str:
    """The text of a part, its encoding undone; nothing for one that has parts."""
    data = part.get_payload(decode=True)
    return data.decode("utf-8", "replace").replace("\r\n", "\n") if isinstance(data, bytes) else ""


def unfolded(text: str) -> str:
    """A header's lines as one (RFC 5322 section 2.2.3)."""
    return re.sub(r"\r?\n[ \t]+", " ", text)


def readable(value: object) -> str:
    """A header's text, encoded words decoded (RFC 2047); what can't be is left as it is.

    >>> readable("=?utf-8?q?Gr=C3=BC=C3=9Fe?="), readable("=?bad?x?y?="), readable(None)
    ('Grüße', '=?bad?x?y?=', '')
    """
    text = unfolded(str(value or "")[:_LONGEST_HEADER])
    try:
        return str(make_header(decode_header(text)))
    except (ValueError, LookupError):
        return text
