"""Quoted-printable in pieces that can be joined in any order (RFC 2045 section 6.7).

Every piece starts at column 0 and ends at column 0: behind a hard line break of its own, or behind the soft
one it ends with. So a body is the plain concatenation of pieces encoded at different times, by different
hands, and no piece needs to know its neighbours. The price is six bytes around a value.

A line has at most 76 characters, none starts with ``.`` (dot-stuffing), ``From `` (mbox) or ``-``
(boundaries), none ends with white space; no escape and no UTF-8 sequence is ever cut.
"""

from __future__ import annotations

import re

SOFT = "=\r\n"
"""The soft line break: ends a piece, decodes to nothing."""

# 76 less the soft break's "=", less the two characters an escape at the start of a line adds.
_WIDTH = 73

# What needs no encoding: short, ASCII, no white space at its ends, nothing special at its start.
_BARE = re.compile(r"(?!From )[A-Za-z0-9](?:[!-<>-~ ]{0,70}[!-<>-~])?").fullmatch


class _Escapes(dict[int, str]):
    """`str.translate` table: what RFC 2045 lets stand, stands; the rest is escaped by its UTF-8 bytes."""

    def __missing__(self, code: int) -> str:
        escaped = "".join(f"={byte:02X}" for byte in chr(code).encode())
        if code < 0x3000:  # bounds the table; the alphabets of most readers are below
            self[code] = escaped
        return escaped


_ESCAPES = _Escapes({code: chr(code) for code in range(32, 127) if code != ord("=")})
_ESCAPES[ord("\t")] = "\t"


def encoded(text: str) -> str:
    """Any text, its line breaks kept as hard ones, as a piece."""
    *lines, last = text.replace("\r\n", "\n").split("\n")
    pieces = [f"{_line(line)}\r\n" for line in lines]
    if last:
        pieces.append(_line(last) + SOFT)
    return "".join(pieces)


def encoded_line(text: str) -> str:
    """A text without line breaks as a piece: what `encoded` makes of it, sooner."""
    if _BARE(text):
        return text + SOFT
    return _line(text) + SOFT if text else ""


def closed(pieces: list[str]) -> None:
    """End a body: an encoded object does not end in a soft line break (RFC 2045 section 6.7, note 3)."""
    if pieces and pieces[-1].endswith(SOFT):
        pieces[-1] = pieces[-1][: -len(SOFT)]


def _line(line: str) -> str:
    """One logical line, wrapped with soft breaks, without a break at its end."""
    text = line.translate(_ESCAPES)
    if text.endswith((" ", "\t")):
        text = f"{text[:-1]}={ord(text[-1]):02X}"
    if len(text) <= _WIDTH:
        return _start(text)
    lines = []
    start = 0
    while len(text) - start > _WIDTH:
        end = _cut(text, start + _WIDTH)
        lines.append(_start(text[start:end]))
        start = end
    lines.append(_start(text[start:]))
    return SOFT.join(lines)


def _cut(text: str, end: int) -> int:
    """The last place up to `end` that lies outside an escape and between two characters."""
    if text[end - 1] == "=":
        end -= 1
    elif text[end - 2] == "=":
        end -= 2
    while text[end] == "=" and text[end + 1] in "89AB":  # a continuation byte of UTF-8 (RFC 3629)
        end -= 3
    return end


def _start(line: str) -> str:
    if line.startswith((".", "-", "From ")):
        return f"={ord(line[0]):02X}{line[1:]}"
    return line
