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
"""A notice that could not be told and is older than this is not tried again."""


def tell(desk: Desk, relay: Relay, records: Records, now: datetime) -> str:
    """Mail what the editor was not told yet, and note it. Returns why that failed, or nothing."""
    untold = records.untold()
    editor = desk.newsletter.settings.notify.editor
    if not untold:
        return ""
    told, why = untold, ""
    if editor:
        try:
            told = asyncio.run(_mail(desk, relay, untold, str(editor), now))
            why = "" if len(told) == len(untold) else "the relay did not take the mail"
        except (DigestError, OSError, ValueError) as exc:
            told, why = [], str(exc)
    # However old it is, it is tried once: nobody may have been there to do it, as when the machine was off.
    for notice in untold:
        if notice in told or now - notice.made_at > STALE:
            records.is_settled(notice.key, now)
    return f"the editor could not be told: {why}" if why else ""


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
    mail.set_content(desk.newsletter.settings.without_secrets(notice.text), cte="quoted-printable")
    return Message(sender, editor, message_id, mail.as_bytes())


def beat(url: str) -> str:
    """Fetch the heartbeat's address. Returns why that failed, or nothing."""
    request = urllib.request.Request(url, headers={"User-Agent": "digest"})  # noqa: S310 -- https, or this machine: see the settings
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE):  # noqa: S310 -- as above
            return ""
    except (OSError, HTTPException, ValueError) as exc:
        return f"the heartbeat was not taken: {exc}"
