"""The one POST that a mail provider makes by itself (RFC 8058), answered before anything else is looked at.

Hundreds of them may come in a second while a send runs on the same machine: no route is searched, no page drawn.
Somebody with a browser asks for HTML and is answered by the page (`digest.web.leave_pages`); what is done is the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from digest.delivery.later import leave_counted
from digest.errors import LaterError
from digest.message.merge import INERT_TOKEN
from digest.web.addresses import Way
from digest.web.pages import LARGEST_FORM
from digest.web.writer import Writer

LONGEST_TOKEN = 100


class OneClick:
    """ASGI: leaves by one of the `ways`; every other request goes on to `app`."""

    def __init__(self, app: ASGIApp, ways: Sequence[Way], writer: Writer) -> None:
        self._app = app
        self._ways = ways
        self._writer = writer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the POST, or pass the request on."""
        token = self._token(scope) if scope["type"] == "http" and scope["method"] == "POST" else None
        if token is None:
            await self._app(scope, receive, send)
            return
        scope["endpoint"] = leave  # the name in the log
        size = await _read(receive)
        if size is None:
            return  # the client went away in the middle
        await _answer(send, *((413, "Too much.") if size > LARGEST_FORM else await leave(self._writer, token)))

    def _token(self, scope: Scope) -> str | None:
        if any(name == b"accept" and b"text/html" in value for name, value in scope["headers"]):
            return None
        query = scope["query_string"].decode("latin-1")
        tokens = (way.token(scope["path"], query) for way in self._ways)
        return next((token[:LONGEST_TOKEN] for token in tokens if token is not None), None)


async def leave(writer: Writer, token: str) -> tuple[int, str]:
    """Status and words of the answer, once it is done."""
    if token == INERT_TOKEN:
        return 200, "This was a test."
    try:
        parting = await writer.do_item(leave_counted, token)
    except LaterError:
        return 503, "Please come again."
    return (200, "Unsubscribed.") if parting else (404, "This link names nobody.")


async def _read(receive: Receive) -> int | None:
    """How much was posted, read no further than is allowed. What it says is known: RFC 8058 section 3.1."""
    size, more = 0, True
    while more and size <= LARGEST_FORM:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    return size


async def _answer(send: Send, status: int, text: str) -> None:
    body = f"{text}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    if status == 503:
        headers.append((b"retry-after", b"60"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
