"""An issue written into a copy of the repository's newsletter, composed, and merged for a reader."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from digest.audience.subscriber import Subscriber, Value
from digest.compose.compiled import CompiledIssue
from digest.compose.composer import compile_issue
from digest.errors import InputError
from digest.message.identity import Identity
from digest.message.merge import Merger, Rendering
from digest.newsletter import Newsletter

HEAD = '---\nsubject: "A subject"\npreheader: "Before it"\ndate: 2025-09-12\n---\n'
TODAY = date(2025, 9, 12)

Compose = Callable[..., CompiledIssue]
Render = Callable[..., Rendering]


@pytest.fixture
def newsletter(folder: Path) -> Newsletter:
    """The copy, opened."""
    return Newsletter.open(folder)


@pytest.fixture
def compose(newsletter: Newsletter) -> Compose:
    """Compose a body (or, with `head=""`, a whole file) as ``issues/x.md``; its first line is line 6."""

    def run(body: str, head: str = HEAD) -> CompiledIssue:
        file = newsletter.root / "issues" / "x.md"
        file.write_text(head + body)
        return compile_issue(newsletter, file)

    return run


@pytest.fixture
def told(compose: Compose) -> Callable[..., list[str]]:
    """What composing a body is refused with, a line each; nothing for a good one."""

    def run(body: str, **options: Any) -> list[str]:
        try:
            compose(body, **options)
        except InputError as exc:
            return [str(problem) for problem in exc.problems]
        return []

    return run


@pytest.fixture
def render(newsletter: Newsletter) -> Render:
    """What a reader with these attributes sees of a compiled issue."""

    def run(compiled: CompiledIssue, **values: Value) -> Rendering:
        email = "reader@example.com"
        reader = Subscriber(1, "token", email, values={"email": email, "tags": (), **values})
        return Merger(compiled, Identity.of(newsletter.settings), today=TODAY).rendering(reader)

    return run


@pytest.fixture(scope="session")
def of_each_kind() -> dict[str, str]:
    """Issues with one block of each kind, by name: of the first kinds ``everything``, and ``further``."""
    return {file.stem: file.read_text("utf-8") for file in Path(__file__).with_name("issues").glob("*.md")}


@pytest.fixture(scope="session")
def paint() -> str:
    """Reads back in a browser what it paints: the contrast of each text, and each colour of each box."""
    return Path(__file__).with_name("paint.js").read_text("utf-8")


@pytest.fixture(scope="session")
def ada() -> Subscriber:
    """A reader in every segment."""
    values: dict[str, Value] = {
        "email": "ada@example.com",
        "name": "Ada Example",
        "first_name": "Ada",
        "tags": ("beta",),
        "plan": "enterprise",
        "country": "DE",
        "city": "Wolfratshausen",
        "company": "Example Works",
        "seats": 60,
        "desk_url": "https://desk.example.com/ada",
        "signed_up": date(2025, 9, 1),
    }
    return Subscriber(0, "t", "ada@example.com", values=values)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: the folder named in ``EMAIL_PICTURES``, else a temporary one."""
    folder = Path(os.environ.get("EMAIL_PICTURES") or tmp_path_factory.mktemp("pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
