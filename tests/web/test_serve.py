"""The command: it starts, says where, keeps quiet about people, and ends when it is told to."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Formatter
from typing import Any

import httpx
import pytest

from digest.audience.database import open_database
from digest.web.addresses import own_names
from digest.web.words import FOLDER, accepted, choose, languages

REPOSITORY = Path(__file__).parents[2]


@contextmanager
def _serving(root: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DIGEST_")} | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "digest", "serve", "--port", "0", "--json", *options]
    process = subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    text = ""
    while not text.rstrip().endswith("}"):
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        text += line
    try:
        yield process, f"http://127.0.0.1:{json.loads(text)['port']}"
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_well(folder: Path, number: signal.Signals) -> None:
    """SIGTERM and Ctrl+C are the normal end: exit code 0, no traceback; the log names no token and no address."""
    with _serving(folder) as (process, url):
        assert httpx.get(f"{url}/healthz", timeout=60).json() == {"status": "ok", "waiting": 0}
        httpx.post(f"{url}/u/secret-token?a=ada@example.org", headers={"X-Forwarded-For": "192.0.2.99"}, timeout=60)
        httpx.get(f"{url}/secret-slug", timeout=60)
        process.send_signal(number)
        _, log = process.communicate(timeout=60)
    assert process.returncode == 0
    lines = [re.sub(r"^\S+ \S+ ", "", line) for line in log.splitlines()]
    assert [re.sub(r"\d+ ms", "N ms", line) for line in lines] == [
        "GET health 200 N ms",
        "POST leave 404 N ms",
        "GET issue 404 N ms",
    ]
    assert not re.search(r"secret|ada@|192\.0|127\.0", log)


def test_port_in_use(folder: Path, digest: object) -> None:
    """A port that is taken is named, with what to do; exit code 2."""
    with _serving(folder) as (_, url):
        port = url.rpartition(":")[2]
        done = digest("serve", "--port", port, cwd=folder)  # type: ignore[operator]
    assert done.returncode == 2
    assert f"port {port} of 127.0.0.1 is in use" in done.stderr
    assert "--port" in done.stderr


def test_wrong_settings_are_named(folder: Path, digest: object) -> None:
    """A theme there is none of, or a proxy that is no address, is an error at its place."""
    done = digest("serve", cwd=folder, DIGEST_WEB__THEME="medain")  # type: ignore[operator]
    assert done.returncode == 1
    assert "there is no theme “medain” (did you mean “median”?)" in done.stderr
    done = digest("serve", "--proxy", "everybody", cwd=folder)  # type: ignore[operator]
    assert done.returncode == 1
    assert "“everybody” is no address" in done.stderr


def test_a_database_of_somebody_else(folder: Path, digest: object) -> None:
    """A file that is no database of ours is refused with its name."""
    file = folder / "subscribers" / "digest.db"
    open_database(file).close()
    file.write_bytes(b"not a database, but long enough to be looked at" * 100)
    done = digest("serve", cwd=folder)  # type: ignore[operator]
    assert done.returncode == 1
    assert "digest.db" in done.stderr


def test_every_language_says_the_same() -> None:
    """Each file of strings has the same texts with the same values in them."""

    def shape(texts: object) -> dict[str, set[str | None]]:
        assert isinstance(texts, dict)
        return {key: {name for _, name, _, _ in Formatter().parse(text)} - {None} for key, text in texts.items()}

    shapes = {tag: shape(dict(texts)) for tag, texts in languages().items()}
    assert set(shapes) >= {"en", "de"}
    for tag, found in shapes.items():
        assert found == shapes["en"], tag
    for file in FOLDER.glob("*.toml"):
        tomllib.loads(file.read_text("utf-8"))


def test_language_of_a_page(site: object) -> None:
    """The reader's language, else the browser's, else the newsletter's."""
    token = site.subscribe("ada@example.org", language="de-AT")  # type: ignore[attr-defined]
    get = site.http.get  # type: ignore[attr-defined]
    assert 'lang="de"' in get(f"/u/{token}", headers={"Accept-Language": "en"}).text
    assert 'lang="de"' in get("/", headers={"Accept-Language": "fr, de;q=0.5"}).text
    assert 'lang="en"' in get("/", headers={"Accept-Language": "fr"}).text
    assert choose("pt-BR", "de-CH") == "de"
    assert accepted(";;;,q=,\x00" * 1000) != []  # nonsense is no error


@pytest.mark.parametrize("joining", [True, False])
def test_names_that_no_issue_can_have(folder: Path, serve: Any, joining: bool) -> None:
    """Where an issue's page would be stands one of ours at just those names that `digest check` warns of."""
    with serve(folder, {"unsubscribe.url": "https://news.example.com/leave?t="}, joining=joining) as site:
        asked = ("u", "feed.xml", "healthz", "signup", "leave", "view", "static", "assets", "preferences", "confirm")
        answered = {name for name in asked if _stands_alone(site, name)}
        assert answered == own_names(site.newsletter.settings)


def _stands_alone(site: Any, name: str) -> bool:
    """Whether the address is a page's own: what an issue's route answers with is a 404 of nothing there."""
    return "There is nothing here" not in site.http.get(f"/{name}").text


def test_other_processes_come_and_go(site: object, digest: object) -> None:
    """Commands that open and close the same database beside the server leave both with a whole one."""
    tokens = [site.subscribe(f"r{n}@example.org") for n in range(3)]  # type: ignore[attr-defined]
    for token in tokens:
        assert site.http.get(f"/u/{token}").status_code == 200  # type: ignore[attr-defined]
        assert site.http.post(f"/u/{token}").status_code == 200  # type: ignore[attr-defined]
        done = digest("subscribers", "list", "--status", "active", cwd=site.root)  # type: ignore[operator,attr-defined]
        assert done.returncode == 0, done.stderr
    assert "example.org" not in done.stdout
    assert site.execute("PRAGMA integrity_check") == [("ok",)]  # type: ignore[attr-defined]


def test_locked_for_reading_says_later(site: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """When even reading fails, the page says to come again (503), and no more."""
    import sqlite3

    def fail(_self: object, _token: str) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr("digest.audience.store.Subscribers.by_token", fail)
    answer = site.http.get("/u/abc")  # type: ignore[attr-defined]
    assert answer.status_code == 503
    assert "locked" not in answer.text
