from __future__ import annotations

import csv
import email
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from digest.audience.address import parse_address
from digest.audience.database import open_database
from digest.audience.importing import ImportReport, import_list
from digest.audience.readers import load_readers
from digest.audience.store import Subscribers
from digest.audience.subscriber import Subscriber
from digest.compose.composer import compile_issue
from digest.delivery.accounts import Accounts
from digest.delivery.agenda import Wishes
from digest.delivery.deliver import deliver
from digest.delivery.scripted import Received, ScriptedRelay
from digest.newsletter import Newsletter

HOSTILE = Path(__file__).with_name("hostile.csv")
"""Awkward rows. `expected` is “in” (imported and sent to), “utf8” (imported; only a relay with SMTPUTF8 can carry
the address) or “no: ” and a part of the reason."""

NULS = 'no: U+0000,nul1@example.com,"A\0nn",,,,,,,,,\nno: U+0000,n\0ul2@example.com,,,,,,,,,,\n'
"""Kept out of the file, so that it stays a text."""

ISSUE = """---
subject: "Hello {{ subscriber.name | default('you') }}, {{ subscriber.company | default('nobody') }}"
preheader: "From {{ subscriber.city | default('nowhere') }}"
date: 2025-09-12
authors: [ada]
audience: all
status: ready
---

Dear {{ subscriber.name | default("you") }} of {{ subscriber.company | default("nobody") }},

> {{ subscriber.city | default("nowhere") }} and {{ subscriber.tags | join(" / ") }}

[Your desk]({{ subscriber.desk_url | default("https://desk.example.com/") }}),
[your page](https://www.example.com/hello?name={{ subscriber.name | default("you") }}&fixed=1)
"""


@dataclass(frozen=True)
class Sent:
    """What came of the list: rows with their verdicts, the report, the readers, what the relay took in."""

    rows: list[list[str]]
    report: ImportReport
    readers: dict[str, Subscriber]
    received: list[Received]
    accounts: Accounts

    def messages(self) -> Iterator[tuple[Subscriber, EmailMessage]]:
        for message in self.received:
            found = email.message_from_bytes(message.data, policy=policy.default)
            assert isinstance(found, EmailMessage)
            yield self.readers[message.recipient], found


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Sent:
    """The list imported, an issue that prints its values composed, and sent to a real SMTP server."""
    root = tmp_path_factory.mktemp("hostile")
    for name in ("config", "templates"):
        (root / name).symlink_to(repository / name)
    (root / "issues").mkdir()
    (root / "issues/hostile.md").write_text(ISSUE, encoding="utf-8")
    text = HOSTILE.read_bytes().decode() + NULS
    (root / "list.csv").write_text(text, encoding="utf-8", newline="")
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if any(row)]

    with ScriptedRelay(extensions=("SIZE 10485760", "ENHANCEDSTATUSCODES", "PIPELINING")) as relay:
        smtp = {"smtp.host": "127.0.0.1", "smtp.port": relay.port, "smtp.tls": "none", "smtp.connections": 4}
        newsletter = Newsletter.open(root, smtp | {"delivery.require_test": False})
        connection = open_database(newsletter.database)
        readers = load_readers(root)
        report = import_list(connection, root / "list.csv", readers, shown="list.csv", ignore=["expected"])
        everybody = {parse_address(s.email).wire: s for s in Subscribers(connection).all()}
        connection.close()
        compiled = compile_issue(newsletter, newsletter.find_issue("hostile"))
        accounts = deliver(newsletter, "hostile", compiled, Wishes()).accounts
    return Sent(rows[1:], report, everybody, relay.received, accounts)


def test_there_are_enough_of_them(sent: Sent) -> None:
    """At least two hundred awkward rows, of every kind."""
    assert len(sent.rows) > 200
    kinds = [row[0].partition(":")[0] for row in sent.rows]
    assert min(kinds.count(kind) for kind in ("in", "no")) > 60
    assert kinds.count("utf8") >= 4


def test_every_row_has_the_verdict_it_should_have(sent: Sent) -> None:
    """Each row that is wrong is rejected for its reason, the others are in the list, as they were written."""
    rejected = (sent.report.rejects_file or Path()).read_bytes().decode()
    because = list(csv.reader(io.StringIO(rejected, newline="")))[1:]
    expected = [row for row in sent.rows if row[0].startswith("no: ")]
    assert sent.report.rejected == len(because) == len(expected)
    found = {tuple(row[2:]): row[1] for row in because}
    wrong = [
        (row, found[tuple(row)])
        for row in expected
        if row[0].removeprefix("no: ").partition(";")[0].strip() not in found[tuple(row)]
    ]
    assert wrong == []
    taken = [row for row in sent.rows if not row[0].startswith("no: ")]
    assert len(sent.readers) == sent.report.effect.added == len(taken)
    for row in taken:
        reader = sent.readers[parse_address(row[1]).wire]
        assert reader.name == row[2].strip()
        assert reader.values.get("company", "") == row[3].strip()
        assert reader.values.get("city", "") == row[4].strip()


def test_exactly_the_right_envelopes(sent: Sent) -> None:
    """Everybody in the list whose address this relay can carry gets one message, nobody else gets any."""
    wanted = sorted(parse_address(row[1]).wire for row in sent.rows if row[0] == "in")
    assert sorted(message.recipient for message in sent.received) == wanted
    assert sent.accounts.accepted == len(wanted)
    assert sent.accounts.rejected == sum(row[0] == "utf8" for row in sent.rows)
    assert {re.sub(r"\+.*@", "+@", message.sender) for message in sent.received} == {"bounces+@news.example.com"}


def test_no_value_makes_a_header(sent: Sent) -> None:
    """All messages have the same header fields, each once; the subject decodes to the values, on one line."""
    shapes = set()
    for reader, message in sent.messages():
        shapes.add(tuple(message.keys()))
        assert message["Bcc"] is None
        (to,) = message["To"].addresses
        address = parse_address(reader.email)
        assert (_unquoted(to.username), to.domain) == (_unquoted(address.local), address.domain)
        company = str(reader.values.get("company", "nobody"))
        assert " ".join(message["Subject"].split()) == " ".join(f"Hello {reader.name or 'you'}, {company}".split())
    assert len(shapes) == 1
    assert len(set(next(iter(shapes)))) == len(next(iter(shapes)))


def _unquoted(local: str) -> str:
    """What a local part says, quotation marks and backslashes aside (RFC 5321 section 4.1.2)."""
    return re.sub(r"\\(.)", r"\1", local[1:-1]) if local.startswith('"') else local


class _Structure(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.shape: list[tuple[str, ...]] = []
        self.links: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.shape.append((tag, *(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        self.shape.append((f"/{tag}",))

    def handle_comment(self, data: str) -> None:
        self.shape.append(("comment",))

    def handle_data(self, data: str) -> None:
        self.words += data


def test_no_value_makes_a_tag_or_an_attribute(sent: Sent) -> None:
    """All bodies have the same tags with the same attributes; the values stand in both parts as they are."""
    shapes = set()
    for reader, message in sent.messages():
        page, plain = message.get_body(("html",)), message.get_body(("plain",))
        assert page is not None
        assert plain is not None
        found = _Structure(page.get_content())
        shapes.add(tuple(found.shape))
        values = [reader.name, str(reader.values.get("company", "")), str(reader.values.get("city", ""))]
        for text in (found.words, plain.get_content()):
            squeezed = "".join(text.split())
            for value in values:
                assert "".join(value.split()) in squeezed, (reader.email, value[:80])
    assert len(shapes) == 1


def test_no_value_leads_elsewhere(sent: Sent) -> None:
    """A value in an address of a link stays where it is put: the host and the other parameters are the author's."""
    for reader, message in sent.messages():
        page = message.get_body(("html",))
        assert page is not None
        (page_link,) = [link for link in _Structure(page.get_content()).links if "/hello?" in link]
        parts = urlsplit(page_link)
        assert (parts.scheme, parts.netloc, parts.path) == ("https", "www.example.com", "/hello")
        asked = parse_qs(parts.query, keep_blank_values=True)
        assert asked.keys() == {"name", "fixed"}
        assert asked["fixed"] == ["1"]
        assert asked["name"][0].split() == (reader.name or "you").split()
