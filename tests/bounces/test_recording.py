"""What comes back changes what is known of the reader it is about, and of nobody else."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.bounces.collecting import collect
from digest.bounces.reading import LONGEST, read
from digest.delivery.scripted import Received
from digest.errors import InputError
from digest.message.merge import INERT_TOKEN

ADA, BOB = "ada@example.org", "bob@example.org"
NOBODY = "bounces@news.example.com"


def bounce(
    returned: Received | None,
    status: str = "5.1.1",
    *,
    to: str | None = None,
    at: datetime | None = None,
    final: str = ADA,
    headers: bytes | None = None,
) -> bytes:
    """A delivery report about a message, as its envelope sender gets it."""
    to = returned.sender if to is None and returned else to or NOBODY
    head = returned.data.partition(b"\r\n\r\n")[0] if returned and headers is None else headers or b"From: x"
    moment = format_datetime(at or datetime.now(UTC))
    return (
        f"Return-Path: <>\r\nDelivered-To: {to}\r\nFrom: MAILER-DAEMON@mx.example.net\r\nTo: {to}\r\nDate: {moment}\r\n"
        "Subject: Undelivered Mail\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="bb"\r\n\r\n'
        "--bb\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.net\r\n\r\n"
        f"Final-Recipient: rfc822; {final}\r\nAction: failed\r\nStatus: {status}\r\n\r\n"
        "--bb\r\nContent-Type: text/rfc822-headers\r\n\r\n"
    ).encode() + head + b"\r\n\r\n--bb--\r\n"  # fmt: skip


def complaint(returned: Received) -> bytes:
    return (
        b"From: fbl@isp.example\r\nTo: abuse@news.example.com\r\nSubject: FW\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/report; report-type=feedback-report; boundary="bb"\r\n\r\n'
        b"--bb\r\nContent-Type: message/feedback-report\r\n\r\n"
        b"Feedback-Type: abuse\r\nUser-Agent: x\r\nVersion: 1\r\n\r\n"
        b"--bb\r\nContent-Type: message/rfc822\r\n\r\n" + returned.data + b"\r\n--bb--\r\n"
    )


def person(subject: str, **fields: str) -> bytes:
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"From: Ada <{ADA}>\r\nTo: {NOBODY}\r\nSubject: {subject}\r\n{more}\r\nHello\r\n".encode()


def effects(collected: Any) -> dict[str, int]:
    return dict(collected.effects)


@pytest.fixture
def sent(weekly: Any) -> Any:
    weekly.subscribe(ADA, BOB)
    weekly.send("one")
    return weekly


def test_a_dead_address_gets_nothing_more(sent: Any) -> None:
    """By its envelope sender: suppressed with the server's code, counted beside the accepted, who stay."""
    collected = sent.collect(bounce(sent.copy_of(ADA), headers=b"From: x"))
    assert (effects(collected), collected.suppressed) == ({"hard": 1}, 1)
    assert (sent.status(ADA), sent.status(BOB)) == ("bounced", "active")
    assert sent.suppressed() == {ADA: "bounced"}
    accounts = sent.accounts()
    assert (accounts.accepted, dict(accounts.accepted_later)) == (2, {"bounced": 1})


@pytest.mark.parametrize("named_by", ["Message-ID", "List-Unsubscribe"])
def test_the_returned_message_names_its_reader_too(sent: Any, named_by: str) -> None:
    """Where the envelope sender was lost."""
    copy = sent.copy_of(ADA)
    headers = f"{named_by}: {copy.header(named_by)}".encode()
    assert effects(sent.collect(bounce(copy, to=NOBODY, headers=headers))) == {"hard": 1}
    assert sent.status(ADA) == "bounced"


def test_the_issue_is_known_by_the_message(sent: Any) -> None:
    """A late bounce of the first issue counts there, not with the last one."""
    sent.send("two")
    sent.collect(bounce(sent.copy_of(ADA, "one")))
    assert dict(sent.accounts("one").accepted_later) == {"bounced": 1}
    assert dict(sent.accounts("two").accepted_later) == {}


def test_twice_is_once(sent: Any) -> None:
    """Read again, and as another copy that came another way, a mail counts nothing and is filed."""
    mail = bounce(sent.copy_of(ADA), "4.2.2")
    assert effects(sent.collect(mail)) == {"soft": 1}
    assert effects(sent.collect(mail, b"X-Seen: 1\r\n" + mail)) == {"again": 2}
    assert effects(sent.collect()) == {}
    assert sent.execute("SELECT count(*) FROM returned") == [(1,)]


def test_often_enough_out_of_reach_is_dead(sent: Any) -> None:
    """Five soft bounces within a fortnight, not four, and not five in a quarter."""
    today = datetime.now(UTC)

    def soft(reader: str, days: Iterable[int]) -> list[bytes]:
        return [bounce(sent.copy_of(reader), "4.2.2", at=today - timedelta(days=d)) for d in days]

    assert sent.collect(*soft(ADA, (12, 9, 6, 3)), *soft(BOB, (80, 60, 40, 20, 1))).suppressed == 0
    assert (sent.status(ADA), sent.status(BOB)) == ("active", "active")
    assert sent.collect(*soft(ADA, (0,))).suppressed == 1
    assert sent.status(ADA) == "bounced"


def test_being_blocked_ends_no_list(sent: Any) -> None:
    """5.7.x speaks of us: however often, nobody is suppressed."""
    today = datetime.now(UTC)
    mails = [bounce(sent.copy_of(ADA), "5.7.1", at=today - timedelta(minutes=n)) for n in range(30)]
    collected = sent.collect(*mails)
    assert (effects(collected), collected.suppressed) == ({"refused": 30}, 0)
    assert sent.status(ADA) == "active"
    assert dict(sent.accounts().accepted_later) == {"bounced": 1}


def test_who_complains_is_out(sent: Any) -> None:
    """By a feedback report, whatever its sender cut out of it but the headers."""
    assert effects(sent.collect(complaint(sent.copy_of(ADA)))) == {"complaint": 1}
    assert (sent.status(ADA), sent.suppressed()) == ("complained", {ADA: "complained"})
    assert dict(sent.accounts().accepted_later) == {"complained": 1}


def test_a_mail_unsubscribes(sent: Any) -> None:
    """The one that our List-Unsubscribe asks for."""
    (subject,) = [
        part.partition("?subject=")[2].rstrip(">").replace("%20", " ")
        for part in sent.copy_of(ADA).header("List-Unsubscribe").split(",")
        if "mailto:" in part
    ]
    assert effects(sent.collect(person(subject))) == {"left": 1}
    assert (sent.status(ADA), sent.status(BOB)) == ("unsubscribed", "active")
    assert dict(sent.accounts().accepted_later) == {"unsubscribed": 1}


def test_a_tested_button_does_nothing(sent: Any) -> None:
    """The token of a test names nobody, and nobody has to look."""
    assert effects(sent.collect(person(f"unsubscribe {INERT_TOKEN}"))) == {"automatic": 1}


def test_answers_change_nothing(sent: Any) -> None:
    """Out of office, delayed, a question: nobody is counted."""
    to = sent.copy_of(ADA).sender
    mails = [
        person("Automatic reply: One", Delivered_To=to),
        bounce(sent.copy_of(ADA), "4.4.1").replace(b"Action: failed", b"Action: delayed"),
        person("Where is page 4?"),
    ]
    assert effects(sent.collect(*mails)) == {"automatic": 1, "delayed": 1, "unrecognised": 1}
    assert sent.status(ADA) == "active"
    assert dict(sent.accounts().accepted_later) == {}


def test_forgers_reach_nobody(sent: Any) -> None:
    """A bounce that names an address, a mark that was changed or of another reader's number, somebody else's
    message, a token that was guessed: none does anything."""
    mark = sent.copy_of(ADA).sender
    number, _, signature = mark.partition("+")[2].partition("@")[0].partition("-")
    other = "2" if number == "1" else "1"
    mails = [
        bounce(None, final=ADA),
        bounce(None, final=ADA, headers=b"Message-ID: <somebody@else.example>"),
        bounce(None, to=f"bounces+{other}-{signature}@news.example.com"),
        bounce(None, to=f"bounces+{number}-{signature[:-1]}{'a' if signature[-1] != 'a' else 'b'}@news.example.com"),
        bounce(None, to=f"bounces+{number}@news.example.com"),
        bounce(None, to=f"bounces+{'9' * 18}-{signature}@news.example.com"),
        person(f"unsubscribe {'a' * 24}"),
    ]
    assert effects(sent.collect(*mails)) == {"foreign": len(mails)}
    assert (sent.status(ADA), sent.status(BOB), sent.suppressed()) == ("active", "active", {})


def test_a_loop_ends_here(sent: Any) -> None:
    """Our own message in the mailbox, and a bounce of a bounce, change nothing and are answered by nobody."""
    taken_in = len(sent.relay.received)
    own = sent.copy_of(ADA).data
    again = bounce(None, to=NOBODY, headers=b"From: MAILER-DAEMON@news.example.com\r\nTo: <>")
    assert effects(sent.collect(own, again)) == {"unrecognised": 1, "foreign": 1}
    assert sent.status(ADA) == "active"
    assert len(sent.relay.received) == taken_in


def test_mails_are_filed_and_never_lost(sent: Any) -> None:
    """What is understood under Handled, the rest where a person finds it; all whole."""
    mails = [bounce(sent.copy_of(ADA)), person("Where is page 4?"), bounce(None, final="x@example.net")]
    sent.collect(*mails)
    box = sent.root / "box"
    assert not list((box / "new").iterdir())
    assert [f.read_bytes() for f in (box / ".Handled/cur").iterdir()] == mails[:1]
    assert {f.read_bytes() for f in (box / ".Unrecognised/cur").iterdir()} == set(mails[1:])


def test_killed_between_counting_and_filing(sent: Any) -> None:
    """What was counted and not filed is filed where it belongs the next time, and counts no more."""
    mails = [bounce(sent.copy_of(ADA), "4.2.2"), person("Where is page 4?")]
    sent.collect(*mails)
    box = sent.root / "box"
    for file in box.glob(".*/cur/*"):
        file.rename(box / "new" / file.name)
    assert effects(sent.collect()) == {"again": 2}
    assert [f.read_bytes() for f in (box / ".Unrecognised/cur").iterdir()] == mails[1:]


def test_a_dry_run_does_nothing(sent: Any) -> None:
    """It says the same, and leaves the list, the mailbox and the journal as they are."""
    mail = bounce(sent.copy_of(ADA))
    collected = sent.collect(mail, dry_run=True)
    assert (effects(collected), collected.suppressed) == ({"hard": 1}, 1)
    assert sent.status(ADA) == "active"
    assert not sent.database.with_name("left.log").exists()
    assert effects(sent.collect()) == {"hard": 1}
    assert sent.database.with_name("left.log").read_text().count('"suppressed"') == 1


def test_a_mail_of_a_hundred_megabytes(sent: Any, tmp_path: Path) -> None:
    """Only its first part is read, from a Maildir and from an mbox, and it still counts."""
    import tracemalloc

    mail = bounce(sent.copy_of(ADA), headers=b"From: x\r\n\r\n" + b"x" * 100_000_000)
    box = sent.maildir(mail)
    file = tmp_path / "many.mbox"
    file.write_bytes(b"From x\n" + mail + b"\nFrom y\n" + bounce(sent.copy_of(BOB)))
    del mail
    tracemalloc.start()
    assert effects(collect(sent.newsletter, box)) == {"hard": 1}
    assert effects(collect(sent.newsletter, file)) == {"again": 1, "hard": 1}
    assert tracemalloc.get_traced_memory()[1] < 12 * LONGEST
    tracemalloc.stop()


def test_what_is_no_mailbox_is_said(sent: Any, tmp_path: Path) -> None:
    """A folder that is no Maildir, a file that is not there, none in the settings, a server without a login."""
    with pytest.raises(InputError, match="no Maildir"):
        collect(sent.newsletter, tmp_path)
    with pytest.raises(InputError, match="no such file"):
        collect(sent.newsletter, tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"bounces\.mailbox is not set"):
        collect(sent.newsletter)
    sent.overrides["bounces.mailbox"] = "imaps://mail.example.com"
    with pytest.raises(InputError, match="DIGEST_BOUNCES__PASSWORD"):
        collect(sent.newsletter)


PIECES = st.sampled_from(
    [
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n",
        *(b"\n--b\n", b"--b--\n", b"\n\n", b"\r\n", b"Subject: =?utf-8?q?=ff?=\n", b"Subject: unsubscribe \n"),
        *(b"Content-Type: message/delivery-status\n\n", b"Content-Type: message/feedback-report\n\n"),
        *(b"Final-Recipient: rfc822; a@b\nAction: failed\nStatus: 5.1.1\n", b"Content-Type: message/rfc822\n\n"),
        *(b"Content-Transfer-Encoding: base64\n", b"Content-Type: text/plain; charset=nonsense\n", b"\xff\xfe\x00"),
        *(
            b"Date: Mon, 99 Foo 0000 99:99:99 +9999\n",
            b"From: MAILER-DAEMON\n",
            b"To: bounces+1-" + b"a" * 16 + b"@x\n",
        ),
        *(b"Content-Type: multipart/mixed; boundary=\n", b"X-Failed-Recipients: ,,\n", b"From: =?x?y?z?=@<>\n"),
    ]
)


@settings(max_examples=300)
@given(
    st.one_of(st.binary(max_size=2000), st.lists(st.one_of(PIECES, st.binary(max_size=20)), max_size=30).map(b"".join))
)
def test_no_bytes_whatever_raise(data: bytes) -> None:
    """Anything is a mail that says something, or nothing."""
    letter = read(data)
    assert letter.failure(ADA).weight in ("hard", "soft", "no_verdict")
    assert read(data).key == letter.key


@pytest.mark.parametrize(
    "data",
    [
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\nContent-Type: multipart/mixed; boundary=b\n\n" * 9000,
        b"Content-Type: message/rfc822\n\n" * 16_000,
        b"Subject: " + b"unsubscribe " * 40_000,
        b"Subject: " + b"Re: " * 100_000 + b"\n\n",
        b"From: MAILER-DAEMON\nSubject: failure notice\n\n" + b"5.1." * 120_000,
        b"From: MAILER-DAEMON\nSubject: failure notice\n\n" + b"-" * 500_000,
        b"\n\nList-Unsubscribe: " + b"a" * 500_000,
        b"\n\n" + b"Message-ID: <" * 40_000,
        b"To: " + b"+1-" * 160_000 + b"\n\n",
        b"To: " + b"<" * 500_000 + b"\n\n",
        b"From: " + b'"' * 500_000 + b"\n\n",
        b"Received: " + b"(" * 500_000 + b"\n\n",
    ],
    ids=lambda data: repr(data[:30]),
)
def test_no_mail_takes_long(data: bytes) -> None:
    """Half a megabyte made to be slow is read: each in a fraction of a second; were one quadratic, in minutes."""
    assert read(data).key
