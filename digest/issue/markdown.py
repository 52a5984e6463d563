"""Markdown to nodes: CommonMark, tables and strikethrough through markdown-it, with the rules an issue adds.

Added here: blocks (`directives`), Jinja statements alone on their lines, attributes in braces on a line of
their own, at the end of a heading, and right behind links, pictures and code.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.tree import SyntaxTreeNode

from digest.errors import Place, Problem
from digest.issue.attributes import BRACES, looks_like_attributes, parse_attributes
from digest.issue.directives import block_rule, match_directives
from digest.issue.jinja import TagTable
from digest.issue.model import Node

DEEPEST = 60  # quotations and lists inside one another; beyond it markdown-it drops text silently

_HEADING_BRACES = re.compile(rf"(?:^|\s){BRACES.pattern}\s*$")

_QUOTES = {"de": "„“‚‘", "fr": ["«\u202f", "\u202f»", "‹\u202f", "\u202f›"], "es": "«»“”", "sv": "””’’"}
_QUOTES |= {"fi": "””’’", "da": "»«›‹", "pl": "„”‚’", "cs": "„“‚‘", "it": "«»“”", "ru": "«»„“", "nl": "“”‘’"}


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: ARG002, N802 - the library's hook
        """Every link is a link: one that can't be followed is refused with its line, not shown as text."""
        return True


class MarkdownReader:
    """Reads the body of one issue, or of a text it includes.

    `table` holds the Jinja tags lifted before; problems are collected in `problems`.
    """

    def __init__(self, table: TagTable, language: str) -> None:
        self.problems: list[Problem] = []
        self._table = table
        self._token = table.pattern
        self._statement = re.compile(rf"(?:\s*Zq{table.nonce}S\d{{4,}}qZ\s*)+")
        self._places: Sequence[Place] = ()
        self._parser = self._make_parser(language)

    def _make_parser(self, language: str) -> MarkdownIt:
        quotes = _QUOTES.get(language.split("-", maxsplit=1)[0].lower(), "“”‘’")
        options = {"typographer": True, "quotes": quotes, "maxNesting": DEEPEST, "html": True}
        parser = _Parser("commonmark", options)
        parser.enable(["table", "strikethrough", "replacements", "smartquotes"])
        ends_others: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
        parser.block.ruler.before("fence", "directive", block_rule, ends_others)
        parser.block.ruler.before("fence", "statement", self._statement_rule, ends_others)
        parser.block.ruler.before("fence", "attributes", self._attributes_rule, ends_others)
        parser.inline.ruler.push("attributes", self._inline_attributes_rule)
        parser.core.ruler.after("block", "heading_attributes", self._heading_attributes_rule)
        return parser

    def read(self, text: str, places: Sequence[Place]) -> tuple[Node, ...]:
        """The nodes of `text`. `places` gives the place of each 0-based line (and of the one past the end)."""
        self._places = places
        lines = text.split("\n")
        directives, problems = match_directives(lines, places)
        self.problems.extend(problems)
        env = {"directives": directives}
        tokens = self._parser.parse(text, env)
        deep = next((t for t in tokens if t.level >= DEEPEST - 1), None)
        if deep is not None:
            told = f"quotations, lists and blocks stand inside one another {DEEPEST} deep"
            self.problems.append(Problem(places[deep.map[0] if deep.map else 0], told, code="depth"))
            return ()
        nodes = self._blocks(SyntaxTreeNode(tokens).children)
        for directive in directives.values():
            if not directive.used and directive.kind:
                opened, closed = places[directive.open_line], places[directive.close_line]
                told = f"the block “::: {directive.kind}” (closed on line {closed.line}) can't stand inside a list"
                self.problems.append(Problem(opened, told, "begin it at the left margin", code="block"))
        return nodes

    # ---- the rules added to markdown-it

    def _statement_rule(self, state: StateBlock, start: int, _end: int, silent: bool) -> bool:
        if state.is_code_block(start):
            return False
        line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
        if not self._statement.fullmatch(line):
            return False
        if not silent:
            token = state.push("statement", "", 0)
            token.block, token.content, token.map = True, line.strip(), [start, start + 1]
            state.line = start + 1
        return True

    def _attributes_rule(self, state: StateBlock, start: int, _end: int, silent: bool) -> bool:
        if state.is_code_block(start):
            return False
        line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]].strip()
        found = BRACES.fullmatch(line)
        if not found or not looks_like_attributes(found["inside"]):
            return False
        if not silent:
            token = state.push("attributes", "", 0)
            token.block, token.map = True, [start, start + 1]
            token.meta = self._parse(found["inside"], self._places[start])
            state.line = start + 1
        return True

    def _inline_attributes_rule(self, state: StateInline, silent: bool) -> bool:
        """``[text](url){.class}``: the braces belong to what stands right before them."""
        if state.src[state.pos] != "{" or state.pending or not state.tokens:
            return False
        if state.tokens[-1].type not in ("link_close", "image", "code_inline"):
            return False
        found = BRACES.match(state.src, state.pos)
        if not found or not looks_like_attributes(found["inside"]):
            return False
        if not silent:
            target = state.tokens[-1]
            target.meta = {**target.meta, "attrs": found["inside"]}
        state.pos = found.end()
        return True

    def _heading_attributes_rule(self, state: StateCore) -> None:
        """Braces at a heading's end are its attributes; taken before typography can touch their quotes."""
        for heading, inline in itertools.pairwise(state.tokens):
            if heading.type != "heading_open":
                continue
            found = _HEADING_BRACES.search(inline.content)
            if found and looks_like_attributes(found["inside"]):
                heading.meta = self._parse(found["inside"], self._places[heading.map[0] if heading.map else 0])
                inline.content = inline.content[: found.start()]

    def _parse(self, inside: str, place: Place) -> dict[str, str]:
        try:
            return parse_attributes(inside)
        except ValueError as exc:
            self.problems.append(Problem(place, str(exc), code="attributes"))
            return {}

    # ---- blocks

    def _place(self, node: SyntaxTreeNode) -> Place:
        return self._places[node.map[0] if node.map else 0]

    def _blocks(self, children: Iterable[SyntaxTreeNode]) -> tuple[Node, ...]:
        """Block nodes; attributes on a line of their own go to the node after them."""
        out: list[Node] = []
        waiting: tuple[dict[str, str], Place] | None = None
        for child in children:
            if child.type == "attributes":
                waiting = (dict(child.meta), self._place(child))
                continue
            for node in self._block(child):
                made = replace(node, attrs=_joined(node.attrs, waiting[0])) if waiting else node
                if waiting and node.kind == "statement":
                    self._stray(waiting[1])
                waiting = None
                out.append(made)
        if waiting:
            self._stray(waiting[1])
        return _join_lists(out)

    def _stray(self, place: Place) -> None:
        told = "these attributes govern nothing"
        self.problems.append(
            Problem(place, told, "put them right above a paragraph, list, quotation or picture", code="attributes")
        )

    def _block(self, node: SyntaxTreeNode) -> list[Node]:
        place = self._place(node)
        match node.type:
            case "paragraph":
                return [Node("paragraph", place, children=self._inline_of(node))]
            case "heading":
                braces = node.nester_tokens.opening.meta if node.nester_tokens else {}
                return [
                    Node(
                        "heading",
                        place,
                        attrs={"level": node.tag[1:], **braces},
                        children=self._inline_of(node),
                    )
                ]
            case "bullet_list" | "ordered_list":
                return [self._list(node, place)]
            case "blockquote":
                return [Node("quote", place, children=self._blocks(node.children))]
            case "fence" | "code_block":
                return [Node("code", place, self._as_written(node.content), {"info": node.info.strip()})]
            case "hr":
                return [Node("rule", place)]
            case "table":
                return [self._table_node(node, place)]
            case "directive":
                return [Node("block", place, node.info, dict(node.meta), self._blocks(node.children))]
            case "statement":
                return [Node("statement", place, node.content)]
            case "html_block":
                return self._html(node.content, place)
        raise AssertionError(f"no rule makes a {node.type}")

    def _list(self, node: SyntaxTreeNode, place: Place) -> Node:
        attrs = {"ordered": "yes" if node.type == "ordered_list" else "", "marker": node.markup}
        if start := node.attrs.get("start"):
            attrs["start"] = str(start)
        items = tuple(Node("item", self._place(i), children=self._blocks(i.children)) for i in node.children)
        tight = all(c.hidden for i in node.children for c in i.children if c.type == "paragraph")
        return Node("list", place, attrs=attrs | {"tight": "yes" if tight else ""}, children=items)

    def _table_node(self, node: SyntaxTreeNode, place: Place) -> Node:
        rows = []
        for part in node.children:
            for row in part.children:
                cells = tuple(self._cell(cell, row.map[0] if row.map else 0) for cell in row.children)
                kind = {"head": "yes" if part.type == "thead" else ""}
                rows.append(Node("row", self._place(row), attrs=kind, children=cells))
        return Node("table", place, children=tuple(rows))

    def _cell(self, node: SyntaxTreeNode, line: int) -> Node:
        style = str(node.attrs.get("style", ""))
        align = style.removeprefix("text-align:") if style else ""
        return Node("cell", self._places[line], attrs={"align": align}, children=self._inline(node.children, line))

    def _html(self, content: str, place: Place) -> list[Node]:
        """Comments are the author's notes and go nowhere; other HTML is refused."""
        rest = re.sub(r"<!--.*?-->", "", content, flags=re.DOTALL).strip()
        if rest and not rest.startswith("</"):  # the opening one is enough to tell
            told = f"HTML can't stand in an issue: “{rest.splitlines()[0][:40]}”"
            cure = "write Markdown, or “\\<” for a plain angle bracket"
            self.problems.append(Problem(place, told, cure, code="html"))
        return []

    # ---- inline

    def _inline_of(self, node: SyntaxTreeNode) -> tuple[Node, ...]:
        return self._inline(node.children, node.map[0] if node.map else 0)

    def _inline(self, children: Iterable[SyntaxTreeNode], line: int) -> tuple[Node, ...]:
        """Inline nodes; `line` is where they begin, each break moves to the next."""
        out: list[Node] = []
        for child in _flat(children):
            node = self._inline_node(child, min(line, len(self._places) - 1))
            if node is not None:
                out.append(node)
            line += sum(d.type in ("softbreak", "hardbreak") for d in child.walk())
        return tuple(out)

    def _inline_node(self, node: SyntaxTreeNode, line: int) -> Node | None:
        place = self._places[line]
        match node.type:
            case "text":
                return Node("text", place, node.content) if node.content else None
            case "softbreak":
                return Node("softbreak", place)
            case "hardbreak":
                return Node("break", place)
            case "code_inline":
                return Node("code_span", place, self._as_written(node.content), self._braces(node, place))
            case "image":
                return self._image(node, place)
            case "link":
                attrs = {"href": str(node.attrs["href"]), "title": str(node.attrs.get("title", ""))}
            case "strong" | "em" | "s":
                attrs = {}
            case "html_inline":
                self._html(node.content, place)
                return None
            case _:
                raise AssertionError(f"no rule makes a {node.type}")
        kind = "strike" if node.type == "s" else node.type
        attrs |= self._braces(node, place)
        return Node(kind, place, attrs=attrs, children=self._inline(node.children, line))

    def _image(self, node: SyntaxTreeNode, place: Place) -> Node:
        attrs = {"src": str(node.attrs["src"]), "title": str(node.attrs.get("title", ""))}
        alt = " ".join("".join(c.content if c.type in ("text", "code_inline") else " " for c in node.walk()).split())
        return Node("image", place, alt, attrs | self._braces(node, place))

    def _braces(self, node: SyntaxTreeNode, place: Place) -> dict[str, str]:
        closing = node.nester_tokens.closing if node.nester_tokens else node.token
        inside = closing.meta.get("attrs") if closing else None
        return self._parse(inside, place) if inside else {}

    def _as_written(self, code: str) -> str:
        """In code, tags are plain text again."""
        return self._token.sub(lambda m: self._table.tags[m[0]].raw, code)


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
        if joined:
            kept = len(out) - joined
            first, between = out[kept], out[kept + 1 :]
            tight = "yes" if first.attrs["tight"] and node.attrs["tight"] else ""
            out[kept:] = [
                replace(
                    first,
                    attrs={**first.attrs, "tight": tight},
                    children=(*first.children, *between, *node.children),
                )
            ]
        else:
            out.append(node)
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
