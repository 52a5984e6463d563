"""Who sends: addresses, links and extra headers of a newsletter, as a message needs them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from digest.errors import InputError, Place, Problem

if TYPE_CHECKING:
    from digest.settings import Settings

TOKEN = "{token}"  # noqa: S105  # the place of a reader's token in a link; no secret
_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567" * 8  # five bits of every byte


@dataclass(frozen=True, slots=True)
class Identity:
    """The sender's side of every message.

    `sender` and `reply_to` are mailboxes (``Name <address>``), `domain` makes Message-ID and List-Id,
    `unsubscribe_url` is what the reader's token is appended to (or put in for ``{token}``), `return_path`
    the envelope sender before VERP, `verp_key` what its marks are signed with. Empty strings stand for what
    is not configured.

    Raises `InputError` for a header of the settings that would make a line break.
    """

    sender: str
    domain: str
    list_name: str
    reply_to: str = ""
    unsubscribe_url: str = ""
    unsubscribe_mailto: str = ""
    one_click: bool = False
    return_path: str = ""
    base_url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    verp_key: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        bad = [
            name
            for name, value in self.headers.items()
            if not re.fullmatch(r"[!-9;-~]{1,70}", name) or not re.fullmatch(r"[ -~]{0,900}", value)
        ]
        if bad:
            # A line break in a header would begin another header (RFC 5322 section 2.2).
            place = Place("config/digest.toml")
            cure = "a header is one line of ASCII, under 900 characters"
            raise InputError(Problem(place, f"smtp.headers: {n!r} can't be sent", cure, code="bad-header") for n in bad)

    @classmethod
    def of(cls, settings: Settings) -> Identity:
        """The identity that ``config/digest.toml`` describes."""
        newsletter, leave = settings.newsletter, settings.unsubscribe
        return cls(
            sender=newsletter.sender,
            reply_to=newsletter.reply_to or "",
            domain=newsletter.domain,
            list_name=newsletter.name,
            unsubscribe_url=leave.url or "",
            unsubscribe_mailto=leave.mailto or "",
            one_click=leave.one_click,
            return_path=settings.bounces.return_path or "",
            base_url=newsletter.base_url,
            headers=settings.smtp.headers,
        )

    def unsubscribe_pattern(self) -> str:
        """Where a reader leaves by a click, with `TOKEN`: the page configured, a mail, or our own page."""
        if self.unsubscribe_url:
            return with_token(self.unsubscribe_url)
        return self.mail_pattern() or with_token(f"{self._base}/u")

    def mail_pattern(self) -> str:
        """The ``mailto:`` address by which a reader leaves (RFC 6068), with `TOKEN`, or nothing."""
        if not self.unsubscribe_mailto:
            return ""
        return f"mailto:{quote(self.unsubscribe_mailto, safe='@+')}?subject=unsubscribe%20{TOKEN}"

    def view_pattern(self, slug: str) -> str:
        """Where a reader sees their own copy in a browser: ``<base_url>/view/<slug>/`` and `TOKEN`."""
        return with_token(f"{self._base}/view/{quote(slug, safe='')}")

    @property
    def _base(self) -> str:
        return self.base_url.rstrip("/") or f"https://{self.domain}"


def with_token(url: str) -> str:
    """`url` with `TOKEN` where it stands already, or else at its end.

    >>> with_token("https://x.example/u"), with_token("https://x.example/?t=")
    ('https://x.example/u/{token}', 'https://x.example/?t={token}')
    """
    if TOKEN in url:
        return url
    return f"{url}{TOKEN}" if url.endswith(("/", "=")) else f"{url}/{TOKEN}"


def verp(return_path: str, mark: str) -> str:
    """The envelope sender of one reader's message: ``bounces+MARK@…``, so that a bounce names the reader.

    >>> verp("bounces@news.example.com", "12-k1")
    'bounces+12-k1@news.example.com'
    """
    local, _, domain = return_path.rpartition("@")
    return f"{local}+{mark}@{domain}"


def mark_of(number: int, token: str, key: bytes) -> str:
    """What names a reader in an envelope sender: their number and its signature (80 bits) under `key`.

    Anybody on the way may write an envelope sender down, so it holds nothing that a reader's link is made of; and
    nobody who has not had a reader's message can make a bounce of theirs. The token is signed too: a number that is
    given again after a database was put back is another reader's.

    >>> mark_of(12, "tok3n", b"secret")
    '12-yuzrhlcyvccg6scr'
    """
    signature = hashlib.blake2b(f"{number}\0{token}".encode(), key=key, digest_size=16).digest()
    return f"{number}-{signature.translate(_LETTERS).decode('ascii')}"


_MARK = re.compile(r"\+((\d{1,18})-[a-z2-7]{16})@", re.IGNORECASE)


def marks_in(text: str) -> Iterator[tuple[int, str]]:
    """What looks like a mark in a text, in order: the number, and the whole, to be compared with `mark_of`.

    >>> list(marks_in("To: <Bounces+12-KQKNEYG5ZJ4S3X4H@news.example.com>"))
    [(12, '12-kqkneyg5zj4s3x4h')]
    """
    return ((int(match[2]), match[1].lower()) for match in _MARK.finditer(text))
