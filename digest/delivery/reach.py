"""Who got which part of an issue: its conditions, and the blocks they govern, in reading order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from digest.compose.compiled import CompiledIssue, Size
from digest.errors import Place

_TAG = re.compile(r"\{%-?\s*(\w+)\s*(.*?)\s*-?%\}|\{\{.*?\}\}", re.DOTALL)
_LIKE = 0.04  # how far the bytes of a condition's blocks may be from what it governs: seams are joined


@dataclass(frozen=True, slots=True)
class Part:
    """A block, or what one condition governs (`kind` is empty), and under which conditions one gets it."""

    kind: str
    place: Place
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reach:
    """How many of the readers who were accepted got a part."""

    part: Part
    readers: int


@dataclass(frozen=True, slots=True)
class _Span:
    """What stands between an ``if`` and its end: how many bytes of HTML, under which conditions."""

    conditions: tuple[str, ...]
    place: Place
    length: int


def parts(compiled: CompiledIssue) -> list[Part]:
    """Each block and each conditional part of an issue once, in reading order.

    A part behind ``else`` or in a loop is left out, and so is a subject's.
    """
    blocks = [size for size in compiled.sizes if size.kind != "frame"]
    spans = [span for span in _spans(compiled) if blocks and span.place >= blocks[0].place]
    governed: dict[Place, tuple[str, ...]] = {}
    for span in spans:
        for block in _whole_blocks(span, blocks):
            governed[block.place] = (*governed.get(block.place, ()), *span.conditions)
    found = {block.place: Part(block.kind, block.place, _each_once(governed.get(block.place, ()))) for block in blocks}
    for span in spans:
        found.setdefault(span.place, Part("", span.place, span.conditions))
    return sorted(found.values(), key=lambda part: part.place)


def reach(compiled: CompiledIssue, readers: Mapping[str, int]) -> list[Reach]:
    """The reach of each part. `readers`: how many were accepted, by variant as the ledger keeps it."""
    numbers = {condition.expression: n for n, condition in enumerate(compiled.conditions)}

    def got(part: Part) -> int:
        asked = [numbers[expression] for expression in part.conditions if expression in numbers]
        return sum(many for variant, many in readers.items() if all(variant[n : n + 1] == "1" for n in asked))

    return [Reach(part, got(part)) for part in parts(compiled)]


def _spans(compiled: CompiledIssue) -> Iterator[_Span]:
    """Every ``if`` on the reader alone, with those around it."""
    known = {condition.expression for condition in compiled.conditions}
    stack: list[tuple[tuple[str, ...] | None, Place, int]] = []
    html = compiled.html.source
    for tag, place in zip(_TAG.finditer(html), compiled.html.places, strict=False):
        outer = stack[-1][0] if stack else ()
        match tag[1]:
            case "if":
                expression = " ".join(tag[2].split())
                whole = (*outer, expression) if outer is not None and expression in known else None
                stack.append((whole, place, tag.end()))
            case "for":
                stack.append((None, place, tag.end()))
            case "else" | "elif" if stack:
                conditions, begun, start = stack.pop()
                if conditions:
                    yield _Span(conditions, begun, len(html[start : tag.start()].encode()))
                stack.append((None, begun, tag.end()))
            case "endif" | "endfor" if stack:
                conditions, begun, start = stack.pop()
                if conditions:
                    yield _Span(conditions, begun, len(html[start : tag.start()].encode()))


def _whole_blocks(span: _Span, blocks: list[Size]) -> list[Size]:
    """The blocks that a condition governs as a whole: its own, or those that begin behind it and fill it."""
    if own := [block for block in blocks if block.place == span.place]:  # one within a line has a column
        return own
    inside, room = [], span.length
    for block in (b for b in blocks if b.place.file == span.place.file and b.place.line > span.place.line):
        if block.bytes > room * (1 + _LIKE):
            break
        inside.append(block)
        room -= block.bytes
    return inside if room <= _LIKE * span.length else []


def _each_once(expressions: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(expressions))
