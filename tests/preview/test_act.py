"""What can be done from the page: tests that arrive, dry runs, dates, places opened, and who may do it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from digest.audience.database import open_database
from digest.audience.importing import import_list
from digest.audience.readers import load_readers
from digest.delivery.desk import open_desk
from digest.preview.csrf import TOKEN


def _open(tab: Any, site: Any, query: str = "") -> Any:
    tab.goto(f"{site.url}/issues/first{query}")
    tab.locator("#live[data-state=on]").wait_for()
    return tab.frame_locator("#email:not(.coming)")


def _with_list(site: Any) -> None:
    connection = open_database(site.workbench.newsletter.database)
    import_list(connection, site.root / "subscribers" / "sample.csv", load_readers(site.root), shown="sample.csv")
    connection.close()


def test_test_is_sent_and_read(tab: Any, site: Any) -> None:
    """A test sent from the page arrives over SMTP, is marked, and is read in the inbox."""
    _open(tab, site)
    tab.get_by_label("Test goes to").select_option("address")
    tab.get_by_label("Address", exact=True).fill("me@example.com")
    tab.get_by_label("Made for").select_option("shown")
    tab.select_option("#reader", label="pro")
    tab.get_by_role("button", name="Send the test").click()
    tab.locator("#result").get_by_text("accepted by the relay").wait_for()
    tab.locator("#result").get_by_role("link", name="inbox").click()
    tab.locator(".messages a").first.click()
    assert tab.locator("h1").inner_text() == "[Test] Three stories: read two"
    assert "me@example.com" in tab.locator(".message-head").inner_text()
    tab.frame_locator("#email").get_by_text("Only those who pay").wait_for()


def test_practice_opens_no_way_to_the_list(tab: Any, site: Any) -> None:
    """A test that only the practice inbox took is not on record as a test before the real run."""
    _open(tab, site)
    tab.get_by_role("button", name="Send the test").click()
    tab.locator("#result").get_by_text("Practice").wait_for()
    assert len(site.inbox) > 0
    with open_desk(site.workbench.newsletter) as desk:
        assert not desk.runs.tested(site.workbench.look("first").compiled.fingerprint)


@pytest.mark.parametrize(
    ("button", "said"), [("Defer", "deferred"), ("Refuse", "refused"), ("No such reader", "refused")]
)
def test_server_is_told_to_refuse(tab: Any, site: Any, button: str, said: str) -> None:
    """Told to refuse or defer, the server does, and the page says which with the server's words."""
    tab.goto(f"{site.url}/inbox")
    tab.get_by_role("button", name=button, exact=True).click()
    assert tab.get_by_role("button", name=button, exact=True).get_attribute("aria-pressed") == "true"
    _open(tab, site)
    tab.get_by_role("button", name="Send the test").click()
    tab.locator("#result").get_by_text(said).first.wait_for()
    assert "for practice" in tab.locator("#result").inner_text()
    assert len(site.inbox) == 0


def test_inbox_fills_while_open(tab: Any, site: Any) -> None:
    """A message that comes in shows in the open list, and the list can be kept to one reader."""
    tab.goto(f"{site.url}/inbox")
    tab.locator("#live[data-state=on]").wait_for()
    for address in ("a@example.com", "b@example.com"):
        site.inbox.add("weekly@news.example.com", address, b"From: w@example.com\r\nSubject: Hello\r\n\r\nWords\r\n")
    # From this thread the pages are not told: a test from the page does that.
    site.post("/issues/first/test", data={"csrf": TOKEN, "to": "list"})
    tab.locator(".messages").get_by_text("[Test] Three stories: read two").first.wait_for()
    tab.goto(f"{site.url}/inbox")
    tab.get_by_label("Only for one reader").select_option("b@example.com")
    tab.get_by_role("button", name="Search").click()
    assert tab.locator(".messages li").count() == 1


def test_dry_run_shows_the_plan(tab: Any, site: Any) -> None:
    """The dry run counts candidates, planned readers and variants; nothing is sent or recorded."""
    _with_list(site)
    _open(tab, site)
    tab.get_by_role("button", name="Dry run").click()
    result = tab.locator("#result")
    result.get_by_text("nothing is recorded").wait_for()
    assert result.locator("dd").nth(2).inner_text() == "30"
    assert len(site.inbox) == 0
    with open_desk(site.workbench.newsletter) as desk:
        assert desk.runs.latest("first") is None


def test_problems_keep_a_test_from_going(tab: Any, site: Any) -> None:
    """What would stop the command stops the page, with the same words."""
    _open(tab, site)
    tab.get_by_label("Test goes to").select_option("address")
    tab.get_by_label("Address", exact=True).fill("me@localhost")
    tab.get_by_role("button", name="Send the test").click()
    tab.locator("#result").get_by_text("Nothing was done").wait_for()
    assert len(site.inbox) == 0


def test_schedule_and_unschedule(tab: Any, site: Any) -> None:
    """A date is written into the issue, the page shows it, and it is taken out again."""
    _open(tab, site)
    tab.get_by_text("Schedule it").click()
    tab.get_by_label("When").fill("2030-01-02T09:30")
    tab.get_by_role("button", name="Write it into the issue").click()
    tab.locator("#result").get_by_text("Due 2 January 2030, 09:30").wait_for()
    assert "send_at: 2030-01-02 09:30" in site.issue.read_text()
    tab.locator("#title").get_by_text("scheduled").wait_for()
    tab.reload()
    tab.get_by_role("button", name="Unschedule").click()
    tab.locator("#result").get_by_text("A draft again").wait_for()
    assert "send_at" not in site.issue.read_text()


def test_run_is_followed(tab: Any, site: Any) -> None:
    """A run's accounts, and the words for those who did not get it, are in its view and follow it."""
    from digest.delivery.deliver import Wishes, deliver

    _with_list(site)
    tab.goto(f"{site.url}/issues/first?show=run")
    assert "was not sent yet" in tab.locator("#view").inner_text()
    site.inbox.behaviour = "defer"
    compiled = site.workbench.look("first").compiled
    overrides = Wishes(overrides=frozenset({"require_test", "max_change", "unsubscribe", "status"}) & _guards())
    thread = threading.Thread(target=deliver, args=(site.workbench.newsletter, "first", compiled, overrides))
    thread.start()
    thread.join()
    tab.get_by_text("0 of 30 accepted by the relay").wait_for()
    assert "told to defer for practice" in tab.locator("#view").inner_text()
    tab.goto(site.url)
    tab.locator(".issue-card").get_by_text("unfinished 0 of 30").wait_for()


def _guards() -> set[str]:
    from digest.delivery.guards import GUARDS

    return set(GUARDS)


POSTS = ["/issues/first/test", "/issues/first/rehearse", "/issues/first/schedule", "/issues/first/unschedule", "/open"]


@pytest.mark.parametrize("path", [*POSTS, "/inbox/behave"])
def test_every_act_asks_for_the_token(standing: Any, path: str) -> None:
    """Without the token of this process a form is refused, even with our own Origin."""
    for data in ({}, {"csrf": "guess"}):
        answer = standing.post(path, data=data)
        assert answer.status_code == 403
    answer = standing.post(path, data={"csrf": TOKEN}, origin="http://evil.example")
    assert answer.status_code == 403
    assert standing.get(path).status_code in (404, 405)
    assert len(standing.inbox) == 0


def test_huge_form_is_refused(standing: Any) -> None:
    """A form that is larger than any of ours is not read to its end."""
    data = b"csrf=" + b"x" * 1_000_000
    answer = standing.post("/open", content=data)
    assert answer.status_code == 413


def test_place_opens_in_the_editor(tab: Any, site: Any, eventually: Any) -> None:
    """A click on a paragraph says its file and line, and the button opens the editor there."""
    email = _open(tab, site)
    email.get_by_text("Good morning, and welcome").click()
    where = tab.locator("#where")
    where.get_by_text("issues/first/index.md:10").wait_for()
    where.get_by_role("button").click()
    opened = site.root / "opened.txt"
    assert eventually(lambda: opened.is_file() and opened.read_text()) == f"{site.issue} 10"


@pytest.mark.parametrize("place", ["../outside.md:1", "/etc/passwd:1", ".env:1", "issues/nothing.md:3", "x", ""])
def test_other_files_are_not_opened(site: Any, place: str) -> None:
    """Only files of the newsletter are opened, whatever is asked for."""
    Path(site.root).parent.joinpath("outside.md").write_text("x")
    answer = site.post("/open", data={"csrf": TOKEN, "place": place})
    assert answer.status_code == 400
    assert not (site.root / "opened.txt").exists()
