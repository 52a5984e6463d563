"""Reading the bounce mailbox: a batch is read, recorded in one transaction, and filed."""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from digest.audience.database import open_database, writing
from digest.bounces.mailbox import Mail, Mailbox, Shelf, local_mailbox
from digest.bounces.reading import read
from digest.bounces.recording import Recorded, Recorder, Soft
from digest.bounces.server import Server
from digest.errors import InputError, Place, Problem
from digest.newsletter import Newsletter
from digest.settings import SETTINGS_FILE

log = logging.getLogger(__name__)

COPIES = "subscribers/bounces"
"""The Maildir for the mails of a POP3 server."""

_TOGETHER = 50


@dataclass(slots=True)
class Collected:
    """How many mails there were of each effect, and how many addresses are suppressed because of them."""

    effects: Counter[str] = field(default_factory=Counter)
    suppressed: int = 0

    def add(self, recorded: Recorded) -> None:
        """Count one."""
        self.effects[recorded.effect] += 1
        self.suppressed += recorded.suppressed

    @property
    def read(self) -> int:
        """How many there were."""
        return self.effects.total()


Listen = Callable[[Mail, Recorded], None]


def collect(
    newsletter: Newsletter,
    source: Path | None = None,
    *,
    dry_run: bool = False,
    listen: Listen = lambda _mail, _recorded: None,
) -> Collected:
    """Read the mailbox of the settings, or a Maildir or file.

    `dry_run`: nothing is recorded or filed. `listen` is told of each mail. Raises `InputError` where there is no
    mailbox, `HeldError` when its server refuses, `LaterError` when it can't be reached or the database is locked;
    what was read until then is recorded.
    """
    bounces = newsletter.settings.bounces
    collected = Collected()
    with _opened(newsletter, source) as mailbox, closing(open_database(newsletter.database)) as connection:
        recorder = Recorder(connection, Soft(bounces.soft_limit, bounces.soft_days))
        mails = mailbox.mails()
        while batch := list(islice(mails, _TOGETHER)):
            letters = [read(mail.data) for mail in batch]
            with _trying(connection) if dry_run else writing(connection):
                recorded = recorder.record(letters)
            if not dry_run:
                mailbox.file([(mail, _shelf(each)) for mail, each in zip(batch, recorded, strict=True)])
            for mail, each in zip(batch, recorded, strict=True):
                collected.add(each)
                listen(mail, each)
    return collected


@contextmanager
def _trying(connection: sqlite3.Connection) -> Iterator[None]:
    """Whatever is done is undone."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def _shelf(recorded: Recorded) -> Shelf:
    return "Unrecognised" if (recorded.before or recorded.effect) in ("unrecognised", "foreign") else "Handled"


@contextmanager
def _opened(newsletter: Newsletter, source: Path | None) -> Iterator[Mailbox]:
    with ExitStack() as open_:
        yield _mailbox(newsletter, source, open_)


def _mailbox(newsletter: Newsletter, source: Path | None, open_: ExitStack) -> Mailbox:
    bounces = newsletter.settings.bounces
    if source is not None:
        return local_mailbox(source, str(source))
    if bounces.mailbox is None:
        raise InputError(
            Problem(
                Place(SETTINGS_FILE),
                "bounces.mailbox is not set: there is nothing to read",
                'write mailbox = "imaps://mail.example.com" or "maildir:DIR" under [bounces], or name a file',
                code="no-mailbox",
            )
        )
    kind, _, rest = bounces.mailbox.partition(":")
    if kind in ("maildir", "file"):
        path = newsletter.root / rest
        return local_mailbox(path, newsletter.shown(path))
    if bounces.username is None or bounces.password is None:
        # Asked for here, not with the settings: whoever writes and checks issues need not know it.
        cure = "set username under [bounces], and DIGEST_BOUNCES__PASSWORD in the environment or in .env"
        problem = Problem(Place(SETTINGS_FILE), "bounces.mailbox is on a server, which needs a login", cure)
        raise InputError(problem)
    server = Server.of(bounces.mailbox, bounces.username, bounces.password.get_secret_value())
    if server.protocol == "imap":
        from digest.bounces.imap import ImapBox

        return open_.enter_context(ImapBox(server))
    from digest.bounces.pop3 import Pop3Box

    return open_.enter_context(Pop3Box(server, newsletter.root / COPIES))
