"""Bytes that no reader sees are not sent: style rules without an element, blanks and comments in style sheets.

Gmail drops a `<style>` past 16 KB and clips a message past 102 KB. Only what cannot change a pixel is taken: the
markup, Outlook's comments and the order of the rules stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

_STYLE = re.compile(r"(<style\b[^>]*>)(.*?)(</style>)", re.DOTALL)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_CLASSES = re.compile(r"class=\"([^\"]*)\"")
_CLASS = re.compile(r"\.([A-Za-z_-][\w-]*)")
_SEAM = re.compile(r"<!\[endif\]-->\s*<!--\[if mso \| IE\]>")
_CODE = re.compile(r"(<pre\b.*?</pre>)", re.DOTALL)
_BREAK = re.compile(r"\s*\n\s*")
_OUTLOOK = re.compile(r"(<!--\[if.*?<!\[endif\]-->)", re.DOTALL)


def slim(html: str) -> str:
    """`html` with slimmer style sheets. Rules stay for every class the page has for any reader."""
    present = classes_of(html)
    return "".join(_slimmed(part, present) if "<style" in part else part for part in html.partition("</head>"))


def _slimmed(html: str, present: frozenset[str]) -> str:
    parts = _OUTLOOK.split(html)  # every second one is Outlook's alone: left as it is
    for number in range(0, len(parts), 2):
        parts[number] = _STYLE.sub(lambda m: _style(m, present), parts[number])
    return "".join(parts)


def packed(text: str) -> str:
    """`text` without indentation, trailing blanks and empty lines, except in code."""
    parts = _CODE.split(text)  # every second one is code
    return "".join(part if n % 2 else _BREAK.sub("\n", part) for n, part in enumerate(parts)).strip()


def join_seams(html: str) -> str:
    """Where one of Outlook's comments ends and the next begins, one comment does."""
    return _SEAM.sub("", html)


def classes_of(html: str) -> frozenset[str]:
    """Every class that stands in a page."""
    return frozenset(name for found in _CLASSES.findall(html) for name in found.split())


def needed_classes(selector: str) -> frozenset[str]:
    """The classes without which a selector meets nothing.

    >>> sorted(needed_classes(".prose td.wide a"))
    ['prose', 'wide']
    """
    return frozenset(_CLASS.findall(selector))


def _style(style: re.Match[str], present: frozenset[str]) -> str:
    css = _sheet(style[2], present)
    return f"{style[1]}{css}{style[3]}" if css else ""


@lru_cache(maxsize=32)  # while an author writes, the sheets and the classes of a page seldom change
def _sheet(css: str, present: frozenset[str]) -> str:
    return "".join(_rules(_COMMENT.sub("", css), present))


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
            kept = [s for s in selector.split(",") if needed_classes(s) <= present or s.strip().startswith(":")]
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
