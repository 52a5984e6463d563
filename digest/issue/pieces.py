"""A text taken apart where nothing reaches over: its blocks at the left margin, and what stands between them.

Each piece can be read by itself, given the link addresses that all of them define, and is read again only when it is
written anew. A text in which something may reach from one piece into another (HTML of its own, code or attributes
right before a block, footnotes) stays in one. A piece that is a block holds pieces in its turn, one without blocks
falls into paragraphs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from digest.errors import Place
from digest.issue.directives import Directive
from digest.issue.model import Node

_REACHES = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(?:<|`{3}|~{3})")
"""How a line begins that opens HTML or code, which may go on behind an empty line."""
_DEFINES = re.compile(r" {0,3}[:~]\s")
"""How a definition begins: the term after it belongs to the same list."""
_BEGINS = re.compile(r"[^\W\d_]|[\"'“”„«»‘’(]|\*\*?\w|__?\w|#")
"""How a line begins that continues nothing which an empty line stands before."""


def has_notes(text: str) -> bool:
    """Whether a text may hold footnotes, which stand at its end wherever they are written."""
    return "[^" in text or "^[" in text


def pieces(lines: Sequence[str], directives: Mapping[int, Directive]) -> list[tuple[int, int]]:
    """The pieces of a text as ranges of its lines, in order and without a gap. `directives` are by opening line."""
    if any(map(has_notes, lines)):
        return [(0, len(lines))]
    found: list[tuple[int, int]] = []
    position = 0
    for directive in sorted(directives.values(), key=lambda d: d.open_line):
        if directive.open_line < position:  # inside the one before
            continue
        if not _apart(lines, position, directive.open_line):
            return [(0, len(lines))]
        found += [(position, directive.open_line), (directive.open_line, directive.close_line + 1)]
        position = directive.close_line + 1
    if not _apart(lines, position, len(lines)):
        return [(0, len(lines))]
    return [(begin, end) for begin, end in [*found, (position, len(lines))] if begin < end]


def paragraphs(lines: Sequence[str], token: str) -> list[tuple[int, int]]:
    """The pieces of a text without blocks, as ranges. `token` is what a Jinja statement begins with.

    Cut where an empty line stands before one that begins a paragraph or a heading: those begin anew whatever was
    before them, but for attributes that wait for them.
    """
    if any(_REACHES.match(line) or _DEFINES.match(line) for line in lines):
        return [(0, len(lines))]
    cuts = [0]
    for number, (line, anew, waiting) in enumerate(_followed(lines)):
        if number and anew and not waiting and _BEGINS.match(line) and not line.startswith(token):
            cuts.append(number)
    return list(pairwise([*cuts, len(lines)]))


def _followed(lines: Sequence[str]) -> Iterator[tuple[str, bool, bool]]:
    """Each line, whether an empty one stands before it, and whether attributes may wait there for what comes."""
    anew, waiting = True, False
    for line in lines:
        yield line, anew, waiting
        words = line.lstrip()
        if words.startswith("{"):
            waiting = True
        elif words and anew and not words.startswith("["):  # a link's address may be defined there: they wait on
            waiting = False
        anew = not words


def _apart(lines: Sequence[str], begin: int, end: int) -> bool:
    """Whether the lines before a block (or before the end) leave nothing open that would reach into it."""
    between = lines[begin:end]
    if any(_REACHES.match(line) for line in between):
        return False
    if end == len(lines):
        return True
    *_, (line, anew, waiting) = _followed([*between, lines[end]])
    return anew and line.startswith(":::") and not waiting


def moved(nodes: Sequence[Node], lines: int) -> tuple[Node, ...]:
    """Nodes of a piece that now stands `lines` further down in its file."""
    return tuple(_moved(nodes, lines, {})) if lines else tuple(nodes)


def _moved(nodes: Sequence[Node], lines: int, places: dict[Place, Place]) -> Iterator[Node]:
    for node in nodes:
        if (place := places.get(node.place)) is None:
            place = places[node.place] = replace(node.place, line=node.place.line + lines)
        yield Node(node.kind, place, node.text, node.attrs, tuple(_moved(node.children, lines, places)))
