"""What every answer carries, and what is written down of a request: nothing about who made it.

A token stands in a path, and an address may stand in a form: so the log names the page (``leave``), never the
path, and no address of a client.
"""

from __future__ import annotations

import logging
import time
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

access = logging.getLogger("digest.web.access")

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Our own pages: no script at all, own styles, nothing from elsewhere, in nobody's frame."""

_EVERY_ANSWER = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # a token in the path is not told to where a link leads
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_HEADERS = [(name.lower().encode(), value.encode()) for name, value in _EVERY_ANSWER.items()]


class Answers:
    """ASGI middleware: the headers of every answer, a line of the log for it, and the path without `prefix`."""

    def __init__(self, app: ASGIApp, prefix: str = "") -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.monotonic(), 500

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                set_already = {name for name, _ in message["headers"]}
                message = {
                    **message,
                    "headers": [*message["headers"], *(h for h in _HEADERS if h[0] not in set_already)],
                }
            await send(message)

        scope = self._without_prefix(scope)
        try:
            await self._app(scope, receive, marked)
        finally:
            milliseconds = (time.monotonic() - begun) * 1000
            access.info("%s %s %d %.0f ms", scope["method"][:16], _handler(scope), status, milliseconds)

    def _without_prefix(self, scope: Scope) -> Scope:
        """The path below ``base_url``, whether the proxy has taken that away or not."""
        path: str = scope["path"]
        if self._prefix and (path == self._prefix or path.startswith(f"{self._prefix}/")):
            rest = path[len(self._prefix) :] or "/"
            return {**scope, "path": rest, "raw_path": quote(rest).encode()}
        return {**scope}


def _handler(scope: Scope) -> str:
    """The name of what answered: the path itself could hold a token."""
    return str(getattr(scope.get("endpoint"), "__name__", "-"))
