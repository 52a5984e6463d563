"""Sends what asks to confirm, beside the pages: over the relay of the settings, from a queue in the database.

A relay that is away, or that says "later", is asked again; what it refuses for good is not. Nothing of it is waited
for by a page, so no page tells by its time whether a message went out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import assert_never

from starlette.concurrency import run_in_threadpool

from digest.delivery.classify import Stop
from digest.delivery.outcome import Accepted, Bounced, Deferred, Outcome, Rejected, Unknown
from digest.delivery.relay import Connection, Relay, unmarked
from digest.errors import DigestError
from digest.message.envelope import Message
from digest.message.merge import MergeError
from digest.web import joining
from digest.web.confirmation import Confirmations
from digest.web.reading import Reading
from digest.web.writer import Writer

log = logging.getLogger(__name__)

TOGETHER = 50  # messages on one connection
_LOOKS_EVERY = 20.0  # seconds
_CLEANS_EVERY = 3600.0


class Postman:
    """See the module. `sign` signs a message; None where there are no keys."""

    def __init__(
        self,
        confirmations: Confirmations,
        relay: Relay,
        sign: Callable[[Message], Message] | None,
        reading: Reading,
        writer: Writer,
    ) -> None:
        self._confirmations = confirmations
        self._relay = relay
        self._sign = sign
        self._reading = reading
        self._writer = writer
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There may be something to send. For the event loop's thread."""
        self._wake.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        cleaned = -_CLEANS_EVERY
        while True:
            self._wake.clear()
            try:
                if time.monotonic() - cleaned > _CLEANS_EVERY:
                    await self._writer.do(joining.remove_old)
                    cleaned = time.monotonic()
                while await self._round():
                    pass
            except DigestError as exc:
                log.warning("no confirmation can be sent: %s", exc)
            except Exception as exc:  # noqa: BLE001 - it must go on; what is due stays in the database
                log.warning("no confirmation can be sent: %s", type(exc).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _LOOKS_EVERY)

    async def _round(self) -> bool:
        """Send what is due; whether there may be more. Raises what `Relay.connect` raises."""
        waiting = await run_in_threadpool(lambda: joining.due(self._reading.connection, TOGETHER))
        if not waiting:
            return False
        connection = await self._relay.connect()
        try:
            for each in waiting:
                if not await self._send(connection, each):
                    return False
        finally:
            await connection.close()
        return len(waiting) == TOGETHER

    async def _send(self, connection: Connection, wanted: joining.Due) -> bool:
        """Send one; False when the relay takes nothing more."""
        try:
            message = self._confirmations.message(wanted)
        except MergeError as exc:
            log.warning("a confirmation can't be made: %s", exc.problem)
            await self._writer.do(partial(joining.not_mailed, number=wanted.id, final=True))
            return True
        outcome = await connection.send(self._sign(message) if self._sign else message, unmarked)
        if isinstance(outcome, Stop):
            log.warning("%s takes no confirmation: %s", self._relay.name, outcome)
            await self._writer.do(partial(joining.not_mailed, number=wanted.id, final=False))
            return False
        await self._writer.do(_noted(wanted.id, outcome))
        return True


def _noted(number: int, outcome: Outcome) -> partial[None]:
    match outcome:
        case Accepted() | Unknown():  # in doubt it is not sent twice: who got nothing can ask again
            return partial(joining.mailed, number=number)
        case Deferred():
            return partial(joining.not_mailed, number=number, final=False)
        case Bounced() | Rejected():
            return partial(joining.not_mailed, number=number, final=True)
        case _:
            assert_never(outcome)
