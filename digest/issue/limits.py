"""How much one issue may hold: many times what any was ever sent with, little enough that it is soon read.

A sent email has at most 102,400 bytes (Gmail cuts off the rest), some 3,000 lines of Markdown at the very most. What
reads and sets a text takes time by its lines, blocks, tags and signs, and by the square of the signs that stand in one
paragraph: whoever writes, or has a text taken in, waits a few seconds at worst.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from string import punctuation

from digest.errors import Place, Problem

BYTES = 1_000_000
"""Of one file: a whole issue of words is 20 KB."""

FRONT_MATTER = 20_000
"""Characters above the text."""

TOGETHER = 1_000
"""Signs in one paragraph, heading, item or cell; a list of twenty links has 200."""

_DELIMITER = re.compile(r"^[ \t>]*[|:-][-|: \t]*$", re.MULTILINE)
"""The line under a table's titles."""
_KINDS: Mapping[str, tuple[int, re.Pattern[str]]] = {
    "thousand characters": (400, re.compile(r"(?s).{1000}")),
    "lines": (10_000, re.compile(r"\n")),
    "signs of punctuation": (25_000, re.compile(f"[{re.escape(punctuation)}]")),
    "headings": (1_000, re.compile(r"^[ >]*#{1,6}[ \t]", re.MULTILINE)),
    "tags of Jinja": (2_000, re.compile(r"\{[{%]")),
    "table cells": (5_000, _DELIMITER),
    "blocks": (300, re.compile(r"^ {0,3}:{3,}[ \t]*\w", re.MULTILINE)),
}
"""What is counted in a whole issue, texts taken in included, and how many there may be."""


def signs(text: str) -> int:
    """How many signs a text has that may mean something in Markdown.

    >>> signs("a *b* (c)")
    4
    """
    raw = text.encode()
    return len(raw) - len(raw.translate(None, punctuation.encode()))


class Measure:
    """What one issue holds so far, with the texts that it takes in."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()

    def added(self, text: str, start: Place) -> Problem | None:
        """Count a text that begins at `start`; what there is too much of, at the line where it becomes so."""
        for kind, (most, pattern) in _KINDS.items():
            left = most - self._held[kind]
            held = _count(kind, text, pattern)
            if held > left:
                begin = _beyond(left, kind, text, pattern)
                place = start.at(start.line + text.count("\n", 0, begin))
                return Problem(place, f"more than {most:,} {kind} in one issue", "write several issues", code="size")
            self._held[kind] += held
        return None


def _count(kind: str, text: str, pattern: re.Pattern[str]) -> int:
    """As many as `pattern` finds, told faster where that can be."""
    match kind:
        case "thousand characters":
            return len(text) // 1000
        case "lines":
            return text.count("\n")
        case "signs of punctuation":
            return signs(text)
    return sum(_worth(kind, text, found) for found in pattern.finditer(text))


def _beyond(left: int, kind: str, text: str, pattern: re.Pattern[str]) -> int:
    """Where in `text` there is more than what is `left`."""
    for found in pattern.finditer(text):
        left -= _worth(kind, text, found)
        if left < 0:
            return found.start()
    raise AssertionError(f"no more {kind} than were left")


def _worth(kind: str, text: str, found: re.Match[str]) -> int:
    """What was found counts as one, the line under a table's titles as the cells of the table."""
    if kind != "table cells":
        return 1
    return _cells(text, found) if "|" in found[0] else 0


def _cells(text: str, delimiter: re.Match[str]) -> int:
    """How many cells a table has at most: a row may leave out some, which are made then."""
    end = text.find("\n\n", delimiter.end())
    rows = 2 + text.count("\n", delimiter.end(), end if end >= 0 else len(text))
    return rows * (delimiter[0].count("|") + 1)
