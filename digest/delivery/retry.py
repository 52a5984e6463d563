"""When to try again: exponential backoff with jitter, for a bounded time. Pure: clock and chance come in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits `first`, then `factor` times as long each time, up to `longest`, until `retry_for` is over or
    `most` attempts were made.

    RFC 5321 section 4.5.4.1 asks for 30 minutes between attempts and for 4 to 5 days; a newsletter is
    stale sooner, and its relay, not we, talks to the reader's server.
    """

    retry_for: timedelta = timedelta(hours=24)
    first: timedelta = timedelta(minutes=1)
    longest: timedelta = timedelta(hours=1)
    factor: float = 2.0
    most: int = 40

    def delay_after(self, attempts: int, jitter: float = 0.0) -> timedelta:
        """How long to wait after so many attempts (1 or more); `jitter` in [0, 1) adds up to a fifth.

        >>> [RetryPolicy().delay_after(n) // timedelta(minutes=1) for n in (1, 2, 3, 6, 7, 5000)]
        [1, 2, 4, 32, 60, 60]
        >>> RetryPolicy().delay_after(1, jitter=0.5).total_seconds()
        66.0
        """
        exponent = min(max(attempts - 1, 0), 64)  # a float's range is not the limit of a list's patience
        wait = min(self.first.total_seconds() * self.factor**exponent, self.longest.total_seconds())
        return timedelta(seconds=wait * (1 + jitter / 5))

    def next_attempt(self, attempts: int, first_at: datetime, now: datetime, jitter: float = 0.0) -> datetime | None:
        """The moment of the next attempt, or None when retries have run out.

        The last attempt falls on the end of `retry_for`, counted from `first_at`.

        >>> policy, noon = RetryPolicy(), datetime.fromisoformat("2025-09-12T12:00:00+00:00")
        >>> str(policy.next_attempt(1, noon, noon))
        '2025-09-12 12:01:00+00:00'
        >>> str(policy.next_attempt(30, noon, noon + timedelta(hours=23.5)))
        '2025-09-13 12:00:00+00:00'
        >>> policy.next_attempt(31, noon, noon + timedelta(hours=24)) is None
        True
        >>> policy.next_attempt(40, noon, noon) is None
        True
        """
        end = first_at + self.retry_for
        return None if now >= end or attempts >= self.most else min(now + self.delay_after(attempts, jitter), end)
