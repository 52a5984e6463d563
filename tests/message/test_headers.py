"""Header fields: encoding, folding, and what can't get into them."""

from __future__ import annotations

import base64
import email
import email.policy
import re
from datetime import UTC, datetime, timedelta, timezone
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from digest.message import headers
from digest.message.values import header_text

TEXTS = st.text(max_size=300) | st.text(st.sampled_from('ab é“👩\u200d💻\u202e,"\\<>@()=?_\n'), max_size=300)
AWKWARD = [
    "👩🏽‍💻👨‍👩‍👧‍👦" * 12,
    "\u202bמרים כהן\u202c",
    "=?utf-8?b?SGk=?=",
    'Smith, "Jo" \\ <x@y>',
    "Ada\r\nBcc: evil@example.com",
    "word " * 60,
    "x" * 5000,
]


def read(field: str) -> EmailMessage:
    """One field as a mail client reads it; the message has no other."""
    message = email.message_from_bytes(f"{field}\r\n\r\n".encode(), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert len(message.keys()) == 1
    return message


def decoded(field: str) -> str:
    """The encoded words of a field, decoded and joined (Python 3.11's address parser leaves spaces between)."""
    words = re.findall(r"=\?utf-8\?b\?\S+\?=", field)
    return "".join(base64.b64decode(word[10:-2]).decode("utf-8", "strict") for word in words)


def assert_lines(field: str) -> None:
    """Folded with a space, 7-bit, at most 76 characters (more only where no fold is allowed)."""
    first, *rest = field.split("\r\n")
    assert field.isascii()
    assert re.match(r"[A-Za-z-]+:", first)
    assert all(line.startswith(" ") and line.strip() for line in rest)
    for line in (first, *rest):
        assert len(line) <= 76 or " " not in line.strip()
        assert "\n" not in line
        assert "\r" not in line
        assert all(len(word) <= 75 for word in re.findall(r"=\?\S*\?=", line))


@given(TEXTS)
@example(AWKWARD[0])
@example(AWKWARD[1])
@example(AWKWARD[2])
@example(AWKWARD[4])
@example(AWKWARD[5])
@example(AWKWARD[6])
def test_subject_round_trip(text: str) -> None:
    """Any subject reads as it was meant, on one line, and makes no second header."""
    field = headers.unstructured("Subject", text)
    assert_lines(field)
    assert read(field)["Subject"] == header_text(text)


@given(TEXTS)
@pytest.mark.parametrize("address", ["a@b.example", "x" * 64 + "@" + "long-label." * 15 + "example"])
@example(text=AWKWARD[0])
@example(text=AWKWARD[1])
@example(text=AWKWARD[2])
@example(text=AWKWARD[3])
@example(text=AWKWARD[4])
@example(text=AWKWARD[6])
def test_mailbox_round_trip(address: str, text: str) -> None:
    """Any name reads as it was meant; the address is the one given, untouched, and the only one."""
    field = headers.mailbox("To", text, address)
    assert_lines(field)
    assert address in field
    [mailbox] = read(field)["To"].addresses
    assert mailbox.addr_spec == address
    assert (decoded(field) or mailbox.display_name) == header_text(text)


def test_no_encoded_word_cuts_a_character() -> None:
    """Each encoded word decodes by itself (RFC 2047 section 5: no character is split)."""
    field = headers.unstructured("Subject", AWKWARD[0])
    assert field.count("=?utf-8?b?") > 5
    assert decoded(field) == AWKWARD[0]


def test_list_unsubscribe_is_never_encoded() -> None:
    """A List-Unsubscribe of 400 characters stands intact between its angle brackets."""
    url = "https://news.example.com/u/" + "k" * 400
    field = headers.list_unsubscribe(url, "mailto:leave@news.example.com?subject=x")
    assert f"<{url}>" in field
    assert "=?" not in field
    assert field.split("\r\n ")[1] == "<mailto:leave@news.example.com?subject=x>"


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_date_is_rfc_5322(moment: datetime) -> None:
    """The Date field parses back to the same second."""
    field = headers.date(moment)
    assert parsedate_to_datetime(field.removeprefix("Date: ")) == moment.replace(microsecond=0)


def test_date_keeps_the_zone_and_needs_one() -> None:
    """An offset is written as it is; a moment without one is refused."""
    moment = datetime(2025, 9, 12, 9, 0, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert headers.date(moment) == "Date: Fri, 12 Sep 2025 09:00:00 +0530"
    assert headers.date(moment.astimezone(UTC)) == "Date: Fri, 12 Sep 2025 03:30:00 +0000"
    with pytest.raises(ValueError, match="offset"):
        headers.date(datetime(2025, 9, 12))


def test_list_id_is_a_name_under_the_domain() -> None:
    """List-Id holds a phrase and an identifier of ours (RFC 2919)."""
    assert headers.list_id("The “Weekly”", "news.example.com").endswith("<the-weekly.news.example.com>")
    assert headers.list_id("週刊", "news.example.com").endswith("<newsletter.news.example.com>")
