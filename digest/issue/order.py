"""Statements begin and end in the same container: a list of blocks, a line of words, an attribute's value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from digest.errors import Problem
from digest.issue.jinja import TagTable
from digest.issue.model import Node, Tag


class OrderCheck:
    """Checks containers with the tags of `table`; what is wrong is added to `problems`."""

    def __init__(self, table: TagTable, problems: list[Problem]) -> None:
        self._table = table
        self._problems = problems

    def siblings(self, nodes: Iterable[Node]) -> None:
        """The nodes of one container, without what is below them."""
        texts = [n.text for n in nodes if n.kind in ("statement", "text") and self._table.prefix in n.text]
        self._tags(texts, "this part of the text")

    def inside(self, node: Node) -> None:
        """One node's attributes and every container below it."""
        self.one(node)
        for child in node.children:
            self.inside(child)

    def one(self, node: Node) -> None:
        """One node's attributes and what stands right in it."""
        if node.kind == "image":
            self.text(node.text, "the picture's description")
        for key, value in node.attrs.items():
            self.text(value, f"the attribute “{key}”")
        if node.kind == "text" and _BLOCK.match(node.text):
            told = "a block can't begin inside a list, a quotation or a paragraph"
            self._problems.append(Problem(node.place, told, "begin it at the left margin", code="block"))
        self.siblings(node.children)

    def text(self, text: str, where: str) -> None:
        """One text, which is `where`."""
        if self._table.prefix in text:
            self._tags([text], where)

    def _tags(self, texts: Sequence[str], where: str) -> None:
        stack: list[Tag] = []
        for text in texts:
            for token in self._table.pattern.findall(text):
                if (tag := self._table.tags.get(token)) is not None:
                    self._step(tag, stack, where)
        for tag in stack:
            cure = "begin and end must lie in the same paragraph, item, cell or block"
            told = f"“{tag.raw}” has no end in {where}"
            self._problems.append(Problem(tag.place, told, cure, code="jinja"))

    def _step(self, tag: Tag, stack: list[Tag], where: str) -> None:
        if tag.kind in ("if", "for"):
            stack.append(tag)
            return
        wanted = {"endif": ("if",), "endfor": ("for",), "elif": ("if",), "else": ("if", "for")}.get(tag.kind)
        if wanted is None:
            return
        if not stack or stack[-1].kind not in wanted:
            opened = f"“{stack[-1].raw}” of line {stack[-1].place.line} is open" if stack else "nothing is open"
            told = f"“{tag.raw}” fits nothing in {where}: {opened}"
            cure = "begin and end must lie in the same paragraph, item, cell or block"
            self._problems.append(Problem(tag.place, told, cure, code="jinja"))
        elif tag.kind.startswith("end"):
            stack.pop()


_BLOCK = re.compile(r":::+\s*\w")
