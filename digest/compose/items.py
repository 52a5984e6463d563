"""The items of listing blocks: cut out of a block, named in the contents list, handed to the theme."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from digest.compose.html import ArticleHtml
from digest.issue.model import Node


@dataclass(frozen=True, slots=True)
class Entry:
    """An item as the contents list names it. `begin` and `end` are markers of its conditions."""

    title: str
    anchor: str
    text: str
    begin: str = ""
    end: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a listing kind, ready for the theme: HTML fields are held tokens."""

    title: str
    url: str
    id: str
    number: str
    date: str
    date_long: str
    date_short: str
    label: str
    body: str
    picture: dict[str, Any] | None
    classes: tuple[str, ...]
    begin: str
    end: str


@dataclass(frozen=True, slots=True)
class Split:
    """A listing block taken apart: what stands before the first item, and each item's nodes.

    `before` and `after` of an item are statements that stand between it and its neighbours.
    """

    lead: tuple[Node, ...]
    items: tuple[tuple[Node, tuple[Node, ...], tuple[Node, ...], tuple[Node, ...]], ...]

    @property
    def conditional(self) -> bool:
        """Whether a reader may get fewer items than are written, so that each reader's are counted when merged."""
        return any(before or "segments" in head.attrs for head, _, before, _ in self.items)


def split_items(nodes: Sequence[Node]) -> Split:
    """Cut the nodes of a listing block at its ``###`` headings.

    Statements right above a heading belong to that item; those at the very end to the last one.
    """
    starts = [n for n, node in enumerate(nodes) if begins_item(node)]
    if not starts:
        return Split(tuple(nodes), ())
    lead, before = _tail(nodes[: starts[0]])
    items = []
    for start, end in zip(starts, [*starts[1:], len(nodes)], strict=True):
        content, after = _tail(nodes[start + 1 : end])
        last = end == len(nodes)
        items.append((nodes[start], content, before, after if last else ()))
        before = after
    return Split(lead, tuple(items))


def begins_item(node: Node) -> bool:
    """Whether an item of a listing block begins here."""
    return node.kind == "heading" and node.attrs["level"] == "3"


def _tail(nodes: Sequence[Node]) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """The nodes without the statements at their end, and those statements."""
    end = len(nodes)
    while end and nodes[end - 1].kind == "statement":
        end -= 1
    return tuple(nodes[:end]), tuple(nodes[end:])


def heading_link(heading: Node) -> Node | None:
    """The link of a heading that is one link and nothing else."""
    only = heading.children[0] if len(heading.children) == 1 else None
    return only if only is not None and only.kind == "link" else None


def item_id(heading: Node, taken: set[str]) -> str:
    """The item's own id, else one made of its words, not among `taken`."""
    if own := heading.attrs.get("id"):
        return own
    words = re.sub(r"Zq\w+?qZ", "", heading.plain)
    slug = "-".join(re.findall(r"\w+", words.lower()))[:48].strip("-") or "item"
    made, count = slug, 2
    while made in taken:
        made, count = f"{slug}-{count}", count + 1
    taken.add(made)
    return made


def entry_title(head: Node, html: ArticleHtml) -> tuple[str, str]:
    """An item's words in the contents list: as HTML, and plain."""
    if short := head.attrs.get("short"):
        return escape(short, quote=False), short
    link = heading_link(head)
    return html.inline(link.children if link else head.children), head.plain
