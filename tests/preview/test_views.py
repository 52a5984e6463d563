"""Every view of an issue, opened in a real browser and read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[Path, str, str], None]


def _open(tab: Any, site: Any, query: str = "") -> Any:
    tab.goto(f"{site.url}/issues/first{query}")
    tab.locator("#live[data-state=on]").wait_for()
    return tab.frame_locator("#email:not(.coming)")


def _tab(tab: Any, name: str) -> Any:
    tab.get_by_role("navigation", name="Views of the issue").get_by_role("link", name=name).click()
    tab.locator(f"#tabs [aria-current]:text-is('{name}')").wait_for()
    return tab.locator("#view")


INNER = "frame => frame.contentWindow.innerWidth"


def test_width_is_dragged_and_moved_by_keys(tab: Any, standing: Any) -> None:
    """The handle sets any width, by mouse and by arrow keys, and the address keeps it."""
    _open(tab, standing)
    handle = tab.locator("#handle")
    frame = tab.locator("#email")
    handle.focus()
    tab.keyboard.press("ArrowLeft")
    assert frame.evaluate(INNER) == 590
    assert handle.get_attribute("aria-valuenow") == "590"
    box = handle.bounding_box()
    tab.mouse.move(box["x"] + 8, box["y"] + 60)
    tab.mouse.down()
    tab.mouse.move(box["x"] - 42, box["y"] + 60, steps=5)
    tab.mouse.up()
    assert frame.evaluate(INNER) == pytest.approx(490, abs=4)
    width = handle.get_attribute("aria-valuenow")
    assert f"width={width}" in tab.url
    tab.reload()
    assert frame.evaluate(INNER) == int(width)


def test_images_off_and_zoom(tab: Any, standing: Any) -> None:
    """Without images their words stand in; at 200 % the email has half the width and is drawn twice as large."""
    email = _open(tab, standing)
    picture = email.get_by_alt_text("A green field")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 600
    tab.get_by_label("Images off").check()
    tab.locator("#email[src*='images=off']:not(.coming)").wait_for()
    assert email.get_by_alt_text("A green field").evaluate("image => image.naturalWidth") == 0
    before = tab.locator("#email").bounding_box()["width"]
    tab.get_by_label("200 %").check()
    assert tab.locator("#email").evaluate(INNER) == 300
    assert tab.locator("#email").bounding_box()["width"] == pytest.approx(before, abs=1)
    assert "zoom=200" in tab.url


def test_forced_dark_is_simulated_and_said(tab: Any, standing: Any) -> None:
    """Gmail's and Outlook's dark turn a white page dark, and the page says what is simulated."""
    luminance = (
        """body => getComputedStyle(body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, c) => a + +c, 0)"""
    )
    email = _open(tab, standing)
    light = email.locator("body").evaluate(luminance)
    for value, word in (("gmail", "inverts"), ("outlook", "data-ogsc")):
        tab.locator(f'input[name="scheme"][value="{value}"]').check(force=True)
        tab.locator(f"#email[src*='scheme={value}']:not(.coming)").wait_for()
        assert email.locator("body").evaluate(luminance) < light / 2
        tab.locator("#scheme-note").get_by_text(word).wait_for()


def test_side_by_side(tab: Any, standing: Any) -> None:
    """Four colours, or a phone beside a desktop: all fit, each at its own width, and scroll as one."""
    _open(tab, standing, "?width=375")
    tab.get_by_label("Side by side").select_option("devices")
    tab.locator(".pane[data-key=desktop]").wait_for()
    widths = tab.locator(".pane iframe").evaluate_all("frames => frames.map(frame => frame.contentWindow.innerWidth)")
    assert widths == [375, 760]
    tab.get_by_label("Side by side").select_option("colours")
    tab.locator(".pane[data-key=outlook]").wait_for()
    labels = tab.locator(".pane figcaption").all_inner_texts()
    assert labels == ["Light", "Dark", "Gmail dark", "Outlook dark"]
    assert tab.evaluate("panes.scrollWidth <= panes.clientWidth + 1")


def test_panes_scroll_as_one(tab: Any, site: Any, write: Write) -> None:
    """Scrolling one of several panes takes the others along."""
    write(site.issue, "and more words.", "and more words.\n\n" + "A long paragraph.\n\n" * 80)
    _open(tab, site, "?beside=devices")
    phone, desktop = tab.locator(".pane iframe").element_handles()
    phone.content_frame().wait_for_load_state()
    desktop.content_frame().wait_for_load_state()
    tab.wait_for_timeout(200)
    phone.content_frame().evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    desktop.content_frame().wait_for_function("scrollY + innerHeight >= document.documentElement.scrollHeight - 2")


def test_row_of_the_mailbox(tab: Any, standing: Any) -> None:
    """The row shows sender, subject and preheader as three programs cut them, in light and dark."""
    _open(tab, standing)
    view = _tab(tab, "Inbox row")
    assert view.locator(".inbox-row").count() == 12
    row = view.get_by_label("Gmail on a phone, light")
    assert "Three stories: read two" in row.inner_text()
    assert "The Sample Weekly" in row.inner_text()
    assert row.locator(".preheader").inner_text().startswith("What happened, and what did not")
    assert {"Gmail", "Apple Mail", "Outlook"} <= {
        t.split("\n")[0].split(" in ")[0].split(" on ")[0] for t in view.locator(".program").all_inner_texts()
    }


def test_source_has_numbered_lines(tab: Any, standing: Any) -> None:
    """The source is what is sent, without marks, with numbered lines."""
    _open(tab, standing)
    view = _tab(tab, "Source")
    assert view.locator(".code td").first.inner_text() == "<!DOCTYPE html>"
    assert view.locator(".code th").first.inner_text() == "1"
    assert "data-src" not in view.inner_text()
    assert view.locator(".code .nt").count() > 50


def test_message_is_explained(tab: Any, standing: Any) -> None:
    """Each header field stands with what it is for, and the whole can be downloaded."""
    _open(tab, standing)
    view = _tab(tab, "Message")
    for name in ("MAIL FROM", "RCPT TO", "From", "Message-ID", "List-Id", "List-Unsubscribe", "Content-Type"):
        field = view.locator(".fields > div").filter(has=tab.get_by_text(name, exact=True))
        assert len(field.locator("dd p").first.inner_text()) > 20
    assert "text/plain" in view.inner_text()
    with tab.expect_download() as download:
        view.get_by_role("link", name="Download").click()
    data = Path(download.value.path()).read_bytes()
    assert b"Subject: Three stories: read two\r\n" in data
    assert b"data-src" not in data


def test_links_lead_and_are_placed(tab: Any, standing: Any) -> None:
    """Each link stands with where it leads and the line it was written on; a reader's own are inert."""
    _open(tab, standing)
    view = _tab(tab, "Links")
    row = view.locator("tr").filter(has_text="Somewhere else")
    assert "https://example.com/else" in row.inner_text()
    assert "line 17" in row.inner_text()
    assert "inert" in view.locator("tr").filter(has_text="this-was-a-test").first.inner_text()


def test_sizes_add_up(tab: Any, standing: Any) -> None:
    """The bytes of the blocks are shown, largest first, beside the limit."""
    _open(tab, standing)
    view = _tab(tab, "Sizes")
    assert "of 102,400 bytes" in view.inner_text()
    numbers = [int(text.replace(",", "")) for text in view.locator("td.number").all_inner_texts()]
    assert numbers == sorted(numbers, reverse=True)
    assert sum(numbers) == sum(size.bytes for size in standing.workbench.sizes(standing.workbench.look("first")))


def test_variants_without_a_list(tab: Any, standing: Any) -> None:
    """Without a list the matrix says how to take one in."""
    _open(tab, standing)
    assert "digest subscribers import" in _tab(tab, "Variants").inner_text()


def test_variants_of_the_list(tab: Any, site: Any, repository: Path) -> None:
    """With a list each variant has its number of readers, and one of them to be seen as."""
    from digest.audience.database import open_database
    from digest.audience.importing import import_list
    from digest.audience.readers import load_readers

    newsletter = site.workbench.newsletter
    connection = open_database(newsletter.database)
    import_list(connection, site.root / "subscribers" / "sample.csv", load_readers(site.root), shown="sample.csv")
    connection.close()
    email = _open(tab, site)
    view = _tab(tab, "Variants")
    numbers = [int(text) for text in view.locator("tbody td.number").all_inner_texts()]
    assert sum(numbers) == 30
    assert len(numbers) > 1
    view.locator("tbody tr").filter(has=tab.locator("td.yes >> nth=1")).first.locator("td a").first.click()
    tab.locator("#live[data-state=on]").wait_for()
    assert "reader=db-" in tab.url
    email.get_by_text("Only those who pay").wait_for()


def test_compare_two_readers(tab: Any, standing: Any) -> None:
    """Two readers' emails stand side by side, with the words that differ."""
    tab.goto(f"{standing.url}/compare?a=first&as=made-0&bs=segment-pro")
    assert "Only those who pay read this." in tab.locator(".diff ins").all_inner_texts()
    left, right = tab.locator("iframe.whole").element_handles()
    assert "Only those" not in left.content_frame().inner_text("body")
    assert "Only those" in right.content_frame().inner_text("body")


def test_compare_two_issues(tab: Any, site: Any) -> None:
    """Two issues are compared as one reader gets them."""
    other = site.root / "issues" / "second.md"
    other.write_text("---\nsubject: Another\ndate: 2025-09-19\n---\nQuite other words.\n")
    site.workbench.changed([other])
    tab.goto(f"{site.url}/compare?a=first&b=second")
    assert "Quite other words." in tab.locator(".diff").inner_text()


def test_all_views_work_without_script(chromium: Any, standing: Any) -> None:
    """Each view is a page of its own: links and forms do without script."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    try:
        page.goto(f"{standing.url}/issues/first")
        for name in ("Plain text", "Inbox row", "Source", "Message", "Links", "Sizes", "Variants", "Run", "Email"):
            page.get_by_role("navigation", name="Views of the issue").get_by_role("link", name=name).click()
            assert page.locator("#tabs [aria-current]").inner_text() == name
        page.locator("#who select").select_option("segment-pro")
        page.locator("#who button").click()
        assert "reader=segment-pro" in page.url
    finally:
        context.close()
