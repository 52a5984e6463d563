"""The way out for people: one page and one button. A mail provider's POST is answered by `digest.web.one_click`.

A GET changes nothing: whatever scans mail for bad links fetches every one of them. A POST takes effect at once,
whoever sends it: the token in the path is all it takes, there is no cookie to ride on, no login, no redirect.
Whether a token is wrong, cut or somebody else's invention, the answer is one and the same, after the same work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from digest.audience.leaving import come_back_within, may_come_back
from digest.audience.store import Subscribers
from digest.delivery.later import leave_counted
from digest.message.merge import INERT_TOKEN
from digest.web.one_click import LONGEST_TOKEN
from digest.web.pages import Pages, body
from digest.web.reading import Reading
from digest.web.writer import Writer


def token_of(request: Request) -> str:
    """The token of the path. One that is far too long is cut, and then names nobody."""
    return str(request.path_params["token"])[:LONGEST_TOKEN]


class LeavePages:
    """Handlers."""

    def __init__(self, pages: Pages, reading: Reading, writer: Writer) -> None:
        self._pages = pages
        self._reading = reading
        self._writer = writer

    def where(self, request: Request) -> Response:
        """How one leaves, for who has no link at hand."""
        return self._pages.notice(request, "leave.where_title", "leave.where_text", contact=True)

    async def leave(self, request: Request) -> Response:
        """GET: the button. POST: unsubscribed, when the answer comes."""
        return await self._leave(request, token_of(request))

    def by_query(self, field: str) -> Callable[[Request], Awaitable[Response]]:
        """As `leave`, for links that have the token as this field of their query."""

        async def leave(request: Request) -> Response:
            return await self._leave(request, request.query_params.get(field, "")[:LONGEST_TOKEN])

        return leave

    async def _leave(self, request: Request, token: str) -> Response:
        if request.method != "POST":
            return await run_in_threadpool(self._ask, request, token)
        await body(request)  # what it says is known: RFC 8058 section 3.1
        if token == INERT_TOKEN:
            return practice_notice(self._pages, request)
        parting = await self._writer.do_item(leave_counted, token)
        if parting is None:
            return unknown_notice(self._pages, request)
        return self._pages.notice(
            request,
            "leave.done_title",
            "leave.done_text",
            language=parting.language,
            regret=self._pages.addresses.local("u", token, "back"),
        )

    async def back(self, request: Request) -> Response:
        """The mistake is mended; only POST."""
        token = token_of(request)
        await body(request)
        if token == INERT_TOKEN:
            return practice_notice(self._pages, request)
        parting = await self._writer.do(partial(come_back_within, token=token))
        links = (("page.preferences", self._pages.addresses.local("preferences", token)),)
        if parting is None:
            title, text = "leave.no_way_back_title", "leave.no_way_back_text"
            return self._pages.notice(request, title, text, status=404, links=self._anew(), contact=True)
        title, text = "leave.back_title", "leave.back_text"
        return self._pages.notice(request, title, text, language=parting.language, links=links)

    def _ask(self, request: Request, token: str) -> Response:
        if token == INERT_TOKEN:
            return practice_notice(self._pages, request)
        connection, link = self._reading.connection, self._pages.addresses.local
        reader = Subscribers(connection).by_token(token)
        lately = may_come_back(connection, token)
        if reader is None:
            return unknown_notice(self._pages, request)
        language = str(reader.values.get("language", ""))
        if reader.status in ("unsubscribed", "complained"):
            regret = link("u", token, "back") if lately else ""
            title, text = "leave.already_title", "leave.already_text"
            links = () if regret else self._anew()
            contact = not (regret or links)
            return self._pages.notice(
                request, title, text, language=language, regret=regret, links=links, contact=contact
            )
        return self._pages.notice(
            request,
            "leave.title",
            "leave.text",
            language=language,
            button=("leave.button", link("u", token)),
            one_click=True,
            links=(("page.preferences", link("preferences", token)),),
        )

    def _anew(self) -> tuple[tuple[str, str], ...]:
        """The way to the form, where there is one."""
        return (("page.join", self._pages.addresses.local("signup")),) if self._pages.settings.signup.enabled else ()


def unknown_notice(pages: Pages, request: Request) -> Response:
    """The one answer to every token that names nobody."""
    return pages.notice(request, "unknown.title", "unknown.text", status=404, contact=True)


def practice_notice(pages: Pages, request: Request) -> Response:
    """Where the links of tests and previews lead."""
    return pages.notice(request, "test.title", "test.text")
