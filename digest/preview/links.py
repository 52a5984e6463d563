"""The links of one reader's email: their words, where they lead, and where they were written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html.parser import HTMLParser

from digest.compose.compiled import Link
from digest.errors import Place
from digest.message.merge import INERT_TOKEN
from digest.preview.marks import SOURCE, place_of

_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)


@dataclass(frozen=True, slots=True)
class Seen:
    """One link as the reader has it. `note` says what is special about it."""

    words: str
    address: str
    place: Place | None
    note: str


def links_of(html: str, written: Iterable[Link]) -> list[Seen]:
    """Every link in reading order. Its place is that of the marks around it, else of the author's link to there."""
    collector = _Collector()
    collector.feed(html)
    collector.close()
    places: dict[str, Place] = {}
    for link in written:
        places.setdefault(link.url, link.place)
    return [
        Seen(words, address, places.get(address) or place, _note(address)) for words, address, place in collector.links
    ]


class _Collector(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, str, Place | None]] = []
        self._open: list[tuple[str, Place | None]] = []
        self._address: str | None = None
        self._words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        around = self._open[-1][1] if self._open else None
        if tag not in _VOID:
            self._open.append((tag, place_of(values.get(SOURCE)) or around))
        if tag == "a" and values.get("href"):
            self._address, self._words = values["href"], []
        elif tag == "img" and self._address is not None:
            self._words.append(f"[{values.get('alt') or 'picture'}]")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._address is not None:
            place = self._open[-1][1] if self._open else None
            self.links.append((" ".join("".join(self._words).split()), self._address, place))
            self._address = None
        names = [name for name, _ in self._open]
        if tag in names:
            del self._open[len(names) - 1 - names[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        if self._address is not None:
            self._words.append(data)


def _note(address: str) -> str:
    if INERT_TOKEN in address:
        return "the reader's own; inert in a preview"
    if address.startswith("#"):
        return "within the email"
    if address.startswith("mailto:"):
        return "writes a mail"
    return "not encrypted" if address.startswith("http:") else ""
