"""HTML that an author writes into Markdown: harmless elements pass, the rest is told, never silently dropped."""

from __future__ import annotations

import re
from collections.abc import Iterable

import nh3

from digest.errors import Problem
from digest.issue.model import Node

# fmt: off
ALLOWED = frozenset((
    "a", "abbr", "b", "bdi", "bdo", "big", "blockquote", "br", "center", "cite", "code", "dd", "del", "dfn", "div",
    "dl", "dt", "em", "h2", "h3", "h4", "h5", "h6", "hr", "i", "ins", "kbd", "li", "mark", "ol", "p", "pre", "q",
    "rp", "rt", "ruby", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "tt", "u", "ul", "var", "wbr",
))
# fmt: on
"""Elements that mean something in an email and can do no harm. Pictures and tables are Markdown's."""
VOID = frozenset({"br", "hr", "img", "wbr"})
_ATTRIBUTES = {"a": {"href", "name", "title"}, "*": {"class", "id", "dir", "lang", "title"}, "ol": {"start", "type"}}
_PIECE = re.compile(r"<!--.*?(?:-->|$)|</?[A-Za-z](?:\"[^\"]*\"|'[^']*'|[^'\">])*>|[^<]+|<", re.DOTALL)
_NAME = re.compile(r"</?([A-Za-z][\w:-]*)")


def cleaned(html: str, *, trusted: bool) -> tuple[str, str]:
    """What of `html` may stand in an email, and the first tag that may not (empty when all may).

    Comments are the author's notes and go nowhere. With `trusted` every element stays as it was written.

    >>> cleaned('<b onclick="x()">a</b><!-- note -->', trusted=False)
    ('<b>a</b>', '')
    >>> cleaned('a<script>', trusted=False)
    ('a', '<script>')
    """
    out: list[str] = []
    refused = ""
    for piece in _PIECE.findall(html):
        if piece.startswith("<!--"):
            continue
        name = _NAME.match(piece)
        if name is None:
            out.append(piece.replace("<", "&lt;"))
        elif trusted:
            out.append(piece)
        elif name[1].lower() in ALLOWED:
            out.append(_tag(piece, name[1].lower()))
        else:
            refused = refused or piece
    return "".join(out), refused


def _tag(tag: str, name: str) -> str:
    if tag.startswith("</"):
        return f"</{name}>"
    # One element at a time: what is between the tags has been parsed as Markdown already.
    whole = nh3.clean(
        tag if name in VOID else f"{tag}</{name}>",
        tags=set(ALLOWED),
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto", "tel"},
        link_rel=None,
    )
    return whole.removesuffix(f"</{name}>")


def unbalanced(nodes: Iterable[Node]) -> list[Problem]:
    """Elements opened and not closed among these siblings, or closed without being open."""
    stack: list[tuple[str, Node]] = []
    problems = []
    for node in nodes:
        if node.kind != "html":
            continue
        for tag in re.findall(r"<[^>]*>", node.text):
            name = (_NAME.match(tag) or ["", ""])[1].lower()
            if not name or name in VOID or tag.endswith("/>"):
                continue
            if not tag.startswith("</"):
                stack.append((name, node))
            elif stack and stack[-1][0] == name:
                stack.pop()
            else:
                problems.append(Problem(node.place, f"“</{name}>” closes nothing here", code="html"))
    for name, node in stack:
        cure = "close it in the same paragraph, item, cell or block"
        problems.append(Problem(node.place, f"“<{name}>” is never closed", cure, code="html"))
    return problems
