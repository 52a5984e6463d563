"""The way out, as a mail provider, a scanner and a reader go it."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from digest.audience.database import open_database
from digest.audience.leaving import Parting, leave_within
from digest.delivery.desk import open_desk
from digest.delivery.scripted import Answer, ScriptedRelay, Step
from digest.errors import InputError, LaterError
from digest.web.writer import Writer

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def _post(site: Any, path: str, **more: Any) -> httpx.Response:
    return site.http.post(f"{path}", data=ONE_CLICK, **more)


def _link(message: Any) -> str:
    """The path of the header's https link, as a provider reads it (RFC 2369, RFC 8058)."""
    assert message.header("List-Unsubscribe-Post") == "List-Unsubscribe=One-Click"
    return urlsplit(re.findall(r"<(https:[^>]+)>", message.header("List-Unsubscribe"))[0]).path


def test_one_click_from_a_real_send(site: Any) -> None:
    """The header's link of a message that was really sent, POSTed in the middle of the run: the reader is out of
    the rest of it (withdrawn), and of the next issue."""
    for n in range(40):
        site.subscribe(f"reader{n:02d}@example.org")
    posted: list[httpx.Response] = []
    first_message = threading.Event()

    def script(step: Step) -> Answer:
        if step.verb == "." and not first_message.is_set():
            first_message.set()
            # Two who have got it, and one who has not: their links are alike but for the token.
            posted.append(_post(site, f"/u/{site.tokens['reader39@example.org']}"))
            time.sleep(0.15)  # a look at a reader holds for a tenth of a second, no longer
        return None

    with ScriptedRelay(script) as relay:
        received = site.send(relay=relay)
    assert posted[0].status_code == 200
    assert len(received) == 39
    assert "reader39@example.org" not in {message.recipient for message in received}
    with open_desk(site.newsletter) as desk:
        run = desk.runs.latest("first")
        assert run is not None
        accounts = desk.accounts(run)
    assert (accounts.accepted, accounts.withdrawn) == (39, {"unsubscribed": 1})

    left = next(message for message in received if message.recipient == "reader05@example.org")
    assert _post(site, _link(left)).status_code == 200
    issue = site.root / "issues" / "first" / "index.md"
    (site.root / "issues" / "second.md").write_text(issue.read_text().replace("![A green field](field.png)", "More."))
    again = {message.recipient for message in site.send("second")}
    assert len(again) == 38
    assert not again & {"reader05@example.org", "reader39@example.org"}


def test_scanner_changes_nothing(site: Any) -> None:
    """GET, HEAD and OPTIONS of every link change nothing; GET shows one form with one button."""
    token = site.subscribe("ada@example.org")
    before = site.execute("SELECT * FROM subscribers")
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
        for path in (f"/u/{token}", f"/u/{token}/back", f"/preferences/{token}/erase", f"/confirm/{token}"):
            site.http.request(method, path)
    assert site.execute("SELECT * FROM subscribers") == before
    page = site.http.get(f"/u/{token}").text
    assert page.count("<form") == page.count("<button") == 1
    assert "ada@example.org" not in page


@pytest.mark.parametrize("body", [b"", b"List-Unsubscribe=One-Click", b"\xff\x00", b"x" * 10_000])
def test_post_needs_nothing_but_the_token(site: Any, body: bytes) -> None:
    """No cookie, login or particular body is needed, and none is set; the answer is no redirect."""
    token = site.subscribe("ada@example.org")
    answer = site.http.post(f"/u/{token}", content=body, headers={"Origin": "https://mail.example"})
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert site.status("ada@example.org") == "unsubscribed"
    assert site.http.post(f"/u/{token}", content=body).status_code == 200


WAYS = {
    "https://news.example.com/leave?t={token}": "/leave?t={}",
    "https://news.example.com/leave?list=weekly&t=": "/leave?list=weekly&t={}",
    "https://news.example.com/out/{token}/now": "/out/{}/now",
    "https://news.example.com/bye": "/bye/{}",
    "https://go.example.org/away/{token}": "/away/{}",
}


@pytest.mark.parametrize("url", WAYS)
def test_every_form_of_the_link_is_served(folder: Path, serve: Any, url: str) -> None:
    """Wherever the setting puts the token, a GET asks, a POST does, and a wrong token gets the one answer."""
    with serve(folder, {"unsubscribe.url": url}) as site:
        for accept in ("*/*", "text/html"):
            name = f"ada-{len(site.tokens)}@example.org"
            token = site.subscribe(name)
            page = site.http.get(WAYS[url].format(token))
            assert f'action="/u/{token}"' in page.text
            assert site.http.get(WAYS[url].format("x")).content == site.http.get("/u/x").content
            assert site.http.post(WAYS[url].format("x"), headers={"Accept": accept}).status_code == 404
            assert site.http.post(WAYS[url].format(token), headers={"Accept": accept}).status_code == 200
            assert site.status(name) == "unsubscribed"


@pytest.mark.parametrize("path", ["/{token}", "/view/{token}", "/view/a/{token}", "/u/back#{token}", "/?t={token}"])
def test_a_form_that_cannot_be_served_is_refused(folder: Path, serve: Any, path: str) -> None:
    """A link that would be taken for another page is an error when the server starts, with one that is good."""
    url = f"https://news.example.com{path}"
    with pytest.raises(InputError) as refused, serve(folder, {"unsubscribe.url": url}):
        pass
    assert f"config/digest.toml: error: unsubscribe.url: digest serve can't answer {url}" in str(refused.value)
    assert "https://news.example.com/u" in str(refused.value)


def test_a_page_of_somebody_else_is_left_to_them(folder: Path, serve: Any) -> None:
    """A link to another host that looks like one of our pages shadows none of them."""
    with serve(folder, {"unsubscribe.url": "https://go.example.org/{token}"}) as site:
        assert site.http.get("/none").text.count("There is nothing here") == 2


def test_multipart_is_taken(site: Any) -> None:
    """A provider may post multipart/form-data (RFC 8058 section 3.2)."""
    token = site.subscribe("ada@example.org")
    assert site.http.post(f"/u/{token}", files={"List-Unsubscribe": (None, "One-Click")}).status_code == 200
    assert site.status("ada@example.org") == "unsubscribed"


def test_too_large_a_post_is_refused(site: Any) -> None:
    """A body of megabytes is not read to its end, and nobody leaves by it."""
    token = site.subscribe("ada@example.org")
    for accept in ("*/*", "text/html"):
        answer = site.http.post(f"/u/{token}", content=b"x" * 2_000_000, headers={"Accept": accept})
        assert answer.status_code == 413
    assert site.status("ada@example.org") == "active"


@pytest.mark.parametrize("was", ["active", "pending", "bounced"])
def test_taken_back(site: Any, was: str) -> None:
    """Taking it back makes the reader what they were, never more; a second time there is nothing to take back."""
    token = site.subscribe("ada@example.org", status=was)
    _post(site, f"/u/{token}")
    assert _post(site, f"/u/{token}/back").status_code == 200
    assert site.status("ada@example.org") == was
    assert _post(site, f"/u/{token}/back").status_code == 404


def test_only_own_leaving_is_taken_back(site: Any) -> None:
    """Who was taken off by hand, complained, or left long ago is not brought back by an old link."""
    for address, status in (("ada@example.org", "unsubscribed"), ("bob@example.org", "complained")):
        token = site.subscribe(address, status=status)
        _post(site, f"/u/{token}")
        assert _post(site, f"/u/{token}/back").status_code == 404
        assert site.status(address) == status
    token = site.subscribe("eve@example.org")
    _post(site, f"/u/{token}")
    site.execute("UPDATE leavings SET left_at = left_at - 8 * 86400 * 1000000")
    assert _post(site, f"/u/{token}/back").status_code == 404


FORGED = ["x", "a" * 24, "..%5c..%5cetc", "%00", "%ff%fe", "a" * 5000, "' OR 1=1 --", "%0d%0aSet-Cookie:a=b"]


def test_forged_tokens_get_one_answer(site: Any) -> None:
    """A forged, cut or foreign token gets the page of an unknown one, byte for byte, at every address."""
    whole = site.subscribe("ada@example.org")
    tokens = (*FORGED, whole[:-1], whole.upper(), whole + "a")
    for path in ("/u/{}", "/preferences/{}", "/preferences/{}/data", "/view/first/{}"):
        unknown = site.http.get(path.format("b" * 24))
        assert unknown.status_code == 404
        assert ("can’t be shown" if "view" in path else "names nobody") in unknown.text
        for token in tokens:
            assert site.http.get(path.format(token)).content == unknown.content, (path, token)
    for token in tokens:
        assert _post(site, f"/u/{token}").content == _post(site, "/u/" + "b" * 24).content
    assert site.status("ada@example.org") == "active"


def test_unknown_token_costs_the_same(site: Any) -> None:
    """An answer to a token that names nobody waits for a commit that writes, like any other: no time tells."""
    token = site.subscribe("ada@example.org")
    with closing(sqlite3.connect(site.newsletter.database)) as watching:
        for path in (f"/u/{token}", f"/u/{token}", f"/u/{token[:-2]}zz", "/u/x", f"/u/{'b' * 24}/back"):
            (before,) = watching.execute("PRAGMA data_version").fetchone()
            _post(site, path)
            assert watching.execute("PRAGMA data_version").fetchone() != (before,)


def test_inert_token(site: Any) -> None:
    """The links of tests and previews open “this was a test”, and a POST there does nothing."""
    inert = "this-was-a-test"
    for path in (f"/u/{inert}", f"/view/first/{inert}", *(f"/preferences/{inert}{p}" for p in ("", "/data", "/erase"))):
        assert "This was a test" in site.http.get(path).text
    for path in (f"/u/{inert}", f"/u/{inert}/back", f"/preferences/{inert}", f"/preferences/{inert}/erase"):
        for accept in ("*/*", "text/html"):
            assert "This was a test" in site.http.post(path, headers={"Accept": accept}).text
    assert site.execute("SELECT * FROM link_days") == []


def test_no_answer_before_it_is_written(site: Any, eventually: Callable[..., Any]) -> None:
    """While another process keeps the database locked, the answer waits; then it comes, and nothing was lost."""
    token = site.subscribe("ada@example.org")
    answers: list[httpx.Response] = []
    with closing(sqlite3.connect(site.newsletter.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        asking = threading.Thread(target=lambda: answers.append(_post(site, f"/u/{token}")))
        asking.start()
        time.sleep(0.5)
        assert not answers
        assert site.http.get(f"/u/{token}").status_code == 200  # reading goes on
        other.execute("ROLLBACK")
    asking.join()
    assert answers[0].status_code == 200
    assert site.status("ada@example.org") == "unsubscribed"


def test_too_long_a_lock_says_later(site: Any, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Any]) -> None:
    """Who waited too long is told to come again (503); what was asked for is written all the same."""
    monkeypatch.setattr("digest.web.writer.PATIENCE", 0.2)
    token = site.subscribe("ada@example.org")
    with closing(sqlite3.connect(site.newsletter.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = _post(site, f"/u/{token}")
        other.execute("ROLLBACK")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "60"
    eventually(lambda: site.status("ada@example.org") == "unsubscribed")


def test_who_left_is_in_the_journal_first(tmp_path: Path) -> None:
    """Nobody is told that they are out before the journal knows; while it can't be written, they wait."""
    database, journal = tmp_path / "x.db", tmp_path / "left.log"
    with closing(open_database(database)) as connection:
        for name in ("a", "b"):
            connection.execute(
                "INSERT INTO subscribers (token, address_key, email, status, created_at, updated_at)"
                " VALUES (?, ?, ?, 'active', 0, 0)",
                (name, f"{name}@x.example", f"{name}@x.example"),
            )
        journal.mkdir()  # cannot be written to
        with Writer(database) as writer:
            done = [writer.submit_item(leave_within, t) for t in ("a", "b", "nobody", "a")]
            with pytest.raises(TimeoutError):
                done[0].result(0.3)
            assert {status for (status,) in connection.execute("SELECT status FROM subscribers")} == {"active"}
            journal.rmdir()
            answers = [future.result(10) for future in done]
    assert [isinstance(answer, Parting) and answer.changed for answer in answers] == [True, True, False, False]
    assert journal.read_text().count('"event":"left"') == 2


def test_one_that_fails_takes_nobody_along(tmp_path: Path) -> None:
    """Of what is written together, what fails is undone alone."""
    database = tmp_path / "x.db"

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO link_days VALUES ('x', 1, 1)")
        raise KeyError("no")

    with Writer(database) as writer:
        failing = writer.submit(fail)
        fine = writer.submit(lambda c: c.execute("INSERT INTO link_days VALUES ('y', 1, 1)").rowcount)
        with pytest.raises(KeyError):
            failing.result(10)
        assert fine.result(10) == 1
    with closing(open_database(database)) as connection:
        assert connection.execute("SELECT day FROM link_days").fetchall() == [("y",)]


def test_a_writer_that_ends_says_so(tmp_path: Path) -> None:
    """What can't be written before the end fails as such: nobody is told that it was done."""
    database = tmp_path / "x.db"
    open_database(database).close()
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        with Writer(database, closing=0.2) as writer:
            other.execute("BEGIN IMMEDIATE")
            waiting = writer.submit_item(leave_within, "a")
        with pytest.raises(LaterError):
            waiting.result(1)
    with pytest.raises(LaterError):
        writer.submit_item(leave_within, "a")
