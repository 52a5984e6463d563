"""The workbench's web application: its routes, and what runs beside them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from digest.preview.actions import Actions
from digest.preview.compare_pages import ComparePages
from digest.preview.editor import Editor
from digest.preview.inbox import Inbox
from digest.preview.issue_pages import IssuePages
from digest.preview.live import Live, watch
from digest.preview.mail_pages import MailPages
from digest.preview.pages import STATIC
from digest.preview.reader_pages import ReaderPages
from digest.preview.security import LocalOnly
from digest.preview.shell import Shell
from digest.preview.workbench import Workbench

log = logging.getLogger(__name__)


def create_app(
    workbench: Workbench, live: Live, *, port: int, inbox: Inbox | None = None, editor: Editor | None = None
) -> Starlette:
    """The application of one newsletter on one port of loopback; with an inbox, its pages too."""

    async def events(_: Request) -> Response:
        return StreamingResponse(live.stream(), media_type="text/event-stream")

    shell = Shell(workbench, port, inbox, editor)
    issues, readers, actions = IssuePages(shell), ReaderPages(shell), Actions(shell)
    routes = [
        Route("/", issues.list),
        Route("/compare", ComparePages(shell).compare),
        Route("/issues/{slug}", issues.issue),
        Route("/issues/{slug}/html", issues.html),
        Route("/issues/{slug}/problems", issues.problems),
        Route("/issues/{slug}/message.eml", issues.message),
        Route("/issues/{slug}/test", actions.test, methods=["POST"]),
        Route("/issues/{slug}/rehearse", actions.rehearse, methods=["POST"]),
        Route("/issues/{slug}/schedule", actions.schedule, methods=["POST"]),
        Route("/issues/{slug}/unschedule", actions.unschedule, methods=["POST"]),
        Route("/open", actions.open, methods=["POST"]),
        Route("/assets/{slug}/{name}", issues.picture),
        Route("/view/{slug}/{token}", readers.view),
        Route("/u/{token}", readers.leave, methods=["GET", "POST"]),
        Route("/live", events),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    if inbox is not None:
        mail = MailPages(shell, inbox)
        routes += [
            Route("/inbox", mail.list),
            Route("/inbox/behave", mail.behave, methods=["POST"]),
            Route("/inbox/{number:int}", mail.message),
            Route("/inbox/{number:int}/html", mail.html),
            Route("/inbox/{number:int}/part/{cid}", mail.part),
            Route("/inbox/{number:int}/attachment/{part:int}", mail.attachment),
            Route("/inbox/{number:int}/message.eml", mail.download),
        ]

    def refused(request: Request, exc: Exception) -> HTMLResponse:
        status = exc.status_code if isinstance(exc, HTTPException) else 500
        if status == 500:
            log.warning("%s: %s: %s", request.url.path, type(exc).__name__, exc)
            log.debug("", exc_info=exc)
        title = "There is nothing here" if status == 404 else "That did not work"
        text = exc.detail if isinstance(exc, HTTPException) else "The workbench itself failed; reload to try again."
        return shell.notice(title, text, status=status)

    @asynccontextmanager
    async def beside(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(_keep_current(workbench, live))
        if inbox is not None:  # received in this loop, too: the pages hear of it at once
            inbox.told = lambda message: live.publish("mail", number=message.number)
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
            await asyncio.sleep(0.5)
            for slug in await run_in_threadpool(workbench.stale):
                look = await run_in_threadpool(workbench.look, slug)
                live.publish("looked", slug=slug)
                if look is not None:
                    await run_in_threadpool(workbench.checked, look)
                    live.publish("checked", slug=slug)

    async def follow() -> None:
        try:
            await watch(workbench.newsletter.root, changed)
        except (OSError, RuntimeError) as exc:  # no watches left, a file system without them
            log.warning("saved files are not followed, reload by hand: %s", exc)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(follow())
        tasks.create_task(look_through())
