"""An issue file becomes an `Issue`: front matter typed, Jinja lifted, Markdown and blocks parsed, places kept.

The order is that of the format's rules: Jinja is read first, then blocks, then Markdown. Every problem of the
file, and of the texts it includes, is found in one pass and stands in `Issue.problems`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from digest.errors import Place, Problem
from digest.issue.frontmatter import read_front_matter, split_front_matter
from digest.issue.jinja import TagTable, lift
from digest.issue.limits import BYTES, FRONT_MATTER, Measure
from digest.issue.markdown import MarkdownReader
from digest.issue.model import FrontMatter, Issue, Node
from digest.issue.order import OrderCheck

INCLUDES_DEEP = 5


def read_issue(file: Path, *, root: Path, slug: str, language: str = "en") -> Issue:
    """Read and parse one issue.

    `root` is the newsletter's folder: places are shown relative to it, and nothing outside it is ever read.
    `language` is the newsletter's, for an issue that names none. Nothing is raised for what an author wrote:
    all of it is in `Issue.problems`.
    """
    root = root.resolve()
    shown = _shown(file.resolve(), root)
    text, problem = _read_text(file, Place(shown))
    if problem:
        return Issue(slug, file, shown, FrontMatter(subject=""), (), {}, problems=(problem,))
    return _Parser(file, root, slug, language, text).parse(shown)


def _shown(file: Path, root: Path) -> str:
    """A file as places name it; both resolved."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)


def _read_text(file: Path, place: Place) -> tuple[str, Problem | None]:
    try:
        with file.open("rb") as opened:
            raw = opened.read(BYTES + 1)
    except OSError as exc:
        return "", Problem(place, f"can't be read: {exc.strerror or exc}", code="file")
    if len(raw) > BYTES:
        return "", Problem(place, f"more than {BYTES:,} bytes, which no issue needs", code="size")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        told = f"not UTF-8: the byte 0x{raw[exc.start]:02x} stands here"
        return "", Problem(place.at(line), told, "save the file as UTF-8", code="encoding")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if bad := re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]", text):
        line = text.count("\n", 0, bad.start()) + 1
        return "", Problem(place.at(line), f"a control character (0x{ord(bad[0]):02x}) stands here", code="encoding")
    return text, None


class _Parser:
    """The work on one issue: a tag table and a list of problems shared with the texts it includes."""

    def __init__(self, file: Path, root: Path, slug: str, language: str, text: str) -> None:
        self.file, self.root, self.slug, self.language, self.text = file, root, slug, language, text
        self.table = TagTable.for_text(text)
        self.trusted = False
        self.problems: list[Problem] = []
        self.order = OrderCheck(self.table, self.problems)
        self.measure = Measure()

    def parse(self, shown: str) -> Issue:
        parts = split_front_matter(self.text)
        front = FrontMatter(subject="")
        first = 0
        if parts is None:
            cure = "begin the file with “---”, a line “subject: …”, and “---”"
            self.problems.append(Problem(Place(shown, 1), "the issue has no front matter", cure, code="front-matter"))
        else:
            source, first = parts
            front, problems = _front_matter(source[:FRONT_MATTER], Place(shown, 2))
            if len(source) > FRONT_MATTER:
                told = f"the front matter has more than {FRONT_MATTER:,} characters"
                front, problems = FrontMatter(subject=""), (Problem(Place(shown, 2), told, code="size"),)
            self.problems.extend(problems)
            front = self._lift_front(front, shown)
            self.trusted = front.trusted
        body = "\n".join(self.text.split("\n")[first:])
        nodes = self._read(body, Place(shown, first + 1), front.language or self.language, (self.file.resolve(),))
        if not nodes and not self.problems:
            self.problems.append(Problem(Place(shown, first + 1), "the issue has no text", code="empty"))
        return Issue(
            self.slug, self.file, shown, front, nodes, dict(self.table.tags), self.table.nonce, _ordered(self.problems)
        )

    def _lift_front(self, front: FrontMatter, shown: str) -> FrontMatter:
        def lifted(text: str, key: str) -> str:
            place = front.places.get(key, Place(shown, 1))
            result = lift(text, self.table, place.at(place.line))
            self.problems.extend(replace(p, place=place) for p in result.problems)
            self.order.text(result.text, f"the {key}")
            return result.text

        return replace(
            front,
            subject=lifted(front.subject, "subject"),
            subject_for={name: lifted(text, "subject_for") for name, text in front.subject_for.items()},
            preheader=lifted(front.preheader, "preheader"),
        )

    def _read(self, text: str, start: Place, language: str, trail: tuple[Path, ...]) -> tuple[Node, ...]:
        if (problem := self.measure.added(text, start)) is not None:
            self.problems.append(problem)
            return ()
        lifted = lift(text, self.table, start.at(start.line, 1))
        self.problems.extend(lifted.problems)
        places = [start.at(start.line + line) for line in (*lifted.lines, len(text.split("\n")))]
        reader = MarkdownReader(self.table, language, trusted=self.trusted)
        nodes = reader.read(lifted.text, places)
        self.problems.extend(reader.problems)
        self.order.siblings(nodes)
        return self._with_includes(nodes, language, trail) if "include" in text else nodes

    # ---- texts taken in

    def _with_includes(self, nodes: Sequence[Node], language: str, trail: tuple[Path, ...]) -> tuple[Node, ...]:
        out: list[Node] = []
        for node in nodes:
            if node.kind != "block":  # blocks stand in blocks only
                out.append(node)
            elif node.text == "include":
                out.extend(self._include(node, language, trail))
            else:
                out.append(replace(node, children=self._with_includes(node.children, language, trail)))
        return tuple(out)

    def _include(self, node: Node, language: str, trail: tuple[Path, ...]) -> tuple[Node, ...]:
        name = node.attrs.get("file", "")
        file, told = self._included_file(name, trail)
        if file is None:
            self.problems.append(Problem(node.place, told, code="include"))
            return ()
        shown = _shown(file, self.root)
        text, problem = _read_text(file, Place(shown))
        if problem:
            self.problems.append(replace(problem, message=f"{problem.message} (included at {node.place})"))
            return ()
        # Its words might hold a token by chance: the table's nonce was chosen for the issue's own text.
        text = text.replace(f"Zq{self.table.nonce}", "Zq")
        return self._read(text, Place(shown, 1), language, (*trail, file))

    def _included_file(self, name: str, trail: tuple[Path, ...]) -> tuple[Path | None, str]:
        """The file of that name, resolved, or what is wrong with it."""
        if not name:
            return None, 'include needs a file: ::: include {file="…"}'
        bases = (self.file.parent, self.root, self.root / "issues" / "shared")
        candidates = [found for base in bases if (found := _resolved(base / name)) is not None]
        if not candidates:
            return None, f"“{name[:60]}” can't be the name of a file"
        inside = [c for c in candidates if c.is_relative_to(self.root)]
        if not inside:
            return None, f"“{name}” is outside the newsletter's folder"
        file = next((c for c in inside if c.is_file()), None)
        if file is None:
            return None, f"there is no file “{name}” (looked in {', '.join(_shown(c, self.root) for c in inside)})"
        if file in trail:
            return None, f"“{name}” includes itself"
        if len(trail) > INCLUDES_DEEP:
            return None, f"includes stand inside includes more than {INCLUDES_DEEP} deep"
        return file, ""


def _resolved(path: Path) -> Path | None:
    """A path without links; None for one that the system has no room for, and for a link that leads to itself."""
    try:
        found = path.resolve()
        found.is_file()
    except (OSError, RuntimeError):
        return None
    return found


@lru_cache(maxsize=32)
def _front_matter(source: str, start: Place) -> tuple[FrontMatter, tuple[Problem, ...]]:
    front, problems = read_front_matter(source, start)
    return front, tuple(problems)


def _ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """In the order of the text, each once."""
    unique = dict.fromkeys(problems)
    return tuple(sorted(unique, key=lambda p: (p.place or Place("")).line))
