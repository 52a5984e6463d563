"""Issues in the browser: a reader's own copy behind their token, and the archive that everybody may read."""

from __future__ import annotations

import re
from html import escape
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from digest.audience.store import Subscribers
from digest.message.merge import INERT_TOKEN
from digest.web.feed import atom
from digest.web.issues import Issues, PublicIssue
from digest.web.leave_pages import practice_notice, token_of
from digest.web.pages import Pages
from digest.web.pictures import TYPES, Pictures
from digest.web.reading import Reading

LISTED = 25  # issues on a page of the archive
IN_FEED = 20
_FOR_EVER = "public, max-age=31536000, immutable"
_A_WHILE = "public, max-age=300"


class ArchivePages:
    """Handlers; each runs in a worker thread."""

    def __init__(self, pages: Pages, issues: Issues, pictures: Pictures, reading: Reading) -> None:
        self._pages = pages
        self._issues = issues
        self._pictures = pictures
        self._reading = reading
        self._policy = _email_policy(pages.settings.assets.base_url or "")

    def list(self, request: Request) -> Response:
        """All public issues, the latest first."""
        number = request.query_params.get("page", "1")
        skipped = (int(number) - 1) * LISTED if number.isascii() and number.isdigit() and len(number) < 6 else 0
        issues, more = self._issues.archive(LISTED, max(0, skipped))
        here = max(0, skipped) // LISTED + 1
        if not issues and here > 1:
            raise HTTPException(404)
        words = self._pages.words(request)
        answer = self._pages.page(
            request,
            "archive.html",
            title=words("archive.title"),
            issues=issues,
            canonical=self._pages.addresses.public(),
            listed=True,
            newer=f"?page={here - 1}" if here > 1 else "",
            older=f"?page={here + 1}" if more else "",
        )
        answer.headers["Cache-Control"] = _A_WHILE
        return answer

    def issue(self, request: Request) -> Response:
        """One issue as anybody may read it."""
        issue = self._issues.public(request.path_params["slug"])
        if issue is None:
            raise HTTPException(404)
        return self._email(_archived(issue, self._pages, request), _A_WHILE)

    def view(self, request: Request) -> Response:
        """An issue as the reader of this link gets it. A link of nobody and an issue for others look alike."""
        token, slug = token_of(request), request.path_params["slug"]
        if token == INERT_TOKEN:
            return practice_notice(self._pages, request)
        reader = Subscribers(self._reading.connection).by_token(token)
        html = self._issues.of_reader(slug, reader) if reader else None
        if html is None:
            title, text = "archive.private_title", "archive.private_text"
            return self._pages.notice(request, title, text, status=404, contact=True)
        head = f'<meta name="robots" content="noindex">{_icon(self._pages)}'
        if self._issues.public(slug):  # who passes the page on passes that on, where a program does it for them
            head += f'<link rel="canonical" href="{escape(self._pages.addresses.public(slug))}">'
        return self._email(_page(html, head), "private, no-store")

    def feed(self, request: Request) -> Response:
        """The latest issues as Atom (RFC 4287); a reader of feeds that knows them is told so in a few bytes."""
        issues, _ = self._issues.archive(IN_FEED)
        text, tag = atom(self._pages.settings.newsletter, self._pages.addresses, issues)
        headers = {"ETag": tag, "Cache-Control": _A_WHILE}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(text, media_type="application/atom+xml", headers=headers)

    def picture(self, request: Request) -> Response:
        """A picture of an issue; its name is made of its content."""
        file = self._pictures.file(request.path_params["name"])
        if file is None:
            raise HTTPException(404)
        headers = {"Cache-Control": _FOR_EVER, "Cross-Origin-Resource-Policy": "cross-origin"}
        return FileResponse(file, media_type=TYPES[file.suffix], headers=headers)

    def moved(self, request: Request) -> Response:
        """The archive's page with a slash at its end, or the view of a link whose token is gone."""
        return RedirectResponse(self._pages.addresses.local(request.path_params["slug"]), status_code=308)

    def _email(self, html: str, cache: str) -> Response:
        return HTMLResponse(html, headers={"Content-Security-Policy": self._policy, "Cache-Control": cache})


def _email_policy(assets_base: str) -> str:
    """An issue brings its own styles; its pictures come from here or from where they are published."""
    parts = urlsplit(assets_base)
    elsewhere = f" {parts.scheme}://{parts.netloc}" if parts.netloc else ""
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:{elsewhere}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _archived(issue: PublicIssue, pages: Pages, request: Request) -> str:
    """The page of the archive: the email, what a search engine and a social network want to know, a way on."""
    address, newsletter = pages.addresses.public(issue.slug), pages.settings.newsletter
    card = {
        "og:type": "article",
        "og:title": issue.title,
        "og:description": issue.summary,
        "og:url": address,
        "og:site_name": newsletter.name,
        "og:image": issue.picture,
        "article:published_time": issue.published.isoformat(timespec="seconds"),
    }
    more = [
        f'<link rel="canonical" href="{escape(address)}">',
        f'<link rel="alternate" type="application/atom+xml" href="{escape(pages.addresses.public("feed.xml"))}">',
        f'<meta name="description" content="{escape(issue.summary)}">' if issue.summary else "",
        *(f'<meta property="{name}" content="{escape(text)}">' for name, text in card.items() if text),
        f'<meta name="twitter:card" content="summary{"_large_image" if issue.picture else ""}">',
        _icon(pages),
        _NAVIGATION_STYLE,
    ]
    say = pages.words(request)
    links = [(say("page.home"), pages.addresses.local())]
    if pages.settings.signup.enabled:
        links.append((say("page.join"), pages.addresses.local("signup")))
    items = "".join(f'<a href="{escape(link)}">{escape(label)}</a>' for label, link in links)
    navigation = f'<nav class="digest-on" aria-label="{escape(newsletter.name)}">{items}</nav>'
    return _page(issue.html, "".join(more), navigation)


_NAVIGATION_STYLE = (
    "<style>.digest-on{text-align:center;padding:0 16px 40px;font:16px/1.5 sans-serif}"
    ".digest-on a{display:inline-block;padding:10px 12px;color:#33383d}"
    "@media (prefers-color-scheme:dark){.digest-on a{color:#d3d8dc}}</style>"
)


def _icon(pages: Pages) -> str:
    address = pages.addresses.local("static", pages.look.icon_name)
    return f'<link rel="icon" type="image/svg+xml" href="{address}">'


def _page(email: str, head: str, end: str = "") -> str:
    """An email as a page: `head` at the end of its head, its content as the page's main part, and `end` after it.

    >>> _page("<html><head></head><body dir='ltr'>Hello</body></html>", "<meta>", "<nav></nav>")
    "<html><head><meta></head><body dir='ltr'><main>Hello</main><nav></nav></body></html>"
    """
    found = _HEAD_AND_BODY.search(email)
    if found is None:
        return f"{head}{email}{end}"
    before, after = email[: found.start()], email[found.end() :]
    content, _, rest = after.rpartition("</body>")
    return f"{before}{head}{found[0]}<main>{content}</main>{end}</body>{rest}"


_HEAD_AND_BODY = re.compile(r"</head>\s*<body[^>]*>")
