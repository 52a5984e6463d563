"""Several relays for one: the first that can be used takes the message.

They are tried in the order of the settings, ``[smtp]`` first, whenever a connection is made. A relay that is
down or too busy is passed over for a while, one that refuses us (login, STARTTLS, certificate) for as long as
this process lives: a password is tried once. A refusal *of a message*, or of our sender at MAIL, is an answer
like any other and sends nobody to the next relay: what one relay refuses for good reasons is no business of
another one. Connections that are there stay where they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf

from digest.delivery.relay import Connection, Relay
from digest.errors import HeldError, LaterError

_PASSED_OVER = 30.0  # seconds


@dataclass(slots=True)
class Failover:
    """See the module. `say` is told, once each, that a relay is passed over, and that it is used again."""

    relays: Sequence[Relay]
    say: Callable[[str], None] = lambda _text: None
    _out: dict[str, float] = field(default_factory=dict)
    _why: dict[str, HeldError | LaterError] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """All of them, in order."""
        return ", else ".join(relay.name for relay in self.relays)

    async def connect(self) -> Connection:
        """A connection to the first relay that can be used.

        Raises `LaterError` when none can but one may later, `HeldError` when all refuse us.
        """
        moment = time.monotonic()
        willing = [relay for relay in self.relays if self._out.get(relay.name, 0.0) <= moment]
        for relay in willing or [r for r in self.relays if self._out[r.name] < inf]:
            try:
                connection = await relay.connect()
            except (HeldError, LaterError) as exc:
                self._pass_over(relay, exc)
                continue
            if self._why.pop(relay.name, None):
                self.say(f"{relay.name} is used again")
            self._out.pop(relay.name, None)
            return connection
        reasons = [self._why[relay.name] for relay in self.relays]
        kind = LaterError if any(isinstance(reason, LaterError) for reason in reasons) else HeldError
        raise kind("; ".join(map(str, reasons)))

    def _pass_over(self, relay: Relay, why: HeldError | LaterError) -> None:
        self._out[relay.name] = inf if isinstance(why, HeldError) else time.monotonic() + _PASSED_OVER
        if relay.name not in self._why and len(self.relays) > 1:
            self.say(f"{why}; going on with the next relay")
        self._why[relay.name] = why
