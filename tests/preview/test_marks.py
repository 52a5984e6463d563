"""From the picture to the text and back: places clicked, blocks named, problems marked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Write = Callable[[Path, str, str], None]


def _open(tab: Any, site: Any, query: str = "") -> Any:
    tab.goto(f"{site.url}/issues/first{query}")
    tab.locator("#live[data-state=on]").wait_for()
    return tab.frame_locator("#email:not(.coming)")


def test_hovering_names_the_block(tab: Any, site: Any, write: Write) -> None:
    """Under the pointer a block is outlined, and its kind and theme file are named."""
    write(site.issue, "# A first heading", "::: hero\n# A first heading\n:::")
    email = _open(tab, site)
    email.get_by_role("heading", name="A first heading").hover()
    tab.locator("#hovered").get_by_text("hero · templates/median/blocks/hero.mjml").wait_for()
    assert email.locator("[data-here]").evaluate("e => getComputedStyle(e).outlineStyle") == "solid"


def test_click_on_a_link_says_both(tab: Any, standing: Any) -> None:
    """A click on a link says where it leads and where it is written."""
    email = _open(tab, standing)
    email.get_by_role("link", name="Somewhere else").click()
    said = tab.locator("#where").inner_text()
    assert "https://example.com/else" in said
    assert "issues/first/index.md:17" in said


def test_problems_are_listed_and_marked(tab: Any, site: Any, write: Write) -> None:
    """What `digest check` says stands beside the email; its place is marked in the picture and is shown on demand."""
    write(site.issue, "preheader: What happened, and what did not\n", "")
    write(site.issue, "and more words.", "and more words.\n\nYou are {{ subscriber.first_name }}.")
    email = _open(tab, site, "?reader=test-0")
    problem = tab.locator("#checks-list li").filter(has_text="first_name")
    problem.wait_for()
    assert "warning" in problem.inner_text()
    assert tab.locator("#checks-list li").filter(has_text="preheader").count() == 1
    marked = email.locator("[data-problem=warning]")
    marked.first.wait_for(state="attached")
    problem.get_by_role("button", name="Show").click()
    email.locator("[data-found]").wait_for()
    assert "You are Edith" in email.locator("[data-found]").inner_text()


def test_mended_problem_goes(tab: Any, site: Any, write: Write) -> None:
    """A warning that is mended goes from the list by itself."""
    write(site.issue, "preheader: What happened, and what did not\n", "")
    _open(tab, site)
    problem = tab.locator("#checks-list li").filter(has_text="preheader")
    problem.wait_for()
    write(site.issue, "date: 2025-09-12", "date: 2025-09-12\npreheader: There is one now, and it says what is inside")
    problem.wait_for(state="detached")


def test_what_stands_above_the_text_is_in_the_row(tab: Any, site: Any, write: Write) -> None:
    """A problem of the front matter has no place in the picture: the page leads to the inbox row, from any view."""
    write(site.issue, "preheader: What happened, and what did not\n", "")
    site.workbench.changed([site.issue])
    tab.goto(f"{site.url}/issues/first?show=sizes")
    problem = tab.locator("#checks-list li").filter(has_text="preheader")
    problem.get_by_role("button", name="Show").click()
    tab.locator("#where").get_by_text("stands above the text").wait_for()
    tab.locator("#where").get_by_role("link", name="the inbox row").click()
    tab.locator(".inbox-row").first.wait_for()
