"""Issues and readers made by hand: the merge needs no theme, no Markdown and no file."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from email.message import EmailMessage
from typing import Any

import pytest

from digest.audience.subscriber import Subscriber
from digest.compose.handmade import handmade
from digest.errors import Place
from digest.message.envelope import Message
from digest.message.merge import Identity, Merger

NOW = datetime(2025, 9, 12, 9, 0, tzinfo=UTC)

IDENTITY = Identity(
    sender='"The Sample, Weekly" <weekly@news.example.com>',
    reply_to="editor@news.example.com",
    domain="news.example.com",
    list_name="The Sample Weekly",
    unsubscribe_url="https://news.example.com/u",
    unsubscribe_mailto="leave@news.example.com",
    one_click=True,
    return_path="bounces@news.example.com",
    base_url="https://news.example.com",
)

BASE: dict[str, Any] = {
    "slug": "sample",
    "html": "<!DOCTYPE html>\n<p>Hello</p>\n",
    "text": "Hello\n",
    "constants": {"newsletter": {"name": "Salt & Pepper"}, "issue": {"title": "Sample"}},
    "segments": {"pro": 'subscriber.plan == "pro"'},
}


@dataclass(frozen=True)
class Workshop:
    """Makes mergers, readers and messages."""

    now: datetime = NOW

    @staticmethod
    def merger(identity: dict[str, Any] | None = None, **fields: Any) -> Merger:
        """A merger of an issue; a text stands for a template whose k-th tag comes from line k of x.md."""
        compiled = handmade("issues/x.md", **BASE | fields)
        return Merger(compiled, replace(IDENTITY, **(identity or {})), today=date(2025, 9, 12))

    @staticmethod
    def reader(email_: str = "ada@example.com", token: str = "tok3n", **values: Any) -> Subscriber:
        """A subscriber with these values."""
        return Subscriber(1, token, email_, values={"email": email_, "tags": (), **values})

    def message(self, subscriber: Subscriber, identity: dict[str, Any] | None = None, **fields: Any) -> Message:
        """One real message."""
        return self.merger(identity, **fields).message(subscriber, date=self.now)

    @staticmethod
    def parsed(message: Message) -> EmailMessage:
        """As a mail client reads it."""
        parsed = email.message_from_bytes(message.data, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        assert not parsed.defects
        return parsed

    @staticmethod
    def body(parsed: EmailMessage, subtype: str) -> str:
        """The decoded text of one part, with plain line feeds."""
        part = parsed.get_body((subtype,))
        assert part is not None
        content: str = part.get_content()
        return content.replace("\r\n", "\n")


@pytest.fixture(scope="session")
def workshop() -> Workshop:
    return Workshop()


@pytest.fixture(scope="session")
def place() -> Callable[[int], Place]:
    return lambda line: Place("issues/x.md", line)
