"""The time, as something that is handed in: tests bring a clock of their own."""

from __future__ import annotations

import time
from typing import Protocol

from digest.audience.database import now


class Clock(Protocol):
    """Says what time it is, and lets it pass."""

    def now(self) -> int:
        """This moment, in microseconds since the epoch."""

    def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> int:
        """This moment, in microseconds since the epoch."""
        return now()

    def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        time.sleep(seconds)
