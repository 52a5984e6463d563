"""Folders in place of a relay: every message as a file, in a Maildir or by its Message-ID."""

import mailbox
import stat
from email.policy import SMTP

import pytest

from digest.delivery.deliver import deliver, rehearse
from digest.delivery.folder import unique_name
from digest.errors import HeldError, InputError


def test_a_run_into_a_maildir(bench, issue):
    """A whole run into a Maildir: a mail program finds each reader's message under ``new``; the ledger is kept."""
    addresses = bench.subscribe_many(25)
    bench.overrides["delivery.relay"] = "maildir:out/box"
    report = deliver(bench.newsletter, issue.slug, issue)
    assert (report.exit_code, report.accounts.accepted) == (0, 25)
    box = mailbox.Maildir(bench.root / "out/box", create=False)
    assert sorted(str(message["To"]) for message in box) == addresses
    assert {folder.name for folder in (bench.root / "out/box").iterdir()} == {"tmp", "new", "cur"}
    assert not list((bench.root / "out/box/tmp").iterdir())
    assert stat.S_IMODE((bench.root / "out/box").stat().st_mode) == 0o700
    kept = {entry.reply for entry in bench.entries("accepted")}
    assert kept == {file.name for file in (bench.root / "out/box/new").iterdir()}


def test_the_same_bytes(bench, issue, scripted):
    """What a folder gets is, but for its Date, what a relay gets."""
    bench.subscribe_many(1)
    relay = scripted()
    bench.send(issue, relay)
    bench.execute("DELETE FROM deliveries")
    bench.execute("DELETE FROM sendings")
    bench.execute("DELETE FROM runs")
    (bench.root / "subscribers/sent.log").unlink(missing_ok=True)
    bench.overrides["delivery.relay"] = "file:out"
    deliver(bench.newsletter, issue.slug, issue)
    (file,) = (bench.root / "out").iterdir()
    assert file.suffix == ".eml"

    def undated(data: bytes) -> list[bytes]:
        return [line for line in data.split(b"\r\n") if not line.startswith(b"Date: ")]

    assert undated(file.read_bytes()) == undated(relay.received[0].data)


def test_a_dry_run_of_everybody(bench, issue):
    """A dry run into a Maildir writes every planned reader's message, and leaves no trace in the database."""
    bench.subscribe_many(6)
    bench.subscribe("gone@example.org", status="unsubscribed")
    bench.overrides["delivery.relay"] = f"maildir:{bench.root / 'dry'}"
    assert rehearse(bench.newsletter, issue).planned == 6
    assert len(mailbox.Maildir(bench.root / "dry", create=False)) == 6
    assert bench.execute("SELECT count(*) FROM runs") == [(0,)]


def test_names_are_never_the_same():
    """A name in a Maildir says when, who and where, and none comes twice."""
    names = {unique_name() for _ in range(1000)}
    assert len(names) == 1000
    assert not any("/" in name or ":" in name for name in names)


def test_a_folder_that_can_not_be(bench, issue):
    """A folder that can't be made holds the run with its name; everybody waits."""
    bench.subscribe_many(2)
    (bench.root / "out").write_text("in the way")
    bench.overrides["delivery.relay"] = "maildir:out"
    report = deliver(bench.newsletter, issue.slug, issue)
    assert (report.exit_code, report.accounts.waiting) == (3, 2)
    assert isinstance(report.trouble, HeldError)
    assert str(bench.root / "out") in str(report.trouble)


@pytest.mark.parametrize("text", ["smtp:x", "maildir:", "out"])
def test_no_such_relay(bench, text):
    """A relay that is no folder is refused with what would be right."""
    bench.overrides["delivery.relay"] = text
    with pytest.raises(InputError, match="maildir:DIR or file:DIR"):
        _ = bench.newsletter


def test_parsed_by_a_mail_program(bench, issue):
    """The file is a message that Python's own parser reads without a defect."""
    bench.subscribe_many(1)
    bench.overrides["delivery.relay"] = "maildir:out"
    deliver(bench.newsletter, issue.slug, issue)
    (file,) = (bench.root / "out/new").iterdir()
    from email import message_from_bytes

    message = message_from_bytes(file.read_bytes(), policy=SMTP)
    assert message["Subject"] == "The first one"
    assert not message.defects
