"""The body of an issue as sections of the email: each block drawn by its kind, the text between set as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from markupsafe import Markup

from digest.compose.drawing import Templates
from digest.compose.fields import FieldReader
from digest.compose.html import ArticleHtml
from digest.compose.items import Entry, entry_title, item_id, split_items
from digest.compose.theme import Kind
from digest.compose.workspace import Workspace, is_picture
from digest.errors import InputError, Place, nearest
from digest.issue.model import Node

RESERVED = ("only", "include")
"""Kinds every theme has: they govern or take in, and draw nothing."""


@dataclass(slots=True)
class Sections:
    """Draws the blocks of one issue."""

    work: Workspace
    html: ArticleHtml
    templates: Templates
    entries: Sequence[Entry] = ()
    item_ids: dict[int, str] = field(default_factory=dict)
    _drawn: int = 0

    # ---- the contents list: gathered before anything is drawn

    def gather(self, nodes: Sequence[Node]) -> None:
        """Note the items of all listing blocks, for `contents` and for their ids."""
        gathered: list[tuple[Entry, bool]] = []
        taken = {n.attrs["id"] for top in nodes for n in top.walk() if "id" in n.attrs}
        left = self._gather(nodes, "", gathered, taken)
        chosen = any(short for _, short in gathered)
        kept = [entry if short or not chosen else replace(entry, text="") for entry, short in gathered]
        self.entries = _without_skipped(kept, left)

    def _gather(self, nodes: Sequence[Node], pending: str, found: list[tuple[Entry, bool]], taken: set[str]) -> str:
        """Walk in reading order; `pending` are the markers that stand before the next entry."""
        for node in nodes:
            if node.kind == "statement":
                pending += self.work.marker(node.text)
            elif node.kind == "block":
                pending = self._gather_block(node, pending, found, taken)
        return pending

    def _gather_block(self, node: Node, pending: str, found: list[tuple[Entry, bool]], taken: set[str]) -> str:
        kind = self.work.theme.kinds.get(node.text)
        before = len(found)
        begin, end = self.work.condition(node)
        left = pending + begin
        if node.text == "only":
            left = self._gather(node.children, left, found, taken)
        elif kind and kind.from_source("items"):
            listed = found if kind.listed else []
            left = self._gather_items(node, left, listed, taken)
        return left + end if len(found) > before else pending  # a condition over no item governs nothing

    def _gather_items(self, block: Node, pending: str, found: list[tuple[Entry, bool]], taken: set[str]) -> str:
        for head, _, before, after in split_items(block.children).items:
            self.item_ids[id(head)] = item_id(head, taken)
            begin, end = self.work.condition(head)
            pending += self.work.marker("".join(n.text for n in before))
            title, text = entry_title(head, self.html)
            if "short" in head.attrs:
                title = self.work.place_token(head.place) + title
            entry = Entry(title, self.item_ids[id(head)], text, pending + begin, end)
            found.append((entry, "short" in head.attrs))
            pending = self.work.marker("".join(n.text for n in after))
        return pending

    # ---- drawing

    def draw(self, nodes: Sequence[Node]) -> Markup:
        """All sections as MJML."""
        out: list[str] = []
        run: list[Node] = []
        position = 0
        while position < len(nodes):
            node = nodes[position]
            reach = self._reach(nodes, position)
            if reach > position and all(_is_text(n) for n in nodes[position:reach]):
                run += nodes[position:reach]
                position = reach
                continue
            out.append(self._text(run))
            run = []
            out.append(self._section(node))
            position += 1
        out.append(self._text(run))
        return Markup("\n".join(filter(None, out)))  # noqa: S704 - drawn by autoescaped templates

    def _reach(self, nodes: Sequence[Node], start: int) -> int:
        """The end of what begins at `start`: a node alone, or all that a statement there governs.

        `start` itself for a statement that ends or divides what began before.
        """
        depth, position = 0, start
        while position < len(nodes):
            depth += self.work.depth_change(nodes[position])
            position += 1
            if depth <= 0:
                return position if depth == 0 else start
        return position

    def _section(self, node: Node) -> str:
        if node.kind == "statement":
            return self.work.marker(node.text)
        begin, end = self.work.condition(node)
        if node.kind == "block" and node.text == "only":
            return f"{begin}\n{self.draw(node.children)}\n{end}"
        if node.kind == "block":
            return f"{begin}\n{self.kind(node)}\n{end}"
        bare = replace(node, attrs={k: v for k, v in node.attrs.items() if k not in ("segments", "id")})
        attrs = {"id": node.attrs["id"]} if "id" in node.attrs else {}
        return f"{begin}\n{self.kind(Node('block', node.place, 'figure', attrs, (bare,)))}\n{end}"

    def _text(self, run: Sequence[Node]) -> str:
        """Text outside blocks; statements alone draw nothing, and shared segments hide the whole section."""
        if all(node.kind == "statement" for node in run):
            return "".join(self.work.marker(node.text) for node in run)
        shared = {node.attrs.get("segments", "") for node in run}
        begin = end = ""
        if len(shared) == 1 and "" not in shared:
            begin, end = self.work.condition(run[0])
            run = [replace(n, attrs={k: v for k, v in n.attrs.items() if k != "segments"}) for n in run]
        block = Node("block", run[0].place, "text", {}, tuple(run))
        return f"{begin}\n{self.kind(block)}\n{end}"

    def kind(self, node: Node) -> str:
        """One block as MJML."""
        kind = self.work.theme.kinds.get(node.text)
        if kind is None:
            choices = {*self.work.theme.kinds, *RESERVED}
            self.work.wrong(node.place, f"unknown block “{node.text}”", nearest(node.text, choices), "unknown-kind")
            return ""
        reader = FieldReader(self.work, self.html, kind, node, self.entries, self.item_ids)
        known = len(self.work.problems)
        values = reader.read()
        if len(self.work.problems) > known:
            return ""  # told already; the theme would only stumble over what is missing
        block = reader.block
        anchor = self.work.anchor(block.attrs["id"], node.place) if "id" in block.attrs else ""
        self._drawn += 1
        about = {"kind": kind.name, "id": anchor, "classes": list(block.classes), "first": self._drawn == 1}
        try:
            drawn = self.templates.draw(f"blocks/{kind.name}.mjml", {**values, "block": about}, reader.fits)
        except InputError as exc:
            self.work.problems.extend(exc.problems)
            return ""
        self._all_printed(kind, values, drawn)
        return self.work.measured(drawn, kind.name, node.place)

    def _all_printed(self, kind: Kind, values: Mapping[str, Any], drawn: str) -> None:
        """A theme that forgets an item's begin or end would show it to everyone: refuse it."""
        for name, value in values.items():
            listed = value if isinstance(value, list) else []
            for entry in listed:
                marks = [mark for mark in (getattr(entry, "begin", ""), getattr(entry, "end", "")) if mark]
                if any(mark not in drawn for mark in marks):
                    told = f"the block prints {name} without their begin and end"
                    cure = "write {{ item.begin }} before and {{ item.end }} after each"
                    self.work.wrong(Place(kind.file), told, cure, code="theme")
                    return


def _is_text(node: Node) -> bool:
    """Whether a node belongs to running text, rather than being a section of its own."""
    if node.kind == "block":
        return node.text == "only" and all(_is_text(child) for child in node.children)
    return not is_picture(node)


def _without_skipped(entries: Sequence[Entry], left: str) -> list[Entry]:
    """The entries that have words; the markers of those left out move to their neighbours."""
    kept: list[Entry] = []
    carried = ""
    for entry in entries:
        if entry.text:
            kept.append(replace(entry, begin=carried + entry.begin))
            carried = ""
        else:
            carried += entry.begin + entry.end
    carried += left
    if kept and carried:
        kept[-1] = replace(kept[-1], end=kept[-1].end + carried)
    return kept
