"""How fast the relay is asked: one token bucket across all connections of a process."""

from __future__ import annotations

from dataclasses import dataclass, field

from digest.quantities import Rate


@dataclass(slots=True)
class Pace:
    """At most `rate`, with a burst of at most one second's worth. Moments are seconds of any steady clock.

    >>> pace = Pace(Rate(2, 1))
    >>> [pace.claim(0.0), pace.claim(0.0), pace.claim(0.0), pace.claim(0.0)]
    [0.0, 0.0, 0.5, 1.0]
    >>> pace.claim(60.0), Pace(None).claim(0.0)
    (0.0, 0.0)
    >>> Pace(Rate(10, 60)).claim(5.0)
    0.0
    """

    rate: Rate | None
    _tokens: float = field(default=0.0, init=False)
    _at: float | None = field(default=None, init=False)

    def claim(self, now: float) -> float:
        """Take the right to send one message; returns the seconds to wait before sending it."""
        if self.rate is None:
            return 0.0
        burst = max(1.0, self.rate.per_second)
        if self._at is None:
            self._tokens = burst
        else:
            self._tokens = min(burst, self._tokens + (now - self._at) * self.rate.per_second)
        self._at = now
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self.rate.per_second)
