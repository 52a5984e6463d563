"""An issue written down and parsed, as a fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from digest.issue.model import Issue, Node
from digest.issue.parser import read_issue

HEAD = '---\nsubject: "A subject"\ndate: 2025-09-12\n---\n'

Parse = Callable[..., Issue]


@pytest.fixture
def parse(tmp_path: Path) -> Parse:
    """Parse a body (or, with `head=""`, a whole file) as ``issues/x.md``; its first line is line 5."""

    def run(body: str | bytes, head: str = HEAD, language: str = "en") -> Issue:
        file = tmp_path / "issues" / "x.md"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(body if isinstance(body, bytes) else (head + body).encode())
        return read_issue(file, root=tmp_path, slug="x", language=language)

    return run


@pytest.fixture
def told() -> Callable[[Issue], list[str]]:
    """The problems of an issue as an author reads them."""
    return lambda issue: [str(problem) for problem in issue.problems]


@pytest.fixture
def nodes() -> Callable[[Issue, str], list[Node]]:
    """All nodes of one kind, in reading order."""

    def find(issue: Issue, kind: str) -> list[Node]:
        def walk() -> Iterator[Node]:
            for top in issue.body:
                yield from top.walk()

        return [node for node in walk() if node.kind == kind]

    return find
