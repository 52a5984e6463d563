"""What changed between two plain texts, by paragraph and then by word: breaking lines anew is no change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

Kind = Literal["same", "old", "new", "changed", "gap"]

_BEGINS = re.compile(
    r"\s*(?:[-*•]\s|\d+\.\s|>|<\w+:|\[\d+\])"
)  # a list's item, a quotation, a link on a line of its own
_ALIKE = 0.4
"""From here on two paragraphs are one that was changed, not one that went and one that came."""


@dataclass(frozen=True, slots=True)
class Change:
    """One paragraph: its words in pieces, each with what became of it. A gap stands for paragraphs left out."""

    kind: Kind
    pieces: tuple[tuple[Literal["same", "old", "new"], str], ...] = ()

    @property
    def text(self) -> str:
        """For people, in one line.

        >>> Change("changed", (("same", "a "), ("old", "b"), ("new", "c"))).text
        'a [-b-]{+c+}'
        """
        marks = {"same": "{}", "old": "[-{}-]", "new": "{{+{}+}}"}
        return "".join(marks[kind].format(piece) for kind, piece in self.pieces)

    @property
    def essence(self) -> str:
        """What went and what came, without the words around: the same change in two readers' emails."""
        return " ".join(f"{kind} {piece.strip()}" for kind, piece in self.pieces if kind != "same")


def changes(old: str, new: str, around: int = 1) -> list[Change]:
    """The paragraphs that differ, with `around` that do not on either side; empty for equal texts.

    >>> [c.text for c in changes("One.\\n\\nTwo\\nthree.", "One.\\n\\nTwo four\\nthree.")]
    ['One.', 'Two {+four +}three.']
    """
    before, after = _paragraphs(old), _paragraphs(new)
    found = list(_compared(before, after))
    if all(change.kind == "same" for change in found):
        return []
    kept = {
        near
        for index, change in enumerate(found)
        if change.kind != "same"
        for near in range(index - around, index + around + 1)
    }
    out: list[Change] = []
    for index, change in enumerate(found):
        if index in kept:
            out.append(change)
        elif out and out[-1].kind != "gap":
            out.append(Change("gap"))
    return out


def _paragraphs(text: str) -> list[str]:
    out: list[str] = []
    fresh = True
    for line in text.splitlines():
        if not line.strip():
            fresh = True
        elif fresh or _BEGINS.match(line):
            out.append(" ".join(line.split()))
            fresh = False
        else:
            out[-1] += " " + " ".join(line.split())
    return out


def _compared(before: list[str], after: list[str]) -> Iterator[Change]:
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from (Change("same", (("same", text),)) for text in before[a:b])
        else:
            yield from _replaced(before[a:b], after[c:d])


def _replaced(old: list[str], new: list[str]) -> Iterator[Change]:
    """Old and new paragraphs at one spot: each old one beside the new one most like it, in order."""
    rest = list(new)
    for text in old:
        ratios = [SequenceMatcher(None, text.split(), other.split(), autojunk=False).ratio() for other in rest]
        best = max(range(len(rest)), key=ratios.__getitem__, default=-1)
        if best < 0 or ratios[best] < _ALIKE:
            yield Change("old", (("old", text),))
            continue
        yield from (Change("new", (("new", other),)) for other in rest[:best])
        yield Change("changed", tuple(_words(text, rest[best])))
        rest = rest[best + 1 :]
    yield from (Change("new", (("new", other),)) for other in rest)


def _words(old: str, new: str) -> Iterator[tuple[Literal["same", "old", "new"], str]]:
    before, after = re.findall(r"\S+\s*", old), re.findall(r"\S+\s*", new)
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            yield "same", "".join(before[a:b])
            continue
        if a < b:
            yield "old", "".join(before[a:b])
        if c < d:
            yield "new", "".join(after[c:d])
