"""The rules an issue adds to markdown-it: blocks, Jinja statements alone on their lines, attributes in braces.

A parser is made once for each kind of quotation marks. What belongs to one text travels in markdown-it's ``env``
(`environment`).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.gfm_autolink import gfm_autolink_plugin

from digest.errors import Place, Problem
from digest.issue.attributes import BRACES, looks_like_attributes, parse_attributes
from digest.issue.directives import Directive, block_rule
from digest.issue.jinja import TagTable
from digest.issue.limits import TOGETHER, signs

DEEPEST = 60  # quotations and lists inside one another; beyond it markdown-it drops text silently

_HEADING_BRACES = re.compile(rf"(?:^|\s){BRACES.pattern}\s*$")
_SHORTCODE = re.compile(r":[a-z0-9_+&'’.-]+:", re.IGNORECASE)

_QUOTES = {"de": "„“‚‘", "fr": ["«\u202f", "\u202f»", "‹\u202f", "\u202f›"], "es": "«»“”", "sv": "””’’"}
_QUOTES |= {"fi": "””’’", "da": "»«›‹", "pl": "„”‚’", "cs": "„“‚‘", "it": "«»“”", "ru": "«»„“", "nl": "“”‘’"}


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: ARG002, N802 - the library's hook
        """Every link is a link: one that can't be followed is refused with its line, not shown as text."""
        return True


@lru_cache(maxsize=32)
def make_parser(language: str) -> MarkdownIt:
    """The parser of texts in `language`, which says what their quotation marks become. It keeps nothing of a text."""
    quotes = _QUOTES.get(language.split("-", maxsplit=1)[0].lower(), "“”‘’")
    options = {"typographer": True, "quotes": quotes, "maxNesting": DEEPEST, "html": True}
    parser = _Parser("commonmark", options)
    parser.enable(["table", "strikethrough", "replacements", "smartquotes"])
    parser.use(footnote_plugin, inline=True).use(deflist_plugin).use(gfm_autolink_plugin)
    ends_others: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    parser.block.ruler.before("fence", "directive", block_rule, ends_others)
    parser.block.ruler.before("fence", "statement", _statement_rule, ends_others)
    parser.block.ruler.before("fence", "attributes", _attributes_rule, ends_others)
    parser.inline.ruler.push("attributes", _inline_attributes_rule)
    parser.core.ruler.after("block", "limits", _limits_rule)
    parser.core.ruler.after("limits", "heading_attributes", _heading_attributes_rule)
    parser.core.ruler.push("emoji", _emoji_rule)
    return parser


def environment(
    table: TagTable, places: Sequence[Place], directives: Mapping[int, Directive], problems: list[Problem]
) -> dict[str, Any]:
    """What the rules know of one text: its tags, the place of each line, its blocks; problems are added to the list."""
    statement = re.compile(rf"(?:\s*{table.prefix}S\d{{4,}}qZ\s*)+")
    return {"table": table, "statement": statement, "places": places, "directives": directives, "problems": problems}


def _statement_rule(state: StateBlock, start: int, _end: int, silent: bool) -> bool:
    line = _written(state, start)
    if state.is_code_block(start) or not state.env["statement"].fullmatch(line):
        return False
    if silent and state.parentType == "table" and _is_row(state, start):
        return False
    if not silent:
        token = state.push("statement", "", 0)
        token.block, token.content, token.map = True, line.strip(), [start, start + 1]
        state.line = start + 1
    return True


def _written(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]


def _is_delimiter(line: str) -> bool:
    """The line under a table's titles."""
    return "-" in line and not line.strip(" \t|:-")


def _is_row(state: StateBlock, line: int) -> bool:
    """Whether a statement between the rows of a table is one of them: then its begin and its end both are."""
    begin, end, rows = state.env.get("rows", (0, 0, ()))
    if not begin <= line < end:
        begin, end, rows = state.env["rows"] = _statement_rows(state, line)
    return line in rows


def _statement_rows(state: StateBlock, line: int) -> tuple[int, int, frozenset[int]]:
    """The range of a table's rows around `line`, and those of its lines that are statements."""
    begin = end = line
    while begin > 0 and not _is_delimiter(_written(state, begin - 1)):
        begin -= 1
    while end < state.lineMax and (text := _written(state, end).strip()) and not _is_delimiter(text):
        end += 1
    table: TagTable = state.env["table"]
    rows: set[int] = set()
    opened: list[list[int]] = []
    for n in range(begin, end):
        text = _written(state, n)
        for token in table.pattern.findall(text) if state.env["statement"].fullmatch(text) else ():
            kind = table.tags[token].kind
            if kind in ("if", "for"):
                opened.append([n])
            elif opened:
                opened[-1].append(n)
                rows.update(opened.pop() if kind.startswith("end") else ())
    return begin, end, frozenset(rows)


def _attributes_rule(state: StateBlock, start: int, _end: int, silent: bool) -> bool:
    if state.is_code_block(start):
        return False
    line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]].strip()
    found = BRACES.fullmatch(line)
    if not found or not looks_like_attributes(found["inside"]):
        return False
    if not silent:
        token = state.push("attributes", "", 0)
        token.block, token.map = True, [start, start + 1]
        token.meta = _attributes(found["inside"], state.env, start)
        state.line = start + 1
    return True


def _inline_attributes_rule(state: StateInline, silent: bool) -> bool:
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


def _limits_rule(state: StateCore) -> None:
    """Words with so many signs that reading them would take long are refused, and not read."""
    for token in state.tokens:
        if token.type == "inline" and len(token.content) > TOGETHER and signs(token.content) > TOGETHER:
            place = state.env["places"][token.map[0] if token.map else 0]
            told = f"more than {TOGETHER:,} signs of punctuation without an empty line between them"
            state.env["problems"].append(Problem(place, told, "write several paragraphs", code="size"))
            token.content = ""


def _heading_attributes_rule(state: StateCore) -> None:
    """Braces at a heading's end are its attributes; taken before typography can touch their quotes."""
    for heading, inline in itertools.pairwise(state.tokens):
        if heading.type != "heading_open":
            continue
        found = _HEADING_BRACES.search(inline.content)
        if found and looks_like_attributes(found["inside"]):
            heading.meta = _attributes(found["inside"], state.env, heading.map[0] if heading.map else 0)
            inline.content = inline.content[: found.start()]


def _attributes(inside: str, env: Mapping[str, Any], line: int) -> dict[str, str]:
    try:
        return parse_attributes(inside)
    except ValueError as exc:
        env["problems"].append(Problem(env["places"][line], str(exc), code="attributes"))
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
