"""Finished HTML or text with tokens becomes a merge template: Jinja again, each tag with its place.

An expression is written for where it stands: ``{{ x }}`` in text and attributes, ``{{ (x) | link }}`` where a
link's address begins, ``{{ (x) | urlpart }}`` further on in one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from digest.compose.compiled import Template
from digest.errors import Place
from digest.issue.jinja import TagTable
from digest.issue.model import Tag

_HTML_TAG = re.compile(r"<[A-Za-z](?:\"[^\"]*\"|'[^']*'|[^'\">])*>")
_ADDRESS = re.compile(r"\s(?:href|src|background|action)\s*=\s*(\"[^\"]*\"|'[^']*')", re.IGNORECASE)
_BRACES = re.compile(r"\{\{|\{%|\{$")
_URL = re.compile(r"https?://[^\s<>]*|mailto:[^\s<>]*")


class MergeTemplates:
    """Makes the merge templates of one issue from its tags."""

    def __init__(self, table: TagTable) -> None:
        self._table = table
        self._token = table.pattern

    def html(self, html: str) -> Template:
        """The template of finished HTML (inlined, markers in comments)."""
        html = re.sub(rf"<!--({self._token.pattern})-->", r"\1", html)
        filters: dict[int, str] = {}
        for tag in self._tags(html):
            for address in _ADDRESS.finditer(tag[0]):
                filters |= self._in_address(address[1][1:-1], tag.start() + address.start(1) + 1)
        return self._template(html, filters)

    def _tags(self, html: str) -> Iterator[re.Match[str]]:
        """The tags that a token stands in."""
        behind = 0
        for found in self._token.finditer(html):
            begin = html.rfind("<", behind, found.start())
            while begin >= 0:
                tag = _HTML_TAG.match(html, begin)
                if tag is not None and tag.end() > found.start():
                    behind = tag.end()
                    yield tag
                begin = -1 if tag else html.rfind("<", behind, begin)  # “<” in the value of an attribute

    def text(self, text: str) -> Template:
        """The template of the plain-text part: only addresses are encoded."""
        filters: dict[int, str] = {}
        for url in _URL.finditer(text):
            filters |= self._in_address(url[0], url.start())
        # A value that is a whole address stands behind “<” or on a line of its own.
        bare = re.compile(rf"(?<=<)({self._token.pattern})(?=[^\s<>]*>)")
        filters |= {found.start(1): "link" for found in bare.finditer(text)}
        return self._template(text, filters)

    def header(self, text: str) -> Template:
        """The template of a subject or preheader."""
        return self._template(text, {})

    def _in_address(self, value: str, start: int) -> dict[int, str]:
        filters = {}
        for found in self._token.finditer(value):
            before = self._token.sub(self._keep_printed, value[: found.start()])
            filters[start + found.start()] = "urlpart" if before else "link"
        return filters

    def _keep_printed(self, token: re.Match[str]) -> str:
        """Only what prints something stands before a value; a condition does not."""
        return "x" if self._table.tags[token[0]].kind == "print" else ""

    def _template(self, text: str, filters: Mapping[int, str]) -> Template:
        pieces = list(self._pieces(text, filters))
        return Template("".join(p for p, _ in pieces), tuple(place for _, place in pieces if place is not None))

    def _pieces(self, text: str, filters: Mapping[int, str]) -> Iterator[tuple[str, Place | None]]:
        position = 0
        last = Place("")
        for found in self._token.finditer(text):
            tag = self._table.tags[found[0]]
            last = tag.place
            yield from _static(text[position : found.start()], last)
            yield _written(tag, filters.get(found.start(), "")), last
            position = found.end()
        yield from _static(text[position:], last)


def _static(text: str, place: Place) -> Iterator[tuple[str, Place | None]]:
    """Static text; braces in it that Jinja would take for its own are written as constants."""
    position = 0
    for found in _BRACES.finditer(text):
        yield text[position : found.start()], None
        yield '{{ "' + found[0] + '" }}', place
        position = found.end()
    yield text[position:], None


def _written(tag: Tag, filter_name: str) -> str:
    source = " ".join(tag.source.split())
    if tag.kind != "print":
        return f"{{% {source} %}}"
    return f"{{{{ ({source}) | {filter_name} }}}}" if filter_name else f"{{{{ {source} }}}}"
