"""The addresses of the public pages: as the world knows them, and as our own pages link to them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlsplit

from digest.message.identity import TOKEN, Identity, with_token
from digest.settings import Settings


@dataclass(frozen=True, slots=True)
class Way:
    """A way out: the path of a page, as a route with ``{token}`` in it, or with the token as `field` of the query."""

    path: str
    field: str = ""

    def token(self, path: str, query: str) -> str | None:
        """The token of a request; None when it does not go this way.

        >>> Way("/u/{token}").token("/u/abc", ""), Way("/leave", "t").token("/leave", "x=1&t=abc")
        ('abc', 'abc')
        >>> Way("/u/{token}").token("/u/abc/back", ""), Way("/leave", "t").token("/leave", "")
        (None, None)
        """
        if self.field:
            return parse_qs(query).get(self.field, [None])[0] if path == self.path else None
        before, _, after = self.path.partition(TOKEN)
        token = path[len(before) : len(path) - len(after)]
        whole = path == f"{before}{token}{after}" and token and "/" not in token
        return token if whole else None

    @property
    def is_one_part(self) -> bool:
        """Whether a token is all of the path, as an issue's name is all of its page's."""
        return TOKEN in self.path and self.path.count("/") == 1

    @property
    def example(self) -> str:
        """The path with something in the token's place."""
        return self.path.replace(TOKEN, "a" * 24)


OWN_WAY = Way(f"/u/{TOKEN}")


@dataclass(frozen=True, slots=True)
class Addresses:
    """`base` is ``newsletter.base_url`` without a slash at its end, `prefix` its path (mostly nothing)."""

    base: str
    prefix: str

    @classmethod
    def of(cls, settings: Settings) -> Addresses:
        """Those that the messages carry."""
        base = settings.newsletter.base_url
        return cls(base, urlsplit(base).path.rstrip("/"))

    def way(self, url: str) -> Way | None:
        """The way out that ``[unsubscribe] url`` names, below `prefix`; None when no page can tell its token.

        >>> addresses = Addresses("https://x.example/news", "/news")
        >>> addresses.way("https://x.example/news/u"), addresses.way("https://x.example/out?of=news&t=")
        (Way(path='/u/{token}', field=''), Way(path='/out', field='t'))
        >>> addresses.way("https://x.example/out#{token}")
        """
        parts = urlsplit(with_token(url))
        path = unquote(parts.path).removeprefix(self.prefix) or "/"
        fields = [name for name, value in parse_qsl(parts.query) if value == TOKEN]
        if re.fullmatch(r"/[^{}]*", path) and len(fields) == 1:
            return Way(path, fields[0])
        if re.fullmatch(r"/[^{}]*\{token\}[^{}]*", path) and TOKEN not in parts.query:
            return Way(path)
        return None

    def local(self, *parts: str) -> str:
        """A link between our own pages: a path from the root of the server.

        >>> Addresses("https://x.example/news", "/news").local("u", "a b")
        '/news/u/a%20b'
        """
        return f"{self.prefix}/" + "/".join(quote(part, safe="") for part in parts)

    def public(self, *parts: str) -> str:
        """The whole address of a page."""
        return f"{self.base}/" + "/".join(quote(part, safe="") for part in parts)


def own_names(settings: Settings) -> frozenset[str]:
    """Addresses of our own pages as short as an issue's: who asks for one of these never gets an issue."""
    way = Addresses.of(settings).way(settings.unsubscribe.url or "")
    named = {way.path.removeprefix("/")} if way and way.field else set()
    joining = {"signup"} if settings.signup.enabled else set()
    return frozenset({"u", "feed.xml", "healthz", *joining, *named})


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
