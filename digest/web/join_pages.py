"""Joining: a form, a message with a link, one press behind that link.

The answer to the form is the same for every address, and comes after the same work. A field that people do not see
(the honeypot) tells programs that fill in whatever they find. The form may also stand on a site of one's own: it
posts ``email`` (and ``name``, ``tags``, ``language``, ``page``) here; a script that asks for JSON gets it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from digest.audience.address import AddressError, parse_address
from digest.message.merge import INERT_TOKEN
from digest.web import joining
from digest.web.leave_pages import practice_notice, token_of
from digest.web.limits import Limits
from digest.web.own import WishError, wishes
from digest.web.pages import Form, Pages, first, form
from digest.web.reading import Reading
from digest.web.words import choose
from digest.web.writer import Writer

TRAP = "website"
"""The field that nobody sees."""
_LONGEST_PAGE = 300
_RETRY_AFTER = "3600"  # seconds


class JoinPages:
    """Handlers. `wake` says that there is a message to send."""

    def __init__(
        self, pages: Pages, reading: Reading, writer: Writer, limits: Limits, wake: Callable[[], None]
    ) -> None:
        self._pages = pages
        self._reading = reading
        self._writer = writer
        self._limits = limits
        self._wake = wake
        self._offered = pages.settings.web.tags

    async def join(self, request: Request) -> Response:
        """GET: the form. POST: a message is on its way, or not: nobody is told."""
        if request.method != "POST":
            return self._form(request)
        if not self._limits.allow(request.client.host if request.client else ""):
            answer = self._answer(request, "signup.busy_title", "signup.busy_text", status=429)
            answer.headers["Retry-After"] = _RETRY_AFTER
            return answer
        fields = await form(request)
        try:
            wanted = self._wanted(request, fields)
        except AddressError:
            return self._wrong(request, fields, "signup.wrong_email")
        except WishError as exc:
            return self._wrong(request, fields, str(exc))
        if not first(fields, TRAP):
            await self._writer.do(partial(joining.ask, wanted=wanted))
            self._wake()
        return self._answer(request, "signup.done_title", "signup.done_text")

    async def confirm(self, request: Request) -> Response:
        """GET: the button (scanners of mail follow every link). POST: subscribed."""
        token = token_of(request)
        if token == INERT_TOKEN:
            return practice_notice(self._pages, request)
        language = await run_in_threadpool(lambda: joining.is_waiting(self._reading.connection, token))
        if request.method == "POST":
            await form(request)
            parting = await self._writer.do(partial(joining.confirm, token=token))
            if parting is not None:
                title, text = "confirm.done_title", "confirm.done_text"
                return self._pages.notice(request, title, text, language=parting.language)
        elif language is not None:
            button = ("confirm.button", self._pages.addresses.local("confirm", token))
            return self._pages.notice(request, "confirm.title", "confirm.text", language=language, button=button)
        links = (("page.join", self._pages.addresses.local("signup")),)
        return self._pages.notice(request, "confirm.gone_title", "confirm.gone_text", status=404, links=links)

    def _wanted(self, request: Request, fields: Form) -> joining.Request:
        """Raises `AddressError` or `WishError`."""
        address = parse_address(first(fields, "email"))
        say = self._pages.words(request)
        wished = wishes(" ".join(first(fields, "name").split()), "", fields.get("tags", []), (), self._offered)
        asked = first(fields, "language")
        return joining.Request(
            address=address,
            name=wished.name,
            language=choose(asked) if asked else say.language,
            tags=wished.tags,
            page=self._page_of(request, fields),
            wording=self._wording(request),
        )

    def _page_of(self, request: Request, fields: Form) -> str:
        """Where the form stood, as far as is known."""
        origin = request.headers.get("origin", "")
        told = first(fields, "page") or (origin if origin != "null" else "")
        if told and told.isprintable() and len(told) <= _LONGEST_PAGE:
            return told
        return self._pages.addresses.public("signup")

    def _wording(self, request: Request) -> str:
        return self._pages.settings.signup.wording or self._pages.words(request)("signup.wording")

    def _form(self, request: Request, fields: Form | None = None, wrong: str = "") -> Response:
        given = fields or {}
        return self._pages.page(
            request,
            "signup.html",
            status=400 if wrong else 200,
            title=self._pages.words(request)("signup.title"),
            action=self._pages.addresses.local("signup"),
            wording=self._wording(request),
            wrong=wrong,
            email=first(given, "email")[:320],
            name=first(given, "name")[:200],
            tags=[(tag, tag in given.get("tags", [])) for tag in self._offered],
            trap=TRAP,
            listed=not wrong,
        )

    def _wrong(self, request: Request, fields: Form, words: str) -> Response:
        if _wants_json(request):
            return _json({"error": self._pages.words(request)(words)}, 400)
        return self._form(request, fields, words)

    def _answer(self, request: Request, title: str, text: str, status: int = 200) -> Response:
        if _wants_json(request):
            say = self._pages.words(request)
            return _json({"ok" if status == 200 else "error": say(title), "text": say(text)}, status)
        return self._pages.notice(request, title, text, status=status)


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


def _json(content: dict[str, str], status: int) -> Response:
    # Any page may read it: it says nothing, and no cookie of anybody has a part in it.
    return JSONResponse(content, status, headers={"Access-Control-Allow-Origin": "*"})
