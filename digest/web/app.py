"""The public pages as one application: what is there, and what runs beside it.

::

    /                       the archive            /u/<token>              leave (GET asks, POST does)
    /<slug>                 an issue               /u/<token>/back         take it back
    /feed.xml               the archive as Atom    /preferences/<token>    name, language, tags; /data, /erase
    /view/<slug>/<token>    a reader's own copy    /signup, /confirm/<token>
    /assets/<name>          a picture              /healthz                for who watches the server

What has an address as short as an issue's stands in `digest.web.addresses.own_names` as well.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from digest.errors import InputError, LaterError, Place, Problem
from digest.message.identity import TOKEN
from digest.newsletter import Newsletter
from digest.settings import SETTINGS_FILE, Settings
from digest.web.addresses import OWN_WAY, Addresses, Way
from digest.web.answers import Answers
from digest.web.archive_pages import ArchivePages
from digest.web.issues import Issues
from digest.web.join_pages import JoinPages
from digest.web.leave_pages import LeavePages
from digest.web.limits import Limits
from digest.web.look import Look
from digest.web.one_click import OneClick
from digest.web.pages import Pages
from digest.web.pictures import Pictures
from digest.web.postman import Postman
from digest.web.preference_pages import PreferencePages
from digest.web.reading import Reading
from digest.web.writer import Writer

log = logging.getLogger(__name__)

_BOTH = ["GET", "POST"]
_KEPT = "public, max-age=31536000, immutable"
_WORDS_OF = {404: "missing", 405: "method", 413: "large", 503: "later"}


@dataclass(frozen=True, slots=True)
class Parts:
    """What the pages stand on. `postman` makes the one who sends confirmations; None where nobody can join."""

    newsletter: Newsletter
    look: Look
    reading: Reading
    writer: Writer
    postman: Callable[[], Postman] | None = None


def create_app(parts: Parts) -> ASGIApp:
    """The application. It closes nothing that `parts` opened. Raises `InputError` (``config/readers.toml``)."""
    settings = parts.newsletter.settings
    addresses = Addresses.of(settings)
    pages = Pages(settings, addresses, parts.look)
    issues = Issues(parts.newsletter, parts.reading, addresses)
    archive = ArchivePages(pages, issues, Pictures(parts.newsletter, issues), parts.reading)
    leave = LeavePages(pages, parts.reading, parts.writer)
    own = PreferencePages(pages, parts.reading, parts.writer)
    beside = _Beside(parts)
    routes = [
        Route("/", archive.list),
        Route("/feed.xml", archive.feed),
        Route("/healthz", _Health(parts).health),
        Route(f"/static/{parts.look.name}", _kept(parts.look.css, "text/css")),
        Route(f"/static/{parts.look.icon_name}", _kept(parts.look.icon, "image/svg+xml")),
        Route("/assets/{name}", archive.picture),
        Route("/view/{slug}/{token}", archive.view),
        Route("/view/{slug}", archive.moved),
        Route("/u", leave.where),
        Route(OWN_WAY.path, leave.leave, methods=_BOTH),
        Route("/u/{token}/back", leave.back, methods=["POST"]),
        Route("/preferences/{token}", own.preferences, methods=_BOTH),
        Route("/preferences/{token}/data", own.data),
        Route("/preferences/{token}/erase", own.erase, methods=_BOTH),
    ]
    if parts.postman is not None:
        limits = Limits(settings.signup.per_client, settings.signup.overall)
        join = JoinPages(pages, parts.reading, parts.writer, limits, beside.wake)
        routes.append(Route("/signup", join.join, methods=_BOTH))
        routes.append(Route("/confirm/{token}", join.confirm, methods=_BOTH))
    ways = [OWN_WAY]
    if way := _named_way(settings, addresses, routes):
        ways.append(way)
        routes.append(Route(way.path, leave.by_query(way.field) if way.field else leave.leave, methods=_BOTH))
    routes += [Route("/{slug}", archive.issue), Route("/{slug}/", archive.moved)]

    def refused(request: Request, exc: Exception) -> Response:
        later = isinstance(exc, LaterError | sqlite3.OperationalError)  # a database locked by another program
        status = exc.status_code if isinstance(exc, HTTPException) else 503 if later else 500
        if status == 500:
            # Not its text: it may hold what was asked for.
            log.warning("%s failed: %s", getattr(request.scope.get("endpoint"), "__name__", "-"), type(exc).__name__)
            log.debug("", exc_info=exc)
        words = _WORDS_OF.get(status, "failed")
        answer = pages.notice(request, f"{words}.title", f"{words}.text", status=status, contact=status >= 500)
        if isinstance(exc, HTTPException) and exc.headers:
            answer.headers.update(exc.headers)
        if status == 503:
            answer.headers["Retry-After"] = "60"
        return answer

    app = Starlette(
        routes=routes,
        lifespan=beside.lifespan,
        exception_handlers={
            HTTPException: refused,
            LaterError: refused,
            sqlite3.OperationalError: refused,
            Exception: refused,
        },
    )
    app.router.redirect_slashes = False  # it would send a token to the Host that a request names
    return Answers(OneClick(app, ways, parts.writer), addresses.prefix)


def _named_way(settings: Settings, addresses: Addresses, routes: Sequence[Route]) -> Way | None:
    """The way out that messages name, where it is not our own already; None also for a page of somebody else.

    Raises `InputError` when it leads here, and no page can be made of it.
    """
    url, base = settings.unsubscribe.url, settings.newsletter.base_url
    way = addresses.way(url) if url else OWN_WAY
    if url is None or way == OWN_WAY:
        return None
    if way is None:
        why = "a server can't tell the reader's token from the rest of it"
    elif way.is_one_part or any(route.path_regex.match(way.example) for route in routes):
        why = "other pages have such addresses"
    else:
        return way
    if urlsplit(url).netloc != urlsplit(base).netloc:
        return None
    what = f"unsubscribe.url: digest serve can't answer {url}: {why}"
    raise InputError(Problem(Place(SETTINGS_FILE), what, f"{base}/u, or {base}/leave?t={TOKEN}"))


class _Health:
    """For a proxy or a monitor: 200 while the database can be read and what is asked for gets written."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def health(self, _request: Request) -> Response:
        self._parts.reading.connection.execute("SELECT 1 FROM subscribers LIMIT 1").fetchone()
        well = self._parts.writer.alive
        state = {"status": "ok" if well else "failing", "waiting": self._parts.writer.waiting}
        return JSONResponse(state, 200 if well else 503)


class _Beside:
    """What runs beside the pages: the postman, where there is one."""

    def __init__(self, parts: Parts) -> None:
        self._make = parts.postman
        self._postman: Postman | None = None

    def wake(self) -> None:
        if self._postman is not None:
            self._postman.wake()

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        if self._make is None:
            yield
            return
        self._postman = self._make()
        task = asyncio.create_task(self._postman.run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _kept(content: str, media_type: str) -> Callable[[Request], Response]:
    def static(_request: Request) -> Response:
        return PlainTextResponse(content, media_type=media_type, headers={"Cache-Control": _KEPT})

    return static
