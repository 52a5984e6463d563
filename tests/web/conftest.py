"""A newsletter whose issue was really sent, and its public pages on a real port."""

from __future__ import annotations

import shutil
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from PIL import Image

from digest.audience.address import parse_address
from digest.audience.database import now, open_database
from digest.audience.store import new_token
from digest.cli.apart import compose_apart
from digest.compose.compiled import CompiledIssue
from digest.compose.composer import compile_issue
from digest.delivery.agenda import Wishes
from digest.delivery.deliver import deliver
from digest.delivery.relay import SmtpRelay
from digest.delivery.scripted import ScriptedRelay
from digest.newsletter import Newsletter, shipped
from digest.web.app import Parts, create_app
from digest.web.confirmation import Confirmations
from digest.web.look import load_look
from digest.web.postman import Postman
from digest.web.reading import Reading
from digest.web.server import configuration, listen
from digest.web.writer import Writer

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
PAID = "The memo in full"

SETTINGS = """
[newsletter]
name = "Test Weekly"
sender = "Test Weekly <weekly@news.example.com>"
reply_to = "editor@news.example.com"
domain = "news.example.com"
base_url = "https://news.example.com"
postal_address = "1 Example Street, London"
[unsubscribe]
url = "https://news.example.com/u"
one_click = true
[smtp]
host = "127.0.0.1"
port = 2
tls = "none"
connections = 2
[delivery]
require_test = false
[assets]
base_url = "https://news.example.com/assets"
[web]
tags = ["chips", "policy"]
"""

READERS = """
[attributes]
plan = {type = "string", values = ["free", "pro"]}
[segments]
free = 'subscriber.plan == "free" or not subscriber.plan'
pro = 'subscriber.plan == "pro"'
[public]
plan = "free"
"""

ISSUE = """\
---
subject: "Three stories: read two"
preheader: What happened, and what did not
date: 2025-09-12
status: draft
---

# A first heading

Good morning{% if subscriber.first_name %}, {{ subscriber.first_name }}{% endif %}, and welcome.

{segments="pro"}
The memo in full is for those who pay.

![A green field](field.png)

Words for all.
"""


@dataclass
class Site:
    """The public pages of one newsletter, being served."""

    root: Path
    port: int
    overrides: dict[str, object]
    writer: Writer
    http: httpx.Client
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def newsletter(self) -> Newsletter:
        return Newsletter.open(self.root, self.overrides)

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(open_database(self.newsletter.database)) as connection:
            return connection.execute(statement, values).fetchall()

    def status(self, address: str) -> str:
        ((status,),) = self.execute("SELECT status FROM subscribers WHERE email = ?", address)
        return str(status)

    def subscribe(self, address: str, status: str = "active", **columns: str) -> str:
        token = new_token()
        names = ["token", "address_key", "email", "status", "created_at", "updated_at", *columns]
        values = [token, parse_address(address).key, address, status, now(), now(), *columns.values()]
        marks = ", ".join("?" * len(values))
        self.execute(f"INSERT INTO subscribers ({', '.join(names)}) VALUES ({marks})", *values)
        self.tokens[address] = token
        return token

    def send(self, slug: str = "first", relay: ScriptedRelay | None = None) -> list[Any]:
        """Really send the issue; what the relay has taken in."""
        compiled = compile_issue(self.newsletter, self.newsletter.find_issue(slug))
        with ExitStack() as stack:
            taking = relay or stack.enter_context(ScriptedRelay())
            newsletter = Newsletter.open(self.root, {**self.overrides, "smtp.port": taking.port})
            deliver(newsletter, slug, compiled, Wishes(again=True))
            return list(taking.received)


def make_folder(root: Path, issue: str = ISSUE) -> Path:
    (root / "config").mkdir(parents=True)
    (root / "config/digest.toml").write_text(SETTINGS)
    (root / "config/readers.toml").write_text(READERS)
    shutil.copytree(shipped("templates", "median"), root / "templates" / "median")
    (root / "issues" / "first").mkdir(parents=True)
    (root / "issues" / "first" / "index.md").write_text(issue, encoding="utf-8")
    Image.new("RGB", (600, 300), "#2e7d4f").save(root / "issues" / "first" / "field.png")
    return root


_COMPOSED: dict[str, CompiledIssue] = {}


def _composed_once(newsletter: Newsletter, file: Path) -> CompiledIssue:
    """A confirmation is the same in every test: it depends on its text alone."""
    text = file.read_text("utf-8")
    if text not in _COMPOSED:
        _COMPOSED[text] = compose_apart(newsletter, file)
    return _COMPOSED[text]


@contextmanager
def running(root: Path, overrides: Mapping[str, object] | None = None, *, joining: bool = False) -> Iterator[Site]:
    """The pages of a folder on a port of their own."""
    given = {"signup.enabled": joining, **(overrides or {})}
    newsletter = Newsletter.open(root, given)
    confirmations = Confirmations(newsletter, _composed_once) if joining else None
    with ExitStack() as stack:
        reading = stack.enter_context(Reading(newsletter.database))
        _ = reading.connection
        writer = stack.enter_context(Writer(newsletter.database, closing=1))
        relay = SmtpRelay(newsletter.settings.smtp, hello="news.example.com")
        postman = None
        if confirmations:
            made = confirmations

            def postman() -> Postman:
                return Postman(made, relay, None, reading, writer)

        app = create_app(Parts(newsletter, load_look(newsletter), reading, writer, postman))
        listening = stack.enter_context(listen("127.0.0.1", 0))
        stack.enter_context(_uvicorn(app, listening, newsletter.settings.web.proxies))
        port = listening.getsockname()[1]
        # One client: what makes a new one slow is TLS, which nothing here speaks.
        client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", verify=_NO_TLS, timeout=60))
        yield Site(newsletter.root, port, dict(given), writer, client)


@contextmanager
def _uvicorn(app: Any, listening: socket.socket, proxies: tuple[str, ...]) -> Iterator[None]:
    server = uvicorn.Server(configuration(app, proxies))
    thread = threading.Thread(target=lambda: server.run(sockets=[listening]), daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A newsletter with one issue that has a picture and a paragraph for those who pay."""
    return make_folder(tmp_path / "news")


@pytest.fixture(scope="session")
def serve() -> Callable[..., Any]:
    """``with serve(folder, {...}, joining=True) as site``."""
    return running


@pytest.fixture(scope="session")
def newsletter_folder() -> Callable[..., Path]:
    """``newsletter_folder(root, issue)``: as `folder`, with another text."""
    return make_folder


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    """The folder's pages; nothing sent yet, nobody on the list."""
    with running(folder) as served:
        yield served


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Pages of an issue that was sent to a free and a paying reader, for tests that change nothing."""
    with running(make_folder(tmp_path_factory.mktemp("web") / "news")) as served:
        served.subscribe("ada@example.org", name="Ada Example", attributes='{"plan": "free"}')
        served.subscribe("pia@example.org", name="Pia Paying", attributes='{"plan": "pro"}')
        served.send()
        yield served


@pytest.fixture
def tab(tab: Any) -> Iterator[Any]:
    """An empty tab, in which an error that the browser tells of (a request that the policy stops is one) fails too."""
    told: list[str] = []
    tab.on("console", lambda message: message.type == "error" and told.append(message.text))
    yield tab
    assert told == []
