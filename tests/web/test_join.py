"""Joining: double opt-in over a real relay, and what those get who abuse it."""

from __future__ import annotations

import asyncio
import email
import re
import time
from collections.abc import Callable, Iterator
from email import policy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from digest.delivery.scripted import ScriptedRelay, Step
from digest.quantities import Rate
from digest.web.limits import CLIENTS, Limits

PLENTY = {"signup.per_client": "100000/s", "signup.overall": "100000/s"}


@pytest.fixture
def relay() -> Iterator[ScriptedRelay]:
    """A relay that takes everything."""
    with ScriptedRelay() as taking:
        yield taking


@pytest.fixture
def joining(folder: Path, serve: Any, relay: ScriptedRelay) -> Iterator[Any]:
    """Pages where one can join, as often as one likes."""
    with serve(folder, {"smtp.port": relay.port, **PLENTY}, joining=True) as site:
        yield site


def _join(site: Any, address: str, **more: Any) -> httpx.Response:
    return site.http.post("/signup", data={"email": address, **more}, headers={"Accept-Language": "en"})


def _message(relay: ScriptedRelay, eventually: Any, address: str) -> Any:
    received = eventually(lambda: [m for m in relay.received if m.recipient == address])
    return email.message_from_bytes(received[-1].data, policy=policy.default)


def _path(message: Any) -> str:
    text = message.get_body(("plain",)).get_content()
    return urlsplit(re.findall(r"https://news\.example\.com/confirm/\w+", text)[0]).path


def test_joined_by_two_steps(joining: Any, relay: ScriptedRelay, eventually: Any, digest: Any) -> None:
    """Asked, mailed, confirmed: only then is there a reader, and on record is what they agreed to, when and where."""
    asked = {"name": "Grace", "tags": ["policy"], "page": "https://www.example.com/join", "language": "de"}
    assert _join(joining, "grace@example.org", **asked).status_code == 200
    message = _message(relay, eventually, "grace@example.org")
    assert message["Subject"] == "Bitte bestätigen: Test Weekly"
    assert message["List-Unsubscribe"] is None
    html = message.get_body(("html",)).get_content()
    assert "Ja, ich abonniere" in html
    assert "Abmelden" not in html
    path = _path(message)
    assert joining.http.get(path).status_code == 200  # a scanner
    assert joining.execute("SELECT 1 FROM subscribers") == []
    assert joining.http.post(path).status_code == 200
    found = joining.execute("SELECT email, name, status, language, tags, source FROM subscribers")
    assert found == [("grace@example.org", "Grace", "active", "de", '["policy"]', "signup")]
    ((page, wording, asked_at, said_at),) = joining.execute(
        "SELECT page, wording, requested_at, confirmed_at FROM consents"
    )
    assert page == "https://www.example.com/join"
    assert wording.startswith("I want to get Test Weekly by email.")
    assert asked_at < said_at
    shown = digest("subscribers", "show", "grace@example.org", cwd=joining.root).stdout
    agreed = shown.partition("agreed to:\n")[2]
    assert f"page {page}" in agreed
    assert wording in agreed
    assert "confirmed_at" in agreed
    assert joining.http.post(path).status_code == 404  # used


def test_nobody_learns_who_is_subscribed(joining: Any, relay: ScriptedRelay, eventually: Any) -> None:
    """New, subscribed, left, suppressed, complained or forgotten: the answers are one, byte for byte."""
    for status in ("active", "unsubscribed", "complained"):
        joining.subscribe(f"{status}@example.org", status=status)
    joining.subscribe("suppressed@example.org")
    joining.execute("INSERT INTO suppressions VALUES ('suppressed@example.org', 'bounce', '', 0)")
    names = ("new", "active", "unsubscribed", "complained", "suppressed", "new")
    answers = {_join(joining, f"{name}@example.org").content for name in names}
    assert len(answers) == 1
    eventually(lambda: len(relay.received) == 3)
    time.sleep(0.2)
    assert sorted(m.recipient.split("@")[0] for m in relay.received) == ["active", "new", "unsubscribed"]


def test_who_left_comes_back_only_by_confirming(joining: Any, relay: ScriptedRelay, eventually: Any) -> None:
    """Asking changes nothing for who left or was forgotten; confirming does."""
    joining.subscribe("ada@example.org", status="unsubscribed", tags='["vip"]')
    _join(joining, "Ada@Example.org", tags=["chips"])
    message = _message(relay, eventually, "Ada@example.org")
    assert joining.status("ada@example.org") == "unsubscribed"
    joining.http.post(_path(message))
    assert joining.execute("SELECT status, tags FROM subscribers") == [("active", '["vip", "chips"]')]


def test_one_message_a_day(joining: Any, relay: ScriptedRelay, eventually: Any) -> None:
    """However often one asks for an address, it gets one message a day."""
    for _ in range(20):
        _join(joining, "ada@example.org")
    eventually(lambda: relay.received)
    time.sleep(0.3)
    assert len(relay.received) == 1
    joining.execute("UPDATE signups SET requested_at = requested_at - 2 * 86400000000")
    _join(joining, "ada@example.org")
    eventually(lambda: len(relay.received) == 2)


def test_honeypot(joining: Any, relay: ScriptedRelay) -> None:
    """A program that fills in the hidden field gets the same answer, and nothing happens."""
    real = _join(joining, "ada@example.org")
    assert _join(joining, "bot@example.org", website="https://spam.example").content == real.content
    assert joining.execute("SELECT email FROM signups") == [("ada@example.org",)]


def test_no_address_is_told(joining: Any) -> None:
    """What is no address is said to be none, as text; nothing is written down."""
    for wrong in ("", "ada", "a@b", "<b>@example.org", "a\r\nBcc:x@example.org", "x" * 400 + "@a.example"):
        answer = _join(joining, wrong, name="<script>alert(1)</script>")
        assert answer.status_code == 400
        assert "<script>" not in answer.text
        assert "<b>@" not in answer.text
    assert joining.execute("SELECT 1 FROM signups") == []


def test_a_site_of_ones_own(joining: Any) -> None:
    """A script elsewhere that asks for JSON gets it, readable for any page."""
    answer = joining.http.post("/signup", data={"email": "a@example.org"}, headers={"Accept": "application/json"})
    assert answer.json()["ok"]
    assert answer.headers["access-control-allow-origin"] == "*"


def test_a_thousand_a_second_from_one_address(folder: Path, serve: Any, relay: ScriptedRelay) -> None:
    """A flood over thirty connections from one network gets its share and else 429, and fills no queue; meanwhile
    another person joins, and a reader leaves."""
    overrides = {"smtp.port": relay.port, "signup.per_client": "5/h", "web.proxies": ["127.0.0.1"]}
    with serve(folder, overrides, joining=True) as site:
        token = site.subscribe("ada@example.org")

        async def flood(lane: int) -> list[int]:
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            answers = []
            for n in range(lane, 1000, 30):
                body = b"email=v%d@example.org" % n
                writer.write(
                    b"POST /signup HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 2001:db8:1:2::%x\r\n"
                    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s"
                    % (n, len(body), body)
                )
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
                answers.append(int(head[9:12]))
                waiting.append(site.writer.waiting)
            writer.close()
            return answers

        async def others(client: httpx.AsyncClient) -> tuple[int, int]:
            honest = await client.post(
                "/signup", data={"email": "h@example.org"}, headers={"X-Forwarded-For": "192.0.2.1"}
            )
            return honest.status_code, (await client.post(f"/u/{token}")).status_code

        async def all_of_them() -> tuple[list[int], tuple[int, int]]:
            async with httpx.AsyncClient(base_url=site.url, verify=False, timeout=60) as client:
                flooding = asyncio.gather(*map(flood, range(30)))
                while not waiting:
                    await asyncio.sleep(0)
                served = await others(client)
                assert not flooding.done()
                return [answer for lane in await flooding for answer in lane], served

        waiting: list[int] = []
        answers, served = asyncio.run(all_of_them())
        assert (answers.count(200), answers.count(429)) == (5, 995)
        assert served == (200, 200)
        assert site.status("ada@example.org") == "unsubscribed"
        assert max(waiting) < 10
        assert len(site.execute("SELECT 1 FROM signups")) == 6


def test_unknown_proxies_are_not_believed(folder: Path, serve: Any, relay: ScriptedRelay) -> None:
    """Without `proxies`, whatever a client says about itself is passed over."""
    with serve(folder, {"smtp.port": relay.port, "signup.per_client": "5/h"}, joining=True) as site:
        headers = [{"X-Forwarded-For": f"192.0.2.{n}", "Forwarded": f"for=192.0.2.{n}"} for n in range(8)]
        answers = [site.http.post("/signup", data={"email": "a@b.example"}, headers=h).status_code for h in headers]
        assert answers == [200] * 5 + [429] * 3


def test_limits_are_bounded() -> None:
    """A flood from a million addresses is held by the limit for all, in bounded memory; a share grows back."""
    moment = [0.0]
    limits = Limits(Rate(2, 60), Rate(100, 60), lambda: moment[0])
    allowed = sum(limits.allow(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(3 * CLIENTS))
    assert allowed == 100
    assert len(limits._clients) == CLIENTS
    moment[0] = 60.0
    assert [limits.allow("192.0.2.1") for _ in range(3)] == [True, True, False]


def test_a_relay_that_is_away(folder: Path, serve: Any, eventually: Callable[..., Any]) -> None:
    """A relay that says later is asked again; one that refuses for good is not; the page never waits for it."""

    def script(step: Step) -> Any:
        if step.verb == "RCPT" and "later" in step.argument and step.number == 1:
            return "451 4.3.0 later"
        return "550 5.1.1 no" if step.verb == "RCPT" and "never" in step.argument else None

    with ScriptedRelay(script) as relay, serve(folder, {"smtp.port": relay.port, **PLENTY}, joining=True) as site:
        for name in ("later", "never"):
            _join(site, f"{name}@example.org")
        rows = "SELECT attempts, next_attempt_at IS NULL FROM signups ORDER BY email"
        eventually(lambda: site.execute(rows) == [(1, 0), (1, 1)])
        site.execute("UPDATE signups SET next_attempt_at = 1 WHERE next_attempt_at IS NOT NULL")
        _join(site, "other@example.org")  # wakes the postman
        eventually(lambda: "later@example.org" in {m.recipient for m in relay.received})


def test_old_requests_are_deleted(joining: Any, relay: ScriptedRelay, eventually: Any) -> None:
    """A request that is a week old confirms nothing, and is deleted."""
    from digest.web.joining import remove_old

    _join(joining, "ada@example.org")
    path = _path(_message(relay, eventually, "ada@example.org"))
    joining.execute("UPDATE signups SET requested_at = requested_at - 8 * 86400000000")
    assert joining.http.post(path).status_code == 404
    assert joining.writer.submit(remove_old).result(60) == 1


def test_where_nobody_can_join(site: Any) -> None:
    """Without [signup] enabled there is no such page, and none leads there."""
    assert site.http.get("/signup").status_code == 404
    assert "/signup" not in site.http.get("/").text
