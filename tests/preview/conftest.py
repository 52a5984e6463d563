"""A newsletter's folder, its workbench on a real port with an inbox, and a real browser."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from digest.newsletter import Newsletter, shipped
from digest.preview.app import create_app
from digest.preview.editor import Editor
from digest.preview.inbox import Inbox
from digest.preview.live import Live
from digest.preview.server import LocalServer, listen, port_of, practice_relay
from digest.preview.workbench import Workbench

CHROMIUM = "/usr/bin/chromium"

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


@pytest.fixture(scope="module")
def chromium(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A real Chromium. Without one the browser tests do not run, and say so.

    For one module: while Playwright is up, an event loop runs in this thread, and others can't run theirs.
    """
    if not Path(CHROMIUM).exists():
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(f"\nNO BROWSER: {CHROMIUM} is missing, the preview was NOT tested in a browser", file=sys.stderr)
        pytest.skip(f"{CHROMIUM} is missing (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]
    # A name of somebody else's that leads here: DNS rebinding.
    arguments.append("--host-resolver-rules=MAP rebound.example 127.0.0.1")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Any) -> Iterator[Any]:
    """An empty tab; a script error in one of our pages, or a request that leaves this machine, fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(10_000)
    seen = SimpleNamespace(errors=[], away=[])
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("requestfinished", lambda request: _away(request, seen.away))
    page.on("requestfailed", lambda request: _away(request, seen.away))
    yield page
    context.close()
    assert seen.errors == []
    assert seen.away == []


def _away(request: Any, found: list[str]) -> None:
    """Note a request that left, or would have left, this machine; one stopped by the policy never did."""
    if not request.url.startswith(("http://127.0.0.1:", "data:", "about:")) and request.failure != "csp":
        found.append(f"{request.url} ({request.failure})")
