"""What is done to a checked MJML document before MRML sees it, and to its HTML afterwards.

Before: the HTML in ending tags is held behind words (MRML would change it), components are cured
(`components`). After: what MRML leaves out is written where it belongs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape

from digest.compose.mjml.components import CURES, Marks, cure_all
from digest.compose.mjml.layout import lay_out
from digest.compose.mjml.select import Setting, inline_rules, set_attributes
from digest.compose.mjml.tree import ENDING, WORDLESS, Element
from digest.compose.mjml.values import TOKEN


@dataclass(slots=True)
class Held:
    """HTML that MRML does not see: each piece is a word until it is put back."""

    mark: str
    pieces: list[str] = field(default_factory=list)

    def hold(self, html: str) -> str:
        """The word for a piece."""
        self.pieces.append(html)
        return f"{self.mark}{len(self.pieces) - 1}z"

    def holds(self, html: str) -> bool:
        """Whether this is such a word."""
        return re.fullmatch(rf"{self.mark}\d+z", html) is not None

    def put_back(self, html: str) -> str:
        """The page with every piece in its place."""
        return re.sub(rf"{self.mark}(\d+)z", lambda m: self.pieces[int(m[1])], html)


class Cures:
    """What one document needs. `word` stands nowhere in it."""

    def __init__(self, word: str) -> None:
        self.held = Held(f"{word}h")
        self.marks = Marks(f"{word}m")
        self.owa = False
        self.css = ""
        self.html_attributes: list[Setting] = []

    def before(self, root: Element) -> None:
        """Change the tree so that MRML draws it right, and note what is left to do afterwards."""
        self.owa = root.attributes.get("owa") == "desktop"
        body, head = root.find("mj-body"), root.find("mj-head")
        if head is not None:
            self._take_out_of(head)
        if body is not None:
            lay_out(body)
        for element in root.walk():
            cure_all(element)
            if (cure := CURES.get(element.tag)) is not None:
                cure(element, self.marks)
        for element in root.walk():
            self._hold(element)

    def after(self, html: str) -> str:
        """MRML's HTML as the reference renderer would have it."""
        html = self.marks.carry_out(html)
        html = _SHARE.sub(r"\1\2%", html)
        html = _SPURIOUS.sub(r"\1", html)
        html = _ARTICLE.sub(_word_spacing, html, count=1)
        html = _numbered(_YAHOO.sub("@media yahoo", html))
        if self.owa:
            html = html.replace("</head>", f"{_for_owa(html)}</head>", 1)
        html = _EMPTY.sub("", self.held.put_back(html))
        html = set_attributes(html, self.html_attributes)
        return inline_rules(html, self.css)

    def _take_out_of(self, head: Element) -> None:
        """Keep what MRML can't do in the head: style sheets to inline, attributes by selector."""
        kept: list[Element | str] = []
        for child in head.children:
            if isinstance(child, Element) and child.tag == "mj-style" and "inline" in child.attributes:
                self.css += child.content
            elif isinstance(child, Element) and child.tag == "mj-html-attributes":
                self.html_attributes += [
                    Setting(selector.attributes["path"], given.attributes["name"], unescape(given.content.strip()))
                    for selector in child.elements
                    for given in selector.elements
                ]
            else:
                kept.append(child)
        head.children = kept

    def _hold(self, element: Element) -> None:
        """Hide all HTML and text below an element from MRML."""
        element.content = "" if element.tag in WORDLESS else element.content.strip()
        if element.tag in ENDING and (html := element.content) and not self.held.holds(html):
            if element.tag == "mj-title":  # also written into an attribute
                html = html.replace('"', "&quot;")
            element.content = self.held.hold(html)
        element.children = [kept for child in element.children if (kept := self._kept(element, child)) is not None]

    def _kept(self, parent: Element, child: Element | str) -> Element | str | None:
        """A child as MRML may see it; nothing for blanks and slips."""
        if isinstance(child, Element):
            return self._raw(parent, child.content) if child.tag == "mj-raw" and parent.tag in _ROWS else child
        if child.startswith("<!--") or (parent.tag in _ROWS and TOKEN.search(child)):
            return self._raw(parent, child)
        return child if TOKEN.search(child) else None

    def _raw(self, parent: Element, html: str) -> Element | str:
        """HTML between the parts of a component, where MRML takes none or writes it into Outlook's comment."""
        if parent.tag in _TAKE_COMMENTS:
            return f"<!--{self.held.hold(html.strip())}-->"
        if parent.tag == "mj-wrapper" and TOKEN.sub("", html).strip():
            html = f"<![endif]-->{html.strip()}<!--[if mso | IE]>"
        return Element("mj-raw", {}, content=self.held.hold(html.strip()))


_TAKE_COMMENTS = ("mj-social", "mj-navbar", "mj-accordion")
_ROWS = ("mj-wrapper", *_TAKE_COMMENTS)
_SPURIOUS = re.compile(r'(<td\b[^>]*?) vertical-align="(?:top|middle|bottom)"')  # no such attribute in HTML
_YAHOO = re.compile(r"@media screen,\s*yahoo")  # hides the arrows of a carousel, everywhere for MRML
_EMPTY = re.compile(r"<!--\[if mso \| IE\]>\s*<!\[endif\]-->")
# MRML counts shares in 32 bits, and doesn't cut them for phones as MJML does.
_SHARE = re.compile(r"(;width:)(33|16|14|11|9)\.(?:333332|666666|285714|111111|090909)%")
_ARTICLE = re.compile(r'<div\b[^>]*\baria-roledescription="email"[^>]*>')


def _word_spacing(tag: re.Match[str]) -> str:
    if ' style="' in tag[0]:
        return tag[0].replace(' style="', ' style="word-spacing:normal;', 1)
    return tag[0][:-1] + ' style="word-spacing:normal;">'


def _numbered(html: str) -> str:
    """Menus and carousels with ids of their own: MRML gives 00000000 to all."""
    head, body = html.split("<body", 1)
    head = _renumbered(head, _CAROUSEL_ID, ".mj-carousel {")
    body = _renumbered(body, _CAROUSEL_ID, '<div class="mj-carousel"')
    return f"{head}<body{_renumbered(body, _MENU_ID, 'mj-menu-checkbox')}"


_CAROUSEL_ID = re.compile(r"(?<=mj-carousel-)(radio-)?00000000")
_MENU_ID = re.compile(r"(?<=[\" ](?:id|or)=\")()00000000(?=\")")


def _renumbered(html: str, wanted: re.Pattern[str], begin: str) -> str:
    """`html` with the ids of its n-th component, that begins with `begin`, made n."""
    first, *parts = html.split(begin)
    numbered = [wanted.sub(lambda m, n=n: f"{m[1] or ''}{n:08x}", part) for n, part in enumerate(parts)]  # type: ignore[misc]
    return begin.join([first, *numbered])


def _for_owa(html: str) -> str:
    """The widths of columns for Outlook in the browser, as ``owa="desktop"`` asks for."""
    rules = re.findall(r"\.moz-text-html (\.mj-column-[^}]*})", html)
    return f'<style type="text/css">{"".join(f"[owa] {rule} " for rule in rules)}</style>'
