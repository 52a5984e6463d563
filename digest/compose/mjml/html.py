"""The HTML in MJML's ending tags: whether it is balanced."""

from __future__ import annotations

import re

from digest.compose.mjml.tree import DEEPEST, NAME, VOID, Element, Problems, Source, read_tag, shown
from digest.errors import Severity

RAW_TEXT = frozenset(("style", "script", "title", "textarea", "xmp", "iframe", "noframes"))
_OPTIONAL_END_NAMES = "p li dt dd td th tr tbody thead tfoot colgroup caption option optgroup rt rp"
OPTIONAL_END = frozenset(_OPTIONAL_END_NAMES.split())
_FORMATTING_NAMES = "a abbr b big code em font i mark s small span strong sub sup u"
FORMATTING = frozenset(_FORMATTING_NAMES.split())
"""Left open inside a cell they reach no further than it."""

_TAG_IN_HTML = re.compile(r"<(?:!--|/?[A-Za-z])")


def check_html(source: Source, element: Element, problems: Problems) -> None:
    """See that the HTML in an ending tag is balanced: what it leaves open would swallow what follows."""
    _HtmlCheck(source, element, problems).run()


class _HtmlCheck:
    def __init__(self, source: Source, element: Element, problems: Problems) -> None:
        self.source, self.problems, self.owner = source, problems, element
        self.at, self.end = element.content_at, element.content_at + len(element.content)
        self.open: list[tuple[str, int]] = []

    def run(self) -> None:
        while (found := _TAG_IN_HTML.search(self.source.text, self.at, self.end)) and not self.problems.full:
            begin = found.start()
            if found[0] == "<!--":
                end = self.source.text.find("-->", begin + 4, self.end)
                if end < 0:
                    self.problems.add(self.source.at(begin), "the comment is never closed", "write -->")
                    return
                self.at = end + 3
            elif found[0][1] == "/":
                self._end_tag(begin)
            elif not self._start_tag(begin):
                return
        self._leave(0, f"</{self.owner.tag}>")

    def _severity(self, tag: str) -> Severity:
        return "warning" if tag in FORMATTING and self.owner.tag != "mj-raw" else "error"

    def _leave(self, depth: int, before: str) -> None:
        for name, offset in self.open[depth:]:
            if name not in OPTIONAL_END:
                told = f"<{shown(name)}> is not closed before {before}"
                self.problems.add(self.source.at(offset), told, f"write </{shown(name)}>", self._severity(name))
        del self.open[depth:]

    def _end_tag(self, begin: int) -> None:
        name = NAME.match(self.source.text, begin + 2)
        tag = name[0].lower() if name else ""
        end = self.source.text.find(">", begin, self.end)
        self.at = end + 1 if end >= 0 else self.end
        # p and br: browsers make an element of a lone end tag.
        depth = next((n for n in range(len(self.open) - 1, -1, -1) if self.open[n][0] == tag), None)
        if depth is None:
            self.problems.add(self.source.at(begin), f"</{shown(tag)}> closes nothing", "", self._severity(tag))
            return
        self._leave(depth + 1, f"</{shown(tag)}>")
        self.open.pop()

    def _start_tag(self, begin: int) -> bool:
        tag = read_tag(self.source, begin, self.problems)
        self.at = min(tag.end, self.end)
        if tag.name.startswith("mj-") or tag.name == "mjml":
            told = f"<{shown(tag.name)}> can't stand in <{self.owner.tag}>, which holds HTML"
            self.problems.add(self.source.at(begin), told, f"is </{self.owner.tag}> missing before it?")
        elif tag.name in RAW_TEXT:
            end = self.source.lower.find(f"</{tag.name}", self.at, self.end)
            if end < 0:
                self.problems.add(self.source.at(begin), f"<{tag.name}> is never closed", f"write </{tag.name}>")
                return False
            after = self.source.text.find(">", end, self.end)
            self.at = after + 1 if after >= 0 else self.end
        elif tag.name not in VOID and not (tag.closed and ":" in tag.name):  # HTML closes no <div/>
            self.open.append((tag.name, begin))
            if len(self.open) > DEEPEST:
                self.problems.add(self.source.at(begin), f"tags are nested more than {DEEPEST} deep")
                return False
        return True
