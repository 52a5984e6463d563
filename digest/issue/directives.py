"""The fences of blocks: ``::: kind {…}`` opens one, a bare ``:::`` closes the innermost, at any depth.

They are matched over the whole text before Markdown is parsed; `block_rule` then lets the Markdown parser walk
into each block with its own rules, so references and footnotes work across blocks and every line keeps its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markdown_it.rules_block import StateBlock

from digest.errors import Place, Problem
from digest.issue.attributes import BRACES, parse_attributes

DEEPEST = 12  # blocks inside blocks; a newsletter needs three

_FENCE_LINE = re.compile(r"^ {0,3}:{3,}(?P<rest>[^\n]*)$")
_CODE_LINE = re.compile(r"^[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(?P<run>`{3,}(?=[^`]*$)|~{3,})")
_HEAD = re.compile(r"^\s*(?P<kind>[A-Za-z][\w-]*)\s*(?P<braces>\{.*\})?\s*$")


@dataclass(slots=True)
class Directive:
    """One block: its kind, its attributes, the 0-based lines of its fences."""

    kind: str
    attrs: Mapping[str, str]
    open_line: int
    close_line: int = -1
    used: bool = field(default=False)


def match_directives(lines: list[str], place_of: Sequence[Place]) -> tuple[dict[int, Directive], list[Problem]]:
    """Pair all fences of `lines`. `place_of` gives each line's place.

    Returns the blocks by their opening line, and the problems: never closed, closed without being open, heads
    that can't be read, too deep.
    """
    found: dict[int, Directive] = {}
    problems: list[Problem] = []
    stack: list[Directive] = []
    code: str | None = None  # the run of marks that opened the code we are in
    code_line = 0
    for number, line in enumerate(lines):
        if run := _CODE_LINE.match(line):
            if code is None:
                code, code_line = run["run"], number
            elif run["run"].startswith(code) and line.strip(" \t>").strip(code[0]) == "":
                code = None
            continue
        fence = _FENCE_LINE.match(line) if code is None else None
        if fence is None:
            continue
        if not fence["rest"].strip():
            if stack:
                stack.pop().close_line = number
            else:
                told = "“:::” closes a block, but none is open here"
                problems.append(Problem(place_of[number], told, code="block"))
            continue
        directive = _head(fence["rest"], number, place_of[number], problems)
        found[number] = directive
        stack.append(directive)
        if len(stack) > DEEPEST:
            problems.append(Problem(place_of[number], f"blocks stand inside blocks {len(stack)} deep", code="block"))
            return {}, problems
    problems.extend(_never_closed(stack, place_of, code, code_line, len(lines)))
    return found, problems


def _never_closed(
    stack: list[Directive], place_of: Sequence[Place], code: str | None, code_line: int, end: int
) -> list[Problem]:
    problems = []
    for directive in stack:
        directive.close_line = end
        why = "add a line “:::” at its end"
        if code is not None:
            why = f"the code begun with “{code}” on line {place_of[code_line].line} is never closed either"
        told = f"the block “::: {directive.kind}” is never closed; the text ends on line {place_of[end - 1].line}"
        problems.append(Problem(place_of[directive.open_line], told, why, code="block"))
    return problems


def _head(rest: str, number: int, place: Place, problems: list[Problem]) -> Directive:
    head = _HEAD.match(rest)
    attrs: dict[str, str] = {}
    if head is None:
        told = f"can't read “:::{rest}”"
        problems.append(Problem(place, told, "write “::: kind {…}”", code="block"))
        return Directive("", attrs, number)
    if head["braces"]:
        braces = BRACES.fullmatch(head["braces"])
        try:
            attrs = parse_attributes(braces["inside"] if braces else head["braces"][1:-1])
        except ValueError as exc:
            problems.append(Problem(place, str(exc), code="attributes"))
    return Directive(head["kind"], attrs, number)


def block_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """The markdown-it rule: a matched opening fence becomes a block of its own, closed where its fence is.

    Blocks stand at the left margin only; one inside a list or quotation is left to become text, and told later.
    """
    directive: Directive | None = state.env["directives"].get(start)
    if directive is None or state.blkIndent:
        return False
    if silent:
        return True
    directive.used = True
    token = state.push("directive_open", "", 1)
    token.block, token.info = True, directive.kind
    token.meta = dict(directive.attrs)
    close = min(directive.close_line, end)  # one never closed runs to the end of what it stands in
    token.map = [start, close]
    outer = state.lineMax
    state.lineMax = close
    state.md.block.tokenize(state, start + 1, close)
    state.lineMax = outer
    state.push("directive_close", "", -1)
    state.line = close + 1
    return True
