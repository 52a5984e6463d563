"""The bytes of a connection: commands out, replies in, and nothing that was not asked for.

A connection is made, secured and logged in by the library; `Wire` then takes over its transport.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import cast

from digest.delivery.classify import Reply
from digest.delivery.replies import ReplyParser

_RECORD = 16_384  # bytes of one TLS record at most (RFC 8446 section 5.1)


class Wire(asyncio.Protocol):
    """The far end of `transport`, from the next byte on."""

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = cast("asyncio.Transport", transport)
        self._encrypted = transport.get_extra_info("sslcontext") is not None
        self._parser = ReplyParser()
        self._replies: deque[Reply] = deque()
        self._expected = 0
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._stuck = False
        self.is_open = not transport.is_closing()
        # So that "paused" means exactly: something is not sent yet.
        self._transport.set_write_buffer_limits(high=1, low=0)
        self._transport.set_protocol(self)

    @property
    def all_sent(self) -> bool:
        """Whether every byte has left, as far as we can know: false only when one surely has not."""
        return not self._stuck

    def write(self, parts: Sequence[bytes], replies: int) -> None:
        """Send `parts`, to which so many replies are due."""
        self._expected += replies
        if self._transport.is_closing():  # uvloop would raise, where asyncio drops it; `reply` tells the loss
            return
        if not self._encrypted:
            self._transport.writelines(parts)
            return
        # Record by record: given at once, all of it would be held encrypted as well, in a buffer that never shrinks.
        first, *rest = parts
        view = memoryview(first)
        while len(view) > _RECORD:
            self._transport.write(view[:_RECORD])
            view = view[_RECORD:]
        self._transport.write(b"".join((view, *rest)))

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
        self._due = self._loop.time() + timeout
        if self._timer is None or self._timer.when() > self._due:
            self._watch()
        try:
            await waiter
        except TimeoutError:
            if not self._transport.get_write_buffer_size() < left:
                raise
        finally:
            self._waiter = None

    def _watch(self) -> None:
        """One timer for many waits: it looks again when the time of the one before is over."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._due:
            self._watch()
        else:
            self._waiter.set_exception(TimeoutError())

    def close(self) -> None:
        """Break the connection off. What has not left yet does not leave any more."""
        self.is_open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
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
