"""The pictures among an issue's words: one alone, some side by side, one with text beside it, one in a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape

from digest.compose.compiled import Picture, picture_address
from digest.compose.marks import source_mark
from digest.compose.pictures import load_picture
from digest.compose.workspace import Workspace, known_attributes
from digest.errors import InputError
from digest.issue.model import Node

GAP = 16  # CSS pixels between pictures side by side
MEDIA_WIDTH = 160  # of a picture with text beside it, where its author names none
_LAYOUT = 'role="presentation" cellpadding="0" cellspacing="0" width="100%"'


class Figures:
    """Renders the pictures of one issue; each is noted in the workspace.

    `link` gives the address that a link node leads to, `words` the HTML of inline nodes.
    """

    def __init__(self, work: Workspace, link: Callable[[Node], str], words: Callable[[Iterable[Node]], str]) -> None:
        self._work = work
        self._link = link
        self._words = words

    def alone(self, node: Node) -> str:
        """A picture standing alone, with its title as the caption."""
        only = node.children[0]
        html = self._shown(only, node.attrs.get("width", ""))
        if not html:
            return ""
        known_attributes(node, ("width",), self._work, "a picture")
        caption = _image(only).attrs["title"]
        row = f'<tr><td class="caption">{escape(caption)}</td></tr>' if caption else ""
        return f"<table{self._about(node, 'figure')}><tr><td>{html}</td></tr>{row}</table>"

    def row(self, node: Node) -> str:
        """Pictures side by side, as wide as the text together; on phones one under the other."""
        known_attributes(node, (), self._work, "a row of pictures")
        shown = [c for c in node.children if c.kind in ("image", "link")]
        width = (self._work.theme.content_width - GAP * (len(shown) - 1)) // len(shown)
        cells = [
            f'<td class="pictures-cell" width="{width}" valign="top">{self._shown(c, str(width))}</td>' for c in shown
        ]
        gap = f'<td class="pictures-gap" width="{GAP}">&nbsp;</td>'
        return f"<table{self._about(node, 'pictures')}><tr>{gap.join(cells)}</tr></table>"

    def media(self, node: Node) -> str:
        """A picture with the words of its paragraph beside it; on phones above them."""
        known_attributes(node, ("width",), self._work, "a picture with text")
        first, _, *words = node.children
        wanted = node.attrs.get("width", "")
        width = int(wanted) if wanted.isdigit() else MEDIA_WIDTH
        picture = self._shown(first, str(min(width, self._work.theme.content_width // 2)))
        return (
            f"<table{self._about(node, 'media')}><tr>"
            f'<td class="media-picture" width="{width + GAP}" valign="top">{picture}</td>'
            f'<td class="media-text" valign="top"><p>{self._words(words)}</p></td></tr></table>'
        )

    def inline(self, image: Node) -> str:
        """A picture in a line of words."""
        picture = self.measured(image)
        return self._img(picture) if picture else ""

    def measured(self, image: Node, width: str = "", room: int | None = None) -> Picture | None:
        """The measured picture of an image node; None (and a problem noted) when there is none.

        `room` are the CSS pixels it may take, those of the text by default.
        """
        work = self._work
        known_attributes(image, ("src", "title", "width"), work, "a picture")
        if not image.text:
            cure = "write ![what it shows](…): readers with pictures off, and screen readers, get these words"
            work.wrong(image.place, f"the picture “{image.attrs['src']}” has no description", cure, code="alt")
        width = image.attrs.get("width", width)
        try:
            picture = load_picture(
                image.attrs["src"],
                work.issue.path.parent,
                work.newsletter.root,
                room or work.theme.content_width,
                width,
                image.text,
                image.place,
            )
        except InputError as exc:
            work.problems.extend(exc.problems)
            return None
        self.note(picture, image)
        return picture

    def note(self, picture: Picture, image: Node) -> None:
        """A picture is in the issue, written as the node `image`."""
        self._work.pictures[picture.name] = picture
        self._work.pictures_at.setdefault(picture.name, []).append(image.place)

    def address(self, picture: Picture) -> str:
        """Where a picture is shown from."""
        return picture_address(self._work.assets_base, picture.name)

    def _shown(self, node: Node, width: str) -> str:
        """An image, or a link around one."""
        picture = self.measured(_image(node), width=width)
        if picture is None:
            return ""
        html = self._img(picture)
        return f'<a href="{escape(self._link(node))}">{html}</a>' if node.kind == "link" else html

    def _img(self, picture: Picture) -> str:
        return (
            f'<img class="picture" src="{escape(self.address(picture))}" width="{picture.width}" '
            f'height="{picture.height}" alt="{escape(picture.alt)}">'
        )

    def _about(self, node: Node, kind: str) -> str:
        """What the start tag of a table of pictures says."""
        mark = source_mark(node.place) if self._work.marks else ""
        own = f' id="{escape(self._work.anchor(node.attrs["id"], node.place))}"' if "id" in node.attrs else ""
        return f'{mark} class="{kind}"{own} {_LAYOUT}'


def _image(node: Node) -> Node:
    return node.children[0] if node.kind == "link" else node
