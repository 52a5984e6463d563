"""The pages in a real browser: used as people use them, clean for axe-core, never scrolled sideways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from digest.delivery.scripted import ScriptedRelay


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, newsletter_folder: Any, serve: Any) -> Iterator[Any]:
    """Pages with everything on: an issue sent, joining, tags to choose, a reader. Before the browser: it sends."""
    with ScriptedRelay() as relay:
        root = newsletter_folder(tmp_path_factory.mktemp("browser") / "news")
        issue = root / "issues" / "first" / "index.md"
        issue.write_text(issue.read_text().replace("# A first heading", "::: hero\n# A first heading\n:::"))
        with serve(root, {"smtp.port": relay.port}, joining=True) as site:
            site.subscribe("ada@example.org", name="Ada Example", tags='["chips"]')
            site.send(relay=relay)
            yield site


def test_leaving_and_coming_back(home: Any, tab: Any) -> None:
    """A click on the button leaves, a click on the other comes back; the page works without any script."""
    token = home.tokens["ada@example.org"]
    tab.goto(f"{home.url}/u/{token}")
    assert home.status("ada@example.org") == "active"
    tab.get_by_role("button", name="Unsubscribe").click()
    tab.get_by_role("heading", name="You are unsubscribed").wait_for()
    assert home.status("ada@example.org") == "unsubscribed"
    tab.get_by_role("button", name="Keep me subscribed").click()
    tab.get_by_role("heading", name="You are still with us").wait_for()
    assert home.status("ada@example.org") == "active"


def test_settings_are_saved(home: Any, tab: Any) -> None:
    """The form shows what is, and saves what is chosen."""
    tab.goto(f"{home.url}/preferences/{home.tokens['ada@example.org']}")
    assert tab.get_by_label("chips").is_checked()
    tab.get_by_label("policy").check()
    tab.get_by_label("chips").uncheck()
    tab.get_by_role("button", name="Save").click()
    tab.get_by_role("status").get_by_text("Saved.").wait_for()
    assert home.execute("SELECT tags FROM subscribers") == [('["policy"]',)]
    with tab.expect_download() as download:
        tab.get_by_role("link", name="Download").click()
    assert "ada@example.org" in Path(download.value.path()).read_text()


def test_joining_by_keyboard(home: Any, tab: Any) -> None:
    """From the address to the button by keyboard alone; the hidden field is never reached."""
    tab.goto(f"{home.url}/signup")
    tab.get_by_label("Email address").focus()
    tab.keyboard.type("new@example.org")
    for _ in range(4):
        tab.keyboard.press("Tab")
        assert tab.evaluate("document.activeElement.name") != "website"
    tab.keyboard.press("Enter")
    tab.get_by_role("heading", name="Check your mailbox").wait_for()


def test_archive_is_walked(home: Any, tab: Any) -> None:
    """From the list to the issue, whose picture is there, and back."""
    tab.goto(home.url)
    tab.get_by_role("link", name="Three stories: read two").click()
    picture = tab.get_by_alt_text("A green field")
    picture.wait_for()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 600
    tab.get_by_role("link", name="All issues").click()
    tab.get_by_role("heading", name="All issues").wait_for()


PATHS = {
    "the archive": "/",
    "the issue": "/first",
    "one's own copy": "/view/first/{token}",
    "leaving": "/u/{token}",
    "how to leave": "/u",
    "an unknown link": "/u/x",
    "settings": "/preferences/{token}",
    "erasing": "/preferences/{token}/erase",
    "joining": "/signup",
    "nothing there": "/none",
}


@pytest.mark.parametrize(("scheme", "widths"), [("light", (1280, 320)), ("dark", (375,))])
def test_pages_are_accessible(home: Any, chromium: Any, scheme: str, widths: tuple[int, ...]) -> None:
    """Every page fits the screen at every width, and is clean for axe-core: wide and light, narrow and dark."""
    token = home.tokens["ada@example.org"]
    axe = Axe()
    for width in widths:
        context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page = context.new_page()
        for what, path in PATHS.items():
            page.goto(home.url + path.format(token=token))
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (what, width)
            if width == widths[0]:
                found = axe.run(page)
                assert found.violations_count == 0, (what, scheme, found.generate_report())
        context.close()
