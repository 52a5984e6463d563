"""Who got which part of an issue: its blocks, and what single conditions govern, in reading order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from digest.compose.compiled import CompiledIssue
from digest.errors import Place

Conditions = tuple[tuple[str, bool], ...]
"""Each condition with the outcome that shows what stands under it."""

_TAG = re.compile(r"\{%-?\s*(\w+)\s*(.*?)\s*-?%\}|\{\{.*?\}\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Part:
    """A block, or what one branch of a condition governs (`kind` is empty), and under which conditions one gets it."""

    kind: str
    place: Place
    conditions: Conditions = ()

    @property
    def why(self) -> str:
        """The conditions in words.

        >>> Part("story", Place("x.md", 3), (("segment.pro", True), ("arm == 1", False))).why
        'segment.pro and not (arm == 1)'
        """
        return " and ".join(c if outcome else f"not ({c})" for c, outcome in self.conditions)


@dataclass(frozen=True, slots=True)
class Reach:
    """How many of the readers who were accepted got a part; not `exact`: at most so many, since what decides it is
    no condition on the reader alone (a loop, a name that the issue sets)."""

    part: Part
    readers: int
    exact: bool = True


def parts(compiled: CompiledIssue) -> list[Part]:
    """Each block, and each conditional part that is no whole block, once and in reading order.

    Parts in a loop are left out, and so are those that hang on a name the issue sets, and a subject's.
    """
    blocks = [size for size in compiled.sizes if size.kind != "frame"]
    if not blocks:
        return []
    whole = {block.place: Part(block.kind, block.place, block.conditions) for block in blocks}
    # Of an item that stands in the contents as well, its own place decides: it comes later.
    within = {part.place: part for part in _branches(compiled) if part.place >= blocks[0].place}
    told = [part for place, part in within.items() if place not in whole or part.conditions != whole[place].conditions]
    return sorted([*whole.values(), *told], key=lambda part: (part.place, not part.kind))


def reach(compiled: CompiledIssue, readers: Mapping[str, int]) -> list[Reach]:
    """The reach of each part. `readers`: how many were accepted, by variant as the ledger keeps it."""
    numbers = {condition.expression: n for n, condition in enumerate(compiled.conditions)}

    def got(part: Part) -> Reach:
        asked = [(numbers[c], "01"[outcome]) for c, outcome in part.conditions if c in numbers]
        many = sum(
            number for variant, number in readers.items() if all(variant[n : n + 1] == digit for n, digit in asked)
        )
        return Reach(part, many, exact=len(asked) == len(part.conditions))

    return [got(part) for part in parts(compiled)]


def _branches(compiled: CompiledIssue) -> Iterator[Part]:
    """Every branch of every ``if`` on the reader alone."""
    known = {condition.expression for condition in compiled.conditions}
    stack: list[Conditions | None] = []  # of each open statement the last branch; None where it can't be known

    def branch(passed: Conditions | None, condition: str) -> Conditions | None:
        around = stack[-1] if stack else ()
        if around is None or passed is None or (condition and condition not in known):
            return None
        return (*around, *passed, *([(condition, True)] if condition else []))

    for tag, place in zip(_TAG.finditer(compiled.html.source), compiled.html.places, strict=False):
        match tag[1]:
            case "if":
                stack.append(branch((), " ".join(tag[2].split())))
            case "for":
                stack.append(None)
            case "elif" | "else" if stack:
                before = stack.pop()
                stack.append(branch(_passed(before, stack), " ".join(tag[2].split())))
            case "endif" | "endfor" if stack:
                stack.pop()
                continue
            case _:
                continue
        if stack[-1]:
            yield Part("", place, stack[-1])


def _passed(branch: Conditions | None, stack: list[Conditions | None]) -> Conditions | None:
    """What a branch asks for besides what is around it, turned round: its last condition did not hold."""
    if branch is None:
        return None
    own = branch[len(stack[-1] or ()) if stack else 0 :]
    return (*own[:-1], (own[-1][0], False))
