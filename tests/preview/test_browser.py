"""The workbench in a real browser: readers, widths, colours, live reload, attacks, the inbox."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Callable
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[Path, str, str], None]


def _open(tab: Any, site: Any, path: str = "/issues/first") -> Any:
    """Open the issue; the email's frame is there, and the page listens for changes."""
    tab.goto(site.url + path)
    tab.locator("#live[data-state=on]").wait_for()
    return tab.frame_locator("#email:not(.coming)")


def _choose(tab: Any, name: str, value: str) -> None:
    tab.locator(f'input[name="{name}"][value="{value}"]').check(force=True)


def test_reader_sees_own_variant(tab: Any, site: Any) -> None:
    """Choosing a reader shows that reader's variant, in the email, the text and the address of the page."""
    email = _open(tab, site)
    email.get_by_text("Good morning, and welcome").wait_for()
    assert email.get_by_text("Only those who pay").count() == 0
    tab.select_option("#reader", label="pro")
    email.get_by_text("Only those who pay").wait_for()
    assert "reader=segment-pro" in tab.url
    tab.reload()
    email.get_by_text("Only those who pay").wait_for()
    tab.select_option("#reader", value="test-0")
    email.get_by_text("Good morning, Edith").wait_for()


def test_widths_are_those_of_devices(tab: Any, site: Any) -> None:
    """The frame is 375 and 600 pixels wide, and all the room there is."""
    _open(tab, site)
    for value, width in (("375", 375), ("600", 600)):
        _choose(tab, "width", value)
        assert tab.locator("#email").evaluate("frame => frame.contentWindow.innerWidth") == width
    _choose(tab, "width", "full")
    assert tab.locator("#email").evaluate("frame => frame.contentWindow.innerWidth") > 600


def test_whole_width_is_seen_on_a_phone(tab: Any, site: Any) -> None:
    """On a phone the 600 pixel view is made smaller, not cut; the page never scrolls sideways."""
    tab.set_viewport_size({"width": 375, "height": 800})
    _open(tab, site, "/issues/first?width=600")
    frame = tab.locator("#email")
    assert frame.evaluate("frame => frame.contentWindow.innerWidth") == 600
    assert frame.bounding_box()["width"] <= 376
    assert tab.evaluate("document.documentElement.scrollWidth") <= 375


def test_dark_and_text(tab: Any, site: Any) -> None:
    """Dark shows the email's dark colours on a light machine; plain text shows the text part."""
    email = _open(tab, site)
    luminance = "b => getComputedStyle(b).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, c) => a + +c, 0)"
    light = email.locator("body").evaluate(luminance)
    _choose(tab, "scheme", "dark")
    tab.locator("#email[src*='scheme=dark']:not(.coming)").wait_for()
    assert email.locator("body").evaluate(luminance) < light / 2
    tab.get_by_role("link", name="Plain text").click()
    tab.locator("#text").wait_for()
    assert tab.locator("#email").count() == 0
    assert "Good morning, and welcome" in tab.locator("#text").inner_text()
    assert "<p" not in tab.locator("#text").inner_text()


def test_picture_loads(tab: Any, site: Any) -> None:
    """The issue's picture is shown, from the folder."""
    email = _open(tab, site)
    picture = email.get_by_alt_text("A green field")
    picture.wait_for()
    # The frame's document is complete only with its pictures.
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 600


def test_save_shows_and_keeps_the_place(tab: Any, site: Any, write: Write) -> None:
    """A saved change shows soon without losing the scroll position; no reload is needed."""
    write(site.issue, "and more words.", "and more words.\n\n" + "A long paragraph.\n\n" * 80)
    email = _open(tab, site)
    tab.evaluate("document.getElementById('email').contentWindow.scrollTo(0, 700)")
    tab.evaluate("window.stayed = true")
    begun = time.perf_counter()
    write(site.issue, "and welcome", "and good day")
    email.get_by_text("and good day").wait_for(state="attached")
    seconds = time.perf_counter() - begun
    assert tab.evaluate("document.querySelector('#email:not(.coming)').contentWindow.scrollY") == 700
    assert tab.evaluate("window.stayed")
    # 200 ms is what an idle machine needs (tests/bench/preview.py); this one may be busy with other tests.
    assert seconds < 20, f"{seconds:.3f} s"


def test_break_and_mend(tab: Any, site: Any, write: Write) -> None:
    """A mistake appears with its line over the last good email, and goes when it is mended."""
    email = _open(tab, site)
    email.get_by_text("Only those").or_(email.get_by_text("welcome")).first.wait_for()
    write(site.issue, "# A first heading", "::: hreo\n# A first heading\n:::")
    panel = tab.locator(".problems")
    panel.wait_for()
    assert email.get_by_text("and welcome").is_visible()
    assert "issues/first/index.md:8" in panel.inner_text()
    assert "hero" in panel.locator(".cure").first.inner_text()
    assert "::: hreo" in panel.locator(".excerpt .wrong").first.inner_text()
    write(site.issue, "::: hreo\n# A first heading\n:::", "# A first heading")
    panel.wait_for(state="detached")
    email.get_by_text("and welcome").wait_for()


def test_broken_from_the_start(tab: Any, site: Any, write: Write) -> None:
    """An issue that never could be composed shows its problem, and then its email once mended."""
    write(site.issue, "subject:", "sibject:")
    site.workbench.changed([site.issue])
    tab.goto(f"{site.url}/issues/first")
    assert "issues/first/index.md" in tab.locator(".problems").inner_text()
    tab.locator("#live[data-state=on]").wait_for()
    write(site.issue, "sibject:", "subject:")
    tab.frame_locator("#email").get_by_text("and welcome").wait_for()
    assert tab.locator(".problems").count() == 0


def test_list_shows_each_issue(tab: Any, site: Any, write: Write) -> None:
    """The list names each issue with date, status and problems, and follows what is saved."""
    tab.goto(site.url)
    card = tab.locator(".issue-card")
    card.get_by_text("no problems").wait_for()
    assert "Three stories: read two" in card.inner_text()
    assert "12 September 2025" in card.inner_text()
    assert "draft" in card.inner_text()
    tab.frame_locator(".mini iframe").get_by_text("and welcome").wait_for(state="attached")
    write(site.issue, '{segments="pro"}', '{segments="por"}')
    card.get_by_text("1 problem", exact=True).wait_for()
    assert "index.md:" in card.inner_text()


HOSTILE = """
<script>document.title = "hacked"; parent.document.title = "hacked"</script>
<img src="x" onerror="parent.document.title = 'hacked'">
<iframe src="javascript:parent.document.title='hacked'"></iframe>
<svg onload="parent.document.title = 'hacked'"></svg>
<style>@import url(http://evil.example/x.css); body { background: url(http://evil.example/x.png) }</style>
<link rel="stylesheet" href="http://evil.example/y.css">
<meta http-equiv="refresh" content="0;url=http://evil.example/z">
<base href="http://evil.example/">
<form action="http://evil.example/"><button>Send</button></form>
<img src="http://evil.example/pixel.gif">
<a href="javascript:parent.document.title='hacked'" id="js">click</a>
"""


def test_hostile_issue_runs_nothing(tab: Any, site: Any, write: Write) -> None:
    """Script in an issue's Markdown does not run in the page, and nothing is fetched from elsewhere."""
    write(site.issue, "and more words.", f"and more words.\n{HOSTILE}\n\n[js](javascript:alert(1))")
    tab.on("dialog", lambda dialog: pytest.fail("a dialog opened"))
    tab.goto(f"{site.url}/issues/first")
    tab.wait_for_timeout(400)
    assert "hacked" not in tab.title()


def _deliver(site: Any, html: str, subject: str = "Three stories") -> None:
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = "The Sample Weekly <weekly@news.example.com>"
    message["To"] = "Ada Example <ada@example.com>"
    message["Subject"] = subject
    message.set_content("Plain words")
    message.add_alternative(html, subtype="html")
    with smtplib.SMTP("127.0.0.1", site.smtp_port, timeout=60) as client:
        client.send_message(message)


def test_hostile_message_runs_nothing(tab: Any, site: Any) -> None:
    """Script in a received message does not run, in the frame or opened by itself, and nothing is fetched."""
    _deliver(site, f"<!DOCTYPE html><html><head></head><body><h1>Hello</h1>{HOSTILE}</body></html>")
    tab.goto(f"{site.url}/inbox/1")
    email = tab.frame_locator("#email")
    email.get_by_role("heading", name="Hello").wait_for()
    email.locator("#js").click()
    tab.wait_for_timeout(400)
    assert "hacked" not in tab.title()
    tab.goto(f"{site.url}/inbox/1/html")
    tab.wait_for_timeout(400)
    assert "hacked" not in tab.title()
    assert tab.url.startswith(site.url)


def test_inbox_shows_what_was_sent(tab: Any, site: Any) -> None:
    """A message sent over SMTP is in the list, opens, and shows its email, text, headers and source."""
    _deliver(site, "<!DOCTYPE html><p>A memo that binds nobody</p>", "Zwölf <b>Boxkämpfer</b>")
    tab.goto(f"{site.url}/inbox")
    row = tab.locator(".messages a").first
    assert "Zwölf <b>Boxkämpfer</b>" in row.inner_text()
    assert "Ada Example" in row.inner_text()
    assert "A memo that binds nobody" in row.inner_text()
    row.click()
    tab.frame_locator("#email").get_by_text("A memo that binds nobody").wait_for()
    tab.get_by_role("link", name="Plain text").click()
    tab.get_by_text("Plain words").wait_for()
    tab.get_by_role("link", name="Headers").click()
    tab.get_by_role("rowheader", name="Subject").wait_for()
    with tab.expect_download() as download:
        tab.get_by_role("link", name="Download").click()
    assert b"Plain words" in Path(download.value.path()).read_bytes()


def test_links_are_shown_not_followed(tab: Any, site: Any) -> None:
    """A click on a link of the email says where it leads; the email stays."""
    email = _open(tab, site)
    email.get_by_role("link", name="Somewhere else").click()
    tab.locator("#where").get_by_text("https://example.com/else").wait_for()
    assert email.get_by_role("link", name="Somewhere else").is_visible()


def test_leaving_is_practice(tab: Any, site: Any) -> None:
    """The page behind an unsubscribe link has one button; pressing it is accepted and changes nothing."""
    tab.goto(f"{site.url}/u/some-token")
    tab.get_by_role("button", name="Unsubscribe").click()
    tab.get_by_text("Nothing was changed").wait_for()


def test_keyboard_reaches_everything(tab: Any, site: Any) -> None:
    """From the top of the page the tab key comes to the skip link, the controls and the readers, visibly."""
    _open(tab, site)
    seen = []
    for _ in range(32):
        tab.keyboard.press("Tab")
        seen.append(
            tab.evaluate("(e => e.name || e.dataset.show || e.id || e.className || e.type)(document.activeElement)")
        )
    for wanted in ("skip", "text", "sizes", "width", "scheme", "beside", "images", "zoom", "email", "handle", "reader"):
        assert wanted in seen
    tab.locator("#reader").focus()
    tab.keyboard.press("ArrowDown")
    assert tab.locator("#reader").evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
