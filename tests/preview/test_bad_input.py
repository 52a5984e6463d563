"""What goes wrong while an issue is open is shown or refused, in a real browser; the server stays up."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

Write = Callable[[Path, str, str], None]


def _open(tab: Any, site: Any) -> Any:
    tab.goto(f"{site.url}/issues/first")
    tab.locator("#live[data-state=on]").wait_for()
    email = tab.frame_locator("#email:not(.coming)")
    email.get_by_text("and welcome").wait_for()
    return email


def test_theme_is_deleted_and_comes_back(tab: Any, site: Any, write: Write) -> None:
    """Without its theme the issue stays as it was, and the page says what is missing, until the theme is back."""
    ours, away = site.root / "templates" / "ours", site.root.parent / "away"
    shutil.copytree(site.root / "templates" / "median", ours)
    write(site.issue, "status: draft", "status: draft\ntheme: ours")
    email = _open(tab, site)
    shutil.move(ours, away)
    tab.locator(".problems").get_by_text("there is no theme “ours”").first.wait_for()
    assert email.get_by_text("and welcome").is_visible()
    tab.goto(site.url)
    tab.locator(".issue-card .chip.bad").wait_for()
    tab.goto(f"{site.url}/issues/first")
    assert "ours" in tab.locator(".problems").inner_text()
    tab.locator("#live[data-state=on]").wait_for()
    shutil.move(away, ours)
    tab.locator(".problems").wait_for(state="detached")
    email.get_by_text("and welcome").wait_for()


@pytest.mark.parametrize(
    ("front", "said"),
    [("subject: [Three", "not YAML"), ("subject: Three\nlayot: two", "index.md:3"), ("\x00\x01", "index.md")],
)
def test_what_cannot_be_parsed_is_named(tab: Any, site: Any, write: Write, front: str, said: str) -> None:
    """Front matter that is no YAML, that has an unknown key, that is no text: file and line stand over the email."""
    email = _open(tab, site)
    write(site.issue, 'subject: "Three stories: read two"', front)
    tab.locator(".problems").get_by_text(said).first.wait_for()
    assert email.get_by_text("and welcome").is_visible()
    write(site.issue, front, 'subject: "Three stories: read two"')
    tab.locator(".problems").wait_for(state="detached")


def test_bytes_that_are_no_text_are_named(tab: Any, site: Any) -> None:
    """A file in another encoding, an empty one and a folder in its place are named, and mended again."""
    _open(tab, site)
    text = site.issue.read_bytes()
    for spoilt in (text.replace(b"welcome", b"willk\xfcmmen"), b""):
        site.issue.write_bytes(spoilt)
        tab.locator(".problems").get_by_text("issues/first/index.md").first.wait_for()
        site.issue.write_bytes(text)
        tab.locator(".problems").wait_for(state="detached")


def test_huge_file_is_survived(tab: Any, site: Any) -> None:
    """A file of 10 MB is refused with its size or shown; other pages answer meanwhile, and it comes back to life."""
    email = _open(tab, site)
    text = site.issue.read_text()
    site.issue.write_text(text + "\n\n" + "All of it is one long paragraph of words. " * 250_000)
    assert httpx.get(f"{site.url}/inbox", timeout=5).status_code == 200
    tab.locator(".problems").get_by_text("issues/first/index.md").first.wait_for()
    site.issue.write_text(text.replace("and welcome", "and welcome back"))
    email.get_by_text("and welcome back").wait_for()


@pytest.mark.parametrize("path", ["../../.env", "..%2f..%2f.env", "/etc/passwd", "file:///etc/passwd"])
def test_pictures_reach_no_other_file(tab: Any, site: Any, write: Write, path: str) -> None:
    """A picture whose path leads out of the newsletter is named as a mistake; nothing of that file is served."""
    _open(tab, site)
    write(site.issue, "(field.png)", f"({path})")
    tab.locator(".problems").get_by_text("issues/first/index.md:15").first.wait_for()
    assert "quite-secret" not in tab.content()
    assert "root:" not in tab.content()


def test_script_stays_words(tab: Any, site: Any, write: Write) -> None:
    """Script in subject, title and file name is shown as the words it is, on each of our own pages."""
    evil = "</title><script>document.title='hacked'</script><img src=x onerror=document.title='hacked'>"
    write(site.issue, "Three stories: read two", evil)
    other = site.root / "issues" / "a<b onclick=x>.md"
    other.write_text(f'---\nsubject: "{evil}"\ndate: 2025-09-12\n---\n{{{{ nothing.such }}}}\n')
    site.workbench.changed([site.issue, other])
    for path in ("/issues/first?show=row", "/", "/issues/first?show=source", "/compare?a=first&b=first"):
        tab.goto(site.url + path)
        tab.locator("body").get_by_text("document.title").first.wait_for(state="attached")
        assert tab.title() != "hacked"


def test_other_sites_get_nothing(chromium: Any, site: Any) -> None:
    """Another site's page can neither post a form here, nor read a page, nor frame one; a rebound name sees nothing."""
    evil = f"""<form method="post" action="{site.url}/issues/first/unschedule"><button>Win</button></form>
      <iframe src="{site.url}/issues/first"></iframe>
      <p id="read">…</p>
      <script>
        const say = (text) => read.textContent = text;
        fetch("{site.url}/").then((answer) => answer.text()).then(say, () => say("no"));
      </script>"""
    context = chromium.new_context()
    try:
        page = context.new_page()
        page.route("http://evil.example/", lambda route: route.fulfill(body=evil, content_type="text/html"))
        page.goto("http://evil.example/")
        page.locator("#read").get_by_text("no", exact=True).wait_for()
        assert page.frames[1].locator("#main").count() == 0
        with page.expect_response("**/unschedule") as answer:
            page.get_by_role("button", name="Win").click()
        assert answer.value.status == 403
        rebound = page.goto(f"http://rebound.example:{site.port}/")
        assert rebound is not None
        assert rebound.status == 421
        assert "Sample Weekly" not in page.content()
    finally:
        context.close()
