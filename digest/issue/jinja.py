"""Jinja is read first: every tag outside code becomes a token before Markdown sees the text.

Quotes, pipes and spaces in an expression are then safe anywhere, in link targets and table cells too. In code
(spans, fenced, indented) braces are plain text. A backslash before the brace keeps it as text.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache

from jinja2 import TemplateSyntaxError, nodes

from digest.errors import Place, Problem
from digest.expressions import environment, parse_expression
from digest.issue.model import Tag, TagKind

STATEMENTS: tuple[TagKind, ...] = ("if", "elif", "else", "endif", "for", "endfor", "set")
LONGEST_TAG = 2_000  # characters: bounds the work of a brace that is never closed

_SIGN = re.compile(r"[`~\\{]")
"""Where code, an escape or a tag may begin."""
_FENCE = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(?P<fence>`{3,}(?=[^`\n]*$)|~{3,}).*$", re.MULTILINE)
_TICKS = re.compile(r"`+")
_BLANK = re.compile(r"\n[ \t>]*\n")
_STATEMENT = re.compile(r"\{%[-+]?\s*(\w*)\s*(.*?)\s*[-+]?%\}", re.DOTALL)


def _drawn_nonce() -> str:
    return "".join(secrets.choice("abcdef") for _ in range(12))


_NO_TAG = Tag("", "print", "", "", Place(""))
"""What a token stands for that is none of a tag."""
_NONCE = _drawn_nonce()
"""Of this process: nobody who writes a text, also one that is taken in, can know it. It never reaches a result."""


@dataclass(slots=True)
class TagTable:
    """The tags of one issue, by token.

    Tokens are opaque and gone at the end. In one process they stay the same where an issue stays the same, so that
    what was made of it can be taken again; letters are counted apart, so that one more of a kind moves no other.
    """

    nonce: str
    tags: dict[str, Tag] = field(default_factory=dict)
    prefix: str = field(init=False)
    """What every token begins with."""
    pattern: re.Pattern[str] = field(init=False)
    """Matches any token of this table."""
    _counts: Counter[str] = field(init=False)

    def __post_init__(self) -> None:
        self.prefix = f"Zq{self.nonce}"
        self.pattern = re.compile(rf"{self.prefix}[A-Z]\d{{4,}}qZ")
        self._counts = Counter(token[len(self.prefix)] for token in self.tags)

    @classmethod
    def for_text(cls, text: str) -> TagTable:
        """A table whose tokens cannot occur in `text` itself."""
        nonce = _NONCE
        while f"Zq{nonce}" in text:
            nonce = _drawn_nonce()
        return cls(nonce)

    def fresh(self, letter: str) -> str:
        """A new token. `letter` tells people what it stands for (E expression, S statement, H HTML)."""
        token = f"{self.prefix}{letter}{self._counts[letter]:04d}qZ"
        self._counts[letter] += 1
        self.tags[token] = _NO_TAG
        return token

    def add(self, kind: TagKind, source: str, place: Place, raw: str = "", letters: str = "ES") -> str:
        """Register a tag; returns its token. `letters` are those of an expression's and of a statement's token."""
        token = self.fresh(letters[kind != "print"])
        self.tags[token] = Tag(token, kind, source, raw or _written(kind, source), place)
        return token


def _written(kind: TagKind, source: str) -> str:
    return f"{{{{ {source} }}}}" if kind == "print" else f"{{% {source} %}}"


@dataclass(frozen=True, slots=True)
class Lifted:
    """A text with its tags lifted. `lines[i]` is the original 0-based line of lifted line `i`."""

    text: str
    lines: tuple[int, ...]
    problems: tuple[Problem, ...]


def lift(text: str, table: TagTable, start: Place) -> Lifted:
    """Replace every Jinja tag of `text` outside code by a token of `table`.

    `start` is the place of the text's first character. Problems: tags never closed, statements an issue can't
    use, expressions Jinja can't parse.
    """
    out: list[str] = []
    problems: list[Problem] = []
    position = copied = line = seen = 0
    while found := _SIGN.search(text, position):
        begin = found.start()
        line, seen = text.rfind("\n", seen, begin) + 1 or line, begin
        if text[begin] != "{":
            position = _code_end(text, begin, line)
        elif text[begin + 1 : begin + 2] not in ("{", "%"):
            position = begin + 1
        else:
            position, piece, problem = _tag(text, begin, table, _place(text, begin, start))
            out += [text[copied:begin], piece]
            problems.extend([problem] if problem else [])
            copied = position
    out.append(text[copied:])
    lifted = "".join(out)
    return Lifted(lifted, _line_map(lifted, table), tuple(problems))


def _place(text: str, index: int, start: Place) -> Place:
    line = text.count("\n", 0, index)
    column = index - (text.rfind("\n", 0, index) + 1)
    return start.at(start.line + line, column + (start.column or 1 if line == 0 else 1))


def _code_end(text: str, begin: int, line: int) -> int:
    """The end of the code or escape that begins at `begin`, in the line that begins at `line`; else of the sign."""
    if text[begin] == "\\":
        return begin + (2 if text[begin + 1 : begin + 2] in ("`", "{", "\\") else 1)
    opening = _FENCE.match(text, line)
    if opening and opening.start("fence") == begin:
        fence = opening["fence"]
        close = re.compile(rf"^[ \t>]*{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$", re.MULTILINE)
        closing = close.search(text, opening.end())
        return closing.end() if closing else len(text)
    ticks = _TICKS.match(text, begin)
    if ticks is None:
        return begin + 1
    paragraph = _BLANK.search(text, ticks.end())
    limit = paragraph.start() if paragraph else len(text)
    same = re.compile(rf"(?<!`)`{{{len(ticks[0])}}}(?!`)").search(text, ticks.end(), limit)
    return same.end() if same else ticks.end()


def _tag(text: str, index: int, table: TagTable, place: Place) -> tuple[int, str, Problem | None]:
    """Read one tag: where it ends, the token that replaces it (or its own text), and what is wrong."""
    opening = text[index : index + 2]
    length, complaint = _length(text[index : index + LONGEST_TAG])
    if not length:
        cure = "write the closing “}}”" if opening == "{{" else "write the closing “%}”"
        told = f"“{opening}” is never closed" if complaint is None else f"Jinja: {complaint}"
        return (
            index + 2,
            opening,
            Problem(place, told, f"{cure}, or “\\{opening}” for plain braces", code="jinja"),
        )
    raw = text[index : index + length]
    try:
        kind, source = _read(raw)
    except ValueError as exc:
        problem = Problem(place, f"{exc} in “{_short(raw)}”", code="jinja")
        return index + length, _stand_in(raw, table, place), problem
    return index + length, table.add(kind, source, place, raw), None


def _stand_in(raw: str, table: TagTable, place: Place) -> str:
    """A token that keeps the structure where a tag was wrong, so that only real problems are told after it."""
    word = _STATEMENT.fullmatch(raw)
    if word is None:
        return table.add("print", "''", place, raw)
    sources = {"if": "if true", "elif": "elif true", "for": "for x in []", "set": "set x = 1"}
    sources |= {name: name for name in ("else", "endif", "endfor")}
    kind = next((k for k in STATEMENTS if k == word[1]), None)
    return table.add(kind, sources[kind], place, raw) if kind else ""


def _length(text: str) -> tuple[int, str | None]:
    """How long the tag at the start of `text` is (0: not closed), by Jinja's own lexer."""
    blank = _BLANK.search(text)
    chunk = text[: blank.start()] if blank else text
    closing = chunk.find("}}" if chunk.startswith("{{") else "%}")
    if closing < 0:
        return 0, None
    if chunk.startswith("{%"):  # `raw` would switch the lexer's state: read statements by their end alone
        found = _STATEMENT.match(chunk)
        if found and found[1] not in STATEMENTS:
            return found.end(), None
    length, _ = _lexed(chunk[: closing + 2])
    return (length, None) if length else _lexed(chunk)  # the first closing sign may stand in a text


@lru_cache(maxsize=2048)
def _lexed(chunk: str) -> tuple[int, str | None]:
    """How long the tag is that `chunk` begins with, by Jinja's own lexer."""
    total = 0
    try:
        for _, kind, value in environment().lexer.tokeniter(chunk, None):
            if kind in ("variable_end", "block_end"):
                return total + len(value.rstrip()), None
            total += len(value)
    except TemplateSyntaxError as exc:
        return 0, exc.message
    return 0, None


@lru_cache(maxsize=2048)
def _read(raw: str) -> tuple[TagKind, str]:
    """The kind and the source of one tag. Raises `ValueError` with what is wrong with it."""
    if raw.startswith("{{"):
        source = re.sub(r"^[-+]|[-+]$", "", raw[2:-2]).strip()  # the signs of whitespace control
        parse_expression(source)
        return "print", source
    found = _STATEMENT.fullmatch(raw)
    word, rest = (found[1], found[2]) if found else ("", "")
    if word not in STATEMENTS:
        raise ValueError(f"the statement “{word}” can't be used (an issue knows if, elif, else, for, set)")
    if word in ("else", "endif", "endfor"):
        if rest:
            raise ValueError(f"“{word}” takes nothing after it")
        return word, word
    if word in ("if", "elif"):
        parse_expression(rest)
        _check_condition(rest)
    else:
        _check_statement(word, rest)
    return word, f"{word} {rest}"


def _check_condition(source: str) -> None:
    try:
        environment().parse(f"{{% if {source} %}}{{% endif %}}")
    except TemplateSyntaxError as exc:  # such as “a if b”
        raise ValueError(f"{exc.message} (put a choice into brackets)") from exc


def _check_statement(word: str, rest: str) -> None:
    closing = "{% endfor %}" if word == "for" else ""
    try:
        body = environment().parse(f"{{% {word} {rest} %}}{closing}").body
    except TemplateSyntaxError as exc:
        if word == "set" and "=" not in rest:
            raise ValueError("“set” takes one line: {% set name = value %}") from exc
        raise ValueError(exc.message or "syntax error") from exc
    if not body or not isinstance(body[0], nodes.For | nodes.Assign):
        raise ValueError("“set” takes one line: {% set name = value %}")


def _short(raw: str) -> str:
    line = " ".join(raw.split())
    return line if len(line) <= 60 else line[:57] + "…"


def _line_map(lifted: str, table: TagTable) -> tuple[int, ...]:
    """Lifted line → original line: a tag written over several lines has become one word."""
    lines: list[int] = []
    original = 0
    for line in lifted.split("\n"):
        lines.append(original)
        original += 1
        if table.prefix in line:
            original += sum(table.tags[t].raw.count("\n") for t in table.pattern.findall(line) if t in table.tags)
    return tuple(lines)


def names_set(tag: Tag) -> frozenset[str]:
    """The names a ``for`` or ``set`` tag brings into the text after it."""
    if tag.kind not in ("for", "set"):
        return frozenset()
    closing = "{% endfor %}" if tag.kind == "for" else ""
    tree = environment().parse(f"{{% {tag.source} %}}{closing}")
    stored = {n.name for n in tree.find_all(nodes.Name) if n.ctx == "store"}
    return frozenset(stored | ({"loop"} if tag.kind == "for" else set()))
