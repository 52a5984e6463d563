"""A newsletter's folder, and its workbench on a real port with an inbox."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from digest.newsletter import Newsletter, shipped
from digest.preview.app import create_app
from digest.preview.editor import Editor
from digest.preview.inbox import Inbox
from digest.preview.live import Live
from digest.preview.server import LocalServer, listen, port_of, practice_relay
from digest.preview.workbench import Workbench

PATIENCE = 60  # seconds: for an answer that takes one, on a machine that is busy with other tests

ISSUE = """\
---
subject: "Three stories: read two"
preheader: What happened, and what did not
date: 2025-09-12
status: draft
---

# A first heading

Good morning{% if subscriber.first_name %}, {{ subscriber.first_name }}{% endif %}, and welcome.

{segments="pro"}
Only those who pay read this.

![A green field](field.png)

[Somewhere else](https://example.com/else) and more words.
"""


@dataclass(frozen=True)
class Site:
    """A workbench that is being served."""

    root: Path
    port: int
    smtp_port: int
    inbox: Inbox
    workbench: Workbench

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def issue(self) -> Path:
        return self.root / "issues" / "first" / "index.md"

    def get(self, path: str, **more: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=PATIENCE, **more)

    def post(self, path: str, *, origin: str | None = None, **more: Any) -> httpx.Response:
        """A form as one of its own pages sends it, or as one of another `origin` does."""
        return httpx.post(self.url + path, headers={"Origin": origin or self.url}, timeout=PATIENCE, **more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A newsletter with one issue that has a picture, in two variants."""
    return _newsletter(tmp_path / "news")


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    """The folder's workbench, served with an inbox."""
    with _served(folder) as served:
        yield served


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """As `site`, for the tests of a module that change nothing."""
    with _served(_newsletter(tmp_path_factory.mktemp("standing") / "news")) as served:
        yield served


def _newsletter(root: Path) -> Path:
    for name in ("config/digest.toml", "config/readers.toml", "subscribers/test.csv", "subscribers/sample.csv"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shipped(*name.split("/")), root / name)
    shutil.copytree(shipped("templates"), root / "templates")
    issue = root / "issues" / "first"
    issue.mkdir(parents=True)
    (issue / "index.md").write_text(ISSUE, encoding="utf-8")
    Image.new("RGB", (600, 300), "#2e7d4f").save(issue / "field.png")
    opened = root / "opened.txt"
    (root / "editor.py").write_text(f"import sys; open({str(opened)!r}, 'w').write(' '.join(sys.argv[1:]))")
    (root / ".env").write_text("DIGEST_SMTP__PASSWORD=quite-secret\nDIGEST_SMTP__USERNAME=weekly\n")
    return root


@contextmanager
def _served(folder: Path) -> Iterator[Site]:
    with closing(listen(0, 0)) as web, closing(listen(0, 0)) as smtp:
        overrides = practice_relay(port_of(smtp))
        newsletter = Newsletter.open(folder, overrides)
        live, inbox, workbench = Live(), Inbox(), Workbench(newsletter, overrides=overrides)
        editor = Editor((sys.executable, str(folder / "editor.py"), "{file}", "{line}"))
        app = create_app(workbench, live, port=port_of(web), inbox=inbox, editor=editor)
        with LocalServer(app, web, live, smtp=smtp, inbox=inbox):
            yield Site(newsletter.root, port_of(web), port_of(smtp), inbox, workbench)


@pytest.fixture
def write() -> Callable[[Path, str, str], None]:
    """Save a file with one text in the place of another."""

    def replace(file: Path, old: str, new: str) -> None:
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")

    return replace
