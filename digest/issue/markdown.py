"""The Markdown of an issue: CommonMark through markdown-it, GitHub's tables, strikethrough and bare links,
footnotes, definition lists, and the rules an issue adds to them.

Added here: blocks (`directives`), Jinja statements alone on their lines, attributes in braces on a line of
their own, at the end of a heading, and right behind links, pictures and code.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.tree import SyntaxTreeNode
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.gfm_autolink import gfm_autolink_plugin

from digest.errors import Place, Problem
from digest.issue.attributes import BRACES, looks_like_attributes, parse_attributes
from digest.issue.directives import block_rule, match_directives
from digest.issue.jinja import TagTable
from digest.issue.model import Node
from digest.issue.tree import TreeBuilder

DEEPEST = 60  # quotations and lists inside one another; beyond it markdown-it drops text silently

_HEADING_BRACES = re.compile(rf"(?:^|\s){BRACES.pattern}\s*$")
_SHORTCODE = re.compile(r":[a-z0-9_+&'’.-]+:", re.IGNORECASE)

_QUOTES = {"de": "„“‚‘", "fr": ["«\u202f", "\u202f»", "‹\u202f", "\u202f›"], "es": "«»“”", "sv": "””’’"}
_QUOTES |= {"fi": "””’’", "da": "»«›‹", "pl": "„”‚’", "cs": "„“‚‘", "it": "«»“”", "ru": "«»„“", "nl": "“”‘’"}


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: ARG002, N802 - the library's hook
        """Every link is a link: one that can't be followed is refused with its line, not shown as text."""
        return True


class MarkdownReader:
    """Reads the body of one issue, or of a text it includes.

    `table` holds the Jinja tags lifted before; `trusted` lets the author's own HTML through as it is. Problems
    are collected in `problems`.
    """

    def __init__(self, table: TagTable, language: str, *, trusted: bool = False) -> None:
        self.problems: list[Problem] = []
        self._table = table
        self._trusted = trusted
        self._statement = re.compile(rf"(?:\s*Zq{table.nonce}S\d{{4,}}qZ\s*)+")
        self._places: Sequence[Place] = ()
        self._parser = self._make_parser(language)

    def _make_parser(self, language: str) -> MarkdownIt:
        quotes = _QUOTES.get(language.split("-", maxsplit=1)[0].lower(), "“”‘’")
        options = {"typographer": True, "quotes": quotes, "maxNesting": DEEPEST, "html": True}
        parser = _Parser("commonmark", options)
        parser.enable(["table", "strikethrough", "replacements", "smartquotes"])
        parser.use(footnote_plugin, inline=True).use(deflist_plugin).use(gfm_autolink_plugin)
        ends_others: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
        parser.block.ruler.before("fence", "directive", block_rule, ends_others)
        parser.block.ruler.before("fence", "statement", self._statement_rule, ends_others)
        parser.block.ruler.before("fence", "attributes", self._attributes_rule, ends_others)
        parser.inline.ruler.push("attributes", self._inline_attributes_rule)
        parser.core.ruler.after("block", "heading_attributes", self._heading_attributes_rule)
        parser.core.ruler.push("emoji", _emoji_rule)
        return parser

    def read(self, text: str, places: Sequence[Place]) -> tuple[Node, ...]:
        """The nodes of `text`. `places` gives the place of each 0-based line, and of the one past the end."""
        self._places = places
        lines = text.split("\n")
        directives, problems = match_directives(lines, places)
        self.problems.extend(problems)
        env: dict[str, object] = {"directives": directives}
        tokens = self._parser.parse(text, env)
        deep = next((t for t in tokens if t.level >= DEEPEST - 1), None)
        if deep is not None:
            told = f"quotations, lists and blocks stand inside one another {DEEPEST} deep"
            self.problems.append(Problem(places[deep.map[0] if deep.map else 0], told, code="depth"))
            return ()
        builder = TreeBuilder(self._table, places, self.problems, trusted=self._trusted)
        nodes = builder.build(SyntaxTreeNode(tokens))
        for directive in directives.values():
            if not directive.used and directive.kind:
                opened, closed = places[directive.open_line], places[directive.close_line]
                told = f"the block “::: {directive.kind}” (closed on line {closed.line}) can't stand inside a list"
                self.problems.append(Problem(opened, told, "begin it at the left margin", code="block"))
        self._check_footnotes(env, lines)
        return nodes

    def _check_footnotes(self, env: dict[str, object], lines: list[str]) -> None:
        """A note that nothing refers to would be lost without a word."""
        footnotes = env.get("footnotes")
        refs = footnotes.get("refs", {}) if isinstance(footnotes, dict) else {}
        for name, number in refs.items():
            if number == -1:
                label = name.removeprefix(":")
                line = next((n for n, text in enumerate(lines) if text.lstrip().startswith(f"[^{label}]:")), 0)
                told = f"nothing refers to the footnote “{label}”"
                self.problems.append(Problem(self._places[line], told, f"write [^{label}] in the text", code="note"))

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


def _emoji_rule(state: StateCore) -> None:
    """``:rocket:`` in text becomes the character; what no emoji is called stays as it is."""
    if not _SHORTCODE.search(state.src):
        return
    emojize = _emojize()
    for token in state.tokens:
        for child in token.children or ():
            if child.type == "text":
                child.content = _SHORTCODE.sub(lambda m: emojize(m[0]), child.content)


def _emojize() -> Callable[[str], str]:
    import emoji  # its names take a while to load, and few issues use them

    return lambda name: str(emoji.emojize(name, language="alias"))
