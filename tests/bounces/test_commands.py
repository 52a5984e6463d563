"""`digest bounces` as one calls it, and the mailbox read before a run begins."""

import json
from pathlib import Path
from typing import Any

from digest.cli.bounces import tidying_first
from digest.newsletter import Newsletter

MAIL = (
    "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.net\nTo: {sender}\nSubject: failure notice\n\n"
    "<ada@example.org>:\nSorry, no mailbox here by that name. (#5.1.1)\n"
)


def _configure(weekly: Any, *lines: str) -> None:
    file = weekly.root / "config/digest.toml"
    text = file.read_text().replace("[bounces]\n", "[bounces]\n" + "".join(f"{line}\n" for line in lines))
    file.write_text(text)


def _bounce(weekly: Any, address: str = "ada@example.org") -> bytes:
    return MAIL.format(sender=weekly.copy_of(address).sender).encode()


def test_what_one_sees(weekly: Any, digest: Any) -> None:
    """A line for each with --dry-run, one for all without, one object with --json."""
    weekly.subscribe("ada@example.org", "bob@example.org")
    weekly.send("one")
    weekly.maildir(_bounce(weekly), b"Subject: Hello\n\nHello\n")
    _configure(weekly, 'mailbox = "maildir:box"')
    said = digest("bounces", "--dry-run", cwd=weekly.root).stdout.splitlines()
    assert (
        said[0] == "new/m0000.x  dead addresses  ada@example.org  5.1.1 Sorry, no mailbox here by that name. (#5.1.1)"
    )
    assert said[-1] == "2 mails: 1 dead addresses, 1 not recognised; 1 suppressed (nothing was recorded)"
    answer = json.loads(digest("bounces", "--json", cwd=weekly.root).stdout)
    assert {k: v for k, v in answer.items() if v} == {"read": 2, "suppressed": 1, "hard": 1, "unrecognised": 1}
    assert digest("bounces", cwd=weekly.root).stdout == "Nothing has come back.\n"
    weekly.maildir(b"Subject: A question\n\nWho are you?\n")
    assert "under Unrecognised" in digest("bounces", cwd=weekly.root).stdout
    status = json.loads(digest("status", "one", "--json", cwd=weekly.root).stdout)
    assert status["accepted_later_by_kind"] == {"bounced": 1}


def test_the_password_has_no_place_in_the_file(weekly: Any, digest: Any) -> None:
    """It is refused there, and never printed."""
    _configure(weekly, 'mailbox = "imaps://localhost:1"', 'username = "b"', 'password = "s3cret-word"')
    done = digest("bounces", cwd=weekly.root)
    assert done.returncode == 1
    assert "DIGEST_BOUNCES__PASSWORD" in done.stderr
    assert "s3cret-word" not in done.stderr


def test_a_mailbox_that_is_none_is_said(weekly: Any, digest: Any) -> None:
    """With what would be right."""
    _configure(weekly, 'mailbox = "mail.example.com"')
    done = digest("bounces", cwd=weekly.root)
    assert (done.returncode, "imaps://mail.example.com" in done.stderr) == (1, True)
    assert "config/digest.toml:" in done.stderr


def test_the_mailbox_is_read_before_a_run_begins(weekly: Any) -> None:
    """What came back of the last issue counts for the next; a mailbox that can't be read keeps nobody waiting."""
    weekly.subscribe("ada@example.org")
    weekly.send("one")
    weekly.maildir(_bounce(weekly))
    told: list[str] = []
    said: list[str] = []
    begin = tidying_first(told.append, said.append)
    begin(Newsletter.open(weekly.root))
    assert (told, said) == ([], [])
    weekly.overrides["bounces.mailbox"] = "maildir:box"
    begin(weekly.newsletter)
    assert said == ["bounces: 1 mail: 1 dead addresses; 1 suppressed"]
    assert weekly.status("ada@example.org") == "bounced"
    weekly.overrides["bounces.mailbox"] = "maildir:nowhere"
    begin(weekly.newsletter)
    assert told == [
        "the bounce mailbox was not read: nowhere: error: there is no such file or folder"
        " (name a Maildir, an mbox or an .eml)"
    ]


def test_addresses_are_masked_where_that_is_wanted(weekly: Any, digest: Any, tmp_path: Path) -> None:
    """In what is printed about sending, and not where addresses are what one asks for."""
    weekly.subscribe("ada@example.org")
    weekly.send("one")
    weekly.maildir(_bounce(weekly))
    _configure(weekly, 'mailbox = "maildir:box"')
    with (weekly.root / "config/digest.toml").open("a") as file:
        file.write('\n[privacy]\nlog_addresses = "masked"\n')
    said = "".join(
        digest(*arguments, cwd=weekly.root).stdout
        for arguments in (
            ("bounces", "--dry-run"),
            ("status", "one", "--readers", "accepted"),
            ("status", "one", "--readers", "accepted", "--json"),
        )
    )
    assert "ada@example.org" not in said
    assert said.count("a***@example.org") == 3
    assert "ada@example.org" in digest("subscribers", "list", cwd=weekly.root).stdout
