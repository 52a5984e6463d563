"""The server of the public pages: one process, until it is told to stop, and then what it has begun is finished."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from digest.errors import UsageError
from digest.listening import listen_on, why_shut

log = logging.getLogger(__name__)

BACKLOG = 1024
TOGETHER = 1500  # requests at a time; more are answered with 503
GRACE = 15  # seconds for what is under way, once it is told to stop


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 means any free one. Raises `UsageError`."""
    try:
        return listen_on(host, port, BACKLOG)
    except OSError as exc:
        raise UsageError(f"port {port} of {host} {why_shut(exc)}; choose another with --port or --host") from exc


def configuration(app: ASGIApp, proxies: Sequence[str] = ()) -> uvicorn.Config:
    """How requests are answered; see `serve`."""
    return uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="on",
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        limit_concurrency=TOGETHER,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE,
    )


def serve(app: ASGIApp, listening: socket.socket, proxies: Sequence[str], ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, for the main thread. `ready` is called when requests are answered.

    `proxies` are addresses or networks whose ``X-Forwarded-For`` is believed.
    """
    server = _Server(configuration(app, proxies), ready)
    # The thread that writes holds the database's lock while it waits for the interpreter's: not 5 ms each time.
    sys.setswitchinterval(0.001)
    before = {number: signal.signal(number, _nothing) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run(sockets=[listening])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """uvicorn sends itself the signal once more when it has stopped: to stop is the normal end of a server."""
