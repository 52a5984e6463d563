"""From markdown-it's tokens to the nodes of an issue: one kind of value for all that comes after."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from markdown_it.tree import SyntaxTreeNode

from digest.errors import Place, Problem
from digest.issue.attributes import parse_attributes
from digest.issue.jinja import TagTable
from digest.issue.model import Node
from digest.issue.raw_html import cleaned, unbalanced

_TASK = re.compile(r"\[([ xX])\]\s+")
_FOOTNOTE = re.compile(r"\[\^([^\]\s]+)\]")


class TreeBuilder:
    """Builds the nodes of one text. Problems are added to the list it is given."""

    def __init__(
        self, table: TagTable, places: Sequence[Place], problems: list[Problem], *, trusted: bool = False
    ) -> None:
        self._tags = table
        self._places = places
        self._problems = problems
        self._trusted = trusted

    def build(self, root: SyntaxTreeNode) -> tuple[Node, ...]:
        """All nodes, the footnotes last."""
        return self._blocks(root.children)

    def _place(self, node: SyntaxTreeNode) -> Place:
        return self._places[_line(node)]

    def _wrong(self, place: Place, message: str, cure: str, code: str) -> None:
        self._problems.append(Problem(place, message, cure, code=code))

    # ---- blocks

    def _blocks(self, children: Iterable[SyntaxTreeNode]) -> tuple[Node, ...]:
        """Block nodes; attributes on a line of their own go to the node after them."""
        out: list[Node] = []
        waiting: tuple[dict[str, str], Place] | None = None
        for child in children:
            if child.type == "attributes":
                waiting = (dict(child.meta), self._place(child))
                continue
            for node in self._block(child):
                if waiting and node.kind == "statement":
                    self._stray(waiting[1])
                out.append(replace(node, attrs=_joined(node.attrs, waiting[0])) if waiting else node)
                waiting = None
        if waiting:
            self._stray(waiting[1])
        self._problems.extend(unbalanced(out))
        return _join_lists(out)

    def _stray(self, place: Place) -> None:
        cure = "put them right above a paragraph, list, quotation or picture"
        self._wrong(place, "these attributes govern nothing", cure, "attributes")

    def _block(self, node: SyntaxTreeNode) -> list[Node]:
        place = self._place(node)
        match node.type:
            case "paragraph":
                return [Node("paragraph", place, children=self._inline_of(node))]
            case "heading":
                braces = node.nester_tokens.opening.meta if node.nester_tokens else {}
                attrs = {"level": node.tag[1:], **braces}
                return [Node("heading", place, attrs=attrs, children=self._inline_of(node))]
            case "bullet_list" | "ordered_list":
                return [self._list(node, place)]
            case "blockquote":
                return [Node("quote", place, children=self._blocks(node.children))]
            case "directive":
                return [Node("block", place, node.info, dict(node.meta), self._blocks(node.children))]
            case "table":
                return [self._table(node, place)]
            case "dl":
                return [Node("definitions", place, children=tuple(self._definition(c) for c in node.children))]
            case "footnote_block":
                return [Node("notes", place, children=tuple(self._note(c) for c in node.children))]
            case "html_block":
                return self._html(node.content, place)
        return [self._leaf(node, place)]

    def _leaf(self, node: SyntaxTreeNode, place: Place) -> Node:
        match node.type:
            case "fence" | "code_block":
                return Node("code", place, self._as_written(node.content), {"info": node.info.strip()})
            case "hr":
                return Node("rule", place)
            case "statement":
                return Node("statement", place, node.content)
        raise AssertionError(f"no rule makes a {node.type}")

    def _list(self, node: SyntaxTreeNode, place: Place) -> Node:
        attrs = {"ordered": "yes" if node.type == "ordered_list" else "", "marker": node.markup}
        if start := node.attrs.get("start"):
            attrs["start"] = str(start)
        items = tuple(self._item(item) for item in node.children)
        tight = all(c.hidden for i in node.children for c in i.children if c.type == "paragraph")
        return Node("list", place, attrs=attrs | {"tight": "yes" if tight else ""}, children=items)

    def _item(self, node: SyntaxTreeNode) -> Node:
        """An item; one that begins with ``[ ]`` or ``[x]`` is a task."""
        children = self._blocks(node.children)
        first = children[0].children[0] if children and children[0].children else None
        found = _TASK.match(first.text) if first is not None and first.kind == "text" else None
        if not found or first is None:
            return Node("item", self._place(node), children=children)
        words = replace(first, text=first.text[found.end() :])
        paragraph = replace(children[0], children=(words, *children[0].children[1:]))
        done = "done" if found[1] in "xX" else "open"
        return Node("item", self._place(node), attrs={"task": done}, children=(paragraph, *children[1:]))

    def _definition(self, node: SyntaxTreeNode) -> Node:
        if node.type == "dt":
            return Node("term", self._place(node), children=self._inline_of(node))
        return Node("definition", self._place(node), children=self._blocks(node.children))

    def _note(self, node: SyntaxTreeNode) -> Node:
        number = str(int(node.meta["id"]) + 1)
        return Node("note", self._place(node), attrs={"number": number}, children=self._blocks(node.children))

    def _table(self, node: SyntaxTreeNode, place: Place) -> Node:
        rows = (self._row(row, part.type) for part in node.children for row in part.children)
        return Node("table", place, children=tuple(rows))

    def _row(self, row: SyntaxTreeNode, part: str) -> Node:
        """A row, or the statements that stand alone on its line."""
        cells = tuple(self._cell(cell, _line(row)) for cell in row.children)
        words = "".join(n.text if n.kind == "text" else "?" for cell in cells for n in cell.children)
        if part == "tbody" and words and not self._tags.pattern.sub("", words).strip() and self._alone(words):
            return Node("statement", self._place(row), words)
        return Node("row", self._place(row), attrs={"head": "yes" if part == "thead" else ""}, children=cells)

    def _alone(self, words: str) -> bool:
        return all(self._tags.tags[token].kind != "print" for token in self._tags.pattern.findall(words))

    def _cell(self, node: SyntaxTreeNode, line: int) -> Node:
        style = str(node.attrs.get("style", ""))
        align = style.removeprefix("text-align:") if style else ""
        children = self._inline(node.children, line)
        return Node("cell", self._places[line], attrs={"align": align}, children=children)

    def _html(self, content: str, place: Place) -> list[Node]:
        kept, refused = cleaned(content, trusted=self._trusted)
        if refused and not refused.startswith("</"):  # the opening one is enough to tell
            cure = "write Markdown, or “\\<” for a plain angle bracket, or trust the issue: “trusted: true”"
            self._wrong(place, f"“{refused[:40]}” can't stand in an issue", cure, "html")
        return [Node("html", place, kept)] if kept.strip() else []

    # ---- inline

    def _inline_of(self, node: SyntaxTreeNode) -> tuple[Node, ...]:
        return self._inline(node.children, _line(node))

    def _inline(self, children: Iterable[SyntaxTreeNode], line: int) -> tuple[Node, ...]:
        """Inline nodes; `line` is where they begin, each break moves to the next."""
        out: list[Node] = []
        for child in _flat(children):
            node = self._inline_node(child, min(line, len(self._places) - 1))
            if node is not None:
                out.append(node)
            line += sum(d.type in ("softbreak", "hardbreak") for d in child.walk())
        self._problems.extend(unbalanced(out))
        return tuple(out)

    def _inline_node(self, node: SyntaxTreeNode, line: int) -> Node | None:
        place = self._places[line]
        match node.type:
            case "text":
                return self._text(node.content, place)
            case "softbreak":
                return Node("softbreak", place)
            case "hardbreak":
                return Node("break", place)
            case "code_inline":
                return Node("code_span", place, self._as_written(node.content), self._braces(node, place))
            case "image":
                return self._image(node, place)
            case "html_inline":
                return next(iter(self._html(node.content, place)), None)
            case "footnote_ref":
                return Node("note_ref", place, attrs={"number": str(int(node.meta["id"]) + 1)})
            case "footnote_anchor":
                return None
        return self._nested(node, line)

    def _nested(self, node: SyntaxTreeNode, line: int) -> Node:
        place = self._places[line]
        attrs: dict[str, str] = {}
        if node.type == "link":
            attrs = {"href": str(node.attrs["href"]), "title": str(node.attrs.get("title", ""))}
        kind = {"link": "link", "strong": "strong", "em": "em", "s": "strike"}[node.type]
        return Node(kind, place, attrs=attrs | self._braces(node, place), children=self._inline(node.children, line))

    def _text(self, content: str, place: Place) -> Node | None:
        if missing := _FOOTNOTE.search(content):
            cure = f"write it anywhere in the same file: “[^{missing[1]}]: …”"
            self._wrong(place, f"there is no footnote “{missing[1]}”", cure, "note")
        return Node("text", place, content) if content else None

    def _image(self, node: SyntaxTreeNode, place: Place) -> Node:
        attrs = {"src": str(node.attrs["src"]), "title": str(node.attrs.get("title", ""))}
        words = (c.content if c.type in ("text", "code_inline") else " " for c in node.walk())
        return Node("image", place, " ".join("".join(words).split()), attrs | self._braces(node, place))

    def _braces(self, node: SyntaxTreeNode, place: Place) -> dict[str, str]:
        closing = node.nester_tokens.closing if node.nester_tokens else node.token
        inside = closing.meta.get("attrs") if closing else None
        try:
            return parse_attributes(inside) if inside else {}
        except ValueError as exc:
            self._wrong(place, str(exc), "", "attributes")
            return {}

    def _as_written(self, code: str) -> str:
        """In code, tags are plain text again."""
        return self._tags.pattern.sub(lambda m: self._tags.tags[m[0]].raw, code)


def _line(node: SyntaxTreeNode) -> int:
    return node.map[0] if node.map else 0


def _flat(children: Iterable[SyntaxTreeNode]) -> Iterable[SyntaxTreeNode]:
    for child in children:
        if child.type == "inline":
            yield from child.children
        else:
            yield child


def _joined(own: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    classes = f"{own.get('class', '')} {added.get('class', '')}".split()
    return {**own, **added, **({"class": " ".join(classes)} if classes else {})}


def _join_lists(nodes: list[Node]) -> tuple[Node, ...]:
    """Lists that only statements cut apart are one list: its items are what is conditional."""
    out: list[Node] = []
    for node in nodes:
        joined = _joins(out, node)
        if not joined:
            out.append(node)
            continue
        kept = len(out) - joined
        first, between = out[kept], out[kept + 1 :]
        tight = "yes" if first.attrs["tight"] and node.attrs["tight"] else ""
        children = (*first.children, *between, *node.children)
        out[kept:] = [replace(first, attrs={**first.attrs, "tight": tight}, children=children)]
    return tuple(out)


def _joins(out: list[Node], node: Node) -> int:
    """How many of the last nodes (a list, then statements) `node` continues; 0 for none."""
    if node.kind != "list" or any(k in node.attrs for k in ("class", "id", "segments")):
        return 0
    count = 1
    while count <= len(out) and out[-count].kind == "statement":
        count += 1
    if count == 1 or count > len(out):
        return 0
    first = out[-count]
    same = first.kind == "list" and first.attrs["marker"] == node.attrs["marker"]
    return count if same else 0
