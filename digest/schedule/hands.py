"""Writing a date into an issue, and taking it out: `send_at` and `status`, and not one byte more.

Comments, quotes, line ends and a byte order mark stay as they are. What is written is read back before it takes
the file's place, so that front matter of a shape that can't be edited safely is refused, not spoilt.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from digest.errors import InputError, LaterError, Place, Problem
from digest.files import replace_file
from digest.issue.frontmatter import read_front_matter, split_front_matter
from digest.issue.model import FrontMatter
from digest.newsletter import Newsletter
from digest.schedule.planned import moment_of
from digest.schedule.when import Moment

_BOM = "\ufeff"


def set_schedule(newsletter: Newsletter, file: Path, when: datetime) -> Moment:
    """Let the issue in `file` be due at the wall time `when` (naive), in its own zone or the newsletter's.

    Writes `send_at` and ``status: ready``; returns the moment that is. Raises `InputError` where the front
    matter can't be read or edited, `LaterError` where somebody saved the file meanwhile.
    """
    if when.tzinfo is not None:
        raise ValueError("a wall time has no zone of its own")
    written = when.replace(microsecond=0)
    text = written.isoformat(" ", "seconds" if written.second else "minutes")
    front = _write(newsletter, file, {"send_at": text, "status": "ready"})
    return moment_of(newsletter, front, written)


def unset_schedule(newsletter: Newsletter, file: Path) -> None:
    """Let the issue in `file` be due at no time: `send_at` is taken out, and the issue is a draft again.

    Raises as `set_schedule` does.
    """
    _write(newsletter, file, {"send_at": None, "status": "draft"})


def _write(newsletter: Newsletter, file: Path, values: dict[str, str | None]) -> FrontMatter:
    place = Place(newsletter.shown(file))
    before = file.read_bytes()
    try:
        editor = _Editor.of(before.decode(), place)
    except UnicodeDecodeError:
        raise InputError(Problem(place, "not UTF-8", "save the file as UTF-8", code="encoding")) from None
    old = _read(editor, place)
    for key, value in values.items():
        editor.remove(key) if value is None else editor.put(key, value)
    after = editor.text.encode()
    front = _read(_Editor.of(after.decode(), place), place)
    _same_but_for_the_date(old, front, values, place)
    if file.read_bytes() != before:
        raise LaterError(f"{place}: was saved by somebody else just now; nothing was changed, try again")
    if after != before:
        replace_file(file, after)
    return front


def _read(editor: _Editor, place: Place) -> FrontMatter:
    front, problems = read_front_matter(editor.source, place.at(2))
    # What is wrong with the two fields that are written anew is no matter.
    standing = [p for p in problems if not p.message.startswith(("send_at: ", "status: "))]
    if standing:
        raise InputError(standing)
    return front


def _same_but_for_the_date(old: FrontMatter, new: FrontMatter, values: dict[str, str | None], place: Place) -> None:
    wished = values["send_at"]
    untouched = replace(new, send_at=old.send_at, status=old.status, places=old.places) == old
    written = new.send_at.isoformat(" ") if new.send_at else None
    if untouched and new.status == values["status"] and written in (wished, wished and f"{wished}:00"):
        return
    lines = ", ".join(f"“{key}: {value}”" for key, value in values.items() if value)
    raise InputError(Problem(place, "this front matter can't be edited safely", f"write {lines} yourself", code="yaml"))


@dataclass(slots=True)
class _Editor:
    """The text of an issue, with its front matter open for changes: `source` is as the parser reads it."""

    text: str
    place: Place
    source: str = ""
    _start: int = 0
    _breaks: tuple[int, ...] = ()

    @classmethod
    def of(cls, text: str, place: Place) -> _Editor:
        editor = cls(text, place)
        editor._open()
        return editor

    def _open(self) -> None:
        bom = len(_BOM) if self.text.startswith(_BOM) else 0
        plain = self.text[bom:].replace("\r\n", "\n").replace("\r", "\n")
        parts = split_front_matter(plain)
        if parts is None:
            cure = "begin the file with “---”, a line “subject: …”, and “---”"
            raise InputError(Problem(self.place.at(1), "the issue has no front matter", cure, code="front-matter"))
        self.source = parts[0] + "\n" if parts[1] > 2 else ""
        raw = self.text[bom:]
        # Where in the plain text a line break has lost its second character.
        pairs: list[int] = []
        at = raw.find("\r\n")
        while at >= 0:
            pairs.append(at - len(pairs) + 1)
            at = raw.find("\r\n", at + 2)
        self._breaks = tuple(pairs)
        self._start = bom

    def put(self, key: str, value: str) -> None:
        """Set a field: its value alone where it has one, else a line at the end of the front matter."""
        for name, node in self._fields():
            if name.value == key:
                self._replace(node.start_mark.index, node.end_mark.index, _in_style(node, value, self.source))
                return
        end = len(self.source)
        self._replace(end, end, f"{key}: {value}{self._line_end()}")

    def remove(self, key: str) -> None:
        """Take a field out: its line, or only its value where the line holds a comment as well."""
        for name, node in self._fields():
            if name.value != key:
                continue
            end = node.end_mark.index
            rest = self.source[end:].split("\n", 1)[0]
            if rest.strip():
                self._replace(node.start_mark.index, end, "")
            else:
                whole = end if self.source[:end].endswith("\n") else end + len(rest) + 1
                self._replace(name.start_mark.index - name.start_mark.column, whole, "")
            return

    def _fields(self) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
        try:
            root: Any = yaml.compose(self.source, Loader=yaml.BaseLoader)
        except yaml.YAMLError:  # what was just written does not fit what stands there
            root = yaml.ScalarNode("", "")
        if root is None:
            return []
        if not isinstance(root, yaml.MappingNode) or root.flow_style:
            cure = "write “key: value” lines"
            raise InputError(
                Problem(self.place.at(2), "the front matter is not written line by line", cure, code="yaml")
            )
        fields: list[tuple[yaml.ScalarNode, yaml.Node]] = root.value
        return fields

    def _replace(self, start: int, end: int, new: str) -> None:
        first, last = self._raw(start), self._raw(end)
        self.text = self.text[:first] + new + self.text[last:]
        self._open()

    def _raw(self, index: int) -> int:
        """Where in the text the character `index` of the source stands."""
        plain = self.text.find("\n", 0)  # the line “---” may carry blanks
        carriage = self.text.find("\r")
        first_break = min(p for p in (plain, carriage) if p >= 0) - self._start
        inside = first_break + 1 + index
        return self._start + inside + bisect_right(self._breaks, inside)

    def _line_end(self) -> str:
        first = self.text.split("\n", 1)[0]
        if first.endswith("\r"):
            return "\r\n"
        return "\r" if "\r" in first else "\n"


def _in_style(node: yaml.Node, value: str, source: str) -> str:
    """`value` in the quotes there were."""
    style = node.style if isinstance(node, yaml.ScalarNode) else None
    if style in ('"', "'"):
        return f"{style}{value}{style}"
    if (
        node.start_mark.index == node.end_mark.index
        and source[node.start_mark.index - 1 : node.start_mark.index] == ":"
    ):
        return f" {value}"
    return value + ("\n" if source[: node.end_mark.index].endswith("\n") else "")
