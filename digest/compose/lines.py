"""Lines of plain text: as wide as a terminal shows them, wrapped, padded, set behind a prefix."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from functools import lru_cache
from html import unescape

from digest.compose.workspace import Workspace

WIDTH = 72  # columns


@lru_cache(maxsize=1024)  # while an author writes, most paragraphs stay as they were
def filled(line: str, first: str, rest: str) -> str:
    """A line wrapped: `first` stands before it, `rest` before the lines it goes on in."""
    return textwrap.fill(
        line,
        WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,  # an address stays whole
        break_on_hyphens=False,
    )


def html_words(html: str) -> str:
    """What an author's own HTML says, in one line."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " " if "\n" in html else "", html)).split())


def width_of(text: str) -> int:
    """Columns on a terminal: wide characters take two, combining ones none.

    >>> width_of("é"), width_of("日本")
    (1, 4)
    """
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def padded(text: str, width: int, align: str) -> str:
    """A cell as wide as its column."""
    gap = " " * (width - width_of(text))
    return gap + text if align == "right" else text + gap


def prefixed(text: str, prefix: str, work: Workspace) -> str:
    """A quotation's lines, each with `prefix`; a statement at a line's begin stays before it."""
    out = []
    for line in text.rstrip("\n").split("\n"):
        marks, rest = work.leading_tokens(line)
        out.append(f"{marks}{prefix}{rest}".rstrip() if rest or not marks else marks)
    return "\n".join(out) + "\n"
