"""What is wrong with an MJML document: every problem, with its place and the nearest right name.

MRML takes almost anything and leaves out what it does not know, so what it is given is checked here against the
schema of MJML 5, and what MRML can't do right is refused with what to do instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from digest.compose.mjml.html import check_html
from digest.compose.mjml.select import read_rules, selector_problem
from digest.compose.mjml.tree import ENDING, SCHEMA, WORDLESS, Element, Problems, Source, parse_mjml, shown
from digest.compose.mjml.values import NUMBER, TOKEN, bad_value
from digest.errors import Place, Problem, Severity, nearest

MOST_SELECTORS = 1000
"""Each one to inline is tried on every tag."""
EVERYWHERE = ("css-class", "mj-class")
_EXTRA_CHILDREN = {
    "mjml": ("mj-head", "mj-body"),
    "mj-selector": ("mj-html-attribute",),
}
_EXTRA_ATTRIBUTES: Mapping[str, Mapping[str, str]] = {
    "mjml": {"lang": "string", "dir": "enum(ltr,rtl,auto)", "owa": "string", "version": "string"},
    "mj-selector": {"path": "string"},
    "mj-html-attribute": {"name": "string"},
}
_REQUIRED = {
    "mj-html-attribute": ("name",),
    "mj-selector": ("path",),
    "mj-class": ("name",),
    "mj-breakpoint": ("width",),
    "mj-font": ("name", "href"),
    "mj-image": ("src",),
    "mj-carousel-image": ("src",),
}
_HEAD = frozenset(SCHEMA["mj-head"]["children"])
_KNOWN = frozenset(SCHEMA) | set(_EXTRA_ATTRIBUTES) | {"mj-all", "mj-class"}
_ICONS_NAMES = (
    "facebook google instagram pinterest linkedin tumblr xing github web snapchat youtube vimeo medium "
    "soundcloud dribbble twitter x"
)
ICONS = frozenset(_ICONS_NAMES.split())
"""The networks MRML has a picture for."""
NO_ICON = frozenset(("bluesky", "mastodon", "threads", "tiktok", "whatsapp"))
"""Networks that neither MJML nor MRML has a picture for."""

_TOLERATED = frozenset({("mj-body", "mj-spacer")})
"""Parent and child that MJML's own validator refuses and that all the same is drawn as was meant."""

REFUSED_TAGS = {
    "mj-include": "write {% include “file” %}: Jinja takes in files of the theme",
}
"""Tags that are MJML and not drawn right: what to do instead."""


def lint_mjml(text: str, place: Place, files: Sequence[str] = ()) -> list[Problem]:
    """All problems of a document, in the order of their places; none for one that MRML draws right.

    `place` names the file that unstamped lines belong to, `files` those of stamps (`tree.stamp`). Never raises.
    """
    return read_mjml(text, place, files)[1]


def read_mjml(
    text: str, place: Place, files: Sequence[str] = (), *, icons: frozenset[str] = ICONS
) -> tuple[Element | None, list[Problem]]:
    """The root of a document, and its problems. The root is of use only where there are none.

    `icons` are the networks whose elements need no picture of their own.
    """
    source, roots, problems = parse_mjml(text, place, files)
    _Lint(source, problems, icons).document(roots)
    order = {file: n for n, file in enumerate(files)}
    found = sorted(dict.fromkeys(problems.found), key=lambda p: _position(p, order))
    return (roots[0] if roots else None), found


def _position(problem: Problem, order: Mapping[str, int]) -> tuple[int, int, int]:
    place = problem.place or Place("")
    return order.get(place.file, -1), place.line, place.column


@cache
def attributes_of(tag: str) -> Mapping[str, str]:
    """What a tag may carry: names and types."""
    if tag == "mj-all":
        return {name: "string" for about in SCHEMA.values() for name in about["attributes"]} | {"css-class": "string"}
    if tag == "mj-class":
        return {**attributes_of("mj-all"), "name": "string"}
    own = _EXTRA_ATTRIBUTES.get(tag) or SCHEMA.get(tag, {}).get("attributes", {})
    body = tag in SCHEMA and tag not in _HEAD and tag != "mj-head"
    return dict(own) | (dict.fromkeys(EVERYWHERE, "string") if body else {})


@cache
def children_of(tag: str) -> frozenset[str]:
    """The tags that may stand in one."""
    if tag in ("mj-attributes", "mj-class"):
        components = {t for t in SCHEMA if t not in _HEAD or t == "mj-raw"} - {"mj-head"}
        return frozenset(components | ({"mj-all", "mj-class"} if tag == "mj-attributes" else set()))
    return frozenset(_EXTRA_CHILDREN.get(tag) or SCHEMA.get(tag, {}).get("children") or ())


class _Lint:
    def __init__(self, source: Source, problems: Problems, icons: frozenset[str]) -> None:
        self.source, self.problems, self.icons = source, problems, icons
        self.classes: set[str] = set()
        self.defaults: set[tuple[str, str]] = set()

    def wrong(self, at: int, message: str, cure: str = "", severity: Severity = "error") -> None:
        if not self.problems.full:
            self.problems.add(self.source.at(at), message, cure, severity)

    def document(self, roots: Sequence[Element]) -> None:
        if not roots:
            self.wrong(0, "there is no <mjml>", "begin with <mjml><mj-body> and end with </mj-body></mjml>")
            return
        for extra in roots[1:]:
            self.wrong(extra.at, f"<{shown(extra.tag)}> stands outside the document", "one <mjml> holds everything")
        root = roots[0]
        if root.tag != "mjml":
            self.wrong(root.at, f"the document begins with <{shown(root.tag)}>", "begin with <mjml>")
            return
        for tag in ("mj-head", "mj-body"):
            for again in [child for child in root.elements if child.tag == tag][1:]:
                self.wrong(again.at, f"there is a second <{tag}>", "a document has one")
        if root.find("mj-body") is None:
            self.wrong(root.at, "<mjml> has no <mj-body>", "write <mj-body> around the sections")
        self.classes = {e.attributes.get("name", "") for e in root.walk() if e.tag == "mj-class"}
        written = [e for a in root.walk() if a.tag == "mj-attributes" for e in a.elements]
        self.defaults = {(element.tag, name) for element in written for name in element.attributes}
        waiting = [(root, False)]
        while waiting and not self.problems.full:
            element, default = waiting.pop()
            self._element(element, default)
            below = default or element.tag == "mj-attributes"
            waiting.extend((child, below) for child in reversed(element.elements) if self._child(element, child))

    # ---- where a tag stands

    def _child(self, parent: Element, child: Element) -> bool:
        """Whether `child` is a component, to look into even where it stands wrong."""
        tag = child.tag
        if tag in REFUSED_TAGS:
            self.wrong(child.at, f"<{tag}> can't be used", REFUSED_TAGS[tag])
            return False
        if tag not in _KNOWN:
            self._unknown(parent, child)
            return False
        if tag not in children_of(parent.tag):
            homes = sorted(t for t in [*SCHEMA, *_EXTRA_CHILDREN] if tag in children_of(t) and t != "mj-attributes")
            cure = f"it belongs in {' or '.join(homes)}" if homes else "it begins a document"
            tolerated = (parent.tag, tag) in _TOLERATED
            how = "should not" if tolerated else "can't"
            told = f"<{tag}> {how} stand in <{parent.tag}>"
            self.wrong(child.at, told, cure, "warning" if tolerated else "error")
        return True

    def _unknown(self, parent: Element, child: Element) -> None:
        tag = shown(child.tag)
        if tag.startswith("mj"):
            allowed = children_of(parent.tag)
            close = nearest(tag, allowed) if "did you" in nearest(tag, allowed) else nearest(tag, _KNOWN)
            self.wrong(child.at, f"there is no <{tag}>", close or nearest(tag, allowed))
        elif "mj-text" in children_of(parent.tag):
            self.wrong(child.at, f"<{tag}> can't stand in <{parent.tag}>", "put HTML into <mj-text> or <mj-raw>")
        else:
            cure = "put HTML into <mj-raw>" if "mj-raw" in children_of(parent.tag) else nearest(tag, _KNOWN)
            self.wrong(child.at, f"<{tag}> can't stand in <{parent.tag}>", cure)

    # ---- one tag

    def _element(self, element: Element, default: bool) -> None:
        in_class = element.tag in ("mj-class", "mj-all")
        for name, value in element.attributes.items():
            if self.problems.full:
                return
            at = element.offsets.get(name, element.at)
            types = attributes_of(element.tag)
            if name not in types:
                self._unknown_attribute(element, name, at)
            elif told := bad_value(types[name], value):
                bare = types[name].startswith("unit") and re.fullmatch(NUMBER, value.strip())
                said = f"{name}: “{shown(value)}” is not {told[0]}"
                self.wrong(at, said, told[1], "warning" if bare else "error")  # no client heeds it without a unit
            elif not in_class and name == "mj-class":
                self._classes(value, at)
        for name in _REQUIRED.get(element.tag, ()):
            if self._lacks(element, name) and (not default or element.tag == "mj-class"):
                self.wrong(element.at, f"<{element.tag}> has no “{name}”", f'write {name}="…"')
        self._text(element)
        self._parts(element)
        self._special(element, default)
        if element.content and element.tag != "mj-style":
            check_html(self.source, element, self.problems)

    def _lacks(self, element: Element, name: str) -> bool:
        """Whether neither the tag nor a default gives it an attribute."""
        return not {name, "mj-class"} & element.attributes.keys() and (element.tag, name) not in self.defaults

    def _unknown_attribute(self, element: Element, name: str, at: int) -> None:
        if element.tag not in _KNOWN:
            return
        cure = nearest(shown(name), attributes_of(element.tag))
        # No slip of the pen: MJML knows it elsewhere, or an earlier edition did. Neither draws anything here.
        if name in attributes_of("mj-all") or "did you" not in cure:
            self.wrong(at, f"“{name}” has no effect on <{element.tag}>", cure, "warning")
        else:
            self.wrong(at, f"<{element.tag}> has no attribute “{shown(name)}”", cure)

    def _classes(self, value: str, at: int) -> None:
        for name in value.split():
            if name not in self.classes:
                cure = nearest(shown(name), self.classes) or "declare it: <mj-class name=…> in <mj-attributes>"
                self.wrong(at, f"there is no mj-class “{shown(name)}”", cure)

    def _text(self, element: Element) -> None:
        """Words outside an ending tag are drawn nowhere; composing's tokens are."""
        if element.tag in ENDING - WORDLESS:
            return
        for child in [element.content, *element.children]:
            if isinstance(child, str) and not child.startswith("<!--") and (words := TOKEN.sub("", child).split()):
                told = f"“{shown(' '.join(words[:6]))}” stands in <{element.tag}>, where no text is drawn"
                stray = len("".join(words)) < 3  # a slip of the keyboard, not words that someone would miss
                self.wrong(element.at, told, "put it into <mj-text>", "warning" if stray else "error")
                return

    def _inline_style(self, element: Element) -> None:
        if element.content.count("{") + element.content.count(",") > MOST_SELECTORS:
            told = f"the style sheet to inline has more than {MOST_SELECTORS:,} selectors"
            self.wrong(element.at, told, "write attributes, or <mj-style> alone")
            return
        for lost in read_rules(element.content)[1]:
            self.wrong(element.at, f"“{shown(lost)}” can't be inlined", "put it into <mj-style> alone", "warning")

    def _parts(self, element: Element) -> None:
        """What MRML draws no part of, or only one."""
        parts = {child.tag for child in element.elements}
        if element.tag == "mj-wrapper" and parts == {"mj-raw"}:
            self.wrong(element.at, "<mj-wrapper> draws no <mj-raw> without a section", "put <mj-section> beside it")
        if element.tag == "mj-accordion-element" and (raw := element.find("mj-raw")):
            self.wrong(raw.at, "<mj-raw> can't be drawn in <mj-accordion-element>", "put it into its title or text")
        if element.tag == "mj-accordion-element":
            for part in ("mj-accordion-title", "mj-accordion-text"):
                for again in [child for child in element.elements if child.tag == part][1:]:
                    self.wrong(again.at, f"there is a second <{part}>", "begin a new <mj-accordion-element>")

    def _special(self, element: Element, default: bool) -> None:
        """What MRML can't do right, and no cure is known for."""
        get = element.attributes.get
        if element.tag == "mj-raw" and get("position"):
            self.wrong(element.at, "nothing may stand before the doctype", "leave “position” out")
        if "gutter" in element.attributes and element.tag in ("mj-section", "mj-wrapper"):
            cure = "leave “gutter” out and give the columns a padding"
            self.wrong(element.offsets["gutter"], "space between columns can't be drawn", cure)
        if element.tag == "mj-style" and get("inline", "inline") != "inline":
            self.wrong(element.offsets["inline"], f"inline is “{shown(get('inline', ''))}”", 'write inline="inline"')
        if element.tag == "mj-style" and "inline" in element.attributes:
            self._inline_style(element)
        if element.tag == "mj-selector" and (path := get("path")) and (told := selector_problem(path)):
            told = f"“{shown(path)}” is no selector: {told}"
            self.wrong(element.offsets["path"], told, "write one as in CSS, “.hero td”")
        if element.tag == "mj-social-element" and self._lacks(element, "src") and not default:
            name = get("name", "")
            if name.removesuffix("-noshare") not in self.icons:
                cure = nearest(shown(name), self.icons) if name and name not in NO_ICON else ""
                cure = cure if "did you" in cure else 'give the picture: src="…"'
                self.wrong(element.at, f"there is no icon for “{shown(name)}”", cure)
