"""A reader's own pages: what may be changed, what is held, and being forgotten.

The token in the path is the whole credential. There is no cookie that a foreign page could make a browser send
along, so a forged form (CSRF) would have to know the token; who knows it could open the page as well.
"""

from __future__ import annotations

import json
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from digest.audience.store import Subscribers
from digest.message.merge import INERT_TOKEN
from digest.web import own
from digest.web.leave_pages import practice_notice, token_of, unknown_notice
from digest.web.pages import Form, Pages, first, form
from digest.web.reading import Reading
from digest.web.words import languages
from digest.web.writer import Writer

NAMES = {"en": "English", "de": "Deutsch", "fr": "Français", "es": "Español", "it": "Italiano", "nl": "Nederlands"}
"""Languages by their own names; another is shown by its tag."""


class PreferencePages:
    """Handlers."""

    def __init__(self, pages: Pages, reading: Reading, writer: Writer) -> None:
        self._pages = pages
        self._reading = reading
        self._writer = writer
        self._offered = pages.settings.web.tags

    async def preferences(self, request: Request) -> Response:
        """GET: the form. POST: saved, and the form again."""
        token = token_of(request)
        if token == INERT_TOKEN:
            return practice_notice(self._pages, request)
        if request.method != "POST":
            return await run_in_threadpool(self._form, request, token)
        return await self._save(request, token, await form(request))

    async def _save(self, request: Request, token: str, fields: Form) -> Response:
        known = await run_in_threadpool(self._languages, token)
        if not {"name", "language"} <= fields.keys():  # half a form would clear the other half
            return await run_in_threadpool(self._form, request, token, wrong="preferences.wrong_choice")
        try:
            wanted = own.wishes(
                " ".join(first(fields, "name").split()),
                first(fields, "language"),
                fields.get("tags", []),
                known,
                self._offered,
            )
        except own.WishError as exc:
            return await run_in_threadpool(self._form, request, token, wrong=str(exc), fields=fields)
        work = partial(own.change, token=token, wanted=wanted, offered=self._offered)
        if not await self._writer.do(work):
            return unknown_notice(self._pages, request)
        return await run_in_threadpool(self._form, request, token, saved=True)

    def data(self, request: Request) -> Response:
        """Everything held on the reader, as a file."""
        token = token_of(request)
        if token == INERT_TOKEN:
            return practice_notice(self._pages, request)
        found = own.everything(self._reading.connection, token)
        if found is None:
            return unknown_notice(self._pages, request)
        headers = {"Content-Disposition": 'attachment; filename="my-data.json"'}
        text = json.dumps(found, ensure_ascii=False, indent=2, default=str)
        return Response(text, media_type="application/json", headers=headers)

    async def erase(self, request: Request) -> Response:
        """GET: are you sure? POST: forgotten."""
        token, link = token_of(request), self._pages.addresses.local
        if token == INERT_TOKEN:
            return practice_notice(self._pages, request)
        language = await run_in_threadpool(self._language, token)
        if language is None:
            return unknown_notice(self._pages, request)
        if request.method != "POST":
            button = ("erase.button", link("preferences", token, "erase"))
            back = (("page.preferences", link("preferences", token)),)
            return self._pages.notice(
                request, "erase.title", "erase.text", language=language, button=button, links=back
            )
        await form(request)
        await self._writer.do(partial(own.erase, token=token), alone=True)
        return self._pages.notice(request, "erase.done_title", "erase.done_text", language=language)

    def _form(
        self, request: Request, token: str, *, saved: bool = False, wrong: str = "", fields: Form | None = None
    ) -> Response:
        reader = Subscribers(self._reading.connection).by_token(token)
        if reader is None:
            return unknown_notice(self._pages, request)
        language, link = str(reader.values.get("language", "")), self._pages.addresses.local
        say = self._pages.words(request, language)
        tags = reader.values["tags"]
        return self._pages.page(
            request,
            "preferences.html",
            status=400 if wrong else 200,
            language=language,
            title=say("preferences.title"),
            email=reader.email,
            name=first(fields, "name") if fields else reader.name,
            chosen=first(fields, "language") if fields else language,
            languages=[(tag, NAMES.get(tag, tag)) for tag in self._known(language)],
            tags=[(tag, tag in (tags if isinstance(tags, tuple) else ())) for tag in self._offered],
            saved=saved,
            wrong=wrong,
            active=reader.status == "active",
            left=reader.status == "unsubscribed",
            paths={
                "self": link("preferences", token),
                "data": link("preferences", token, "data"),
                "erase": link("preferences", token, "erase"),
                "leave": link("u", token),
            },
        )

    def _languages(self, token: str) -> list[str]:
        return self._known(self._language(token) or "")

    def _known(self, own_language: str) -> list[str]:
        """The languages to choose from: those of the pages, the newsletter's, and the reader's as it is."""
        newsletter = self._pages.settings.newsletter.language
        return list(dict.fromkeys(filter(None, [*languages(), newsletter, own_language])))

    def _language(self, token: str) -> str | None:
        """The reader's language, or nothing; None: the token names nobody."""
        reader = Subscribers(self._reading.connection).by_token(token)
        return None if reader is None else str(reader.values.get("language", ""))
