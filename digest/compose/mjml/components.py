"""What MRML gets wrong, component by component, and how it is put right.

A cure changes an element's attributes before MRML sees them, or marks the element and changes its HTML afterwards.
Each was found by drawing documents with MRML and with the reference renderer (tests/bench/mjml_reference).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape

from digest.compose.mjml.layout import SIDES, border_width, default_of, four_sides, number
from digest.compose.mjml.lint import attributes_of
from digest.compose.mjml.select import quoted
from digest.compose.mjml.tree import Element

_HEX3 = re.compile(r"#([0-9a-fA-F])([0-9a-fA-F])([0-9a-fA-F])(?![0-9a-zA-Z])")


@dataclass(slots=True)
class Marks:
    """Words among an element's classes by which its HTML is found again, with what is to be done there."""

    mark: str
    cures: list[list[Callable[[str], str]]] = field(default_factory=list)
    cures_of_page: list[Callable[[str], str]] = field(default_factory=list)

    def mark_for(self, element: Element, cure: Callable[[str], str]) -> None:
        """Have `cure` called with the HTML from where `element` begins."""
        classes = element.attributes.get("css-class", "").split()
        if classes and (number := self._number(classes[-1])) is not None:
            self.cures[number].append(cure)
            return
        self.cures.append([cure])
        # The last one: where MRML names a cell of Outlook's after the class, it changes the end.
        element.attributes["css-class"] = " ".join([*classes, f"{self.mark}{len(self.cures) - 1}z"])

    def _number(self, word: str) -> int | None:
        found = re.fullmatch(rf"{self.mark}(\d+)z", word)
        return int(found[1]) if found else None

    def carry_out(self, html: str) -> str:
        """The page after all cures, without the marks."""
        for n, cures in enumerate(self.cures):
            for cure in cures:
                if found := re.search(rf"[ \"]{self.mark}{n}z[ \"]", html):
                    start = html.rfind("<", 0, found.start())
                    html = html[:start] + cure(html[start:])
        for cure in self.cures_of_page:
            html = cure(html)
        html = re.sub(rf' class="{self.mark}\d+z(?:-outlook)?"', "", html)
        return re.sub(rf" ?{self.mark}\d+z(?:-outlook)?", "", html)


# ---- all components


def cure_all(element: Element) -> None:
    """What holds for every component."""
    _six_digits(element)
    _in_pixels(element)
    _merge_paddings(element)


def _six_digits(element: Element) -> None:
    # Outlook reads colours of six digits only.
    for name, value in element.attributes.items():
        if "#" in value and ("color" in name or "border" in name):
            element.attributes[name] = _HEX3.sub(r"#\1\1\2\2\3\3", value)


def _in_pixels(element: Element) -> None:
    """Widths without a unit are pixels in MJML where it counts with them, and nothing for MRML."""
    width = element.attributes.get("width", "")
    if element.tag in ("mj-body", "mj-column", "mj-group") and re.fullmatch(r"[\d.]+", width):
        element.attributes["width"] = f"{width}px"


def _merge_paddings(element: Element) -> None:
    """One padding for the four sides: MRML writes the single sides before the whole in some components."""
    for name in ("padding", "ico-padding"):
        own = element.attributes
        if f"{name}-top" in attributes_of(element.tag) and (whole := own.get(name) or default_of(element.tag, name)):
            sides = dict(zip(SIDES, four_sides(whole), strict=True))
            given = {side: own[f"{name}-{side}"] for side in SIDES if f"{name}-{side}" in own}
            if given and element.tag in _MERGED:
                for side in given:
                    del own[f"{name}-{side}"]
                own[name] = " ".join((sides | given).values())


_MERGED = ("mj-accordion-title", "mj-accordion-text", "mj-navbar")


# ---- one each


def _style(declarations: Mapping[str, str]) -> str:
    return "".join(f"{name}:{escape(value)};" for name, value in declarations.items())


def _into_style(tag: str, declarations: Mapping[str, str]) -> Callable[[str], str]:
    """A cure: declarations at the end of the style of the next `tag` that has one."""

    def cure(html: str) -> str:
        more = _style(declarations)
        return re.sub(rf'(<{tag}\b[^>]* style="[^"]*)', lambda m: m[1] + more, html, count=1)

    return cure


def _out_of_style(tag: str, declaration: str) -> Callable[[str], str]:
    """A cure: the next `tag` without a declaration."""

    def cure(html: str) -> str:
        return re.sub(rf"<{tag}\b[^>]*>", lambda m: m[0].replace(f"{declaration};", "", 1), html, count=1)

    return cure


def _attributes(tag: str, more: Mapping[str, str]) -> Callable[[str], str]:
    """A cure: attributes for the next `tag`."""
    written = "".join(f" {name}={quoted(value)}" for name, value in more.items())
    return lambda html: re.sub(rf"<{tag}\b", lambda m: m[0] + written, html, count=1)


def _given(element: Element, *names: str) -> dict[str, str]:
    return {name: element.attributes[name] for name in names if name in element.attributes}


def _image(element: Element, marks: Marks) -> None:
    _no_borders(element, marks)
    element.attributes.setdefault("alt", "")
    if borders := _given(element, "border-left", "border-right", "border-top", "border-bottom"):
        marks.mark_for(element, _into_style("img", borders))
    if "href" in element.attributes and (title := _given(element, "title")):
        marks.mark_for(element, _attributes("a", title))
    if sizes := _given(element, "sizes"):
        marks.mark_for(element, _attributes("img", sizes))


def _social(element: Element, _marks: Marks) -> None:
    for child in element.elements:
        if child.tag == "mj-social-element":
            child.attributes = _given(element, "border") | child.attributes


def _social_element(element: Element, marks: Marks) -> None:
    element.attributes.setdefault("alt", "")
    marks.mark_for(element, _into_style("img", {"border": element.attributes.get("border", "0")}))
    if more := _given(element, "srcset", "sizes"):
        marks.mark_for(element, _attributes("img", more))
    if element.attributes.get("icon-position") == "right":
        marks.mark_for(element, _icon_right)


def _icon_right(html: str) -> str:
    cells = re.compile(r"(<tr[^>]*>\s*)(<td\b.*?</table>\s*</td>)(\s*)(<td\b.*?</td>)", re.DOTALL)
    return cells.sub(r"\1\4\3\2", html, count=1)


def _carousel(element: Element, marks: Marks) -> None:
    own = element.attributes
    own.setdefault("tb-width", "110px")
    pictures, width = len(element.elements), element.width
    picture = re.compile(r'(<img [^>]*border="0"[^>]*) width="[^"]*"([^>]*;width:)[^;"]+')
    thumbnail = re.compile(r"(<a\b[^>]*mj-carousel-thumbnail[^>]*;display:)([a-z-]+)(;[^>]*;width:)[^;\"]+")
    # A client that can't change pictures shows the thumbnails only where it is sure that it can.
    display = "none" if own.get("thumbnails") == "supported" else "inline-block"
    thumb = own["tb-width"]

    def sized(html: str) -> str:
        html = picture.sub(rf'\1 width="{int(width)}"\g<2>{width:.7g}px', html, count=pictures + 1)  # one for Outlook
        return thumbnail.sub(rf"\1{display}\g<3>{thumb}", html, count=pictures)

    marks.mark_for(element, sized)
    if display == "none":
        own["thumbnails"] = "visible"


def _carousel_image(element: Element, _marks: Marks) -> None:
    element.attributes.setdefault("alt", "")


def _table(element: Element, marks: Marks) -> None:
    own = element.attributes
    if role := _given(element, "role"):
        marks.mark_for(element, _attributes("table", role))
    if number(own.get("cellspacing", "0")) > 0:
        marks.mark_for(element, _into_style("table", {"border-collapse": "separate"}))
    elif "border" in own:
        marks.mark_for(element, _out_of_style("table", "border-collapse:separate"))


def _button(element: Element, marks: Marks) -> None:
    if title := _given(element, "title"):
        marks.mark_for(element, _attributes("a" if "href" in element.attributes else "p", title))
    own = element.attributes
    borders = sum(border_width(own, "border", side) for side in ("left", "right"))
    if own.get("width", "").endswith("px") and borders:
        marks.mark_for(element, lambda html: _NARROWER.sub(lambda m: f"{m[1]}{max(int(m[2]) - borders, 0)}px", html, 1))


_NARROWER = re.compile(r"(<[ap]\b[^>]* style=\"[^\"]*(?<=;)width:)(\d+)px")


def _accordion_title(element: Element, _marks: Marks) -> None:
    if weight := _given(element, "font-weight"):
        element.content = f'<span style="{_style(weight)}">{element.content}</span>'


def _wrapper(element: Element, marks: Marks) -> None:
    _section(element, marks)
    gap = element.attributes.pop("gap", "")
    for section in element.elements[1:] if gap else ():
        if section.tag == "mj-section":
            marks.mark_for(section, _into_style("div", {"margin-top": gap}))


def _section(element: Element, marks: Marks) -> None:
    if element.attributes.get("full-width") in ("false", ""):
        del element.attributes["full-width"]
    _no_borders(element, marks)


def _group(element: Element, _marks: Marks) -> None:
    own = {name: value for name, value in element.attributes.items() if not name.startswith("padding")}
    if own.get("width", "").endswith("%"):  # MJML takes whole shares here
        own["width"] = f"{int(number(own['width']))}%"
    element.attributes = own


def _no_borders(element: Element, _marks: Marks) -> None:
    """MRML takes a side's “none” for no value and counts the width of the other sides' border."""
    for name, value in element.attributes.items():
        if "border" in name and value in ("none", "0"):
            element.attributes[name] = "0px"


def _body(element: Element, marks: Marks) -> None:
    """MRML writes the class on the block inside only; themes colour both, so it is kept on both."""
    about = {"id": element.attributes.get("id", ""), "class": element.attributes.get("css-class", "")}
    if given := {name: value for name, value in about.items() if value}:
        written = "".join(f" {name}={quoted(value)}" for name, value in given.items())
        marks.cures_of_page.append(lambda html: html.replace("<body", f"<body{written}", 1))


def _column(element: Element, marks: Marks) -> None:
    """Rounded inner borders need separate cells in the table that has them: MRML picks the other one."""
    _no_borders(element, marks)
    own = element.attributes
    if "inner-border-radius" not in own:
        return
    if not any(name.startswith("padding") for name in own):
        marks.mark_for(element, _into_style("table", {"border-collapse": "separate"}))
    elif "border-radius" not in own:
        marks.mark_for(element, _out_of_style("table", "border-collapse:separate"))


def _hero(element: Element, marks: Marks) -> None:
    own = element.attributes
    sides = [f"inner-padding-{side}" for side in SIDES]
    if inner := _given(element, "inner-padding", *sides):
        style = _style({name.removeprefix("inner-"): value for name, value in inner.items()})
        marks.mark_for(element, lambda html: _INNER.sub(lambda m: m[0] + style, html, count=1))
    if any(name.startswith("padding") for name in own):
        inside = int(element.width)
        sized = rf'\1 width="{inside}"\g<2>{inside}px'
        marks.mark_for(element, lambda html: _OUTLOOK_TABLE.sub(sized, html, count=1))
    if radius := _given(element, "border-radius"):
        marks.mark_for(element, _into_style("td", radius))
    if own.get("height", "").endswith("%"):
        own["height"] = f"{int(number(own['height']))}px"
    if own.get("mode") == "fluid-height":
        wide, high = number(own.get("background-width", "")), number(own.get("background-height", ""))
        ratio = round(high / wide * 100) if wide else 0
        marks.mark_for(element, lambda html: _fluid(html, ratio))


_INNER = re.compile(r'class="mj-hero-content" style="')
_OUTLOOK_TABLE = re.compile(r"(<!--\[if mso \| IE\]>\s*<table\b[^>]*) width=\"\d+\"([^>]*;?width:)\d+px")


def _fluid(html: str, ratio: int) -> str:
    """The cell of a hero between two that give it the height of its picture."""
    begin = html.index("<td", re.search(r"<tbody>\s*<tr", html).end())  # type: ignore[union-attr]
    depth, end = 0, begin
    for found in re.finditer(r"<!--.*?-->|<td\b|</td>", html[begin:], re.DOTALL):
        depth += {"<td": 1, "</td>": -1}.get(found[0], 0)
        if depth == 0 and found[0] == "</td>":
            end = begin + found.end()
            break
    side = f'<td style="width:0.01%;padding-bottom:{ratio}%;mso-padding-bottom-alt:0;"></td>'
    cell = html[begin:end]
    cell = re.sub(r' height="[^"]*"', "", cell, count=1)
    cell = re.sub(r"(?<=[;\"])height:[^;\"]*;", "", cell, count=1)
    return html[:begin] + side + cell + side + html[end:]


CURES: Mapping[str, Callable[[Element, Marks], None]] = {
    "mj-accordion-title": _accordion_title,
    "mj-body": _body,
    "mj-button": _button,
    "mj-carousel": _carousel,
    "mj-carousel-image": _carousel_image,
    "mj-column": _column,
    "mj-group": _group,
    "mj-hero": _hero,
    "mj-image": _image,
    "mj-section": _section,
    "mj-social": _social,
    "mj-social-element": _social_element,
    "mj-table": _table,
    "mj-wrapper": _wrapper,
}
