"""The conditions under which a reader gets what stands at a place of the issue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from digest.compose.workspace import Workspace
from digest.issue.model import Node

_FRAME = frozenset({"contents", "divider", "footer", "spacer"})
"""Kinds that are nothing by themselves: who gets only these gets an empty issue."""


class Branches:
    """The statements open among siblings: `step` over their tags in reading order."""

    def __init__(self, work: Workspace) -> None:
        self._work = work
        self._open: list[list[str]] = []  # per statement: the conditions passed over, the last one in force

    def step(self, text: str) -> None:
        """Take the statements whose tokens stand in `text`."""
        for token in self._work.table.pattern.findall(text):
            tag = self._work.table.tags[token]
            words = " ".join(tag.source.split())
            if tag.kind == "if":
                self._open.append([words.removeprefix("if ")])
            elif tag.kind == "for":
                self._open.append(["for"])
            elif tag.kind == "elif" and self._open:
                self._open[-1].append(words.removeprefix("elif "))
            elif tag.kind == "else" and self._open:
                self._open[-1].append("true")
            elif tag.kind in ("endif", "endfor") and self._open:
                self._open.pop()

    @property
    def in_force(self) -> tuple[str, ...]:
        """The condition of each open statement, from the outermost; ``for`` for a loop."""
        return tuple(_in_force(branch) for branch in self._open)

    @property
    def outcomes(self) -> tuple[tuple[str, bool], ...]:
        """The same, taken apart: each single condition with the outcome it must have."""
        return tuple(outcome for branch in self._open for outcome in _outcomes(branch))


def content_of(work: Workspace, nodes: Iterable[Node]) -> str:
    """The condition of who gets any of an issue's blocks and texts; ``true`` for everybody.

    What stands in ``only`` is looked at one by one. Other blocks are not looked into: whoever gets one gets at
    least its frame.
    """
    found: dict[str, None] = {}
    for around in _contents(work, nodes, ()):
        if not around or "for" in around:  # a loop goes over what the issue sets, too: nobody can say
            return "true"
        found[" and ".join(f"({condition})" for condition in around)] = None
    return " or ".join(found) or "true"


def _contents(work: Workspace, nodes: Iterable[Node], outer: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Of each block and text the conditions around it."""
    branches = Branches(work)
    for node in nodes:
        if node.kind == "statement":
            branches.step(node.text)
            continue
        if node.kind in ("notes", "rule") or (node.kind == "block" and node.text in _FRAME):
            continue
        own = work.governing(node)
        around = (*outer, *branches.in_force, *([own] if own else []))
        if node.kind == "block" and node.text == "only":
            yield from _contents(work, node.children, around)
        else:
            yield around


def _in_force(branch: Sequence[str]) -> str:
    """The condition under which a reader gets the current branch of a statement.

    >>> _in_force(["a"]), _in_force(["a", "b"]), _in_force(["a", "true"])
    ('a', 'not (a) and (b)', 'not (a)')
    """
    *passed, current = branch
    parts = [f"not ({c})" for c in passed]
    if not passed:
        return current
    return " and ".join(parts if current == "true" else [*parts, f"({current})"])


def _outcomes(branch: Sequence[str]) -> list[tuple[str, bool]]:
    """
    >>> _outcomes(["a"]), _outcomes(["a", "b"]), _outcomes(["a", "true"])
    ([('a', True)], [('a', False), ('b', True)], [('a', False)])
    """
    *passed, current = branch
    return [*((c, False) for c in passed), *([] if passed and current == "true" else [(current, True)])]
