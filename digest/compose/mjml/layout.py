"""How wide every box of an MJML document is, counted as MJML does.

MRML counts some borders and paddings otherwise, and gives pictures and carousels more room than they have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from digest.compose.mjml.tree import SCHEMA, Element

SIDES = ("top", "right", "bottom", "left")


def lay_out(body: Element) -> None:
    """Count the widths of all boxes as MJML does, and give each picture the width that is left for it.

    Percentages in paddings count as pixels, as they do there.
    """
    waiting = [(body, number(body.attributes.get("width", "600px")), 1)]
    while waiting:
        element, width, siblings = waiting.pop()
        inner = element.width = _inner_width(element, width, siblings)
        if element.tag == "mj-image":
            own = number(element.attributes.pop("width", "")) or inner
            if (left := int(min(own, int(inner)))) > 0:
                element.attributes["width"] = f"{left}px"
        parts = [child for child in element.elements if child.tag != "mj-raw"]
        waiting.extend((child, inner, len(parts)) for child in parts)


def _inner_width(element: Element, width: float, siblings: int) -> float:
    own = element.attributes
    if element.tag in ("mj-column", "mj-group"):
        given = own.get("width", "")
        width = width * number(given) / 100 if given.endswith("%") else int(number(given) or width / siblings)
    if element.tag in _BOXES:
        width -= sum(_length(own, "padding", side, default_of(element.tag, "padding")) for side in ("left", "right"))
    if element.tag in ("mj-section", "mj-wrapper", "mj-column", "mj-image"):
        width -= sum(border_width(own, "border", side) for side in ("left", "right"))
    if element.tag == "mj-column":
        width -= sum(border_width(own, "inner-border", side) for side in ("left", "right"))
    return max(width, 0)


_BOXES = ("mj-section", "mj-wrapper", "mj-group", "mj-column", "mj-hero", "mj-image")


def number(length: str) -> float:
    """What a length begins with, in its unit; 0 for none."""
    found = re.match(r"\d*\.?\d+", length)
    return float(found[0]) if found else 0.0


def _length(own: Mapping[str, str], name: str, side: str, default: str) -> int:
    whole = own.get(name) or default
    given = own.get(f"{name}-{side}") or (four_sides(whole)[SIDES.index(side)] if whole else "0")
    return int(number(given))


def border_width(own: Mapping[str, str], name: str, side: str) -> int:
    """The px of a side\'s border; MJML looks for the first number that follows a blank."""
    found = re.search(r"(?:^| )(\d+)", own.get(f"{name}-{side}") or own.get(name) or "0")
    return int(found[1]) if found else 0


def default_of(tag: str, name: str) -> str:
    """What MJML takes for an attribute that is not given; empty for nothing."""
    return str(SCHEMA.get(tag, {}).get("defaults", {}).get(name) or "")


def four_sides(lengths: str) -> tuple[str, str, str, str]:
    """A CSS shorthand as top, right, bottom and left.

    >>> four_sides("1px 2px")
    ('1px', '2px', '1px', '2px')
    """
    given = lengths.split()
    top, right, bottom, left = (*given, *{1: given * 3, 2: given, 3: given[1:2], 4: []}[len(given)])
    return top, right, bottom, left
