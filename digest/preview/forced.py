"""Dark mode forced on an email by programs that change its colours: a simulation, for looking ahead.

Two ways, as they are known from the outside. *Gmail's app on an iPhone* ignores the email's dark rules and
inverts the lightness of every colour, of text and of backgrounds, light and dark. *Outlook.com* darkens light
backgrounds and lightens dark text, leaves what is dark already, and marks what it touched with ``data-ogsb`` and
``data-ogsc``, to which the email's own rules may answer. Both leave pictures and gradients alone. Shades differ
from the real programs'; which parts turn and which do not is what one looks for.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Literal

Forced = Literal["gmail", "outlook"]
Rgb = tuple[float, float, float]

_DARKEST = 0.09  # of a background: programs show dark grey, not black
_LIGHTEST = 0.93  # of text
_NAMED = {"white": "#ffffff", "black": "#000000", "red": "#ff0000", "gray": "#808080", "grey": "#808080"}
_COLOUR = re.compile(
    r"#(?:[0-9a-f]{6}|[0-9a-f]{3})\b|rgb\(\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})\s*\)|\b(?:"
    + "|".join(_NAMED)
    + r")\b",
    re.IGNORECASE,
)
_DECLARATION = re.compile(
    r"(?<![\w-])(color|background-color|background|border(?:-\w+)*)\s*:\s*([^;{}]+)", re.IGNORECASE
)
_BLOCK = re.compile(r"\{[^{}]*\}")
_ATTRIBUTE = re.compile(r"(?<![\w-])(style|bgcolor)\s*=\s*(\"[^\"]*\"|'[^']*')", re.IGNORECASE)
_CANVAS = {
    "gmail": "html,body{background-color:#161616;color:#ededed}",
    "outlook": "html,body{background-color:#1f1f1f;color:#f0f0f0}",
}


def force_dark(html: str, how: Forced) -> str:
    """`html` as the program shows it in dark mode. Words, pictures and links stay as they are.

    >>> force_dark('<p style="color:#000000">color:#000000</p>', "gmail")
    '<p style="color:#ededed">color:#000000</p>'
    >>> force_dark('<td style="background:#ffffff"><td style="background:#222222">', "outlook")
    '<td style="background:#171717" data-ogsb="#ffffff"><td style="background:#222222">'
    """
    finder = _Finder(html)
    finder.feed(html)
    finder.close()
    out, last = [], 0
    for start, end, kind in finder.found:
        piece = html[start:end]
        out += [html[last:start], _tag(piece, how) if kind == "tag" else _sheet(piece, how)]
        last = end
    page = "".join([*out, html[last:]])
    # Before the email's own rules: they may say otherwise.
    canvas = f"<style>:root{{color-scheme:dark}}{_CANVAS[how]}</style>"
    page = re.sub(r"(<head\b[^>]*>)", lambda m: m[1] + canvas, page, count=1, flags=re.IGNORECASE)
    if how == "outlook":
        page = re.sub(r"<body\b", '<body data-ogsc="" data-ogsb=""', page, count=1, flags=re.IGNORECASE)
    return page


class _Finder(HTMLParser):
    """Where start tags and style sheets stand in the page. Comments (Outlook's conditional ones) are passed over."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=False)
        self._lines = [0, *(m.end() for m in re.finditer("\n", html))]
        self._in_style = False
        self.found: list[tuple[int, int, str]] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - HTMLParser's hook
        text = self.get_starttag_text() or ""
        self._note(len(text), "tag")
        self._in_style = tag == "style"

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.handle_starttag(tag, attrs)
        self._in_style = False

    def handle_endtag(self, tag: str) -> None:
        self._in_style = self._in_style and tag != "style"

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self._note(len(data), "sheet")

    def _note(self, length: int, kind: str) -> None:
        line, column = self.getpos()
        start = self._lines[line - 1] + column
        self.found.append((start, start + length, kind))


def _tag(tag: str, how: Forced) -> str:
    touched: dict[str, str] = {}

    def attribute(match: re.Match[str]) -> str:
        quote, value = match[2][0], match[2][1:-1]
        if match[1].lower() == "bgcolor":
            changed = _value("background", value, how, touched)
        else:
            changed = _declarations(value, how, touched)
        return f"{match[1]}={quote}{changed}{quote}"

    tag = _ATTRIBUTE.sub(attribute, tag)
    if how == "outlook" and touched:
        marks = "".join(f' {name}="{colour}"' for name, colour in touched.items())
        tag = f"{tag[:-2]}{marks}/>" if tag.endswith("/>") else f"{tag[:-1]}{marks}>"
    return tag


def _sheet(css: str, how: Forced) -> str:
    """A style sheet: the rules for Outlook.com's own marks are the author's answer, and stay."""

    def rule(match: re.Match[str]) -> str:
        selector = css[: match.start()].rpartition("}")[2]
        return match[0] if "data-ogs" in selector else _declarations(match[0], how, {})

    return _BLOCK.sub(rule, css)


def _declarations(css: str, how: Forced, touched: dict[str, str]) -> str:
    return _DECLARATION.sub(lambda m: m[0][: m.start(2) - m.start()] + _value(m[1], m[2], how, touched), css)


def _value(name: str, value: str, how: Forced, touched: dict[str, str]) -> str:
    if "gradient(" in value or "url(" in value:
        return value
    turn: Callable[[Rgb, bool], Rgb] = _inverted if how == "gmail" else _adjusted
    text = name.lower() == "color"

    def change(match: re.Match[str]) -> str:
        old = _rgb(match)
        new = turn(old, text)
        if new == old:
            return match[0]
        touched.setdefault("data-ogsc" if text else "data-ogsb", match[0])
        return "#" + "".join(f"{round(channel * 255):02x}" for channel in new)

    return _COLOUR.sub(change, value)


def _inverted(colour: Rgb, text: bool) -> Rgb:  # noqa: ARG001 - the same signature as `_adjusted`
    hue, light, saturation = colorsys.rgb_to_hls(*colour)
    return colorsys.hls_to_rgb(hue, _DARKEST + (1 - light) * (_LIGHTEST - _DARKEST), saturation)


def _adjusted(colour: Rgb, text: bool) -> Rgb:
    """Dark text becomes light, light backgrounds dark; the others stay."""
    hue, light, saturation = colorsys.rgb_to_hls(*colour)
    if (light >= 0.5) == text:
        return colour
    return colorsys.hls_to_rgb(hue, _DARKEST + (1 - light) * (_LIGHTEST - _DARKEST), saturation)


def _rgb(match: re.Match[str]) -> Rgb:
    if match[1]:
        red, green, blue = (min(int(match[n]), 255) for n in (1, 2, 3))
    else:
        digits = _NAMED.get(match[0].lower(), match[0]).removeprefix("#")
        if len(digits) == 3:
            digits = "".join(2 * digit for digit in digits)
        red, green, blue = (int(digits[n : n + 2], 16) for n in (0, 2, 4))
    return red / 255, green / 255, blue / 255
