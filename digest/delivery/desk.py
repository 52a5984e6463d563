"""A newsletter with its database open: what every command about sending begins with."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from digest.audience.database import open_database
from digest.audience.store import Subscribers
from digest.compose.compiled import CompiledIssue
from digest.delivery.accounts import Accounts
from digest.delivery.ledger import Ledger, attempts_since
from digest.delivery.lock import is_running
from digest.delivery.pace import Pace
from digest.delivery.providers import PROVIDERS, Provider
from digest.delivery.relay import Relay, SmtpRelay
from digest.delivery.runs import Run, Runs
from digest.delivery.signing import signing
from digest.delivery.storage import Storage, storage_errors
from digest.errors import InputError, Place, Problem
from digest.message.envelope import Message
from digest.message.merge import Identity, Merger
from digest.newsletter import Newsletter
from digest.quantities import Rate
from digest.settings import Settings


@dataclass(frozen=True, slots=True)
class Desk:
    """A newsletter, its runs, its subscribers."""

    newsletter: Newsletter
    storage: Storage
    runs: Runs
    subscribers: Subscribers

    def now(self) -> datetime:
        """This moment in the newsletter's zone."""
        return datetime.now(ZoneInfo(self.newsletter.settings.newsletter.timezone))

    def merger(self, compiled: CompiledIssue) -> Merger:
        """Merges `compiled` as of today in the newsletter's zone."""
        identity, today = Identity.of(self.newsletter.settings), self.now().date()
        identity = replace(identity, headers={**self.provider.headers, **identity.headers})
        return Merger(compiled, identity, today=today, attachments=_attachments(self.newsletter, compiled))

    def relay(self) -> Relay:
        """The relay of the settings."""
        settings = self.newsletter.settings
        return SmtpRelay(settings.smtp, hello=settings.newsletter.domain)

    def ledger(self, run: Run) -> Ledger:
        """The rows of a run."""
        return Ledger(self.storage, run.id)

    @property
    def provider(self) -> Provider:
        """What is known of the relay."""
        return PROVIDERS[self.newsletter.settings.smtp.provider]

    def sign(self) -> Callable[[Message], Message] | None:
        """Signs a message with the keys of the settings; None where there are none. Raises `InputError`."""
        newsletter = self.newsletter
        return signing(newsletter.settings, newsletter.root, self.provider.unsigned)

    def pace(self) -> Pace:
        """The rates of the settings, and what has been sent lately by whatever run counts."""
        smtp = self.newsletter.settings.smtp
        pace = Pace(smtp.rate or self.provider.rate, domain_rates(self.newsletter.settings))
        if pace.longest:
            pace.remember(attempts_since(self.storage.connection, pace.longest))
        return pace

    def is_running(self, run: Run) -> bool:
        """Whether some process is sending this run now."""
        return is_running(self.newsletter.database, run.id)

    def accounts(self, run: Run) -> Accounts:
        """The accounts of a run at this moment, as anybody may see them."""
        return self.ledger(run).accounts(running=self.is_running(run))

    def slug(self, name: str) -> str:
        """The slug of the issue `name` (slug, path or unique prefix), or of a run whose file is gone.

        Raises `InputError` naming the nearest.
        """
        try:
            file = self.newsletter.find_issue(name)
        except InputError:
            if self.runs.latest(name):
                return name
            raise
        return next(slug for slug, known in self.newsletter.issue_files().items() if known == file)

    def require_subscribers(self) -> None:
        """Raises `InputError` when there is nobody to send to."""
        if not self.subscribers.count():
            raise InputError(
                Problem(
                    Place(self.newsletter.shown(self.newsletter.database)),
                    "there are no subscribers yet",
                    "take a list in with: digest subscribers import FILE",
                    code="no-subscribers",
                )
            )


@contextmanager
def open_desk(newsletter: Newsletter) -> Iterator[Desk]:
    """Opens the database of a newsletter, and makes it if need be. SQLite's errors come out as ours."""
    connection = open_database(newsletter.database)
    try:
        with storage_errors():
            storage = Storage(connection, newsletter.settings.delivery.durability)
            yield Desk(newsletter, storage, Runs(storage), Subscribers(connection))
    finally:
        with suppress(sqlite3.Error):  # closing folds the log into the database; the next one can do it too
            connection.close()


def _attachments(newsletter: Newsletter, compiled: CompiledIssue) -> Mapping[str, tuple[bytes, str]]:
    if not compiled.attaches:
        return {}
    from digest.compose.pictures import attachments  # what reads pictures is large: a sender goes without

    return attachments(newsletter, compiled)


def domain_rates(settings: Settings) -> dict[str, Rate]:
    """The rates of ``[pace."gmail.com"]``, by domain."""
    return {domain: section.rate for domain, section in settings.pace.items()}
