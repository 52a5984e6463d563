"""Header fields, each a finished text without its last line break: encoded, folded, never injected.

RFC 5322 (fields, folding), RFC 2047 (encoded words), RFC 2919 (List-Id), RFC 2369 and 8058
(List-Unsubscribe). Lines are at most 76 characters wherever folding is allowed; an address and a URL are
never folded or encoded.
"""

from __future__ import annotations

import re
import textwrap
from binascii import b2a_base64
from datetime import datetime, timedelta
from functools import lru_cache

from digest.message.values import header_text

WIDTH = 76  # RFC 2047 section 2, for lines with encoded words; we keep it everywhere
LONGEST = 998  # RFC 5322 section 2.1.1, without CRLF

_WORD = 75  # RFC 2047 section 2
_FRAME = len("=?utf-8?b??=")
_PLAIN_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+").fullmatch  # atoms and spaces
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def encoded_words(text: str, column: int) -> str:
    """RFC 2047 words for `text`, the first at `column`, folded; no character is ever split."""
    data = text.encode()
    words = []
    start = 0
    room = min(WIDTH - column, _WORD)
    while start < len(data):
        end = start + (room - _FRAME) // 4 * 3
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        words.append(f"=?utf-8?b?{b2a_base64(data[start:end], newline=False).decode('ascii')}?=")
        start, room = end, _WORD
    return "\r\n ".join(words)


@lru_cache(maxsize=512)
def unstructured(name: str, text: str) -> str:
    """`name: text` for free text (Subject): as it is where possible, else in encoded words.

    >>> unstructured("Subject", "Hello")
    'Subject: Hello'
    """
    text = header_text(text)
    column = len(name) + 2
    if text.isascii() and "=?" not in text:  # "=?" would be read as an encoded word
        if column + len(text) <= WIDTH:
            return f"{name}: {text}"
        lines = textwrap.wrap(
            f"{name}: {text}", WIDTH - 1, break_long_words=False, break_on_hyphens=False
        )  # one column for the space that begins a folded line
        if lines[0] != f"{name}:" and max(map(len, lines)) < WIDTH:
            return "\r\n ".join(lines)
    return f"{name}: {encoded_words(text, column)}"


def mailbox(field: str, name: str, address: str) -> str:
    """`field: name <address>`, the address untouched (RFC 5322 section 3.4)."""
    name = header_text(name)
    if not name:
        return f"{field}: {address}" if len(field) + 2 + len(address) <= WIDTH else f"{field}:\r\n {address}"
    column = len(field) + 2
    if name.isascii() and column + len(name) <= WIDTH // 2 and "=?" not in name:
        phrase = name if _PLAIN_PHRASE(name) else _quoted(name)
    else:
        phrase = encoded_words(name, column)
    last = column + len(phrase) if "\r\n" not in phrase else len(phrase) - phrase.rindex("\r\n") - 2
    fold = " " if last + 3 + len(address) <= WIDTH else "\r\n "
    return f"{field}: {phrase}{fold}<{address}>"


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def message_id(local: str, domain: str) -> str:
    """The Message-ID field; `local` is ours (letters and digits)."""
    return f"Message-ID: <{local}@{domain}>"


def date(moment: datetime) -> str:
    """The Date field (RFC 5322 section 3.3). Raises `ValueError` for a moment without an offset.

    >>> from datetime import UTC
    >>> date(datetime(2025, 9, 12, 9, 0, tzinfo=UTC))
    'Date: Fri, 12 Sep 2025 09:00:00 +0000'
    """
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError("the date of a message needs an offset from UTC")
    return _date(moment, offset)


@lru_cache(maxsize=16)
def _date(moment: datetime, _offset: timedelta) -> str:
    # The offset is part of the key: the same moment in another zone is equal, but written otherwise.
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"Date: {day}, {moment.day:02} {month} {moment.year:04} {moment:%H:%M:%S %z}"


def list_id(name: str, domain: str) -> str:
    """The List-Id field (RFC 2919): a phrase, and an identifier under the newsletter's own domain."""
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "newsletter"
    return mailbox("List-Id", name, f"{label}.{domain}")


def list_unsubscribe(url: str, mailto: str) -> str:
    """The List-Unsubscribe field (RFC 2369): addresses in angle brackets, never encoded, never cut."""
    return "List-Unsubscribe: " + ",\r\n ".join(f"<{address}>" for address in (url, mailto) if address)


ONE_CLICK = "List-Unsubscribe-Post: List-Unsubscribe=One-Click"
"""RFC 8058 section 3.1; only beside an https address."""
