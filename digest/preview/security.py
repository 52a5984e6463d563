"""What keeps the local pages local: Host and Origin checks, and the headers of every answer.

The server listens on loopback, but any web page the editor has open could still aim a request at it. A
page that has its own name resolve to 127.0.0.1 (DNS rebinding) sends that name as Host and is refused; a
form on another site sends its own Origin and is refused (RFC 9110 sections 7.4 and 15.5.20, RFC 6454).
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Our own pages: own scripts and styles, nothing inline, nothing from elsewhere."""

EMAIL_POLICY = (
    "default-src 'none'; script-src 'none'; style-src 'unsafe-inline'; img-src {images}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-same-origin"
)
"""An email: its own styles and local pictures; no script, form, font, frame or picture from elsewhere."""

_EVERY_ANSWER = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    # Nothing to others; but with "no-referrer" our own forms would carry `Origin: null` (Fetch, section 3.2).
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "X-DNS-Prefetch-Control": "off",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_READING = frozenset({"GET", "HEAD"})


def local_hosts(port: int) -> frozenset[str]:
    """The Host values that mean this server.

    >>> sorted(local_hosts(8600))
    ['127.0.0.1:8600', '[::1]:8600', 'localhost:8600']
    """
    names = ("127.0.0.1", "localhost", "[::1]")
    default = frozenset(names) if port == 80 else frozenset()
    return default | {f"{name}:{port}" for name in names}


def email_policy(port: int, *, images: bool = True) -> str:
    """The policy of an email's document; its pictures may name either spelling of this server.

    Without `images` none is shown, nor any background, as in a program that blocks them.
    """
    shown = f"'self' data: http://127.0.0.1:{port} http://localhost:{port}" if images else "'none'"
    return EMAIL_POLICY.format(images=shown)


class LocalOnly:
    """ASGI middleware: answers only requests meant for this server, and gives every answer its headers."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._hosts = local_hosts(port)
        self._origins = frozenset(f"http://{host}" for host in self._hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it with 421 (foreign Host) or 403 (foreign Origin)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _EVERY_ANSWER.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        await (refusal or self._app)(scope, receive, marked)

    def _refusal(self, method: str, headers: Headers) -> PlainTextResponse | None:
        if headers.getlist("host") != [headers.get("host")] or headers["host"].lower() not in self._hosts:
            return PlainTextResponse("This address is not served here.\n", status_code=421)
        # A browser names the Origin of every request that could change something; its absence is no proof.
        if method not in _READING and headers.get("origin", "") not in self._origins:
            return PlainTextResponse("Only this server's own pages may do that.\n", status_code=403)
        return None
