"""The plain-text part, made from the written issue itself, never from its HTML.

Static paragraphs are wrapped at 72 columns; one that holds a value or a condition stays one line, since nobody
knows its length yet. Conditions are statement tokens glued to the text they govern, so that nothing is left of a
block that a reader does not get.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import date

from digest.compose.items import Entry, Split, heading_link, split_items
from digest.compose.lines import WIDTH, filled, html_words, padded, prefixed, width_of
from digest.compose.theme import Kind
from digest.compose.words import words_in
from digest.compose.workspace import Workspace, is_buttons, is_media, is_picture, is_picture_row
from digest.issue.model import Node

_PAUSE = "* * *\n\n"


class PlainText:
    """Renders nodes for one issue. Links come out as the HTML has them, checked there already."""

    def __init__(self, work: Workspace, contents: Sequence[Entry]) -> None:
        self._work = work
        self._contents = contents
        self._words = words_in(work.language)

    def letter(self, nodes: Iterable[Node], opening: str, closing: str) -> str:
        """The whole part: `opening` (the masthead), the issue, `closing` (the way out)."""
        body = self._blocks(nodes)
        return f"{opening}\n\n{body.removesuffix(_PAUSE)}{closing}\n"  # the closing begins with one

    # ---- blocks: each piece ends with an empty line, statements add nothing of their own

    def _blocks(self, nodes: Iterable[Node], indent: str = "") -> str:
        return "".join(self._conditional(node, indent) for node in nodes)

    def _conditional(self, node: Node, indent: str) -> str:
        if node.kind == "statement":
            return "".join(node.text.split())
        begin, end = self._condition(node)
        return f"{begin}{self._block(node, indent)}{end}"

    def _condition(self, node: Node) -> tuple[str, str]:
        return self._work.condition(node)

    def _block(self, node: Node, indent: str) -> str:
        match node.kind:
            case "block":
                return self._kind(node)
            case "paragraph":
                return self._paragraph(node, indent)
            case "heading":
                return self._heading(node)
            case "list":
                return f"{self._list(node, indent)}\n"
            case "quote":
                return prefixed(self._blocks(node.children), "> ", self._work) + "\n"
            case "code":
                return textwrap.indent(node.text.rstrip("\n"), f"{indent}    ") + "\n\n"
            case "table":
                return f"{self._table(node)}\n"
            case "rule":
                return _PAUSE
            case "html":
                words = self._wrapped(html_words(node.text), indent, indent)
                return f"{words}\n\n" if words.strip() else ""
            case "definitions":
                return self._definitions(node, indent)
            case "notes":
                return "".join(self._note(note) for note in node.children)
        raise AssertionError(f"no such node: {node.kind}")

    def _kind(self, node: Node) -> str:
        """A block of the theme: its own few lines above what stands in it."""
        if node.text == "only":
            return self._blocks(node.children)
        kind = self._work.theme.kinds.get(node.text)
        if kind is None:
            return ""
        if kind.from_source("contents") and not any(child.kind != "heading" for child in node.children):
            return self._contents_list(node)
        if kind.from_source("items"):
            return self._items(node)
        if kind.from_source("list"):
            return self._blocks([c for c in node.children if c.kind != "list"]) + self._answers(node)
        if kind.from_source("html") or kind.from_source("mjml"):
            codes = (child for child in node.children if child.kind == "code")
            return "".join(f"{self._wrapped(html_words(code.text), '', '')}\n\n" for code in codes)
        if not node.children:
            return "" if kind.fields else _PAUSE  # a kind without fields is a pause
        return self._signed(node, kind)

    def _signed(self, node: Node, kind: Kind) -> str:
        """A block with the name of who wrote it under its heading, or of who paid for it above."""
        by, first = node.attrs.get("by", ""), node.children[0]
        declared = kind.fields.get("by")
        if not by or declared is None:
            return self._blocks(node.children)
        if declared.type != "author":
            disclosed = self._words.get(kind.name, kind.name.capitalize())
            return f"[{disclosed}: {by}]\n\n{self._blocks(node.children)}"
        name = f"{self._words['by']} {self._work.author_name(by)}\n\n"
        if first.kind != "heading":
            return name + self._blocks(node.children)
        return self._blocks([first]) + name + self._blocks(node.children[1:])

    def _contents_list(self, node: Node) -> str:
        heading = next((c for c in node.children if c.kind == "heading"), None)
        title = self._heading(heading) if heading else f"{self._words['contents']}:\n\n"
        lines = "".join(f"{e.begin}- {e.text}\n{e.end}" for e in self._contents)
        return f"{title}{lines}\n"

    def _items(self, node: Node) -> str:
        split = split_items(node.children)
        out = [self._blocks(split.lead)]
        numbers = self._numbers(node, split)
        for (head, content, before, after), (count, number) in zip(split.items, numbers, strict=True):
            begin, end = self._condition(head)
            opening = self._blocks(before) + begin + count
            closing = end + self._blocks(after)
            link = heading_link(head)
            indent = "  " if number == "*" else "   "
            words = self._inline(link.children if link else head.children)
            # The number may be one that is counted when merged: it is as wide as a digit.
            title = self._wrapped(f"{self._item_label(node, head)}{words}", indent, indent)
            title = title.replace(indent, f"{number} ", 1)
            url = f"{indent}{self._url(link)}\n" if link else ""
            body = self._blocks(content, indent)
            out.append(f"{opening}{title}\n{url}{body or chr(10)}{closing}")
        return "".join(out)

    def _item_label(self, block: Node, head: Node) -> str:
        """What stands over an item's title in the HTML: its label, or its day where days are shown."""
        if label := head.attrs.get("label", ""):
            return f"{label}: "
        written = head.attrs.get("date", "")
        with suppress(ValueError):  # told where the HTML is made
            if written and "dated" in block.classes:
                return f"{self._work.long_date(date.fromisoformat(written))}: "
        return ""

    def _numbers(self, node: Node, split: Split) -> Iterator[tuple[str, str]]:
        """For each item the statements that count it, and the mark it begins with."""
        for number, _ in enumerate(split.items, start=1):
            if "numbered" not in node.classes:
                yield "", "*"
            elif split.conditional:
                count, shown = self._work.counter(node.place, number)
                yield count, f"{shown}."
            else:
                yield "", f"{number}."

    def _answers(self, node: Node) -> str:
        """A list whose lines lead somewhere; one address for all that are answered by mail."""
        out, reply = [], ""
        for child in node.children:
            if child.kind != "list":
                continue
            for item in child.children:
                paragraph = item.children[0] if item.children else item
                link = heading_link(paragraph)
                words = self._inline(link.children if link else paragraph.children)
                url = f"<{self._url(link)}>" if link else ""
                reply = reply or ("" if link else self._work.answer_link(node, item).partition("?")[0])
                line = f"- {words} {url}".rstrip()
                out.append(f"{line}\n" if width_of(line) <= WIDTH else f"- {words}\n  {url}\n")
        if reply:
            out.append(f"\n{self._words['reply']}: <{reply}>\n")
        return "".join(out) + "\n" if out else ""

    def _heading(self, node: Node) -> str:
        words = self._inline(node.children)
        line = {"1": "=", "2": "-"}.get(node.attrs["level"], "")
        begin = f"{words.upper()}\n" if line and not self._has_token(words) else f"{words}\n"
        return f"{begin}{line * min(WIDTH, width_of(words))}\n\n" if line else f"{words}\n\n"

    def _paragraph(self, node: Node, indent: str) -> str:
        if is_picture(node):
            link = node.children[0] if node.children[0].kind == "link" else None
            image = link.children[0] if link else node.children[0]
            words = ": ".join(filter(None, (image.attrs["title"].rstrip(".:"), image.text)))
            lines = [self._wrapped(f"[{words}]", indent, indent)] if words else []
            lines += [f"{indent}<{self._url(link)}>"] if link else []
            return "\n".join(lines) + "\n\n" if lines else ""
        if is_picture_row(node) or is_media(node):
            return self._pictures(node, indent)
        if is_buttons(node):
            lines = [
                f"{indent}{self._inline(c.children)}:\n{indent}{self._url(c)}\n"
                for c in node.children
                if c.kind == "link"
            ]
            return "".join(lines) + "\n"
        return f"{self._wrapped(self._inline(node.children), indent, indent)}\n\n"

    def _pictures(self, node: Node, indent: str) -> str:
        """Each picture's description on a line of its own, then the words beside it."""
        alone = [c for c in node.children if c.kind == "image" or is_picture(Node("paragraph", c.place, children=(c,)))]
        words = [c for c in node.children if c not in alone]
        pieces = [self._paragraph(Node("paragraph", c.place, children=(c,)), indent) for c in alone]
        rest = self._inline(words).strip()
        return "".join(pieces) + (f"{self._wrapped(rest, indent, indent)}\n\n" if rest else "")

    def _list(self, node: Node, indent: str) -> str:
        out = []
        number = int(node.attrs.get("start", "1"))
        for item in node.children:
            if item.kind == "statement":
                out.append("".join(item.text.split()))
                continue
            mark = f"{number}. " if node.attrs["ordered"] else "- "
            mark += {"open": "[ ] ", "done": "[x] ", "": ""}[item.attrs.get("task", "")]
            number += 1
            inner = indent + " " * len(mark)
            first, *rest = item.children or (Node("paragraph", item.place),)
            words = self._inline(first.children) if first.kind == "paragraph" else ""
            body = self._wrapped(words, indent + mark, inner) + "\n"
            if first.kind != "paragraph":
                rest = [first, *rest]
            below = self._blocks(rest, inner)
            out.append(body + (below.rstrip("\n") + "\n" if below else ""))
        return "".join(out)

    def _definitions(self, node: Node, indent: str) -> str:
        out = []
        for child in node.children:
            if child.kind == "term":
                out.append(f"{indent}{self._inline(child.children)}\n")
            else:
                out.append(self._blocks(child.children, f"{indent}    "))
        return "".join(out)

    def _note(self, note: Node) -> str:
        mark = f"[{note.attrs['number']}] "
        body = self._blocks(note.children, " " * len(mark))
        piece = mark + body[len(mark) :]
        condition = self._work.note_conditions.get(note.attrs["number"], "")
        if not condition:
            return piece
        begin = self._work.statement("if", f"if {condition}", note.place)
        return f"{begin}{piece}{self._work.statement('endif', 'endif', note.place)}"

    def _table(self, node: Node) -> str:
        """Aligned columns; a table too wide for that becomes one line a cell."""
        written = [[self._inline(c.children) for c in row.children] for row in node.children]
        rows = [cells for cells in written if cells]
        columns = [max(width_of(r[k]) for r in rows) for k in range(len(rows[0]))]
        aligns = [c.attrs["align"] for c in node.children[0].children]
        wide = sum(columns) + 2 * len(columns) > WIDTH or self._has_token("".join(map("".join, rows)))

        def line(cells: Sequence[str]) -> str:
            if wide:
                return "\n".join(f"{h}: {c}" for h, c in zip(rows[0], cells, strict=True)) + "\n\n"
            return "  ".join(map(padded, cells, columns, aligns)).rstrip() + "\n"

        head = "" if wide else f"{line(rows[0])}{'  '.join('-' * c for c in columns)}\n"
        below = zip(node.children[1:], written[1:], strict=True)
        return head + "".join(line(cells) if cells else "".join(row.text.split()) for row, cells in below)

    # ---- inline

    def _inline(self, nodes: Iterable[Node]) -> str:
        return "".join(self._inline_node(node) for node in nodes)

    def _inline_node(self, node: Node) -> str:
        match node.kind:
            case "text" | "code_span":
                return node.text
            case "softbreak":
                return " "
            case "break":
                return "\n"
            case "image":
                return f"[{node.text}]" if node.text else ""
            case "html":
                return html_words(node.text)
            case "note_ref":
                return f"[{node.attrs['number']}]"
            case "em":
                return f"_{self._inline(node.children)}_"
            case "link":
                begin, end = self._condition(node)
                return f"{begin}{self._link(node)}{end}"
        return self._inline(node.children)

    def _link(self, node: Node) -> str:
        words = self._inline(node.children)
        if node.attrs["href"].startswith("#"):  # a place in this same mail
            return words
        url = self._url(node)
        return f"<{url}>" if words in (url, url.removeprefix("mailto:")) else f"{words} <{url}>"

    def _url(self, node: Node) -> str:
        return self._work.resolved.get(node.attrs["href"], node.attrs["href"])

    def _has_token(self, text: str) -> bool:
        return self._work.table.prefix in text

    def _wrapped(self, text: str, first: str, rest: str) -> str:
        if self._has_token(text):
            return first + text.replace("\n", f"\n{rest}")
        lines = [filled(line, first if n == 0 else rest, rest) for n, line in enumerate(text.split("\n"))]
        return "\n".join(lines)
