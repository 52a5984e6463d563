"""The defaults of mj-attributes and mj-class, written on each tag.

MRML reads no tags inside mj-class; and what is cured later has to see the values that hold.
"""

from __future__ import annotations

from collections.abc import Mapping

from digest.compose.mjml.lint import attributes_of
from digest.compose.mjml.tree import Element


def write_defaults(root: Element) -> None:
    """Write the defaults of mj-attributes and mj-class on every tag of the body, and take them out of the head.

    The order is MJML's own: defaults of the tag, its classes, what the nearest class above says of it, its own.
    """
    head, body = root.find("mj-head"), root.find("mj-body")
    tags: dict[str, dict[str, str]] = {}
    classes: dict[str, Element] = {}
    for element in [e for a in (head.elements if head else []) if a.tag == "mj-attributes" for e in a.elements]:
        if element.tag == "mj-class":
            classes[element.attributes.get("name", "")] = element
        else:
            tags.setdefault(element.tag, {}).update(element.attributes)
    everywhere = tags.pop("mj-all", {})
    waiting: list[tuple[Element, Element | None, str]] = [(body, None, "")] if body else []
    while waiting:
        element, parent, above = waiting.pop()
        own = dict(element.attributes)
        names = own.pop("mj-class", None)
        values = {k: v for k, v in everywhere.items() if not _inherited(element.tag, parent, k)}
        values |= tags.get(element.tag, {})
        values |= _of_classes((names or "").split(), classes)
        for name in above.split():
            if (given := classes[name].find(element.tag)) is not None:
                values |= given.attributes
        known = attributes_of(element.tag)
        if element.tag == "mj-group":  # it has none, but MJML counts with what mj-all gives it
            known = {**known, **{name: "string" for name in values if name.startswith("padding")}}
        element.attributes = {k: v for k, v in (values | own).items() if k in known}
        below = above if names is None else names
        waiting.extend((child, element, below) for child in element.elements)
    if head:
        head.children = [c for c in head.children if isinstance(c, str) or c.tag != "mj-attributes"]


def _inherited(tag: str, parent: Element | None, name: str) -> bool:
    """Whether a value of mj-all comes to a part from the whole it belongs to, which may say otherwise."""
    if parent is None or not tag.startswith(f"{parent.tag}-"):
        return False
    if name == "padding":
        return "inner-padding" in parent.attributes
    return name in attributes_of(parent.tag) and name in _HANDED_DOWN


_HANDED_DOWN_NAMES = (
    "border border-radius color font-family font-size font-style font-weight icon-align icon-height "
    "icon-padding icon-position icon-size icon-width icon-wrapped-url icon-wrapped-alt icon-unwrapped-url "
    "icon-unwrapped-alt line-height tb-border tb-border-radius text-decoration text-padding"
)
_HANDED_DOWN = frozenset(_HANDED_DOWN_NAMES.split())


def _of_classes(names: list[str], classes: Mapping[str, Element]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name in names:
        given = {k: v for k, v in classes[name].attributes.items() if k != "name"}
        if "css-class" in given and "css-class" in values:
            given["css-class"] = f"{values['css-class']} {given['css-class']}"
        values |= given
    return values
