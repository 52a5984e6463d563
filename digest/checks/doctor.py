"""Everything `digest doctor` looks at: settings, database, relay, DNS, and the way to unsubscribe.

Nothing is sent and nothing is changed; of the network only what is the newsletter's own is asked: its relay,
its records in the DNS, its page.
"""

from __future__ import annotations

import asyncio
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from typing import IO
from urllib.parse import urlsplit

from digest.checks.dns_records import Names, findings, lookup
from digest.checks.finding import Finding
from digest.delivery.desk import Desk, open_desk
from digest.delivery.sentlog import SENT_LOG, SentLog
from digest.delivery.signing import own_keys
from digest.errors import DigestError, InputError
from digest.message.dkim import Key
from digest.message.identity import Identity
from digest.message.merge import INERT_TOKEN
from digest.newsletter import Newsletter
from digest.sections import is_loopback, split_mailbox

PATIENCE = 10.0  # seconds for the page
_MADE_UP = ("example.com", "example.org", "example.net", "example")


def examine(newsletter: Newsletter, *, nameserver: str | None = None) -> Iterator[Finding]:
    """Everything, one after the other; a step that fails does not keep the next from being taken."""
    yield from _settings(newsletter)
    try:
        with open_desk(newsletter) as desk:
            yield from _database(desk)
            yield from _relay(desk)
    except DigestError as exc:
        yield Finding("database", "error", str(exc))
    yield from _names(newsletter, nameserver)
    yield from _way_out(newsletter)


# ---- settings


def _settings(newsletter: Newsletter) -> Iterator[Finding]:
    section = newsletter.settings.newsletter
    if is_made_up(section.domain):
        cure = "set domain, sender and base_url under [newsletter]"
        yield Finding("settings", "warning", f"{section.domain} is a domain for examples", cure)
    else:
        yield Finding("settings", "ok", f"{section.name}, {section.sender}")
    if not section.postal_address:
        cure = "set postal_address under [newsletter]: laws such as CAN-SPAM want it in every issue"
        yield Finding("settings", "warning", "there is no postal address", cure)


def is_made_up(domain: str) -> bool:
    """Whether a domain is one for examples (RFC 2606).

    >>> is_made_up("news.example.com"), is_made_up("example.com.au")
    (True, False)
    """
    return any(domain == end or domain.endswith(f".{end}") for end in _MADE_UP)


# ---- the database


def _database(desk: Desk) -> Iterator[Finding]:
    file, connection = desk.newsletter.database, desk.storage.connection
    shown = desk.newsletter.shown(file)
    faults = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)") if row[0] != "ok"]
    if faults:
        yield Finding("database", "error", f"{shown} is damaged: {faults[0]}", "put a backup back")
        return
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        yield Finding("database", "error", f"{shown} can be read by others", f"chmod 600 {shown}")
    wrong = [
        f"{run.slug}: {why}" for run in desk.runs.all() if run.state != "new" for why in desk.accounts(run).problems()
    ]
    for told in wrong:
        yield Finding("database", "error", f"the accounts do not add up: {told}")
    if not wrong:
        number, active = desk.subscribers.count(), desk.subscribers.count("active")
        yield Finding(
            "database", "ok", f"{shown}: {number:,} subscribers, {active:,} of them active; the accounts add up"
        )
    yield from _journal(desk)


def _journal(desk: Desk) -> Iterator[Finding]:
    log = SentLog(desk.newsletter, desk.storage)
    for gap in log.gaps():
        cure = "is it the right database? If it is to be used as it is: digest doctor --accept-restored"
        yield Finding("journal", "error", f"{SENT_LOG} knows of more than the database: {gap}", cure)
    if log.broken:
        lines = ", ".join(map(str, log.broken))
        yield Finding(
            "journal", "warning", f"{SENT_LOG}: line {lines} can't be read", "as after a power cut; nothing to do"
        )


# ---- the relay


def _relay(desk: Desk) -> Iterator[Finding]:
    relay, smtp = desk.relay(), desk.newsletter.settings.smtp

    async def call() -> None:
        connection = await relay.connect()
        await connection.close()

    begun = time.monotonic()
    try:
        asyncio.run(call())
    except DigestError as exc:
        yield Finding("relay", "error", str(exc), "see [smtp]")
        return
    took = 1000 * (time.monotonic() - begun)
    secured = "without TLS" if smtp.tls == "none" else f"TLS ({smtp.tls}), certificate verified"
    login = f"logged in as {smtp.username}" if smtp.username else "no login"
    yield Finding("relay", "ok", f"{relay.name}: {secured}, {login}, {took:.0f} ms")


# ---- names


def _names(newsletter: Newsletter, nameserver: str | None) -> Iterator[Finding]:
    settings = newsletter.settings
    domain = settings.newsletter.domain
    keys: tuple[Key, ...] | None = None
    try:
        keys = own_keys(settings, newsletter.root)
    except InputError as exc:
        yield from (Finding("DKIM", "error", problem.message, problem.cure) for problem in exc.problems)
    if is_made_up(domain) and nameserver is None:
        yield Finding("DNS", "skipped", f"{domain} is a domain for examples")
        return
    ask = lookup(nameserver)
    if ask is None:
        yield Finding("DNS", "skipped", "dnspython is not installed", "pip install 'digest-newsletter[doctor]'")
        return
    sender = split_mailbox(settings.newsletter.sender)[1].rpartition("@")[2]
    envelope = (settings.bounces.return_path or sender).rpartition("@")[2]
    if sender != domain and not sender.endswith(f".{domain}") and not domain.endswith(f".{sender}"):
        told = f"From is at {sender}, and messages are signed for {domain}: DMARC wants the two to be aligned"
        yield Finding("DMARC", "error", told, "see sender and domain under [newsletter]")
    relay = "" if is_loopback(settings.smtp.host) or settings.smtp.provider != "generic" else settings.smtp.host
    yield from findings(ask, Names(domain, envelope, keys, relay))


# ---- the way out


def _way_out(newsletter: Newsletter) -> Iterator[Finding]:
    leave = newsletter.settings.unsubscribe
    if not leave.url and not leave.mailto:
        cure = "set url or mailto under [unsubscribe]; no issue is sent to others without"
        yield Finding("unsubscribe", "error", "readers could not leave", cure)
        return
    if not leave.url:
        yield Finding("unsubscribe", "ok", f"by mail to {leave.mailto}")
        return
    host = urlsplit(leave.url).hostname or ""
    if is_made_up(host):
        yield Finding("unsubscribe", "skipped", f"{host} is a domain for examples")
        return
    url = Identity.of(newsletter.settings).unsubscribe_pattern().replace("{token}", INERT_TOKEN)
    yield from _answers(url, None, "the page")
    if leave.one_click:
        # RFC 8058 section 3.1: it works without cookies, login and redirect. The token opens nothing.
        yield from _answers(url, b"List-Unsubscribe=One-Click", "one click (POST)")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: object, fp: IO[bytes], code: int, msg: str, headers: object, newurl: str) -> None:
        """None: a redirect is an answer like an error."""


def _answers(url: str, body: bytes | None, what: str) -> Iterator[Finding]:
    request = urllib.request.Request(url, data=body, headers={"User-Agent": "digest"})  # noqa: S310 -- https, or this machine: see the settings
    handlers = [_NoRedirects()] if body is not None else []
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=PATIENCE) as response:
            yield Finding("unsubscribe", "ok", f"{what} answers with {response.status}: {url}")
    except urllib.error.HTTPError as exc:
        exc.close()
        cure = "a reader who clicks there sees the same; is `digest serve` behind it?"
        yield Finding("unsubscribe", "error", f"{what} answers with {exc.code} {exc.reason}: {url}", cure)
    except (OSError, HTTPException, ValueError) as exc:
        reason = getattr(exc, "reason", exc)
        yield Finding(
            "unsubscribe", "error", f"{what} can't be reached: {url}: {reason}", "see url under [unsubscribe]"
        )
