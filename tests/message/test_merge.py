"""Messages: what a client decodes is what was written, and a value is only ever a value."""

from __future__ import annotations

import email.policy
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.audience.subscriber import Subscriber
from digest.compose.compiled import CompiledIssue, Condition
from digest.errors import InputError, Place
from digest.message.identity import mark_of
from digest.message.merge import INERT_TOKEN, MergeError

TEXTS = st.text(max_size=60) | st.text(
    st.sampled_from("aF.-=<>&'\" \t\r\né“\u200d👩\u202e\x00\x07\u2028{}%From "), max_size=120
)
STATIC = st.text(st.characters(exclude_categories=["Cs"]), max_size=120) | TEXTS


def written(text: str) -> str:
    """Static text as the composer writes it: braces as constants."""
    return re.sub(r"[{}]", r'{{ "\g<0>" }}', text)


TEMPLATE = (
    "{0}{{{{ subscriber.name }}}}{1}{{% if segment['pro'] %}}{2}{{{{ subscriber.company }}}}{{% else %}}{3}"
    "{{% endif %}}{{% for tag in subscriber.tags %}}{3}{{{{ tag }}}}{{% endfor %}}"
    "{{% set half = subscriber.age // 2 %}}{{{{ half }}}}{0}{{{{ newsletter.name }}}}"
    '<a href="{{{{ (links.unsubscribe) | link }}}}?n={{{{ (subscriber.name) | urlpart }}}}">{2}'
)


@given(
    st.lists(STATIC, min_size=4, max_size=4),
    st.builds(dict, name=TEXTS, company=TEXTS, plan=st.sampled_from(["pro", "free"]), age=st.integers()),
    st.lists(TEXTS, max_size=3),
)
def test_a_client_decodes_what_was_rendered(
    workshop: Any, static: list[str], values: dict[str, Any], tags: list[str]
) -> None:
    """For any static text and any values, both parts and every header decode to the plain rendering."""
    source = TEMPLATE.format(*map(written, static))
    merger = workshop.merger(subject=source.partition("<a ")[0], html=source, text=source)
    reader = workshop.reader(**values)
    reader = replace(reader, values={**reader.values, "tags": tuple(tags)})
    message = merger.message(reader, date=workshop.now)
    parsed, rendering = workshop.parsed(message), merger.rendering(reader, "real")
    assert workshop.body(parsed, "plain") == rendering.text
    assert workshop.body(parsed, "html") == rendering.html
    assert parsed["Subject"] == rendering.subject
    assert parsed.keys() == workshop.parsed(workshop.message(workshop.reader())).keys()
    assert [a.addr_spec for a in parsed["To"].addresses] == [reader.email]
    assert_wire(message.data)


def assert_wire(data: bytes) -> None:
    """Seven bits, CRLF only, header lines under 998 and body lines under 77 characters."""
    assert max(data) < 128
    assert b"\r" not in data.replace(b"\r\n", b"")
    assert b"\n" not in data.replace(b"\r\n", b"")
    head, _, body = data.partition(b"\r\n\r\n")
    assert max(map(len, head.split(b"\r\n"))) <= 998
    assert max(map(len, body.split(b"\r\n"))) <= 76


HOSTILE = [
    "Ada\r\nBcc: evil@example.org",
    "Ada\nX-Evil: 1\n\n<h1>body</h1>",
    "Ada\u2028Bcc: evil@example.org",
    "Ada\x0bBcc: evil@example.org\x85Cc: evil@example.org",
    "=?utf-8?q?=0D=0ABcc:_evil=40example.org?=",
    '"Ada" <evil@example.org>, Bob',
    "<script>alert(1)</script>",
    '" onclick="x',
    "' onclick='x",
    "{{ subscriber.email }}{% for x in range(9) %}",
    "--=_0000\r\nContent-Type: text/html",
    ".\r\n.\r\n",
    "👩🏽‍💻 \u202eKNILF\u202c",
    "x" * 10_000,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_value_makes_a_header_a_recipient_a_tag_or_an_attribute(workshop: Any, name: str) -> None:
    """A hostile name leaves the message's structure as it is for an ordinary one."""
    issue = {
        "subject": "For {{ subscriber.name }}",
        "html": '<p title="{{ subscriber.name }}">{{ subscriber.name }}</p>\n',
        "text": "{{ subscriber.name }}\n",
    }
    plain = workshop.parsed(workshop.message(workshop.reader(name="Ada"), **issue))
    message = workshop.message(workshop.reader(name=name), **issue)
    parsed = workshop.parsed(message)
    assert parsed.keys() == plain.keys()
    assert [a.addr_spec for a in parsed["To"].addresses] == ["ada@example.com"]
    assert len(list(parsed.walk())) == 3
    html = workshop.body(parsed, "html")
    assert re.fullmatch(r'<p title="[^"<>\']*">[^"<>\']*</p>\n', html)
    assert_wire(message.data)


def test_every_header_of_a_message(workshop: Any) -> None:
    """The fields of a real message, each as it is meant, once."""
    parsed = workshop.parsed(workshop.message(workshop.reader(name="Ада Лавлейс")))
    assert str(parsed["From"]) == '"The Sample, Weekly" <weekly@news.example.com>'
    assert str(parsed["To"]) == "Ада Лавлейс <ada@example.com>"
    assert parsed["Date"] == "Fri, 12 Sep 2025 09:00:00 +0000"
    assert parsed["Reply-To"] == "editor@news.example.com"
    assert parsed["List-Id"] == "The Sample Weekly <the-sample-weekly.news.example.com>"
    assert parsed["List-Unsubscribe"] == (
        "<https://news.example.com/u/tok3n>, <mailto:leave@news.example.com?subject=unsubscribe%20tok3n>"
    )
    assert parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert parsed["Content-Language"] == "en"
    assert parsed["MIME-Version"] == "1.0"
    assert [part.get_content_type() for part in parsed.iter_parts()] == ["text/plain", "text/html"]
    assert len(set(parsed.keys())) == len(parsed.keys())


def test_one_click_only_with_https_and_when_set(workshop: Any) -> None:
    """List-Unsubscribe-Post is left out without an https address, or when it is switched off."""
    reader = workshop.reader()
    for identity in ({"one_click": False}, {"unsubscribe_url": ""}):
        parsed = workshop.parsed(workshop.message(reader, identity))
        assert "List-Unsubscribe-Post" not in parsed
        assert "mailto:" in parsed["List-Unsubscribe"]
    nothing = {"unsubscribe_url": "", "unsubscribe_mailto": ""}
    assert "List-Unsubscribe" not in workshop.parsed(workshop.message(reader, nothing))


def test_a_long_unsubscribe_address_stays_whole(workshop: Any) -> None:
    """An address of 300 characters is neither folded nor encoded."""
    url = "https://news.example.com/" + "leave/" * 46
    data = workshop.message(workshop.reader(), {"unsubscribe_url": url}).data
    assert f"List-Unsubscribe: <{url}tok3n>,\r\n".encode() in data


def test_extra_headers_are_written_and_never_break_a_line(workshop: Any) -> None:
    """A header of the settings is on every message; one with a line break is refused by its name."""
    parsed = workshop.parsed(workshop.message(workshop.reader(), {"headers": {"X-Stream": "broadcast"}}))
    assert parsed["X-Stream"] == "broadcast"
    long = workshop.message(workshop.reader(), {"headers": {"X-Long": "k" * 300}})
    assert f"X-Long: {'k' * 300}\r\n".encode() in long.data
    for headers in ({"X-Evil": "1\r\nBcc: x@example.org"}, {"Bad Name": "1"}, {"X:": "1"}):
        with pytest.raises(InputError) as caught:
            workshop.merger({"headers": headers})
        assert repr(next(iter(headers))) in str(caught.value)


def test_same_input_same_bytes(workshop: Any) -> None:
    """Two mergers make the same bytes for the same reader and date."""
    reader = workshop.reader(name="Ada")
    assert workshop.message(reader) == workshop.message(reader)


def test_message_id_is_stable_and_from_the_token(workshop: Any) -> None:
    """A retry, another date or a changed address keeps the Message-ID; another reader or issue has its own."""
    merger, reader = workshop.merger(), workshop.reader()
    first = merger.message(reader, date=workshop.now).message_id
    later = workshop.now + timedelta(hours=3)
    assert re.fullmatch(r"<[0-9a-z]{32,}@news\.example\.com>", first)
    assert merger.message(reader, date=later).message_id == first
    assert merger.message(replace(reader, email="b@example.com"), date=later).message_id == first
    assert f"Message-ID: {first}".encode() in merger.message(reader, date=later).data
    others = {
        merger.message(workshop.reader(token="other"), date=later).message_id,
        workshop.merger(slug="another").message(reader, date=later).message_id,
        merger.message(reader, date=later, purpose="test").message_id,
        merger.message(reader, date=workshop.now, purpose="test").message_id,
    }
    assert len(others | {first}) == 5


LINKS = '<a href="{{ (links.unsubscribe) | link }}">a</a><a href="{{ (links.view) | link }}">b</a>\n'


def test_links_work_only_when_real(workshop: Any) -> None:
    """A test and a dry run carry the inert token wherever a real message carries the reader's."""
    merger, reader = workshop.merger(html=LINKS, text=LINKS), workshop.reader()
    real = merger.message(reader, date=workshop.now)
    assert real.data.count(b"tok3n") == 6
    assert INERT_TOKEN not in real.sender
    for purpose in ("test", "dry"):
        made = merger.message(reader, date=workshop.now, purpose=purpose)
        assert b"tok3n" not in made.data
        assert made.data.count(INERT_TOKEN.encode()) == 6
        assert "tok3n" not in made.sender


def test_only_a_test_is_marked(workshop: Any) -> None:
    """[Test] stands before the subject of a test, and nowhere else."""
    merger, reader = workshop.merger(subject="Größe"), workshop.reader()
    subjects = {
        purpose: workshop.parsed(merger.message(reader, date=workshop.now, purpose=purpose))["Subject"]
        for purpose in ("real", "test", "dry")
    }
    assert subjects == {"real": "Größe", "test": "[Test] Größe", "dry": "Größe"}
    assert merger.rendering(reader, "test").subject == "[Test] Größe"


def test_a_dry_run_differs_only_in_links(workshop: Any) -> None:
    """With links that need no token, dry and real are the same bytes."""
    merger, reader = workshop.merger({"unsubscribe_url": "", "unsubscribe_mailto": ""}), workshop.reader()
    real, dry = (merger.message(reader, date=workshop.now, purpose=p) for p in ("real", "dry"))
    assert real.data == dry.data


def test_a_test_goes_to_another_address_without_the_readers_name(workshop: Any) -> None:
    """`recipient` is in the envelope and in To, alone."""
    merger = workshop.merger(text="{{ subscriber.name }}\n")
    message = merger.message(
        workshop.reader(name="Ada"), date=workshop.now, purpose="test", recipient="desk@example.org"
    )
    parsed = workshop.parsed(message)
    assert message.recipient == "desk@example.org"
    assert str(parsed["To"]) == "desk@example.org"
    assert workshop.body(parsed, "plain") == "Ada\n"


@pytest.mark.parametrize(
    ("address", "wire", "smtputf8"),
    [
        ("ada@bücher.example", "ada@xn--bcher-kva.example", False),
        ("Ada.Byron+x@Example.com", "Ada.Byron+x@Example.com", False),
        ('"ada byron"@example.com', '"ada byron"@example.com', False),
        ("адa@example.com", "адa@example.com", True),
    ],
)
def test_addresses_on_the_wire(workshop: Any, address: str, wire: str, smtputf8: bool) -> None:
    """The local part is untouched, a domain becomes A-labels, and only a local part needs SMTPUTF8."""
    message = workshop.message(workshop.reader(address, name="Ада"))
    assert message.recipient.casefold() == wire.casefold()
    assert message.recipient.partition("@")[0] == wire.partition("@")[0]
    assert message.smtputf8 is smtputf8
    parsed = email.message_from_bytes(message.data, policy=email.policy.default.clone(utf8=True))
    read = parsed["To"].addresses[0].addr_spec.encode("ascii", "surrogateescape").decode()
    assert read == message.recipient
    assert message.data.isascii() is not smtputf8


@pytest.mark.parametrize("address", ["a@b\r\n.example", "a> <b@x.example", "a b@x.example", "a", "", "a@@x.example"])
def test_an_address_that_is_none_never_leaves(workshop: Any, address: str) -> None:
    """A broken address is a MergeError: the reader is rejected here, and no header is written."""
    with pytest.raises(MergeError) as caught:
        workshop.message(workshop.reader(address))
    assert caught.value.problem.code == "bad-address"


def test_envelope_sender_is_verp(workshop: Any) -> None:
    """The return path names the reader, signed; without one configured, the sender's address does."""
    reader = workshop.reader()
    mark = mark_of(reader.id, reader.token, b"secret")
    assert workshop.message(reader, {"verp_key": b"secret"}).sender == f"bounces+{mark}@news.example.com"
    alone = workshop.message(reader, {"return_path": "", "verp_key": b"secret"})
    assert alone.sender == f"weekly+{mark}@news.example.com"


def test_an_envelope_sender_opens_nothing(workshop: Any) -> None:
    """Neither the reader's token nor their address stands in it, and another key signs otherwise."""
    reader = workshop.reader()
    sender = workshop.message(reader).sender
    assert reader.token not in sender
    assert sender != workshop.message(reader, {"verp_key": b"other"}).sender


def test_the_boundary_comes_from_the_content(workshop: Any) -> None:
    """The same content has the same boundary, other content another; it can't stand in a body."""
    first = workshop.parsed(workshop.message(workshop.reader())).get_boundary()
    again = workshop.parsed(workshop.message(workshop.reader(name="Z"), slug="y")).get_boundary()
    other = workshop.parsed(workshop.message(workshop.reader(), text="Other\n")).get_boundary()
    assert first == again != other
    assert "=_" in first


def test_no_part_ends_in_a_soft_break(workshop: Any) -> None:
    """Before each boundary stands a finished line, also where a value ends the part."""
    source = "Hello {{ subscriber.name }}"
    data = workshop.message(workshop.reader(name="Ada"), html=source, text=source).data
    assert data.count(b"Ada\r\n--=_") == 2


def test_what_one_template_sets_another_cannot_read(workshop: Any) -> None:
    """A `set` in the text is unknown in the HTML, where the rendering would not know it either."""
    merger = workshop.merger(text="{% set x = 1 %}{{ x }}", html="{{ x }}")
    with pytest.raises(MergeError, match="'x' is undefined"):
        merger.message(workshop.reader(), date=workshop.now)


def test_the_issues_sender_wins(workshop: Any) -> None:
    """An issue with a sender of its own is sent from it."""
    parsed = workshop.parsed(
        workshop.message(workshop.reader(), sender="Ada <ada@news.example.com>", reply_to="r@example.com")
    )
    assert (str(parsed["From"]), parsed["Reply-To"]) == ("Ada <ada@news.example.com>", "r@example.com")


def test_audience_and_variant(workshop: Any) -> None:
    """`gets` follows the audience, `variant` each condition, with segments by either spelling."""
    place = Place("issues/x.md", 1)
    merger = workshop.merger(
        audience='pro or segment["old"]',
        segments={"pro": 'subscriber.plan == "pro"', "old": "days_since(subscriber.signed_up) > 30"},
        conditions=(
            Condition('segment["pro"]', place),
            Condition("not segment.pro", place),
            Condition("subscriber.company", place),
        ),
    )
    pro, free = workshop.reader(plan="pro", company="C"), workshop.reader(plan="free")
    old = workshop.reader(plan="free", signed_up=workshop.now.date() - timedelta(days=31))
    assert [merger.gets(r) for r in (pro, free, old)] == [True, False, True]
    assert merger.variant(pro) == (True, False, True)
    assert merger.variant(free) == (False, True, False)


def test_a_stored_issue_merges_the_same(workshop: Any) -> None:
    """A compiled issue read back from JSON makes the same bytes."""
    merger = workshop.merger(html=LINKS, subject="{{ subscriber.name }}")
    stored = CompiledIssue.from_json(merger.compiled.to_json())
    again = workshop.merger(**{f: getattr(stored, f) for f in ("html", "subject", "text", "segments")})
    reader: Subscriber = workshop.reader(name="Ada")
    made = [m.message(reader, date=workshop.now).data for m in (merger, again)]
    assert made[0] == made[1]
