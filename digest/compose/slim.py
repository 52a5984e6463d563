"""Bytes that no reader sees are not sent: style rules without an element, blanks and comments in style sheets.

Gmail drops a `<style>` past 16 KB and clips a message past 102 KB. Only what cannot change a pixel is taken: the
markup, Outlook's comments and the order of the rules stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_STYLE = re.compile(r"(<style\b[^>]*>)(.*?)(</style>)", re.DOTALL)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_CLASSES = re.compile(r"\bclass=\"([^\"]*)\"")
_CLASS = re.compile(r"\.([A-Za-z_-][\w-]*)")
_SEAM = re.compile(r"<!\[endif\]-->\s*<!--\[if mso \| IE\]>")
_OUTLOOK = re.compile(r"(<!--\[if.*?<!\[endif\]-->)", re.DOTALL)


def slim(html: str) -> str:
    """`html` with slimmer style sheets. Rules stay for every class the page has for any reader."""
    present = _classes(html)
    parts = _OUTLOOK.split(html)  # every second one is Outlook's alone: left as it is
    for number in range(0, len(parts), 2):
        parts[number] = _STYLE.sub(lambda m: _sheet(m, present), parts[number])
    return "".join(parts)


def join_seams(html: str) -> str:
    """Where one of Outlook's comments ends and the next begins, one comment does."""
    return _SEAM.sub("", html)


def used_rules(css: str, html: str) -> str:
    """The rules of a style sheet that some element of `html` can meet, by their classes."""
    return "".join(_rules(_COMMENT.sub("", css), _classes(html)))


def _classes(html: str) -> frozenset[str]:
    return frozenset(name for found in _CLASSES.findall(html) for name in found.split())


def _sheet(style: re.Match[str], present: frozenset[str]) -> str:
    css = "".join(_rules(_COMMENT.sub("", style[2]), present))
    return f"{style[1]}{css}{style[3]}" if css else ""


def _rules(css: str, present: frozenset[str]) -> Iterator[str]:
    """The rules of a sheet or of an at-rule's block, those kept, packed."""
    for selector, body in _split(css):
        if selector.startswith("@") and "{" in body:
            inner = "".join(_rules(body, present))
            if inner:
                yield f"{_packed(selector)}{{{inner}}}"
        elif selector.startswith("@"):
            yield f"{_packed(selector)}{{{_packed(body)}}}"
        else:
            kept = [s for s in selector.split(",") if set(_CLASS.findall(s)) <= present or s.strip().startswith(":")]
            if kept:
                yield f"{','.join(_packed(s) for s in kept)}{{{_packed(body).rstrip(';')}}}"


def _split(css: str) -> Iterator[tuple[str, str]]:
    """Selector and body of each rule; braces inside a body (an at-rule's) stay in it."""
    start = position = 0
    while (opening := css.find("{", position)) >= 0:
        depth, position = 1, opening + 1
        while depth and (found := re.compile(r"[{}]").search(css, position)):
            depth += 1 if found[0] == "{" else -1
            position = found.end()
        if depth:
            return
        yield css[start:opening].strip(), css[opening + 1 : position - 1]
        start = position


def _packed(text: str) -> str:
    """One line, without the blanks that mean nothing.

    >>> _packed("color : red !important;  margin: 0 0 4px ;")
    'color:red !important;margin:0 0 4px;'
    """
    text = " ".join(text.split())
    return re.sub(r"\s*([;>])\s*", r"\1", re.sub(r"\s*:\s+", ":", text))
