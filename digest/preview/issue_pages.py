"""The list of issues, one issue as one reader gets it, its problems, and its pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from html import escape
from urllib.parse import quote, urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from digest.compose.compiled import CLIPPED
from digest.compose.marks import without_marks
from digest.compose.pictures import picture_bytes
from digest.errors import InputError, Problem
from digest.message.merge import MergeError, Merger, Rendering
from digest.preview.colours import as_scheme
from digest.preview.csrf import TOKEN
from digest.preview.pages import email_document, pictures_from, saved_as
from digest.preview.readers import Choice
from digest.preview.shell import Shell
from digest.preview.standing import standings
from digest.preview.view import SCHEMES, SHOWN, Pane, View
from digest.preview.views import Views
from digest.preview.workbench import Excerpt, Look

Shown = list[tuple[Problem, Excerpt | None]]
"""Problems as the page lists them, each with the lines around its place."""


class IssuePages:
    """Handlers; each runs in a worker thread, because composing and reading lists take a moment."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._workbench = shell.workbench
        self._views = Views(shell)

    def list(self, _: Request) -> Response:
        """Every issue, newest first, with its miniature, its standing and its problems."""
        looks = self._workbench.looks()
        fronts = {look.slug: look.front for look in looks}
        return self._page(
            "issues.html",
            looks=[(look, self._workbench.known_problems(look)) for look in looks],
            standings=standings(self._workbench.newsletter, fronts),
            problems=self._settings_problems(),
        )

    def issue(self, request: Request) -> Response:
        """One issue as one reader gets it, in the view the address asks for."""
        look = self._shell.look(request)
        view = View.of(request.query_params)
        audience = self._workbench.audience(look)
        chosen = audience.find(view.reader)
        marked, problem = rendering_of(look.twin, chosen)
        problems = [*look.problems, *([problem] if problem else [])]
        rendering = _plain(marked)
        newsletter = self._workbench.newsletter
        return self._page(
            "issue.html",
            look=look,
            view=view,
            tabs=SHOWN,
            schemes=SCHEMES,
            standing=standings(newsletter, {look.slug: look.front})[look.slug],
            file=newsletter.shown(look.file),
            chosen=chosen,
            arm=audience.arm_of(chosen.subscriber) if chosen.subscriber else "",
            groups=audience.groups(view.q),
            searchable=audience.searchable,
            rendering=rendering,
            panes=[(pane, frame_address(look, chosen, view, pane, marked)) for pane in view.panes] if marked else [],
            settings_broken=bool(self._workbench.problems),
            size=len(rendering.html.encode()) if rendering else 0,
            clipped=CLIPPED,
            problems=[*self._settings_problems(), *self.with_excerpts(problems)],
            shown=self._views.of(view, look, chosen, rendering, marked),
            relay=f"{newsletter.settings.smtp.host}:{newsletter.settings.smtp.port}",
            csrf=TOKEN,
            editor=self._shell.editor.name if self._shell.editor else "",
            **_belonging(look.twin, chosen),
        )

    def problems(self, request: Request) -> Response:
        """All that `digest check` says of the issue: loaded after the page, because it takes a while."""
        look = self._shell.look(request)
        problems = self._workbench.checked(look)
        errors = sum(problem.severity == "error" for problem in problems)
        file = self._workbench.newsletter.shown(look.file)
        return self._page("problems.html", look=look, file=file, problems=self.with_excerpts(problems), errors=errors)

    def html(self, request: Request) -> Response:
        """The email alone, for the frame: what a reader gets, with marks, and pictures from the folder."""
        look = self._shell.look(request)
        view = View.of(request.query_params)
        chosen = self._workbench.audience(look).find(view.reader)
        rendering, problem = rendering_of(look.twin, chosen)
        port = self._shell.port
        if rendering is None or look.compiled is None:
            return email_document(f"<!DOCTYPE html><p>{escape(str(problem or 'No rendering yet.'))}</p>", port)
        local = with_local_pictures(rendering.html, look)
        return email_document(as_scheme(local, view.scheme), port, images=view.images)

    def message(self, request: Request) -> Response:
        """The whole message as a file; its links are inert."""
        look = self._shell.look(request)
        chosen = self._workbench.audience(look).find(request.query_params.get("reader", ""))
        message = self._views.message_of(look, chosen)
        if message is None:
            raise HTTPException(404, "There is no message for this reader.")
        headers = {"Content-Disposition": saved_as(f"{look.slug}.eml")}
        return Response(message.data, media_type="message/rfc822", headers=headers)

    def picture(self, request: Request) -> Response:
        """A picture the issue shows, by its published name. Nothing else of the folder can be asked for."""
        look = self._shell.look(request)
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

    def with_excerpts(self, problems: Iterable[Problem]) -> Shown:
        """Problems with the lines around their places."""
        return [(p, self._workbench.excerpt(p.place)) for p in problems]

    def _settings_problems(self) -> Shown:
        return self.with_excerpts(self._workbench.problems)

    def _page(self, name: str, **context: object) -> HTMLResponse:
        return self._shell.page(name, "issues", context)


def rendering_of(merger: Merger | None, chosen: Choice) -> tuple[Rendering | None, Problem | None]:
    """What the reader sees, or why there is nothing to see."""
    if merger is None:
        return None, None
    if chosen.subscriber is None:
        return None, Problem(None, f"nobody is in “{chosen.label}”", "choose another, or import readers")
    try:
        return merger.rendering(chosen.subscriber), None
    except MergeError as exc:
        return None, exc.problem


def frame_address(look: Look, chosen: Choice, view: View, pane: Pane, marked: Rendering) -> str:
    """Where a pane's frame loads the email from: another address when, and only when, it is another email."""
    at = hashlib.sha256(marked.html.encode()).hexdigest()[:16]
    query = {"reader": chosen.key, "scheme": pane.scheme, "at": at} | ({} if view.images else {"images": "off"})
    return f"/issues/{quote(look.slug)}/html?{urlencode(query)}"


def with_local_pictures(html: str, look: Look) -> str:
    """`html` with each of the issue's pictures taken from here, not from where it will be published."""
    return pictures_from(f"/assets/{quote(look.slug)}/", html, look.compiled) if look.compiled else html


def _plain(marked: Rendering | None) -> Rendering | None:
    if marked is None:
        return None
    return Rendering(marked.subject, marked.preheader, without_marks(marked.html), marked.text)


def _belonging(merger: Merger | None, chosen: Choice) -> dict[str, object]:
    """Whether the reader gets the issue, and how many of its conditions hold for them."""
    reader = chosen.subscriber
    if merger is None or reader is None:
        return {"gets": None, "met": 0, "conditions": 0}
    try:
        variant = merger.variant(reader)
        return {"gets": merger.gets(reader), "met": sum(variant), "conditions": len(variant)}
    except MergeError:  # shown beside the rendering already
        return {"gets": None, "met": 0, "conditions": 0}
