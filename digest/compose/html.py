"""The words of an issue as article HTML: what stands inside `mj-text`, styled by the theme's style sheet.

It never passes through MJML (see `Workspace.hold`). Texts are escaped here; Jinja stands in them as tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from urllib.parse import urlsplit

from digest.compose.compiled import Link
from digest.compose.figures import Figures
from digest.compose.highlight import highlighted
from digest.compose.marks import source_mark
from digest.compose.workspace import Workspace, is_buttons, is_media, is_picture, is_picture_row, known_attributes
from digest.errors import nearest
from digest.issue.model import Node

SCHEMES = ("http", "https", "mailto", "tel")
LONG_WORD = 24  # letters: of two words in one row that are longer, a column each would be wider than a page
_TASKS = {"open": '<span class="tick">&#9744;</span> ', "done": '<span class="tick">&#9745;</span> '}
_CELL_LABEL = '<span class="cell-label">{}</span>'
_LONG = re.compile(rf"<[A-Za-z/!](?:\"[^\"]*\"|[^\">])*>|[^\s<]{{{LONG_WORD + 1},}}")
"""A tag, or a word that is too long for a column; a tag may hold such words too."""
_INLINE = {"strong": "strong", "em": "em", "strike": "s"}


class ArticleHtml:
    """Renders nodes for one issue. Links and pictures it meets are noted in the workspace."""

    def __init__(self, work: Workspace) -> None:
        self._work = work
        self.figures = Figures(work, self.link, self._words)

    # ---- blocks

    def blocks(self, nodes: Iterable[Node]) -> str:
        """Block nodes as HTML, conditions as markers around them."""
        return "".join(self._conditional(node) for node in nodes)

    def _conditional(self, node: Node) -> str:
        if node.kind == "statement":
            return self._work.marker(node.text)
        begin, end = self._work.condition(node)
        return f"{begin}{self._block(node)}{end}"

    def _block(self, node: Node) -> str:
        match node.kind:
            case "paragraph":
                return self._paragraph(node)
            case "heading":
                known_attributes(node, ("level",), self._work, "a heading")
                tag = f"h{min(6, max(2, int(node.attrs['level'])))}"
                return f"<{tag}{self._about(node)}>{self._words(node.children)}</{tag}>"
            case "list":
                return self._list(node)
            case "quote":
                known_attributes(node, (), self._work, "a quotation")
                return f"<blockquote{self._about(node)}>{self.blocks(node.children)}</blockquote>"
            case "table":
                return self._table(node)
            case "definitions":
                return f"<dl{self._mark(node)}>{''.join(self._definition(child) for child in node.children)}</dl>"
            case "notes":
                return "".join(self._note(note) for note in node.children)
            case "block":
                return self._inner_block(node)
        return self._leaf(node)

    def _leaf(self, node: Node) -> str:
        match node.kind:
            case "code":
                words = highlighted(node.text.rstrip(), node.attrs["info"])
                return f'<pre{self._mark(node)} class="code"><code>{words}</code></pre>'
            case "rule":
                return f'<hr{self._mark(node)} class="rule">'
            case "html":
                return node.text
        raise AssertionError(f"no such node: {node.kind}")

    def _inner_block(self, node: Node) -> str:
        """Only `only` may stand inside another block: it draws nothing of its own."""
        if node.text == "only":
            known_attributes(node, (), self._work, "only")
            return self.blocks(node.children)
        told = f"the block “{node.text}” can't stand inside another"
        self._work.wrong(node.place, told, "close the other first with “:::”", code="block")
        return ""

    def _paragraph(self, node: Node) -> str:
        if is_picture(node):
            return self.figures.alone(node)
        if is_picture_row(node):
            return self.figures.row(node)
        if is_media(node):
            return self.figures.media(node)
        if is_buttons(node):
            gap = '<td class="button-gap" width="10">&nbsp;</td>'
            cells = gap.join(self._button(link) for link in node.children if link.kind == "link")
            about = f'{self._mark(node)} class="button" role="presentation" cellpadding="0" cellspacing="0"'
            return f"<table{about}><tr>{cells}</tr></table>"
        known_attributes(node, (), self._work, "a paragraph")
        return f"<p{self._about(node)}>{self._words(node.children)}</p>"

    def _button(self, link: Node) -> str:
        cell = "button-quiet" if "quiet" in link.classes else "button-cell"
        return f'<td{self._mark(link)} class="{cell}">{self._words([link])}</td>'

    def _list(self, node: Node) -> str:
        known_attributes(node, ("ordered", "marker", "start", "tight"), self._work, "a list")
        tag = "ol" if node.attrs["ordered"] else "ul"
        start = f' start="{node.attrs["start"]}"' if node.attrs.get("start", "1") != "1" else ""
        tight = bool(node.attrs["tight"])
        items = "".join(self._item(item, tight) for item in node.children)
        return f"<{tag}{start}{self._about(node)}>{items}</{tag}>"

    def _item(self, node: Node, tight: bool) -> str:
        if node.kind == "statement":
            return self._work.marker(node.text)
        parts = [_TASKS[node.attrs["task"]]] if "task" in node.attrs else []
        parts += [
            self._words(c.children) if tight and c.kind == "paragraph" else self._conditional(c) for c in node.children
        ]
        kind = ' class="task"' if "task" in node.attrs else ""
        return f"<li{self._mark(node)}{kind}>{''.join(parts)}</li>"

    def _definition(self, node: Node) -> str:
        if node.kind == "term":
            return f"<dt{self._mark(node)}>{self._words(node.children)}</dt>"
        return f"<dd{self._mark(node)}>{self._only_inline(node.children) or self.blocks(node.children)}</dd>"

    def _only_inline(self, nodes: Sequence[Node]) -> str:
        """The words of a single plain paragraph, which need no paragraph of their own."""
        plain = len(nodes) == 1 and nodes[0].kind == "paragraph" and not nodes[0].attrs
        return self._words(nodes[0].children) if plain else ""

    def _note(self, note: Node) -> str:
        """A footnote, for those readers who get a reference to it."""
        work, number = self._work, note.attrs["number"]
        begin = end = ""
        if condition := work.note_conditions.get(number, ""):
            begin = work.statement("if", f"if {condition}", note.place)
            end = work.statement("endif", "endif", note.place)
        back = f'<a class="note-mark" href="#note-ref-{number}">{number}</a>'
        words = self._only_inline(note.children) or self.blocks(note.children)
        return f'{begin}<p{self._mark(note)} class="note" id="note-{number}">{back}&#160; {words}</p>{end}'

    def _table(self, node: Node) -> str:
        known_attributes(node, (), self._work, "a table")
        titles = node.children[0].children
        labels = [_CELL_LABEL.format(self.inline(c.children)) for c in titles] if "stack" in node.classes else []
        head, *below = node.children
        body = "".join(self._body_row(row, labels) for row in below)
        classes = " ".join(("data", *node.classes))
        return (
            f'<table{self._mark(node)} class="{classes}"{self._id(node)} cellpadding="0" cellspacing="0">'
            f"<thead>{self._row(head, 'th')}</thead><tbody>{body}</tbody></table>"
        )

    def _body_row(self, row: Node, labels: Sequence[str]) -> str:
        return self._work.marker(row.text) if row.kind == "statement" else self._row(row, "td", labels)

    def _row(self, row: Node, tag: str, labels: Sequence[str] = ()) -> str:
        """A row; with `labels`, each cell carries its column's title, shown where a phone stacks the cells."""
        scope = ' scope="col"' if tag == "th" else ""
        start = "right" if self._work.direction == "rtl" else "left"
        cells = [
            f'<{tag}{scope} align="{c.attrs["align"] or start}">{label}{self._cell(c.children)}</{tag}>'
            for c, label in zip(row.children, labels or [""] * len(row.children), strict=True)
        ]
        return f"<tr{self._mark(row)}>{''.join(cells)}</tr>"

    def _cell(self, nodes: Sequence[Node]) -> str:
        """The words of a cell: its long ones may be broken anywhere, so that a table is no wider than its page."""

        def breaking(found: re.Match[str]) -> str:
            whole = found[0].startswith("<") or self._work.table.prefix in found[0]
            return found[0] if whole else f'<span class="long-word">{found[0]}</span>'

        return _LONG.sub(breaking, self._words(nodes))

    def _id(self, node: Node) -> str:
        if "id" not in node.attrs:
            return ""
        return f' id="{escape(self._work.anchor(node.attrs["id"], node.place))}"'

    def _mark(self, node: Node) -> str:
        """In the twin, where the node was written."""
        return source_mark(node.place) if self._work.marks else ""

    def _about(self, node: Node) -> str:
        """What an element's start tag says of its node."""
        return f"{self._mark(node)}{self._id(node)}{_class(node)}"

    # ---- inline

    def inline(self, nodes: Sequence[Node]) -> str:
        """Inline nodes as HTML, for an element that is the theme's."""
        words = self._words(nodes)
        return f"{self._work.place_token(nodes[0].place)}{words}" if words else ""

    def _words(self, nodes: Iterable[Node]) -> str:
        return "".join(self._inline(node) for node in nodes)

    def _inline(self, node: Node) -> str:
        match node.kind:
            case "text":
                return escape(node.text, quote=False)
            case "softbreak":
                return "\n"
            case "break":
                return "<br>\n"
            case "html":
                return node.text
            case "note_ref":
                number = node.attrs["number"]
                return f'<sup class="note-ref"><a id="note-ref-{number}" href="#note-{number}">{number}</a></sup>'
            case "code_span":
                known_attributes(node, (), self._work, "code")
                return f'<code class="code">{escape(node.text, quote=False)}</code>'
            case "image":
                return self.figures.inline(node)
            case "link":
                return self._link(node)
            case kind:
                tag = _INLINE[kind]
                return f"<{tag}>{self._words(node.children)}</{tag}>"

    def _link(self, node: Node) -> str:
        known_attributes(node, ("href", "title"), self._work, "a link")
        begin, end = self._work.condition(node)
        title = f' title="{escape(node.attrs["title"])}"' if node.attrs["title"] else ""
        opening = f'<a{self._id(node)}{_class(node)} href="{escape(self.link(node))}"{title}>'
        return f"{begin}{opening}{self._words(node.children)}</a>{end}"

    def link(self, node: Node) -> str:
        """The address a link node leads to, checked and noted; Jinja in it stays as tokens."""
        work, href = self._work, node.attrs["href"]
        if not href:
            work.wrong(node.place, f"the link “{node.plain}” leads nowhere", code="link")
        elif href.startswith("issue:"):
            href = self._issue_link(node, href.removeprefix("issue:"))
        elif not href.startswith(("#", work.table.prefix)):  # a value that is a whole address is checked when merged
            self._check_scheme(node, href)
        work.links.append(Link(href, node.plain, node.place))
        return href

    def _issue_link(self, node: Node, slug: str) -> str:
        slugs = self._work.newsletter.issue_files()
        if slug not in slugs:
            self._work.wrong(node.place, f"there is no issue “{slug}”", nearest(slug, slugs), code="link")
        address = f"{self._work.newsletter.settings.newsletter.base_url}/{slug}"
        self._work.resolved[f"issue:{slug}"] = address
        return address

    def _check_scheme(self, node: Node, href: str) -> None:
        scheme = urlsplit(href).scheme.lower() if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", href) else ""
        if scheme not in SCHEMES:
            cure = f"did you mean https://{href}?" if not scheme and "." in href.split("/", maxsplit=1)[0] else ""
            cure = cure or "an email has no page of its own: write the whole address, https://…"
            self._work.wrong(node.place, f"the link “{href}” can't be followed from an email", cure, code="link")


def _class(node: Node) -> str:
    return f' class="{escape(" ".join(node.classes))}"' if node.classes else ""
