"""The addresses of the public pages: as the world knows them, and as our own pages link to them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from digest.message.identity import TOKEN, Identity, with_token
from digest.settings import Settings


@dataclass(frozen=True, slots=True)
class Addresses:
    """`base` is ``newsletter.base_url`` without a slash at its end, `prefix` its path (mostly nothing).

    `leave_route` is the path of ``[unsubscribe] url`` as a route with ``{token}``, or nothing when the token is
    no part of a path (then it is somebody else's page).
    """

    base: str
    prefix: str
    leave_route: str

    @classmethod
    def of(cls, settings: Settings) -> Addresses:
        """Those that the messages carry."""
        base = settings.newsletter.base_url
        prefix = urlsplit(base).path.rstrip("/")
        return cls(base, prefix, _route(settings.unsubscribe.url or "", prefix))

    def local(self, *parts: str) -> str:
        """A link between our own pages: a path from the root of the server.

        >>> Addresses("https://x.example/news", "/news", "").local("u", "a b")
        '/news/u/a%20b'
        """
        return f"{self.prefix}/" + "/".join(quote(part, safe="") for part in parts)

    def public(self, *parts: str) -> str:
        """The whole address of a page."""
        return f"{self.base}/" + "/".join(quote(part, safe="") for part in parts)


class PublicIdentity(Identity):
    """The links of an issue that nobody in particular reads: the archive's page, and how one leaves."""

    def unsubscribe_pattern(self) -> str:
        """The page that says where one's own link is."""
        return f"{self._base}/u"

    def view_pattern(self, slug: str) -> str:
        """The archive's page of the issue."""
        return f"{self._base}/{quote(slug, safe='')}"


class ConfirmingIdentity(Identity):
    """The links of a message to somebody who asked to join: ``links.view`` is where they confirm."""

    def view_pattern(self, _slug: str) -> str:
        """The page behind the token of the request."""
        return with_token(f"{self._base}/confirm")


def _route(url: str, prefix: str) -> str:
    if not url:
        return ""
    path = unquote(urlsplit(with_token(url)).path).removeprefix(prefix)
    if path.count(TOKEN) != 1 or not re.fullmatch(r"/(?:[^{}]*/)?\{token\}", path):
        return ""
    return path
