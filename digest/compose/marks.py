"""The twin of an email that says of each part where it was written: for the workbench, never sent.

``data-src="issues/x.md:42"`` stands on what an author wrote (paragraphs, headings, lists and their items, quotations,
tables, pictures, buttons), ``data-kind`` and ``data-kind-file`` on the outermost elements of each block. Without these
attributes the twin is the email, byte for byte (`without_marks`).

Article HTML is written with its attribute. The words that a theme sets (titles, labels) carry a token in front (letter
P), pictures that a theme sets are known by their address: both are carried to the element around them at the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape, unescape

from digest.compose.compiled import picture_address
from digest.compose.mjml.tree import VOID
from digest.compose.workspace import Workspace
from digest.errors import Place

_ATTRIBUTES = re.compile(r' data-(?:src|kind|kind-file)="[^"]*"')
_SOURCE = re.compile(r'\bsrc="([^"]*)"')


def source_mark(place: Place) -> str:
    """The attribute that names a place.

    >>> source_mark(Place("issues/x.md", 42, 3))
    ' data-src="issues/x.md:42"'
    """
    return f' data-src="{escape(place.file)}:{place.line}"'


def without_marks(html: str) -> str:
    """The email a twin was made of.

    >>> without_marks('<p data-src="issues/x.md:4" id="a">b</p>')
    '<p id="a">b</p>'
    """
    return _ATTRIBUTES.sub("", html)


def carry_marks(html: str, work: Workspace) -> str:
    """A finished page (the marks of its blocks still in it) with the places of words and pictures on their elements."""
    return _Carrier(work).carried(html)


@dataclass(slots=True)
class _Carrier:
    work: Workspace
    pieces: list[str] = field(default_factory=list)
    open: list[tuple[str, int]] = field(default_factory=list)
    """The elements open here: name, and which piece is their start tag."""
    block: tuple[str, Place, int] | None = None
    """The block here: its kind, its place, and how many elements were open around it."""
    pictures: dict[str, list[Place]] = field(init=False)
    """Where the pictures of each address were written, in reading order."""

    def __post_init__(self) -> None:
        base, shown = self.work.assets_base, self.work.pictures_at
        self.pictures = {picture_address(base, name): list(dict.fromkeys(places)) for name, places in shown.items()}

    def carried(self, html: str) -> str:
        """The page with all marks on its elements."""
        kinds = {begin: (kind, place) for begin, kind, place in self.work.measures.values()}
        for piece in self._split(html):
            mark = piece[4:-3] if piece.startswith("<!--") else ""
            if mark in kinds:
                self.block = (*kinds[mark], len(self.open))
            elif mark in self.work.measures:
                self.block = None
            self._take(piece)
        return "".join(self.pieces)

    def _split(self, html: str) -> Iterator[str]:
        """Comments, tags, tokens and what is between them."""
        token = rf"Zq{self.work.table.nonce}P\d{{4,}}qZ"
        cut = re.compile(rf"(<!--.*?-->|<style\b.*?</style>|</?[A-Za-z](?:\"[^\"]*\"|[^\">])*>|{token})", re.DOTALL)
        return (piece for piece in cut.split(html) if piece)

    def _take(self, piece: str) -> None:
        if (place := self.work.written_at.get(piece)) is not None:
            if self.open:
                self._mark(self.open[-1][1], place)
            return
        if piece[0] == "<":  # a token here stands where no element can: in an attribute, in Outlook's comment
            piece = self.work.without_places(piece)
        self.pieces.append(piece)
        if piece.startswith("</"):
            self._close(piece[2:-1].strip().lower())
        elif re.match(r"<[A-Za-z]", piece) and not piece.startswith("<style"):
            self._open(piece)

    def _open(self, tag: str) -> None:
        name = re.split(r"[\s/>]", tag[1:], maxsplit=1)[0].lower()
        if self.block and len(self.open) == self.block[2]:
            kind = self.work.theme.kinds[self.block[0]]
            self._add(len(self.pieces) - 1, f' data-kind="{escape(kind.name)}" data-kind-file="{escape(kind.file)}"')
        if name == "img" and (place := self._picture(tag)) is not None:
            self._mark(len(self.pieces) - 1, place)
        if name not in VOID and not tag.endswith("/>"):
            self.open.append((name, len(self.pieces) - 1))

    def _close(self, name: str) -> None:
        depth = next((n for n in range(len(self.open) - 1, -1, -1) if self.open[n][0] == name), None)
        if depth is not None:
            del self.open[depth:]

    def _picture(self, tag: str) -> Place | None:
        """Where a picture was written: of those with its address, the first of this block that is left."""
        found = _SOURCE.search(tag)
        places = self.pictures.get(unescape(found[1]), []) if found else []
        begin = self.block[1] if self.block else Place("")
        later = [p for p in places if p.file != begin.file or p.line >= begin.line]
        if later and len(places) > 1:
            places.remove(later[0])
        return later[0] if later else None

    def _mark(self, number: int, place: Place) -> None:
        if " data-src=" not in self.pieces[number]:
            self._add(number, source_mark(place))

    def _add(self, number: int, attributes: str) -> None:
        name = re.match(r"<[^\s/>]+", self.pieces[number])
        end = name.end() if name else 0
        self.pieces[number] = self.pieces[number][:end] + attributes + self.pieces[number][end:]
