"""The embedded SMTP server and its mailbox: what was sent is shown as it came, and nothing in it runs."""

from __future__ import annotations

import re
import smtplib
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.preview.inbox import Inbox, preview_text


def _message(**headers: object) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "The Sample Weekly <weekly@news.example.com>"
    message["To"] = "Ada <ada@example.com>"
    message["Subject"] = "Three stories"
    for name, value in headers.items():
        del message[name]
        message[name] = value
    message.set_content("Plain words, and a dot:\n.\n..two\n")
    message.add_alternative("<!DOCTYPE html><p>A memo that binds nobody</p>", subtype="html")
    return message


def _send(site: Any, message: EmailMessage | bytes, *recipients: str) -> None:
    with smtplib.SMTP("127.0.0.1", site.smtp_port, timeout=60) as client:
        data = message if isinstance(message, bytes) else message.as_bytes(policy=policy.SMTP)
        client.sendmail("weekly@news.example.com", recipients or ("ada@example.com",), data)


def test_bytes_are_kept_as_they_came(site: Any) -> None:
    """The download is byte for byte what was sent, dots and all; the envelope is kept beside it."""
    data = _message().as_bytes(policy=policy.SMTP)
    _send(site, data)
    [received] = site.inbox.all()
    assert received.data == data
    assert (received.mail_from, received.recipient) == ("weekly@news.example.com", "ada@example.com")
    assert site.get("/inbox/1/message.eml").content == data


def test_each_recipient_has_a_message(site: Any) -> None:
    """One message to two recipients is two in the mailbox."""
    _send(site, _message(), "ada@example.com", "ben@example.com")
    assert [m.recipient for m in site.inbox.all()] == ["ada@example.com", "ben@example.com"]


def test_mailbox_is_searched(site: Any) -> None:
    """The search finds by reader, subject and words; all words must be there."""
    _send(site, _message(), "ada@example.com")
    _send(site, _message(To=Address("李雷", "lei", "example.com"), Subject="Zwei Geschichten"), "lei@example.com")
    page = site.get("/inbox", params={"q": "李雷 ZWEI"}).text
    assert "Zwei Geschichten" in page
    assert "Three stories" not in page
    assert "Nothing matches" in site.get("/inbox", params={"q": "zwei ada"}).text


def test_every_part_is_shown(site: Any) -> None:
    """Email, plain text, headers and source each have their page."""
    _send(site, _message())
    assert 'src="/inbox/1/html"' in site.get("/inbox/1").text
    assert "A memo that binds nobody" in site.get("/inbox/1/html").text
    assert "Plain words" in site.get("/inbox/1", params={"part": "text"}).text
    assert "multipart/alternative" in site.get("/inbox/1", params={"part": "headers"}).text
    assert "Content-Type" in site.get("/inbox/1", params={"part": "source"}).text


def test_carried_pictures_are_shown(site: Any) -> None:
    """A picture inside the message is served from it by its Content-ID; other parts never are."""
    message = _message()
    html = message.get_payload()[1]  # type: ignore[index]
    html.set_content('<img src="cid:pic@1"><img src="cid:page@1">', subtype="html")  # type: ignore[union-attr]
    html.add_related(b"\x89PNG", "image", "png", cid="<pic@1>")  # type: ignore[union-attr]
    html.add_related(b"<script>", "text", "html", cid="<page@1>")  # type: ignore[union-attr]
    _send(site, message)
    shown = site.get("/inbox/1/html").text
    assert 'src="/inbox/1/part/pic%401"' in shown
    picture = site.get("/inbox/1/part/pic%401")
    assert (picture.content, picture.headers["content-type"]) == (b"\x89PNG", "image/png")
    assert site.get("/inbox/1/part/page%401").status_code == 404


HOSTILE = [
    b"",
    b"\r\n",
    b"no headers at all\r\n",
    b"Subject: =?utf-8?b?////?=\r\nTo: <>\r\n\r\nx",
    b"Subject: =?nonsense?q?x?=\r\nContent-Type: text/html; charset=nonsense\r\n\r\n<p>x",
    b"From: <script>alert(1)</script> <a@b>\r\nSubject: <script>alert(1)</script>\r\n\r\n<script>",
    b'To: "<img src=x onerror=alert(1)>" <a@example.com>\r\n\r\nx',
    b"Content-Type: multipart/mixed\r\n\r\nno boundary",
    b"Content-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n!!!\r\n",
    b"Subject: \xff\xfe\r\nX: " + b"a" * 5000 + b"\r\n\r\n\xff",
    b"Content-ID: \r\nContent-Type: image/png\r\n\r\n",
    b'To: a@example.com, , ;;; "unclosed\r\nDate: yesterday\r\n\r\nx',
]


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_broken_messages_are_shown(standing: Any, data: bytes) -> None:
    """Whatever was sent, the list and every page of the message stay up, and its markup is text."""
    number = standing.inbox.add("x@example.com", "a@example.com", data).number
    for part in ("html", "text", "headers", "source", "attachments"):
        answer = standing.get(f"/inbox/{number}", params={"part": part})
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
    assert standing.get(f"/inbox/{number}/html").status_code == 200
    assert standing.get("/inbox").status_code == 200


@given(st.binary(max_size=400))
def test_any_bytes_have_a_row(data: bytes) -> None:
    """A message of any bytes gives a row of text, headers and parts; nothing is raised."""
    inbox = Inbox()
    received = inbox.add("a@example.com", "b@example.com", data)
    [row] = inbox.summaries()
    assert row.matches("")
    assert isinstance(received.headers(), list)
    assert isinstance(list(received.parts()), list)
    received.html()
    received.text()


@given(st.text(alphabet="<>/!-abscriptyle &;#\n", max_size=200))
def test_first_words_are_never_markup_without_end(html: str) -> None:
    """The first words of any HTML are one line, cut at the limit."""
    words = preview_text(html, None)
    assert len(words) <= 140
    assert "\n" not in words


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("report.pdf", "report.pdf"),
        ("../../.bashrc", "bashrc"),
        ("C:\\Windows\\evil.exe", "evil.exe"),
        ("Übersicht.html", "-bersicht.html"),
        ('a"; filename=b.exe', "a-- filename-b.exe"),
        ("gpj\u202eexe.pdf", "gpjexe.pdf"),
    ],
)
def test_attachment_is_saved_alone(site: Any, name: str, saved: str) -> None:
    """Each attachment is a download of its own bytes, never opened as what it says it is, under a tame name."""
    message = _message()
    message.add_attachment(b"<script>alert(1)</script>", maintype="text", subtype="html", filename=name)
    _send(site, message)
    page = site.get("/inbox/1", params={"part": "attachments"}).text
    [address] = re.findall(r'href="(/inbox/1/attachment/\d+)"', page)
    answer = site.get(address)
    assert answer.content == b"<script>alert(1)</script>"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    field = EmailMessage(policy=policy.default)
    field["Content-Disposition"] = answer.headers["content-disposition"]
    assert field.get_content_disposition() == "attachment"
    assert field.get_filename() == saved
    assert site.get("/inbox/1/attachment/0").status_code == 404
