"""The workbench's own server: loopback only, in a thread of its own, with the inbox beside it."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp

from digest.errors import UsageError
from digest.listening import listen_on, why_shut
from digest.preview.inbox import Inbox, serve_smtp
from digest.preview.live import Live

LOOPBACK = "127.0.0.1"
_TRIES = 50
_BACKLOG = 128


def listen(port: int | None, first: int) -> socket.socket:
    """A listening socket on 127.0.0.1: on `port` exactly, else on the first free one from `first` on.

    Port 0 means any free one. Raises `UsageError` when the wanted port, or every one tried, is taken.
    """
    tried = [port] if port is not None else [*range(first, first + _TRIES), 0]
    for number in tried:
        try:
            return listen_on(LOOPBACK, number, _BACKLOG)
        except OSError as exc:
            if port is not None:
                raise UsageError(f"port {port} {why_shut(exc)}; choose another, or leave the option out") from exc
    raise UsageError(f"no free port from {first} to {first + _TRIES - 1}")


def port_of(listening: socket.socket) -> int:
    """The port a socket is bound to."""
    port: int = listening.getsockname()[1]
    return port


def practice_relay(port: int) -> dict[str, object]:
    """Settings by which everything goes to the embedded server on `port`, and nowhere else."""
    return {
        "smtp.host": LOOPBACK,
        "smtp.port": port,
        "smtp.tls": "none",
        "smtp.username": None,
        "smtp.password": None,
        "smtp.provider": "generic",
        "smtp.rate": None,
    }


class LocalServer:
    """A context manager that serves `app` (and SMTP into `inbox`) until it is left."""

    def __init__(
        self,
        app: ASGIApp,
        web: socket.socket,
        live: Live,
        *,
        smtp: socket.socket | None = None,
        inbox: Inbox | None = None,
    ) -> None:
        self._web = web
        self._live = live
        self._smtp = smtp
        self._inbox = inbox
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                ws="none",
                timeout_graceful_shutdown=1,
            )
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="preview", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._running.wait(timeout=10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._uvicorn.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._live.close)
        self._thread.join(timeout=5)

    def wait(self) -> None:
        """Serve until interrupted or terminated: for a server that is the normal end. For the main thread."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            while self._thread.is_alive():
                self._thread.join(timeout=0.5)
        except KeyboardInterrupt:
            return

    def _serve(self) -> None:
        try:
            asyncio.run(self._main())
        except (OSError, ValueError):
            if not self._uvicorn.should_exit:
                raise
            # It was stopped while still starting, or slow to end: its sockets have been closed under it.

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        smtp: asyncio.Server | None = None
        if self._smtp is not None and self._inbox is not None:
            smtp = await serve_smtp(self._inbox, self._smtp)
        self._running.set()
        try:
            # The socket listens already: who comes before uvicorn is up waits in the kernel's queue.
            await self._uvicorn.serve(sockets=[self._web])
        finally:
            if smtp is not None:
                smtp.close()
