"""A block's Markdown becomes the fields its kind declares: titles are headings, links are links.

Each source takes its nodes out of the block, in this order; ``body`` is what is left. A node that stands under a
condition of its own is never taken for a field: it stays in the body, where it can be left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from markupsafe import Markup

from digest.compose.dates import short_date
from digest.compose.drawing import Fit
from digest.compose.html import ArticleHtml
from digest.compose.items import Entry, Item, begins_item, heading_link, split_items
from digest.compose.networks import network_of
from digest.compose.pictures import with_play
from digest.compose.theme import Field, Kind
from digest.compose.workspace import Workspace, is_buttons, is_picture, known_attributes
from digest.errors import nearest
from digest.issue.model import Node
from digest.issue.raw_html import cleaned, unbalanced

ORDER = ("heading", "items", "picture", "quote", "attribution", "buttons", "list", "contents", "html", "mjml", "body")
ITEM_ATTRIBUTES = ("level", "short", "date", "label")

_DASH = re.compile(r"\s*(?:—|–|--)\s*")


@dataclass(slots=True)
class FieldReader:
    """Makes the field values of one block. `contents` are the entries of the whole issue."""

    work: Workspace
    html: ArticleHtml
    kind: Kind
    block: Node
    contents: Sequence[Entry]
    item_ids: dict[int, str]
    rest: list[Node] = field(init=False)
    fits: list[Fit] = field(default_factory=list)
    """Of the pictures among the values, in order."""

    def read(self) -> dict[str, Any]:
        """Every declared field by name; absent ones are empty. Problems are noted in the workspace."""
        self.rest = list(self.block.children)
        values: dict[str, Any] = {}
        for declared in sorted(self.kind.fields.values(), key=lambda f: _rank(f.source)):
            known = len(self.work.problems)
            if declared.source == "attribute":
                values[declared.name] = self._attribute(declared)
            else:
                values[declared.name] = self._source(declared.source)()
            value = values[declared.name]
            if declared.linked and value and not value["href"]:
                told = f"the {declared.name} of {self.kind.name} is no link"
                cure = "write [![what it shows](file.png)](https://…)"
                self.work.wrong(self.block.place, told, cure, code="field")
            missing = declared.required and not values[declared.name]
            if missing and len(self.work.problems) == known:  # else it is there, and told why it can't be used
                told = f"{self.kind.name} needs its {declared.name}: {declared.wanted}"
                self.work.wrong(self.block.place, told, code="missing-field")
        self._left_over()
        allowed = [f.name for f in self.kind.fields.values() if f.source == "attribute"]
        known_attributes(self.block, allowed, self.work, self.kind.name)
        return values

    def _source(self, source: str) -> Callable[[], Any]:
        readers: dict[str, Callable[[], Any]] = {
            "heading": self._heading,
            "items": self._items,
            "picture": self._picture,
            "quote": self._quote,
            "attribution": self._attribution,
            "buttons": self._buttons,
            "list": self._list,
            "contents": lambda: [replace(entry, title=self.work.hold(entry.title)) for entry in self.contents],
            "html": self._raw_html,
            "mjml": self._raw_mjml,
            "body": self._body,
        }
        return readers[source]

    # ---- taking nodes out of the block

    def _take(self, wanted: Callable[[Node], bool]) -> Node | None:
        """The first such node that stands under no condition, taken out."""
        depth = 0
        for place, node in enumerate(self.rest):
            if node.kind == "statement":
                depth += self.work.depth_change(node)
            elif depth == 0 and "segments" not in node.attrs and wanted(node):
                return self.rest.pop(place)
        return None

    def _heading(self) -> str:
        listing = self.kind.from_source("items")
        node = self._take(lambda n: n.kind == "heading" and not (listing and begins_item(n)))
        if node is None:
            return ""
        known_attributes(node, ("level",), self.work, "a title")
        if "id" in node.attrs:
            if "id" in self.block.attrs:
                self.work.wrong(node.place, "the block has an id already", "keep one of the two", code="anchor")
            self.block = replace(self.block, attrs={**self.block.attrs, "id": node.attrs["id"]})
        return self.work.hold(self.html.inline(node.children))

    def _quote(self) -> str:
        node = self._take(lambda n: n.kind == "quote" and not n.classes)
        if node is None:
            return ""
        *quoted, last = node.children
        if quoted and self.kind.from_source("attribution") and _is_attribution(last):
            self.rest.insert(0, last)
            return self.work.hold(self.html.blocks(quoted))
        return self.work.hold(self.html.blocks(node.children))

    def _attribution(self) -> str:
        node = self._take(_is_attribution)
        if node is None:
            return ""
        first = node.children[0]
        named = replace(first, text=_DASH.sub("", first.text, count=1))
        return self.work.hold(self.html.inline([named, *node.children[1:]]))

    def _picture(self) -> dict[str, Any] | None:
        node = self._take(is_picture)
        return self._picture_value(node) if node else None

    def _picture_value(self, node: Node) -> dict[str, Any] | None:
        known_attributes(node, ("width",), self.work, "a picture")
        link = node.children[0] if node.children[0].kind == "link" else None
        image = link.children[0] if link else node.children[0]
        href = self.html.link(link) if link else ""

        def shown(room: int, play: bool) -> dict[str, Any] | None:
            picture = self.html.figures.measured(image, width=node.attrs.get("width", ""), room=room)
            if picture is None:
                return None
            if play:
                picture = with_play(picture, self.work.newsletter.root)
                self.html.figures.note(picture, image)
            return {
                "src": self.html.figures.address(picture),
                "alt": picture.alt,
                "caption": image.attrs["title"],
                "width": picture.width,
                "height": picture.height,
                "href": href,
            }

        value = shown(self.work.theme.content_width, False)
        self.fits.append(Fit(shown))
        return value and {**value, "fit": self.fits[-1]}

    def _buttons(self) -> list[dict[str, Any]]:
        """Links of class button; one of class quiet as well is the lesser of two."""
        found = []
        while (node := self._take(is_buttons)) is not None:
            found += [
                {
                    "label": self.work.hold(self.html.inline(link.children)),
                    "url": self.html.link(link),
                    "quiet": "quiet" in link.classes,
                }
                for link in node.children
                if link.kind == "link"
            ]
        return found

    def _list(self) -> list[dict[str, str]]:
        """Each answer leads to its own link, else to a mail that carries the answer; `network` is where it leads."""
        node = self._take(lambda n: n.kind == "list")
        return [self._list_item(item) for item in node.children] if node else []

    def _list_item(self, item: Node) -> dict[str, str]:
        if item.kind == "statement":
            cure = 'use segments="…" around a whole block instead'
            self.work.wrong(item.place, f"a condition can't stand in this list of {self.kind.name}", cure)
            return {"html": "", "text": "", "url": "", "network": ""}
        paragraph = item.children[0] if item.children else item
        link = heading_link(paragraph)
        words = link.children if link else paragraph.children
        if any(child.kind != "paragraph" for child in item.children) or len(item.children) > 1:
            self.work.wrong(item.place, f"each line of this list of {self.kind.name} is one short text")
        return {
            "html": self.work.hold(self.html.inline(words)),
            "text": item.plain,
            "url": self.html.link(link) if link else self.work.answer_link(self.block, item),
            "network": network_of(link.attrs["href"], link.plain, link.classes) if link else "",
        }

    def _body(self) -> str:
        nodes, self.rest = self.rest, []
        return self.work.hold(self.html.blocks(nodes))

    # ---- raw markup: a fence of code whose words are not shown but used

    def _raw_html(self) -> str:
        node = self._take(lambda n: n.kind == "code")
        if node is None:
            return ""
        kept, refused = cleaned(node.text, trusted=self.work.issue.front.trusted)
        if refused:
            cure = "trust the issue with “trusted: true” in its front matter"
            self.work.wrong(node.place, f"“{refused[:40]}” can't stand in an issue", cure, code="html")
        self.work.problems.extend(unbalanced([Node("html", node.place, kept)]))
        return self.work.hold(kept)

    def _raw_mjml(self) -> str:
        node = self._take(lambda n: n.kind == "code")
        if node is None:
            return ""
        if not self.work.issue.front.trusted:
            cure = "say “trusted: true” in the front matter"
            self.work.wrong(node.place, "MJML of its own needs an issue that is trusted", cure, code="html")
            return ""
        return Markup(node.text)  # noqa: S704 - the author's, in an issue that says so

    # ---- items

    def _items(self) -> list[Item]:
        split = split_items(self.rest)
        self.rest = list(split.lead)
        items = []
        for number, (head, content, before, after) in enumerate(split.items, start=1):
            items.append(self._item(head, content, before, after, number, counted=split.conditional))
        return items

    def _item(
        self,
        head: Node,
        content: Sequence[Node],
        before: Sequence[Node],
        after: Sequence[Node],
        number: int,
        *,
        counted: bool,
    ) -> Item:
        work = self.work
        known_attributes(head, ITEM_ATTRIBUTES, work, "an item")
        if not work.balanced(content):
            cure = "put the statements right above the items’ headings"
            work.wrong(head.place, "a condition begins in this item and ends in another", cure, code="jinja")
        link = heading_link(head)
        begin, end = work.condition(head)
        begin = work.marker("".join(n.text for n in before)) + begin
        shown = str(number)
        if counted:
            count, shown = work.counter(self.block.place, number)
            begin += count
        picture, body = self._item_picture(content)
        moment = self._item_date(head)
        return Item(
            title=work.hold(self.html.inline(link.children if link else head.children)),
            url=self.html.link(link) if link else "",
            id=work.anchor(self.item_ids[id(head)], head.place),
            number=shown,
            date=moment.isoformat() if moment else "",
            date_long=work.long_date(moment) if moment else "",
            date_short=short_date(moment, work.language) if moment else "",
            label=head.attrs.get("label", ""),
            body=work.hold(self.html.blocks(body)),
            picture=picture,
            classes=head.classes,
            begin=begin,
            end=end + work.marker("".join(n.text for n in after)),
        )

    def _item_picture(self, content: Sequence[Node]) -> tuple[dict[str, Any] | None, Sequence[Node]]:
        if content and is_picture(content[0]) and "segments" not in content[0].attrs:
            return self._picture_value(content[0]), content[1:]
        return None, content

    def _item_date(self, head: Node) -> date | None:
        written = head.attrs.get("date")
        try:
            return date.fromisoformat(written) if written else None
        except ValueError:
            self.work.wrong(head.place, f"“{written}” is no date", "write it as 2025-09-12", code="field")
            return None

    # ---- attributes, and what no field took

    def _attribute(self, declared: Field) -> Any:
        value = self.block.attrs.get(declared.name, declared.default)
        place = self.block.place
        if value and declared.values and value not in declared.values:
            cure = nearest(value, declared.values)
            self.work.wrong(place, f"{self.kind.name}: {declared.name} can't be “{value}”", cure, code="field")
        if declared.type == "author":
            return self.work.author(value, place) if value else None
        if declared.type == "number" and value and not value.isdigit():
            self.work.wrong(place, f"{self.kind.name}: {declared.name} is a number, not “{value}”", code="field")
        return value

    def _left_over(self) -> None:
        for node in self.rest:
            if self.kind.from_source("body"):
                return
            takes = ", ".join(f.name for f in self.kind.fields.values() if f.source != "attribute") or "nothing"
            told = f"{self.kind.name} has no room for this {_NAMES.get(node.kind, node.kind)}"
            self.work.wrong(node.place, told, f"it takes: {takes}", code="block")


_NAMES = {"quote": "quotation", "statement": "condition", "rule": "line"}


def _rank(source: str) -> int:
    return ORDER.index(source) if source in ORDER else -1


def _is_attribution(node: Node) -> bool:
    if node.kind != "paragraph" or not node.children or node.children[0].kind != "text":
        return False
    return bool(_DASH.match(node.children[0].text))
