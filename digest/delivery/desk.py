"""A newsletter with its database open: what every command about sending begins with."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from digest.audience.database import now, open_database, secret_key
from digest.audience.received import Received
from digest.audience.store import Subscribers
from digest.compose.compiled import CompiledIssue
from digest.delivery.accounts import Accounts
from digest.delivery.keeping import Table
from digest.delivery.ledger import Ledger
from digest.delivery.lock import is_running
from digest.delivery.pace import DOMAIN, RELAY, Pace, warmed_up
from digest.delivery.providers import PROVIDERS, Provider
from digest.delivery.relay import Relay, SmtpRelay, relay_name
from digest.delivery.runs import Run, Runs
from digest.delivery.signing import signing
from digest.delivery.storage import Storage, storage_errors
from digest.errors import InputError, Place, Problem
from digest.message.merge import Identity, Merger
from digest.newsletter import Newsletter, issue_slug
from digest.sections import SmtpSection

if TYPE_CHECKING:
    from digest.message.dkim import Signer


@dataclass(frozen=True, slots=True)
class Desk:
    """A newsletter, its runs, its subscribers."""

    newsletter: Newsletter
    storage: Storage
    runs: Runs
    subscribers: Subscribers

    def now(self) -> datetime:
        """This moment in the newsletter's zone."""
        return datetime.fromtimestamp(self.storage.now() / 1e6, ZoneInfo(self.newsletter.settings.newsletter.timezone))

    def merger(self, compiled: CompiledIssue) -> Merger:
        """Merges `compiled` as of today in the newsletter's zone."""
        identity, today = Identity.of(self.newsletter.settings), self.now().date()
        identity = replace(
            identity,
            headers={**self.headers, **identity.headers},
            verp_key=secret_key(self.storage.connection, "verp"),
        )
        return Merger(
            compiled,
            identity,
            today=today,
            attachments=_attachments(self.newsletter, compiled),
            received=Received(self.storage.connection, compiled.received),
        )

    def relay(self, say: Callable[[str], None] = lambda _text: None) -> Relay:
        """The relay of the settings; `say` is told where one of several is passed over."""
        settings = self.newsletter.settings
        if settings.delivery.relay:
            from digest.delivery.folder import FolderRelay

            return FolderRelay.of(settings.delivery.relay, self.newsletter.root)
        relays = [SmtpRelay(section, hello=settings.newsletter.domain) for section in self._sections]
        if len(relays) == 1:
            return relays[0]
        from digest.delivery.failover import Failover

        return Failover(relays, say)

    @property
    def _sections(self) -> tuple[SmtpSection, ...]:
        """The relays of the settings, in the order they are tried."""
        settings = self.newsletter.settings
        return settings.smtp, *settings.relays.values()

    @property
    def has_several_relays(self) -> bool:
        """Whether it has to be kept which one answered."""
        return len(self._sections) > 1

    def ledger(self, run: Run) -> Ledger:
        """The rows of a run."""
        return Ledger(self.storage, run.id)

    @property
    def _providers(self) -> tuple[Provider, ...]:
        return tuple(PROVIDERS[section.provider] for section in self._sections)

    @property
    def headers(self) -> dict[str, str]:
        """What the providers of the relays want to be told; a message may go over any of them."""
        return {name: value for provider in self._providers for name, value in provider.headers.items()}

    def sign(self) -> Signer | None:
        """Signs a message with the keys of the settings; None where there are none. Raises `InputError`."""
        newsletter = self.newsletter
        unsigned = frozenset[str]().union(*(provider.unsigned for provider in self._providers))
        return signing(newsletter.settings, newsletter.root, unsigned)

    def pace(self) -> Pace:
        """The rates of the settings, with what whatever run has sent lately, and who asked to be left alone."""
        settings, keep = self.newsletter.settings, Table(self.storage)
        if settings.delivery.relay:
            return Pace()
        rates = {
            RELAY + relay_name(section): rate
            for section, provider in zip(self._sections, self._providers, strict=True)
            if (rate := section.rate or provider.rate)
        }
        rates |= {DOMAIN + domain.lower(): section.rate for domain, section in settings.pace.items()}
        if ramp := settings.warm_up.start:
            name = f"warm-up of {settings.newsletter.domain}"
            if rate := warmed_up(ramp, settings.warm_up.growth, settings.warm_up.end, keep.days_since(name)):
                rates[name] = rate
        pace = Pace(rates, keep)
        pace.refresh(time.time())
        return pace

    def resting(self) -> dict[str, int]:
        """The domains that asked for less and are left alone now: until when, in microseconds since the epoch."""
        moment = time.time()
        rests = Table(self.storage).rests(moment)
        return {domain: int(rest.until * 1e6) for domain, rest in sorted(rests.items()) if rest.wait(moment)}

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
        return issue_slug(file)

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
def open_desk(newsletter: Newsletter, now: Callable[[], int] = now) -> Iterator[Desk]:
    """Opens the database of a newsletter, and makes it if need be. SQLite's errors come out as ours.

    `now` says what time it is there, in microseconds since the epoch.
    """
    connection = open_database(newsletter.database)
    try:
        with storage_errors():
            storage = Storage(connection, newsletter.settings.delivery.durability, now)
            yield Desk(newsletter, storage, Runs(storage), Subscribers(connection))
    finally:
        with suppress(sqlite3.Error):  # closing folds the log into the database; the next one can do it too
            connection.close()


def _attachments(newsletter: Newsletter, compiled: CompiledIssue) -> Mapping[str, tuple[bytes, str]]:
    if not compiled.attaches:
        return {}
    from digest.compose.pictures import attachments  # what reads pictures is large: a sender goes without

    return attachments(newsletter, compiled)
