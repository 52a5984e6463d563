"""MJML as a tree with places: a small scanner that takes anything and reports what is not well-formed.

The content of *ending* tags (mj-text, mj-button, mj-raw and the like) is HTML and stays one string. Time is linear
in the length of the input, nothing is recursive.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from digest.errors import Place, Problem, Severity

SCHEMA: Mapping[str, Mapping[str, Any]] = json.loads(Path(__file__).with_name("schema.json").read_text("utf-8"))
"""The components of MJML 5: attributes with their types, defaults, allowed children."""

ENDING = frozenset(tag for tag, about in SCHEMA.items() if about["ending"]) | {"mj-html-attribute"}
WORDLESS = frozenset(("mj-carousel-image", "mj-breakpoint"))
"""Ending tags that draw nothing of what they hold."""
_VOID_NAMES = "area base br col embed hr img input link meta param source track wbr"
VOID = frozenset(_VOID_NAMES.split())
DEEPEST = 200
"""Nesting beyond this is refused: lxml gives up at 256, MRML dies at about 10,000."""
MOST_PROBLEMS = 200
"""The rest is not listed: a file with so many is of another kind, and a list of them helps no one."""

NAME = re.compile(r"[A-Za-z][^\s/>\"'=<]*+")
_ATTRIBUTE = re.compile(r"([^\s=>/\"'<]++)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'>=<]++)))?+")
_BLANK = re.compile(r"[\s/]*+")
_STAMP = re.compile(r"at-(\d{1,6})-(\d{1,9})")


def stamp(text: str, number: int) -> str:
    """A theme's file with the line of every MJML tag beside its name, as an attribute that survives Jinja.

    `number` is the file's index in what is given to `parse_mjml` as `files`.

    >>> stamp("<mj-section>\\n<mj-column/>", 2)
    '<mj-section at-2-1>\\n<mj-column at-2-2/>'
    """
    lines = text.split("\n")
    stamped = (re.sub(r"<mj-[\w-]+", rf"\g<0> at-{number}-{n}", line) for n, line in enumerate(lines, 1))
    return "\n".join(stamped)


@dataclass(slots=True)
class Element:
    """A tag with what it holds. `content` is the HTML of an ending tag. Offsets are those in the source."""

    tag: str
    attributes: dict[str, str]
    at: int = 0
    offsets: dict[str, int] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)
    content: str = ""
    content_at: int = 0
    width: float = 0.0  # px inside, once it is laid out

    @property
    def elements(self) -> list[Element]:
        """The children without the text between them."""
        return [child for child in self.children if isinstance(child, Element)]

    def walk(self) -> Iterator[Element]:
        """This element and all below it, in the order of the document."""
        waiting = [self]
        while waiting:
            element = waiting.pop()
            yield element
            waiting.extend(reversed(element.elements))

    def find(self, tag: str) -> Element | None:
        """The first child with that tag."""
        return next((child for child in self.elements if child.tag == tag), None)

    def written(self) -> str:
        """As MJML that every parser reads alike: quoted attributes, nothing between tags but what stands there."""
        out: list[str] = []
        waiting: list[Element | str] = [self]
        while waiting:
            item = waiting.pop()
            if isinstance(item, str):
                out.append(item)
                continue
            attributes = "".join(f' {name}="{_plain(value)}"' for name, value in item.attributes.items())
            out.append(f"<{item.tag}{attributes}>")
            waiting.append(f"</{item.tag}>")
            waiting.extend(reversed([item.content] if item.tag in ENDING else item.children))
        return "".join(out)


def _plain(value: str) -> str:
    # MRML prints attribute values in Rust's debug format: keep them plain ASCII on one line.
    line = " ".join(value.split())
    return "".join(c if " " <= c <= "~" and c not in '\\"<>' else f"&#{ord(c)};" for c in line)


@dataclass(slots=True)
class Problems:
    """What was found, up to a number that someone will read."""

    found: list[Problem] = field(default_factory=list)

    def add(self, place: Place, message: str, cure: str = "", severity: Severity = "error") -> None:
        """Note one. A warning is for what has no effect, here as in every other MJML renderer."""
        if len(self.found) < MOST_PROBLEMS:
            self.found.append(Problem(place, message, cure, severity, code="mjml"))

    @property
    def full(self) -> bool:
        """Whether no more are taken."""
        return len(self.found) >= MOST_PROBLEMS


class Source:
    """A text and the places in it. Stamps of theme files, where there are any, win over the text's own lines."""

    def __init__(self, text: str, place: Place, files: Sequence[str] = ()) -> None:
        self.text = text
        self.file = place.file
        self.files = files
        self.stamps: list[tuple[int, Place]] = []

    @cached_property
    def lower(self) -> str:
        """The text in lower case, letter by letter in the same positions."""
        # str.lower() may lengthen a text (İ): only ASCII letters matter to tags.
        return self.text.translate({n: n + 32 for n in range(65, 91)})

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(m.end() for m in re.finditer("\n", self.text))]

    def line(self, offset: int) -> int:
        """The 1-based line of the text itself."""
        return bisect_right(self._starts, offset)

    def at(self, offset: int) -> Place:
        """Where an offset was written."""
        number = bisect_right(self.stamps, offset, key=lambda s: s[0])
        if number:
            begin, place = self.stamps[number - 1]
            return place.at(place.line + self.line(offset) - self.line(begin))
        line = self.line(offset)
        return Place(self.file, line, offset - self._starts[line - 1] + 1)

    def stamped(self, offset: int, name: str) -> bool:
        """Take note of a stamp; False for any other attribute."""
        if not self.files or not (found := _STAMP.fullmatch(name)):
            return False
        if int(found[1]) < len(self.files) and (not self.stamps or offset > self.stamps[-1][0]):
            self.stamps.append((offset, Place(self.files[int(found[1])], int(found[2]))))
        return True


@dataclass(slots=True)
class _Tag:
    """A start tag as it stands in a text."""

    name: str
    attributes: dict[str, str]
    offsets: dict[str, int]
    end: int
    closed: bool  # written <x/>


class _Scanner:
    def __init__(self, source: Source, problems: Problems) -> None:
        self.source = source
        self.text = source.text
        self.problems = problems
        self.open: list[Element] = []
        self.roots: list[Element] = []
        self.never_closed: set[str] = set()

    def scan(self) -> list[Element]:
        at = 0
        while at < len(self.text) and not self.problems.full:
            less = self.text.find("<", at)
            if less != at:
                self._put(self.text[at : less if less >= 0 else None])
            if less < 0:
                break
            at = self._markup(less)
        for element in reversed(self.open):
            self._unclosed(element, "never closed")
        return self.roots

    def _unclosed(self, element: Element, how: str) -> None:
        tag = shown(element.tag)
        self.problems.add(self.source.at(element.at), f"<{tag}> is {how}", f"write </{tag}>")

    def _put(self, child: Element | str) -> None:
        if self.open:
            self.open[-1].children.append(child)
        elif isinstance(child, Element):
            self.roots.append(child)

    def _markup(self, at: int) -> int:
        """What begins with “<” at `at`; the offset after it."""
        text = self.text
        if text.startswith("<!--", at):
            return self._comment(at)
        if text.startswith(("<!", "<?"), at):
            end = text.find(">", at)
            return end + 1 if end >= 0 else len(text)
        closing = text.startswith("/", at + 1)
        name = NAME.match(text, at + 1 + closing)
        if not name:
            self.problems.add(self.source.at(at), "a lone “<”", "write &lt;")
            return at + 1
        return self._end_tag(at, name) if closing else self._start_tag(at)

    def _comment(self, at: int) -> int:
        end = self.text.find("-->", at + 4)
        if end < 0:
            self.problems.add(self.source.at(at), "the comment is never closed", "write -->")
            return len(self.text)
        if self.text.startswith("<!--[if", at):  # Outlook's own markup; other comments are the author's
            self._put(self.text[at : end + 3])
        return end + 3

    def _end_tag(self, at: int, name: re.Match[str]) -> int:
        tag = name[0].lower()
        depth = next((n for n in range(len(self.open) - 1, -1, -1) if self.open[n].tag == tag), None)
        if depth is None:
            self.problems.add(self.source.at(at), f"</{shown(tag)}> closes nothing")
        else:
            for element in reversed(self.open[depth + 1 :]):
                self._unclosed(element, f"not closed before </{shown(tag)}>")
            del self.open[depth:]
        end = self.text.find(">", name.end())
        return end + 1 if end >= 0 else len(self.text)

    def _start_tag(self, at: int) -> int:
        tag = read_tag(self.source, at, self.problems)
        element = Element(tag.name, tag.attributes, at, tag.offsets)
        self._put(element)
        if tag.closed or (tag.name in VOID):
            return tag.end
        if tag.name in ENDING:
            return self._ending(element, tag.end)
        if len(self.open) >= DEEPEST:
            self.problems.add(self.source.at(element.at), f"tags are nested more than {DEEPEST} deep")
            self.open.clear()
            return len(self.text)
        self.open.append(element)
        return tag.end

    def _ending(self, element: Element, begin: int) -> int:
        """The content of an ending tag, up to its end tag."""
        closing = f"</{element.tag}"
        end = self.source.lower.find(closing, begin) if element.tag not in self.never_closed else -1
        if end < 0:
            self.never_closed.add(element.tag)
            self._unclosed(element, "never closed")
            return begin
        element.content, element.content_at = self.text[begin:end], begin
        after = self.text.find(">", end)
        return after + 1 if after >= 0 else len(self.text)


def shown(word: str) -> str:
    """A word of the input as a message shows it."""
    return word if len(word) <= 40 else f"{word[:40]}…"


def read_tag(source: Source, at: int, problems: Problems) -> _Tag:
    """The start tag at `at`. Doubled attributes and open quotes are noted."""
    text = source.text
    name = NAME.match(text, at + 1)
    tag = _Tag(name[0].lower() if name else "", {}, {}, name.end() if name else at + 1, closed=False)
    while True:
        here = tag.end = _BLANK.match(text, tag.end).end()  # type: ignore[union-attr] # matches the empty string
        if here >= len(text) or text[here] == "<":
            problems.add(source.at(at), f"<{shown(tag.name)} is not closed with “>”")
            return tag
        if text[here] == ">":
            tag.end, tag.closed = here + 1, text[here - 1] == "/"
            return tag
        found = _ATTRIBUTE.match(text, here)
        if not found or (found[2] is found[3] is found[4] is None and text.startswith("=", found.end())):
            _broken_attribute(source, here, tag, problems)
            return tag
        _take(source, found, at, tag, problems)
        tag.end = found.end()


def _broken_attribute(source: Source, here: int, tag: _Tag, problems: Problems) -> None:
    told = f"the attributes of <{shown(tag.name)}> can't be read from here on"
    problems.add(source.at(here), told, 'write name="value", with both quotes')
    end = source.text.find(">", here)
    tag.end = end + 1 if end >= 0 else len(source.text)


def _take(source: Source, found: re.Match[str], at: int, tag: _Tag, problems: Problems) -> None:
    name, value = found[1], found[2] if found[2] is not None else found[3] if found[3] is not None else found[4]
    if value is None and source.stamped(at, name):
        return
    if name in tag.attributes:
        told = f"<{shown(tag.name)}> has “{shown(name)}” twice"
        problems.add(source.at(found.start()), told, "the first one holds: take this out", "warning")
        return
    tag.attributes[name] = value or ""
    tag.offsets[name] = found.start()


def parse_mjml(text: str, place: Place, files: Sequence[str] = ()) -> tuple[Source, list[Element], Problems]:
    """Read a document. Gives its source, what stands at its top (a good document has one root), and what is wrong.

    `files` are the names that stamps refer to. Never raises.
    """
    source, problems = Source(text, place, files), Problems()
    return source, _Scanner(source, problems).scan(), problems
