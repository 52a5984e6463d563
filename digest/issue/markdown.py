"""The Markdown of an issue: CommonMark through markdown-it, GitHub's tables, strikethrough and bare links,
footnotes, definition lists, and the rules an issue adds to them (`rules`).

A text is read piece by piece (`pieces`); a piece that was read before, in the same surroundings, is not parsed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markdown_it.tree import SyntaxTreeNode

from digest.errors import Place, Problem
from digest.issue.directives import Directive, match_directives
from digest.issue.jinja import TagTable
from digest.issue.model import Node
from digest.issue.order import OrderCheck
from digest.issue.pieces import has_notes, moved, paragraphs, pieces
from digest.issue.rules import DEEPEST, environment, make_parser
from digest.issue.tree import TreeBuilder
from digest.memo import Memo

References = dict[str, dict[str, str]]
"""Label → ``href`` and ``title`` of a link defined apart, as ``[memo]: https://…``."""

_READ: Memo[tuple[tuple[Node, ...], int]] = Memo(limit=16_000_000)
"""The nodes of pieces, and the line of the first."""
_DEFINED: Memo[References] = Memo(limit=1_000_000)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some lines of a text: `places` of each and of the one past them, the blocks in them by line."""

    text: str
    places: Sequence[Place]
    directives: Mapping[int, Directive]

    @property
    def shape(self) -> tuple[tuple[int, int], ...]:
        """Where its blocks begin and end."""
        return tuple((d.open_line, d.close_line) for d in self.directives.values())

    @property
    def block(self) -> Directive | None:
        """The block it is, where it is nothing else."""
        found = self.directives.get(0)
        return found if found is not None and found.close_line == len(self.places) - 2 else None

    def of(self, ranges: Sequence[tuple[int, int]], lines: Sequence[str]) -> list[_Piece]:
        """Its pieces in those ranges of its `lines`, which are in order."""
        found = []
        left = sorted(self.directives.values(), key=lambda d: -d.open_line)
        for begin, end in ranges:
            inside: dict[int, Directive] = {}
            while left and left[-1].open_line < end:
                d = left.pop()
                if d.open_line < begin:  # the block that the range is within
                    continue
                inside[d.open_line - begin] = replace(d, open_line=d.open_line - begin, close_line=d.close_line - begin)
            found.append(_Piece("\n".join(lines[begin:end]), self.places[begin : end + 1], inside))
        return found

    def environment(self, table: TagTable, problems: list[Problem]) -> dict[str, Any]:
        """What markdown-it's rules need to know."""
        fresh = {n: Directive(d.kind, d.attrs, d.open_line, d.close_line) for n, d in self.directives.items()}
        return environment(table, self.places, fresh, problems)


class MarkdownReader:
    """Reads the body of one issue, or of a text it includes.

    `table` holds the Jinja tags lifted before; `trusted` lets the author's own HTML through as it is. Problems
    are collected in `problems`.
    """

    def __init__(self, table: TagTable, language: str, *, trusted: bool = False) -> None:
        self.problems: list[Problem] = []
        self._table = table
        self._trusted = trusted
        self._language = language
        self._parser = make_parser(language)

    def read(self, text: str, places: Sequence[Place]) -> tuple[Node, ...]:
        """The nodes of `text`. `places` gives the place of each 0-based line, and of the one past the end.

        Statements inside the nodes are checked, those among them are not.
        """
        lines = text.split("\n")
        directives, problems = match_directives(lines, places)
        self.problems.extend(problems)
        whole = _Piece(text, places, directives)
        if problems:
            return self._parse(whole, {})
        parts = whole.of(pieces(lines, directives), lines)
        references: References = {}
        for part in parts:
            for label, reference in self._references(part).items():
                references.setdefault(label, reference)
        addresses = repr(references)
        return tuple(node for part in parts for node in self._read(part, references, addresses))

    def _read(self, piece: _Piece, references: References, addresses: str) -> tuple[Node, ...]:
        """The nodes of a piece, parsed where it was not read like this before."""
        tags = (self._table.tags[token] for token in self._table.pattern.findall(piece.text))
        written = tuple((tag.token, tag.kind, tag.raw) for tag in tags)
        addresses = addresses if "[" in piece.text else ""
        first = piece.places[0]
        around = (self._language, self._trusted, self._table.nonce, first.file)
        key = (piece.text, piece.shape, written, addresses, around)
        if (found := _READ.get(key)) is not None:
            nodes, line = found
            return moved(nodes, first.line - line)
        known = len(self.problems)
        nodes = self._read_anew(piece, references, addresses)
        if len(self.problems) == known:
            _READ.keep(key, (nodes, first.line), 10 * len(piece.text) + len(addresses))  # nodes are heavier than text
        return nodes

    def _read_anew(self, piece: _Piece, references: References, addresses: str) -> tuple[Node, ...]:
        if has_notes(piece.text):
            return self._parse(piece, references)
        if piece.block is not None:
            return (self._block(piece, piece.block, references, addresses),)
        lines = [] if piece.directives else piece.text.split("\n")
        parts = piece.of(paragraphs(lines, self._table.prefix), lines)
        if len(parts) < 2:
            return self._parse(piece, references)
        return tuple(node for part in parts for node in self._read(part, references, addresses))

    def _block(self, piece: _Piece, block: Directive, references: References, addresses: str) -> Node:
        """The node of a block, what stands in it read piece by piece."""
        lines = piece.text.split("\n")
        (within,) = piece.of([(1, len(lines) - 1)], lines)
        inner = lines[1:-1]
        parts = within.of(pieces(inner, within.directives), inner) if inner else []
        children = (node for part in parts for node in self._read(part, references, addresses))
        node = Node("block", piece.places[0], block.kind, dict(block.attrs), tuple(children))
        OrderCheck(self._table, self.problems).one(node)
        return node

    def _references(self, piece: _Piece) -> References:
        """The link addresses that a piece defines: ``[memo]: https://…``."""
        if "]:" not in piece.text:
            return {}

        def found() -> References:
            env = piece.environment(self._table, [])  # what is wrong is told when the piece is parsed
            self._parser.block.parse(piece.text, self._parser, env, [])
            references: dict[str, dict[str, str]] = env.get("references", {})
            return {label: {"href": about["href"], "title": about["title"]} for label, about in references.items()}

        return _DEFINED.of_text((piece.shape, self._table.nonce), piece.text, found)

    def _parse(self, piece: _Piece, references: References) -> tuple[Node, ...]:
        places = piece.places
        env = piece.environment(self._table, self.problems) | {"references": references}
        tokens = self._parser.parse(piece.text, env)
        deep = next((t for t in tokens if t.level >= DEEPEST - 1), None)
        if deep is not None:
            told = f"quotations, lists and blocks stand inside one another {DEEPEST} deep"
            self.problems.append(Problem(places[deep.map[0] if deep.map else 0], told, code="depth"))
            return ()
        builder = TreeBuilder(self._table, places, self.problems, trusted=self._trusted)
        nodes = builder.build(SyntaxTreeNode(tokens))
        for directive in env["directives"].values():
            if not directive.used and directive.kind:
                opened, closed = places[directive.open_line], places[directive.close_line]
                told = f"the block “::: {directive.kind}” (closed on line {closed.line}) can't stand inside a list"
                self.problems.append(Problem(opened, told, "begin it at the left margin", code="block"))
        self._check_footnotes(env, piece)
        order = OrderCheck(self._table, self.problems)
        for node in nodes:
            order.inside(node)
        return nodes

    def _check_footnotes(self, env: Mapping[str, Any], piece: _Piece) -> None:
        """A note that nothing refers to would be lost without a word."""
        footnotes = env.get("footnotes")
        refs = footnotes.get("refs", {}) if isinstance(footnotes, dict) else {}
        lines = piece.text.split("\n") if refs else []
        for name, number in refs.items():
            if number == -1:
                label = name.removeprefix(":")
                line = next((n for n, text in enumerate(lines) if text.lstrip().startswith(f"[^{label}]:")), 0)
                told = f"nothing refers to the footnote “{label}”"
                self.problems.append(Problem(piece.places[line], told, f"write [^{label}] in the text", code="note"))
