"""Who gets a footnote: those readers, and only those, who get a reference to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from digest.compose.branches import Branches
from digest.compose.items import split_items
from digest.compose.workspace import Workspace
from digest.issue.model import Node


@dataclass(slots=True)
class NoteConditions:
    """Walks an issue in reading order, with the conditions around each reference."""

    work: Workspace
    found: dict[str, list[str]] = field(default_factory=dict)

    def gather(self, nodes: Sequence[Node]) -> dict[str, str]:
        """For each note's number the expression of who gets it, empty for everyone."""
        if _has_notes(nodes):  # else there are no references
            self._siblings(nodes, ())
        return {
            number: "" if "" in sources else " or ".join(f"({s})" for s in dict.fromkeys(sources))
            for number, sources in self.found.items()
        }

    def _siblings(self, nodes: Iterable[Node], around: tuple[str, ...]) -> None:
        """One container: its statements govern what follows among the same siblings."""
        branches = Branches(self.work)
        for node in nodes:
            if node.kind in ("statement", "text"):
                branches.step(node.text)
                continue
            inner = (*around, *branches.in_force)
            if segments := self.work.governing(node):
                inner = (*inner, segments)
            if node.kind == "note_ref":
                self._reference(node, inner)
            elif node.kind != "notes":
                self._inside(node, inner)

    def _inside(self, node: Node, around: tuple[str, ...]) -> None:
        kind = self.work.theme.kinds.get(node.text) if node.kind == "block" else None
        if kind is None or not kind.from_source("items"):
            self._siblings(node.children, around)
            return
        split = split_items(node.children)
        self._siblings(split.lead, around)
        flat: list[Node] = []  # an item and the statements around it, as one sequence
        for head, content, before, after in split.items:
            item = Node("item", head.place, attrs=head.attrs, children=(*head.children, *content))
            flat += [*before, item, *after]
        self._siblings(flat, around)

    def _reference(self, node: Node, around: tuple[str, ...]) -> None:
        if "for" in around:
            told = "a footnote can't be referred to in a loop"
            self.work.wrong(node.place, told, "put the reference after “{% endfor %}”", code="note")
        source = " and ".join(f"({c})" for c in around)
        self.found.setdefault(node.attrs["number"], []).append(source)


def _has_notes(nodes: Iterable[Node]) -> bool:
    """Whether footnotes stand among them, or in a block: there texts that were taken in have theirs."""
    return any(n.kind == "notes" or (n.kind == "block" and _has_notes(n.children)) for n in nodes)
