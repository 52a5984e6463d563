"""The bytes of a connection: commands out, replies in, and nothing that was not asked for.

A connection is made, secured and logged in by the library; `Wire` then takes over its transport.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import cast

from digest.delivery.classify import Reply
from digest.delivery.replies import ReplyParser


class Wire(asyncio.Protocol):
    """The far end of `transport`, from the next byte on."""

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = cast("asyncio.Transport", transport)
        self._parser = ReplyParser()
        self._replies: deque[Reply] = deque()
        self._expected = 0
        self._waiter: asyncio.Future[None] | None = None
        self._stuck = False
        self.is_open = not transport.is_closing()
        # So that "paused" means exactly: something is not sent yet.
        self._transport.set_write_buffer_limits(high=1, low=0)
        self._transport.set_protocol(self)

    @property
    def all_sent(self) -> bool:
        """Whether every byte has left, as far as we can know: false only when one surely has not."""
        return not self._stuck

    def write(self, data: bytes, replies: int) -> None:
        """Send `data`, to which so many replies are due."""
        self._expected += replies
        self._transport.write(data)

    async def reply(self, timeout: float) -> Reply:
        """The next reply that is due.

        Raises `ConnectionError` when the connection is lost, `TimeoutError` when neither a reply nor, while
        we are still sending, any progress was seen for `timeout` seconds.
        """
        while not self._replies:
            if not self.is_open:
                raise ConnectionResetError("Connection lost")
            await self._event(timeout)
        self._expected -= 1
        return self._replies.popleft()

    async def _event(self, timeout: float) -> None:
        """Something came, or left, or the connection did."""
        self._waiter = waiter = self._loop.create_future()
        left = self._transport.get_write_buffer_size()
        timer = self._loop.call_later(timeout, _expire, waiter)
        try:
            await waiter
        except TimeoutError:
            if not self._transport.get_write_buffer_size() < left:
                raise
        finally:
            timer.cancel()
            self._waiter = None

    def close(self) -> None:
        """Break the connection off. What has not left yet does not leave any more."""
        self.is_open = False
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """`asyncio.Protocol`: replies. One too many is answered by nobody's question: that ends it."""
        room = self._expected - len(self._replies)
        replies = self._parser.feed(data)
        self._replies.extend(replies[:room])
        if len(replies) > room or self._parser.broken:
            self.close()
        self._wake()

    def pause_writing(self) -> None:
        """`asyncio.Protocol`."""
        self._stuck = True

    def resume_writing(self) -> None:
        """`asyncio.Protocol`."""
        self._stuck = False
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        """`asyncio.Protocol`."""
        self.is_open = False
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())
