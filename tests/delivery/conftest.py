"""A small newsletter with its database, an issue compiled by hand, and relays with a script."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from digest.audience.address import parse_address
from digest.audience.database import now, open_database
from digest.audience.store import Subscribers, new_token
from digest.compose.compiled import CompiledIssue
from digest.compose.handmade import handmade
from digest.delivery.accounts import Accounts
from digest.delivery.agenda import RunReport, Wishes
from digest.delivery.deliver import deliver
from digest.delivery.desk import open_desk
from digest.delivery.ledger import Entry
from digest.delivery.relay import Relay
from digest.delivery.runs import Run
from digest.delivery.scripted import Script, ScriptedRelay
from digest.newsletter import Newsletter

SETTINGS = """
[newsletter]
name = "Test Weekly"
sender = "Test Weekly <weekly@news.example.com>"
domain = "news.example.com"
base_url = "https://news.example.com"

[bounces]
return_path = "bounces@news.example.com"

[smtp]
host = "127.0.0.1"
port = 2
tls = "none"
connections = 4
timeout = 30

[delivery]
require_test = false
wait_for_relay = "1s"
"""


class Bench:
    """A newsletter in a folder, and the shortest ways to do things with it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "config").mkdir(parents=True)
        (root / "issues").mkdir()
        (root / "config/digest.toml").write_text(SETTINGS)
        self.overrides: dict[str, object] = {}

    @property
    def newsletter(self) -> Newsletter:
        return Newsletter.open(self.root, self.overrides)

    @property
    def database(self) -> Path:
        return self.newsletter.database

    def subscribe(self, *addresses: str, status: str = "active", **columns: str) -> None:
        connection = open_database(self.database)
        names = ["token", "address_key", "email", "status", "created_at", "updated_at", *columns]
        for address in addresses:
            values = [new_token(), parse_address(address).key, address, status, now(), now(), *columns.values()]
            marks = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO subscribers ({', '.join(names)}) VALUES ({marks})", values)
        connection.close()

    def subscribe_many(self, number: int) -> list[str]:
        addresses = [f"reader{n:04d}@example.org" for n in range(1, number + 1)]
        self.subscribe(*addresses)
        return addresses

    def leave(self, address: str, status: str = "unsubscribed") -> None:
        connection = open_database(self.database)
        assert Subscribers(connection).leave(parse_address(address), status)
        connection.close()

    def send(self, issue: CompiledIssue, relay: ScriptedRelay | Relay, **wishes: object) -> RunReport:
        """`deliver`, with the check of the accounts that follows every step of every test."""
        given = None
        if isinstance(relay, ScriptedRelay):
            self.overrides |= {"smtp.port": relay.port}
        else:
            given = relay
        report = deliver(self.newsletter, issue.slug, issue, Wishes(**wishes), relay=given)  # type: ignore[arg-type]
        assert report.accounts.problems() == []
        assert self.accounts(issue.slug) == report.accounts
        return report

    def run(self, slug: str = "one") -> Run:
        with open_desk(self.newsletter) as desk:
            found = desk.runs.latest(slug)
        assert found is not None
        return found

    def accounts(self, slug: str = "one") -> Accounts:
        with open_desk(self.newsletter) as desk:
            run = desk.runs.latest(slug)
            assert run is not None
            accounts = desk.accounts(run)
        assert accounts.problems() == []
        return accounts

    def entries(self, state: str, slug: str = "one") -> list[Entry]:
        with open_desk(self.newsletter) as desk:
            run = desk.runs.latest(slug)
            assert run is not None
            return list(desk.ledger(run).entries(state))

    def execute(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        connection = open_database(self.database)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    def suppressed(self) -> list[str]:
        return [str(key) for (key,) in self.execute("SELECT address_key FROM suppressions ORDER BY 1")]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "weekly")


def make_issue(slug: str = "one", text: str = "Good morning.", audience: str = "true") -> CompiledIssue:
    named = '{% if segment["named"] %}, {{ subscriber.first_name }}{% endif %}'
    return handmade(
        "issues/one.md",
        slug=slug,
        title="The first one",
        audience=audience,
        subject="The first one" + named,
        html=f"<!DOCTYPE html><p>{text}</p><p>To {{{{ subscriber.email }}}}</p>",
        text=f"{text}\n\nTo {{{{ subscriber.email }}}}\n",
        segments={"named": "subscriber.first_name"},
        conditions=['segment["named"]'],
    )


@pytest.fixture
def issue() -> CompiledIssue:
    return make_issue()


@pytest.fixture
def compiled() -> Callable[..., CompiledIssue]:
    """Makes an issue: ``compiled(slug, text=…, audience=…)``."""
    return make_issue


@pytest.fixture(params=["one by one", "pipelined"])
def scripted(request: pytest.FixtureRequest) -> Iterator[Callable[..., ScriptedRelay]]:
    """Starts a relay with a script, once without PIPELINING and once with it; stopped when the test ends."""
    more = ("PIPELINING",) if request.param == "pipelined" else ()
    with ExitStack() as stack:

        def start(
            script: Script = lambda _step: None, extensions: tuple[str, ...] = ScriptedRelay.extensions, **options: Any
        ) -> ScriptedRelay:
            return stack.enter_context(ScriptedRelay(script, (*extensions, *more), **options))

        yield start


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1, with its key, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl (Debian package openssl) is missing: TLS was not tested")
    folder = tmp_path_factory.mktemp("tls")
    pem, key = folder / "both.pem", folder / "key.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=relay"
    subprocess.run(
        [*make.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", pem],
        check=True,
        capture_output=True,
    )
    pem.write_text(pem.read_text() + key.read_text())
    return pem
