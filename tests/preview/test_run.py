"""A run is followed in the browser: while it is under way, and who is where."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from digest.audience.database import open_database
from digest.audience.importing import import_list
from digest.audience.readers import load_readers
from digest.delivery.deliver import Wishes, deliver
from digest.delivery.guards import GUARDS
from digest.delivery.scripted import Answer, ScriptedRelay, Step
from digest.newsletter import Newsletter
from digest.preview.server import practice_relay

READERS = 130
REFUSED = "reader-007@example.com"


class Gate:
    """A relay's script: it refuses one reader, and holds every message back until it is let through."""

    def __init__(self) -> None:
        self._open = threading.Semaphore(0)

    def let_through(self, messages: int) -> None:
        self._open.release(messages)

    def __call__(self, step: Step) -> Answer:
        if step.verb == "RCPT" and REFUSED in step.argument:
            return "550 5.1.1 nobody here by that name"
        if step.verb == ".":
            self._open.acquire(timeout=60)
        return None


@pytest.fixture
def listed(site: Any) -> Any:
    """The site with a list of 130 readers."""
    rows = "".join(f"reader-{n:03d}@example.com,Reader {n},free\n" for n in range(READERS))
    file = site.root / "subscribers" / "many.csv"
    file.write_text("email,name,plan\n" + rows)
    connection = open_database(site.workbench.newsletter.database)
    import_list(connection, file, load_readers(site.root), shown="many.csv")
    connection.close()
    return site


@pytest.fixture
def sending(listed: Any) -> Iterator[tuple[Any, Gate]]:
    """A run of the issue that is under way in a thread, through a relay that answers when it is told to."""
    gate = Gate()
    with ScriptedRelay(gate) as relay:
        newsletter = Newsletter.open(listed.root, practice_relay(relay.port))
        compiled = listed.workbench.look("first").compiled
        wishes = Wishes(overrides=frozenset(GUARDS))
        run = threading.Thread(target=deliver, args=(newsletter, "first", compiled, wishes))
        run.start()
        try:
            yield listed, gate
        finally:
            gate.let_through(READERS)
            run.join()


def _title(view: Any, words: str) -> Any:
    return view.locator("#run-accounts .sheet-title").filter(has_text=re.compile(words))


def test_run_is_followed_to_its_end(tab: Any, sending: tuple[Any, Gate]) -> None:
    """While a run sends, its page counts on by itself, then says that it is done, who was refused, and why."""
    site, gate = sending
    tab.goto(f"{site.url}/issues/first?show=run")
    view = tab.locator("#view")
    view.locator(".chip.sending").wait_for()
    tab.evaluate("window.stayed = true")
    gate.let_through(40)
    _title(view, r"[1-9]\d? of 130").wait_for()
    assert 0 < tab.locator("progress.run").evaluate("bar => bar.value") < READERS
    gate.let_through(READERS)
    view.locator(".chip.sent").wait_for()
    view.get_by_text(f"{READERS - 1} of {READERS} accepted by the relay").wait_for()
    refused = view.locator("#run-readers tr").filter(has_text=REFUSED)
    assert "nobody here by that name" in refused.inner_text()
    assert tab.evaluate("window.stayed")


def test_everybody_can_be_found(tab: Any, sending: tuple[Any, Gate]) -> None:
    """Readers of each state are listed by pages and searched, also while the run goes on around the search."""
    site, gate = sending
    gate.let_through(READERS)
    tab.goto(f"{site.url}/issues/first?show=run")
    view = tab.locator("#view")
    view.get_by_text(f"{READERS - 1} of {READERS} accepted").wait_for()
    view.get_by_role("link", name="accepted", exact=True).click()
    rows = view.locator("#run-readers tbody tr")
    assert rows.count() == 100
    view.get_by_role("link", name="The next 100").click()
    view.get_by_role("link", name="From the beginning").wait_for()
    assert rows.count() == READERS - 1 - 100
    tab.get_by_label("Find a reader among these").fill("reader-004")
    view.locator("#run-readers tbody tr:only-child").get_by_text("reader-004@example.com").wait_for()
    assert "find=reader-004" in tab.url
    assert "after=" not in tab.url
    tab.get_by_label("Find a reader among these").fill("nobody at all")
    view.get_by_text("Nobody here has “nobody at all”").wait_for()
    view.get_by_role("link", name="Close the list").click()
    view.locator("#run-find").wait_for(state="detached")


def test_waiting_readers_are_listed(tab: Any, sending: tuple[Any, Gate]) -> None:
    """Who still waits is listed too, while the run is held up, and what is typed in the search stays."""
    site, gate = sending
    tab.goto(f"{site.url}/issues/first?show=run&state=waiting")
    tab.locator("#live[data-state=on]").wait_for()
    tab.locator("#run-readers tbody tr").nth(99).wait_for()
    find = tab.get_by_label("Find a reader among these")
    find.fill("reader-1")
    find.evaluate("field => field.marked = true")
    gate.let_through(3)
    _title(tab, r"[1-9]\d? of 130").wait_for()
    assert find.evaluate("field => [field.value, field.marked]") == ["reader-1", True]
