"""A small newsletter that has really sent an issue, and what comes back of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from digest.audience.address import parse_address
from digest.audience.database import now, open_database, writing
from digest.audience.store import Subscribers, Suppressions, new_token
from digest.bounces.collecting import Collected, collect
from digest.compose.handmade import handmade
from digest.delivery.accounts import Accounts
from digest.delivery.agenda import RunReport, Wishes
from digest.delivery.deliver import deliver
from digest.delivery.desk import open_desk
from digest.delivery.scripted import Received, ScriptedRelay
from digest.newsletter import Newsletter

SETTINGS = """
[newsletter]
name = "Test Weekly"
sender = "Test Weekly <weekly@news.example.com>"
domain = "news.example.com"
base_url = "https://news.example.com"

[unsubscribe]
url = "https://news.example.com/u"
mailto = "leave@news.example.com"

[bounces]
return_path = "bounces@news.example.com"

[smtp]
host = "127.0.0.1"
port = 2
tls = "none"

[delivery]
require_test = false
max_change = "100%"
"""


class Weekly:
    """A newsletter in a folder."""

    def __init__(self, root: Path, relay: ScriptedRelay) -> None:
        self.root = root
        self.relay = relay
        self.overrides: dict[str, object] = {"smtp.port": relay.port}
        (root / "config").mkdir(parents=True)
        (root / "issues").mkdir()
        (root / "config/digest.toml").write_text(SETTINGS)

    @property
    def newsletter(self) -> Newsletter:
        return Newsletter.open(self.root, self.overrides)

    @property
    def database(self) -> Path:
        return self.newsletter.database

    def subscribe(self, *addresses: str, status: str = "active") -> None:
        connection = open_database(self.database)
        with writing(connection):
            connection.executemany(
                "INSERT INTO subscribers (token, address_key, email, status, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [(new_token(), parse_address(a).key, a, status, now(), now()) for a in addresses],
            )
        connection.close()

    def send(self, slug: str = "one") -> RunReport:
        """Send an issue to everybody."""
        html, text = f"<!DOCTYPE html><p>{slug}</p>", f"{slug}\n"
        issue = handmade(f"issues/{slug}.md", title=slug, subject=slug, html=html, text=text)
        return deliver(self.newsletter, slug, issue, Wishes())

    def copy_of(self, address: str, slug: str = "one") -> Received:
        """The message of an issue as the relay took it from us for a reader."""
        return next(m for m in self.relay.received if m.recipient == address and m.header("Subject") == slug)

    def accounts(self, slug: str = "one") -> Accounts:
        with open_desk(self.newsletter) as desk:
            run = desk.runs.latest(slug)
            assert run is not None
            return desk.accounts(run)

    def collect(self, *mails: bytes, dry_run: bool = False) -> Collected:
        """Have mails read that came into a Maildir."""
        box = self.maildir(*mails)
        return collect(self.newsletter, box, dry_run=dry_run)

    def maildir(self, *mails: bytes) -> Path:
        box = self.root / "box"
        for part in ("cur", "new", "tmp"):
            (box / part).mkdir(parents=True, exist_ok=True)
        before = len(list(box.rglob("m*.x")))
        for number, mail in enumerate(mails, before):
            (box / "new" / f"m{number:04d}.x").write_bytes(mail)
        return box

    def status(self, address: str) -> str:
        connection = open_database(self.database)
        reader = Subscribers(connection).by_address(address)
        connection.close()
        return reader.status if reader else "gone"

    def token(self, address: str) -> str:
        connection = open_database(self.database)
        reader = Subscribers(connection).by_address(address)
        connection.close()
        assert reader is not None
        return reader.token

    def suppressed(self) -> dict[str, str]:
        connection = open_database(self.database)
        found = {entry.address_key: entry.reason for entry in Suppressions(connection).all()}
        connection.close()
        return found

    def execute(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        connection = open_database(self.database)
        with writing(connection):
            found = connection.execute(statement, values).fetchall()
        connection.close()
        return found


@pytest.fixture
def weekly(tmp_path: Path) -> Iterator[Weekly]:
    with ScriptedRelay(extensions=("PIPELINING",)) as relay:
        yield Weekly(tmp_path / "weekly", relay)
