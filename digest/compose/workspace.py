"""The desk on which one issue is composed: what is held for later, what was found on the way, what is wrong.

Two kinds of token pass through MJML and inlining. Those of Jinja tags (`digest.issue.jinja.TagTable`) become merge
expressions at the very end. *Held* HTML (letter H) is put back right after MJML, which must never see it. A
*marker* (letter B) is a statement between sections or rows: bare text while MJML runs, a comment afterwards, so
that the HTML parser leaves it where it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from email.utils import parseaddr
from urllib.parse import quote

from digest.audience.arms import EQUAL
from digest.audience.readers import Readers
from digest.compose.compiled import Link, Picture
from digest.compose.dates import long_date
from digest.compose.theme import Theme
from digest.errors import Place, Problem, nearest
from digest.issue.jinja import TagTable
from digest.issue.model import Issue, Node
from digest.newsletter import Newsletter
from digest.sections import Author

RIGHT_TO_LEFT = ("ar", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi")

_OWN = "XY"
"""Letters of the tags that composing adds: they are counted apart from those of the text."""


@dataclass(slots=True)
class Workspace:
    """Everything the parts of composing share for one issue."""

    newsletter: Newsletter
    issue: Issue
    readers: Readers
    theme: Theme
    assets_base: str
    table: TagTable = field(init=False)
    held: dict[str, str] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    pictures: dict[str, Picture] = field(default_factory=dict)
    anchors: dict[str, Place] = field(default_factory=dict)
    resolved: dict[str, str] = field(default_factory=dict)
    """Links of our own forms (``issue:slug``) and the addresses they have become."""
    measures: dict[str, tuple[str, str, Place]] = field(default_factory=dict)
    """For each closing mark of a block its opening one, the block's kind and place; see `sizes`."""
    counters: dict[Place, str] = field(default_factory=dict)
    """For each block whose items are counted when merged, the name of its counter."""
    marks: bool = False
    """Whether the twin with source marks is made; see `digest.compose.marks`."""
    written_at: dict[str, Place] = field(default_factory=dict)
    """For each token before words that a theme sets, the place they were written at."""
    pictures_at: dict[str, list[Place]] = field(default_factory=dict)
    note_conditions: dict[str, str] = field(default_factory=dict)
    """For each footnote's number the expression of who gets a reference to it; empty for everyone."""
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.table = TagTable(self.issue.nonce, dict(self.issue.tags))

    def wrong(self, place: Place, message: str, cure: str = "", code: str = "issue") -> None:
        """Note a problem; composing goes on, so that all are found."""
        self.problems.append(Problem(place, message, cure, code=code))

    # ---- held HTML

    def hold(self, html: str) -> str:
        """A token that stands for `html` until MJML is done; empty for empty HTML."""
        if not html:
            return ""
        token = self.table.fresh("H")
        self.held[token] = html
        return token

    def put_back(self, html: str) -> str:
        """`html` with everything held in its place. What is held may hold more."""
        pattern = re.compile(rf"Zq{self.table.nonce}H\d{{4,}}qZ")
        while pattern.search(html):
            html = pattern.sub(lambda m: self.held[m[0]], html)
        return html

    # ---- conditions

    def marker(self, tokens: str) -> str:
        """Markers for one or more statement tokens, to stand between sections, rows or list items."""
        out = []
        for token in self.table.pattern.findall(tokens):
            made = self.table.fresh("B")
            self.table.tags[made] = self.table.tags[token]
            out.append(made)
        return "".join(out)

    def expression(self, source: str, place: Place) -> str:
        """The token of an expression of our own (``links.unsubscribe``)."""
        return self.table.add("print", source, place, letters=_OWN)

    def statement(self, kind: str, source: str, place: Place) -> str:
        """The marker of a statement of our own."""
        match kind:
            case "if" | "elif" | "else" | "endif" | "set":
                return self.marker(self.table.add(kind, source, place, letters=_OWN))
        raise ValueError(kind)

    def measured(self, drawn: str, kind: str, place: Place) -> str:
        """What a block drew, between the marks by which its bytes are counted later."""
        begin, end = self.table.fresh("M"), self.table.fresh("M")
        self.measures[end] = (begin, kind, place)
        return f"{begin}\n{drawn}\n{end}"

    @property
    def block_comments(self) -> dict[str, str]:
        """The comments that the marks of each block are after MJML: the one before it, the one behind it."""
        return {f"<!--{begin}-->": f"<!--{end}-->" for end, (begin, _, _) in self.measures.items()}

    def place_token(self, place: Place) -> str:
        """The token before words that a theme sets; nothing but in the twin."""
        if not self.marks:
            return ""
        token = self.table.fresh("P")
        self.written_at[token] = place
        return token

    def without_places(self, html: str) -> str:
        """`html` without the tokens of `place_token`."""
        return re.sub(rf"Zq{self.table.nonce}P\d{{4,}}qZ", "", html)

    @property
    def frame_place(self) -> Place:
        """The layout, which draws what is around the blocks."""
        return Place(self.theme.shown("layout.mjml"))

    def statements(self, node: Node) -> list[str]:
        """The kinds of the tags in a statement node (``if``, ``else``…); none for any other node."""
        if node.kind != "statement":
            return []
        return [self.table.tags[token].kind for token in self.table.pattern.findall(node.text)]

    def depth_change(self, node: Node) -> int:
        """How many conditions and loops a node opens among its siblings, less those it closes."""
        return sum((k in ("if", "for")) - (k in ("endif", "endfor")) for k in self.statements(node))

    def balanced(self, nodes: Iterable[Node]) -> bool:
        """Whether the statements among `nodes` (not below them) open and close within the sequence."""
        depth = 0
        for kind in (kind for node in nodes for kind in self.statements(node)):
            depth += (kind in ("if", "for")) - (kind in ("endif", "endfor"))
            if depth < 0 or (depth == 0 and kind in ("elif", "else")):
                return False
        return depth == 0

    def counter(self, block: Place, number: int) -> tuple[str, str]:
        """Markers that count an item where it stands, and the token of its number; `number` is 1 for the first.

        The first item of a reader may be a later one: the counter begins at nothing by itself.
        """
        name = self.counters.setdefault(block, f"count_{len(self.counters) + 1}")
        source = f"set {name} = ({name} | default(0)) + 1"
        if number == 1:
            source = f"set {name} = 1"
        return self.statement("set", source, block), self.expression(name, block)

    def condition(self, node: Node) -> tuple[str, str]:
        """Markers around what ``segments="…"`` governs: begin and end, both empty without one."""
        source = self.governing(node)
        if not source:
            return "", ""
        return self.statement("if", f"if {source}", node.place), self.statement("endif", "endif", node.place)

    def governing(self, node: Node) -> str:
        """The condition that ``segments="…"`` puts a node under, as an expression; empty without one."""
        written = node.attrs.get("segments")
        return "" if written is None else self.segments_expression(written, node.place)

    def segments_expression(self, written: str, place: Place) -> str:
        """``pro, !free`` as an expression: a comma is "or", ``!`` is "not". Unknown segments are noted."""
        parts = [part.strip() for part in written.split(",")]
        terms = []
        for part in parts:
            name = part.removeprefix("!").strip()
            if not name:
                self.wrong(place, f"“segments” has an empty place: “{written}”", code="segments")
                continue
            if name.startswith("arm."):
                terms.append(("not " if part.startswith("!") else "") + self._arm(name.removeprefix("arm."), place))
                continue
            if name != "all" and name not in self.readers.segments:
                cure = nearest(name, self.readers.segments)
                self.wrong(place, f"unknown segment “{name}”", cure, code="unknown-segment")
                continue
            term = "true" if name == "all" else f'segment["{name}"]'
            terms.append(f"not {term}" if part.startswith("!") else term)
        return " or ".join(terms)

    @property
    def arms(self) -> dict[str, int]:
        """The arms of the issue's A/B test and their parts."""
        return dict(self.issue.front.arms or EQUAL)

    def _arm(self, name: str, place: Place) -> str:
        if name not in self.arms:
            self.wrong(place, f"unknown arm “{name}”", nearest(name, self.arms), code="unknown-arm")
        return f'arm == "{name}"'

    def leading_tokens(self, line: str) -> tuple[str, str]:
        """The statement tokens a line begins with, and the rest of it."""
        found = re.match(rf"(?:{self.table.prefix}[BS]\d{{4,}}qZ)*", line)
        end = found.end() if found else 0
        return line[:end], line[end:]

    def markers_to_comments(self, html: str) -> str:
        """After MJML: a marker becomes a comment of its own, except inside one of Outlook's."""

        def comment(found: re.Match[str]) -> str:
            inside = html.rfind("<!--", 0, found.start()) > html.rfind("-->", 0, found.start())
            return found[0] if inside else f"<!--{found[0]}-->"

        return re.sub(rf"{self.table.prefix}[BM]\d{{4,}}qZ", comment, html)

    # ---- what blocks ask for

    def author(self, key: str, place: Place) -> Author | None:
        """The author of that key in ``config/digest.toml``; None (and a problem noted) without one."""
        authors = self.newsletter.settings.authors
        if key not in authors:
            cure = nearest(key, authors) or f"add [authors.{key}] to config/digest.toml"
            self.wrong(place, f"unknown author “{key}”", cure, code="author")
            return None
        return authors[key]

    def author_name(self, key: str) -> str:
        """The name of an author who may not be declared (that is noted elsewhere)."""
        found = self.newsletter.settings.authors.get(key)
        return found.name if found else key

    def long_date(self, day: date) -> str:
        """A date in words, as the issue's language writes it."""
        return long_date(day, self.language)

    @property
    def language(self) -> str:
        """The issue's language, else the newsletter's."""
        return self.issue.front.language or self.newsletter.settings.newsletter.language

    @property
    def direction(self) -> str:
        """Which way its lines run, as HTML's ``dir`` has it."""
        return "rtl" if self.language.split("-")[0] in RIGHT_TO_LEFT else "ltr"

    def answer_link(self, block: Node, item: Node) -> str:
        """A mail to the editor that carries an answer: it works without any server (RFC 6068)."""
        settings = self.newsletter.settings.newsletter
        address = settings.reply_to or parseaddr(settings.sender)[1]
        question = next((child.plain for child in block.children if child.kind == "heading"), "")
        subject = self.table.pattern.sub("", f"{question} {item.plain}" if question else item.plain)
        return f"mailto:{quote(address, safe='@')}?subject={quote(subject)}"

    # ---- anchors

    def anchor(self, name: str, place: Place) -> str:
        """Register a place that a link ``#name`` can lead to; doubled ones are noted."""
        if name in self.anchors:
            told = f"“#{name}” stands twice (first on line {self.anchors[name].line})"
            self.wrong(place, told, "choose another id", code="anchor")
        self.anchors[name] = place
        return name


_EVERYWHERE = ("id", "class", "segments")


def known_attributes(node: Node, allowed: Collection[str], work: Workspace, what: str) -> None:
    """Note every attribute in braces that means nothing where it stands."""
    for key in node.attrs:
        if key not in _EVERYWHERE and key not in allowed:
            told = f"{what} has no attribute “{key}”"
            work.wrong(node.place, told, nearest(key, (*_EVERYWHERE, *allowed)), code="unknown-field")


def is_picture(node: Node) -> bool:
    """A picture standing alone: a paragraph of one image, which may be a link."""
    return node.kind == "paragraph" and len(node.children) == 1 and _is_image(node.children[0])


def _is_image(node: Node) -> bool:
    """An image, or a link around one."""
    return node.kind == "image" or (
        node.kind == "link" and len(node.children) == 1 and node.children[0].kind == "image"
    )


def is_picture_row(node: Node) -> bool:
    """Pictures side by side: a paragraph of two or more images and nothing else."""
    if node.kind != "paragraph":
        return False
    shown = [c for c in node.children if c.kind != "softbreak" and (c.kind != "text" or c.text.strip())]
    return len(shown) > 1 and all(map(_is_image, shown))


def is_media(node: Node) -> bool:
    """A picture with text beside it: a paragraph that begins with an image on a line of its own."""
    if node.kind != "paragraph" or len(node.children) < 3:
        return False
    first, second = node.children[:2]
    return _is_image(first) and second.kind == "softbreak" and not is_picture_row(node)


def is_buttons(node: Node) -> bool:
    """A paragraph of nothing but links with the class ``button``."""
    links = [child for child in node.children if child.kind == "link"]
    rest = [c for c in node.children if c.kind not in ("link", "softbreak") and c.text.strip()]
    return node.kind == "paragraph" and bool(links) and not rest and all("button" in c.classes for c in links)
