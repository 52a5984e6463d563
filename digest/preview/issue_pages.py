"""The list of issues, one issue as one reader gets it, and its pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Literal
from urllib.parse import quote, urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from digest.audience.subscriber import Subscriber
from digest.compose.compiled import picture_address
from digest.compose.pictures import picture_bytes
from digest.errors import InputError, Problem
from digest.message.merge import MergeError, Merger, Rendering
from digest.preview.colours import Scheme, as_scheme
from digest.preview.inbox import Inbox
from digest.preview.pages import email_document, page
from digest.preview.readers import Choice
from digest.preview.workbench import Excerpt, Look, Workbench
from digest.sections import split_mailbox

Shown = list[tuple[Problem, Excerpt | None]]
"""Problems as the page lists them, each with the lines around its place."""

_WIDTHS = ("375", "600", "full")


@dataclass(frozen=True, slots=True)
class View:
    """What the page's address asks for; anything unknown is the default."""

    reader: str
    width: str
    scheme: Scheme
    show: Literal["html", "text"]
    q: str

    @classmethod
    def of(cls, query: Mapping[str, str]) -> View:
        """Read the query of a request."""
        return cls(
            reader=query.get("reader", ""),
            width=query.get("width", "") if query.get("width") in _WIDTHS else "600",
            scheme="dark" if query.get("scheme") == "dark" else "light",
            show="text" if query.get("show") == "text" else "html",
            q=query.get("q", "")[:200],
        )


class IssuePages:
    """Handlers; each runs in a worker thread, because composing and reading lists take a moment."""

    def __init__(self, workbench: Workbench, port: int, inbox: Inbox | None) -> None:
        self._workbench = workbench
        self._port = port
        self._inbox = inbox

    def list(self, _: Request) -> Response:
        """Every issue, newest first, with its miniature and its problems."""
        return self._page("issues.html", looks=self._workbench.looks(), problems=self._settings_problems())

    def issue(self, request: Request) -> Response:
        """One issue as one reader gets it."""
        look = self._look(request)
        view = View.of(request.query_params)
        audience = self._workbench.audience(look)
        chosen = audience.find(view.reader)
        rendering, problem = self._rendering(look.merger, chosen)
        problems = [*look.problems, *([problem] if problem else [])]
        # The frame is loaded anew when, and only when, the email is another one.
        at = hashlib.sha256(rendering.html.encode()).hexdigest()[:16] if rendering else ""
        query = urlencode({"reader": chosen.key, "scheme": view.scheme, "at": at})
        return self._page(
            "issue.html",
            look=look,
            view=view,
            file=self._workbench.newsletter.shown(look.file),
            chosen=chosen,
            groups=audience.groups(view.q),
            searchable=audience.searchable,
            rendering=rendering,
            frame=f"/issues/{quote(look.slug)}/html?{query}",
            size=len(rendering.html.encode()) if rendering else 0,
            sender=self._sender_name(look),
            problems=[*self._settings_problems(), *self._with_excerpts(problems)],
            **_belonging(look.merger, chosen.subscriber),
        )

    def html(self, request: Request) -> Response:
        """The email alone, for the frame: the bytes a reader gets, with pictures from the folder."""
        look = self._look(request)
        view = View.of(request.query_params)
        chosen = self._workbench.audience(look).find(view.reader)
        rendering, problem = self._rendering(look.merger, chosen)
        if rendering is None or look.compiled is None:
            return email_document(f"<!DOCTYPE html><p>{escape(str(problem or 'No rendering yet.'))}</p>", self._port)
        local = with_local_pictures(rendering.html, look)
        return email_document(as_scheme(local, view.scheme), self._port)

    def message(self, request: Request) -> Response:
        """The whole message as a file; its links are inert."""
        look = self._look(request)
        chosen = self._workbench.audience(look).find(request.query_params.get("reader", ""))
        if look.merger is None or chosen.subscriber is None:
            raise HTTPException(404, "There is no message for this reader.")
        try:
            message = look.merger.message(chosen.subscriber, date=datetime.now(UTC), purpose="dry")
        except MergeError as exc:
            raise HTTPException(404, str(exc.problem)) from exc
        disposition = f'attachment; filename="{_file_name(look.slug)}.eml"'
        headers = {"Content-Disposition": disposition}
        return Response(message.data, media_type="message/rfc822", headers=headers)

    def picture(self, request: Request) -> Response:
        """A picture the issue shows, by its published name. Nothing else of the folder can be asked for."""
        look = self._look(request)
        name = request.path_params["name"]
        pictures = look.compiled.pictures if look.compiled else ()
        picture = next((p for p in pictures if p.name == name), None)
        if picture is None:
            raise HTTPException(404, "There is no such picture.")
        try:
            data, kind = picture_bytes(self._workbench.newsletter, picture)
        except InputError as exc:  # gone, or another one by now: the issue is about to be composed again
            raise HTTPException(404, str(exc)) from exc
        # The name holds the content's hash: what it names never changes.
        headers = {"Cache-Control": "private, max-age=86400, immutable"}
        return Response(data, media_type=kind, headers=headers)

    def _look(self, request: Request) -> Look:
        look = self._workbench.look(request.path_params["slug"])
        if look is None:
            raise HTTPException(404, f"There is no issue “{request.path_params['slug']}”.")
        return look

    def _rendering(self, merger: Merger | None, chosen: Choice) -> tuple[Rendering | None, Problem | None]:
        if merger is None:
            return None, None
        if chosen.subscriber is None:
            return None, Problem(None, f"nobody is in “{chosen.label}”", "choose another, or import readers")
        try:
            return merger.rendering(chosen.subscriber), None
        except MergeError as exc:
            return None, exc.problem

    def _sender_name(self, look: Look) -> str:
        sender = look.compiled.sender if look.compiled else ""
        name, address = split_mailbox(sender or self._workbench.newsletter.settings.newsletter.sender)
        return name or address

    def _settings_problems(self) -> Shown:
        return self._with_excerpts(self._workbench.problems)

    def _with_excerpts(self, problems: Iterable[Problem]) -> Shown:
        return [(p, self._workbench.excerpt(p.place)) for p in problems]

    def _page(self, name: str, **context: object) -> HTMLResponse:
        newsletter = self._workbench.newsletter.settings.newsletter
        frame = {"newsletter_name": newsletter.name, "inbox": self._inbox, "here": "issues"}
        return page(name, frame | context)


def _belonging(merger: Merger | None, reader: Subscriber | None) -> dict[str, object]:
    """Whether the reader gets the issue, and how many of its conditions hold for them."""
    if merger is None or reader is None:
        return {"gets": None, "met": 0, "conditions": 0}
    try:
        variant = merger.variant(reader)
        return {"gets": merger.gets(reader), "met": sum(variant), "conditions": len(variant)}
    except MergeError:  # shown beside the rendering already
        return {"gets": None, "met": 0, "conditions": 0}


def with_local_pictures(html: str, look: Look) -> str:
    """`html` with each of the issue's pictures taken from here, not from where it will be published."""
    if look.compiled is None:
        return html
    for picture in look.compiled.pictures:
        published = picture_address(look.compiled.assets_base, picture.name)
        html = html.replace(published, f"/assets/{quote(look.slug)}/{picture.name}")
    return html


def _file_name(slug: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in slug)
