"""What stands in braces: ``{#id .class key="value"}``. Machine values only; text is Markdown."""

from __future__ import annotations

import re

_ITEM = re.compile(
    r"""\s*(?:\#(?P<id>[^\s{}."'=#]+) | \.(?P<class>[^\s{}."'=#]+)
      | (?P<key>[A-Za-z_][\w-]*)\s*=\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s"'{}]+)))(?=\s|$)""",
    re.VERBOSE,
)
BRACES = re.compile(r"""\{(?P<inside>(?:[^{}"']|"[^"]*"|'[^']*')*)\}""")
"""A pair of braces on one line, quoted braces allowed inside."""


def parse_attributes(inside: str) -> dict[str, str]:
    """The attributes between the braces; classes are joined with spaces.

    Raises `ValueError` with the part that can't be read.

    >>> parse_attributes('#memo .a .b short="a new memo" width=300')
    {'id': 'memo', 'class': 'a b', 'short': 'a new memo', 'width': '300'}
    >>> parse_attributes('segments=pro, free')
    Traceback (most recent call last):
    ValueError: can't read “free” (write key="value", #id or .class)
    """
    found: dict[str, str] = {}
    position = 0
    inside = inside.strip()
    while position < len(inside):
        match = _ITEM.match(inside, position)
        if not match:
            rest = inside[position:].strip()
            raise ValueError(f'can\'t read “{rest}” (write key="value", #id or .class)')
        _put(found, match)
        position = match.end()
    return found


def _put(found: dict[str, str], match: re.Match[str]) -> None:
    if match["class"]:
        found["class"] = f"{found.get('class', '')} {match['class']}".strip()
        return
    key = "id" if match["id"] else match["key"]
    value = match["id"] or match["double"] or match["single"] or match["bare"] or ""
    if key in found:
        raise ValueError(f"“{key}” stands twice")
    found[key] = value


def looks_like_attributes(inside: str) -> bool:
    """Whether braces were meant as attributes, so that a mistake in them is an error and not text.

    >>> looks_like_attributes('segments="pro"'), looks_like_attributes("a set")
    (True, False)
    """
    return bool(re.match(r"\s*(?:[#.][A-Za-z]|[A-Za-z_][\w-]*\s*=)", inside))
