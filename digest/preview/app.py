"""The workbench's web application: its routes, and what runs beside them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from digest.preview.inbox import Inbox
from digest.preview.issue_pages import IssuePages
from digest.preview.live import Live, watch
from digest.preview.mail_pages import MailPages
from digest.preview.pages import STATIC, page
from digest.preview.reader_pages import ReaderPages
from digest.preview.security import LocalOnly
from digest.preview.workbench import Workbench

log = logging.getLogger(__name__)


def create_app(workbench: Workbench, live: Live, *, port: int, inbox: Inbox | None = None) -> Starlette:
    """The application of one newsletter on one port of loopback; with an inbox, its pages too."""

    async def events(_: Request) -> Response:
        return StreamingResponse(live.stream(), media_type="text/event-stream")

    issues = IssuePages(workbench, port, inbox)
    readers = ReaderPages(workbench, port, inbox)
    routes = [
        Route("/", issues.list),
        Route("/issues/{slug}", issues.issue),
        Route("/issues/{slug}/html", issues.html),
        Route("/issues/{slug}/message.eml", issues.message),
        Route("/assets/{slug}/{name}", issues.picture),
        Route("/view/{slug}/{token}", readers.view),
        Route("/u/{token}", readers.leave, methods=["GET", "POST"]),
        Route("/live", events),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    if inbox is not None:
        mail = MailPages(workbench, port, inbox)
        routes += [
            Route("/inbox", mail.list),
            Route("/inbox/{number:int}", mail.message),
            Route("/inbox/{number:int}/html", mail.html),
            Route("/inbox/{number:int}/part/{cid}", mail.part),
            Route("/inbox/{number:int}/message.eml", mail.download),
        ]

    def refused(request: Request, exc: Exception) -> HTMLResponse:
        status = exc.status_code if isinstance(exc, HTTPException) else 500
        if status == 500:
            log.warning("%s: %s: %s", request.url.path, type(exc).__name__, exc)
            log.debug("", exc_info=exc)
        title = "There is nothing here" if status == 404 else "That did not work"
        text = exc.detail if isinstance(exc, HTTPException) else "The workbench itself failed; reload to try again."
        context = {
            "newsletter_name": workbench.newsletter.settings.newsletter.name,
            "inbox": inbox,
            "here": "",
            "title": title,
            "text": text,
            "button": "",
            "back": "/",
            "back_label": "All issues",
        }
        return page("notice.html", context, status)

    @asynccontextmanager
    async def beside(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(_keep_current(workbench, live))
        yield
        live.close()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    return Starlette(
        routes=routes,
        lifespan=beside,
        middleware=[Middleware(LocalOnly, port=port)],
        exception_handlers={HTTPException: refused, Exception: refused},
    )


async def _keep_current(workbench: Workbench, live: Live) -> None:
    """Watch the folder, tell the pages, and look at every issue that changed, so that the list is true."""
    wake = asyncio.Event()
    wake.set()  # every issue is looked at once at the start

    def changed(paths: Iterable[Path]) -> None:
        slugs = workbench.changed(paths)
        live.publish("change", slugs=sorted(slugs))
        wake.set()

    async def look_through() -> None:
        while True:
            await wake.wait()
            wake.clear()
            # An open page asks for its own issue first; the others wait this long.
            await asyncio.sleep(0.2)
            for slug in await anyio.to_thread.run_sync(workbench.stale):
                await anyio.to_thread.run_sync(workbench.look, slug)
                live.publish("looked", slug=slug)

    async def follow() -> None:
        try:
            await watch(workbench.newsletter.root, changed)
        except (OSError, RuntimeError) as exc:  # no watches left, a file system without them
            log.warning("saved files are not followed, reload by hand: %s", exc)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(follow())
        tasks.create_task(look_through())
