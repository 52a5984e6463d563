"""A port to be served on: what the workbench and the public pages begin with."""

from __future__ import annotations

import errno
import socket


def listen_on(host: str, port: int, backlog: int) -> socket.socket:
    """A listening socket; port 0 means any free one. Raises `OSError`, for `why_shut`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio leaves Nagle's algorithm on: 40 ms for every answer of two writes.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(backlog)
    except OSError:
        listening.close()
        raise
    return listening


def why_shut(exc: OSError) -> str:
    """Why a port can't be listened on, to follow its number."""
    return "is in use by another program" if exc.errno == errno.EADDRINUSE else f"can't be opened: {exc.strerror}"
