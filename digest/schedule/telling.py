"""Telling the editor: mails over the newsletter's own relay, and the heartbeat of a dead man's switch."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import sha256
from http.client import HTTPException

from digest.delivery.desk import Desk
from digest.delivery.outcome import Accepted
from digest.delivery.relay import Relay, unmarked
from digest.errors import DigestError
from digest.message.envelope import Message
from digest.schedule.records import Notice, Records
from digest.sections import split_mailbox

PATIENCE = 10.0  # seconds for the heartbeat
STALE = timedelta(days=1)
"""A notice that nobody could be told for so long is not told any more."""


def tell(desk: Desk, relay: Relay, records: Records, now: datetime) -> str:
    """Mail what the editor was not told yet, and note it. Returns why that failed, or nothing."""
    untold = records.untold()
    editor = desk.newsletter.settings.notify.editor
    stale = [n for n in untold if not editor or now - n.made_at > STALE]
    fresh = [n for n in untold if n not in stale]
    for notice in stale:
        records.is_settled(notice.key, now)
    if not fresh:
        return ""
    try:
        told = asyncio.run(_mail(desk, relay, fresh, str(editor), now))
    except (DigestError, OSError, ValueError) as exc:
        return f"the editor could not be told: {exc}"
    for notice in told:
        records.is_settled(notice.key, now)
    return "" if len(told) == len(fresh) else "the editor could not be told: the relay did not take the mail"


async def _mail(desk: Desk, relay: Relay, notices: Sequence[Notice], editor: str, now: datetime) -> list[Notice]:
    sign = desk.sign()
    connection = await relay.connect()
    told = []
    try:
        for notice in notices:
            message = _message(desk, notice, editor, now)
            outcome = await connection.send(sign(message) if sign else message, unmarked)
            if isinstance(outcome, Accepted):
                told.append(notice)
    finally:
        await connection.close()
    return told


def _message(desk: Desk, notice: Notice, editor: str, now: datetime) -> Message:
    """A plain text; its Message-ID is the notice's, so that one sent twice is one in the inbox."""
    newsletter = desk.newsletter.settings.newsletter
    name, sender = split_mailbox(newsletter.sender)
    message_id = f"<{sha256(notice.key.encode()).hexdigest()[:32]}@{newsletter.domain}>"
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address(name, addr_spec=sender)
    mail["To"] = Address(addr_spec=editor)
    mail["Subject"] = " ".join(f"[{newsletter.name}] {notice.subject}".split())
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = message_id
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation notice answers it
    mail.set_content(_without(desk.newsletter.settings.secrets(), notice.text), cte="quoted-printable")
    return Message(sender, editor, message_id, mail.as_bytes())


def _without(secrets: Sequence[str], text: str) -> str:
    """`text` without the secrets of the settings: a mail is read by more than its reader."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "…")
    return text


def beat(url: str) -> str:
    """Fetch the heartbeat's address. Returns why that failed, or nothing."""
    request = urllib.request.Request(url, headers={"User-Agent": "digest"})  # noqa: S310 -- https, or this machine: see the settings
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE):  # noqa: S310 -- as above
            return ""
    except (OSError, HTTPException, ValueError) as exc:
        return f"the heartbeat was not taken: {exc}"
