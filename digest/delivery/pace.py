"""How fast the relay is asked: over all connections, and for each provider of mailboxes by itself.

Moments are seconds of any steady clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from digest.quantities import Rate

_SLOTS = 100  # a window forgets in so many steps
_FIRST_REST, _LONGEST_REST = 5.0, 600.0  # seconds


@dataclass(slots=True)
class Window:
    """At most ``rate.count`` in *every* span of ``rate.seconds``, which a bucket that refills does not keep.

    >>> window = Window(Rate(2, 10))
    >>> window.take(0.0); window.take(4.0); window.wait(5.0), window.wait(10.0)
    (5.0, 0.0)
    """

    rate: Rate
    _slots: deque[tuple[float, float, int]] = field(default_factory=deque)
    """First and last moment, and how many."""
    _used: int = 0

    def wait(self, now: float) -> float:
        """Seconds until one more may go; 0 when it may go now."""
        while self._slots and self._slots[0][1] + self.rate.seconds <= now:
            self._used -= self._slots.popleft()[2]
        return 0.0 if self._used < self.rate.count else self._slots[0][1] + self.rate.seconds - now

    def take(self, now: float, number: int = 1) -> None:
        """Count what goes now."""
        self._used += number
        if self._slots and now - self._slots[-1][0] < self.rate.seconds / _SLOTS:
            first, _, before = self._slots.pop()
            self._slots.append((first, now, before + number))
        else:
            self._slots.append((now, now, number))


@dataclass(slots=True)
class Rest:
    """A provider that asked for less is left alone: 5 seconds, then twice as long each time, up to 10 minutes.

    >>> rest = Rest()
    >>> rest.asked(100.0); rest.asked(101.0); rest.wait(102.0)
    3.0
    >>> rest.asked(105.0); rest.wait(105.0)
    10.0
    """

    until: float = 0.0
    times: int = 0

    def asked(self, now: float) -> None:
        """It said so; what it says about messages that were on their way already does not count again."""
        if now >= self.until:
            self.until = now + min(_FIRST_REST * 2.0**self.times, _LONGEST_REST)
            self.times = min(self.times + 1, 16)

    def wait(self, now: float) -> float:
        """Seconds until it may be asked again."""
        return max(0.0, self.until - now)


@dataclass(slots=True)
class Pace:
    """The rate of the relay, if it has one, those of some domains, and the rests of others.

    >>> pace = Pace(Rate(1, 1), {"gmail.example": Rate(1, 60)})
    >>> pace.take("gmail.example", 0.0); pace.wait(0.5), pace.wait(1.0)
    (0.5, 0.0)
    >>> pace.domain_wait("gmail.example", 1.0), pace.domain_wait("other.example", 1.0)
    (59.0, 0.0)
    >>> pace.slow_down("other.example", 1.0); pace.domain_wait("other.example", 2.0), pace.resting(2.0)
    (4.0, ['other.example'])
    >>> pace.accepted("other.example", 7.0); pace.domain_wait("other.example", 7.0)
    0.0
    """

    rate: Rate | None = None
    domains: Mapping[str, Rate] = field(default_factory=dict)
    _relay: Window | None = None
    _windows: dict[str, Window] = field(default_factory=dict)
    _rests: dict[str, Rest] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._relay = Window(self.rate) if self.rate else None
        self._windows = {domain.lower(): Window(rate) for domain, rate in self.domains.items()}

    @property
    def longest(self) -> int:
        """The longest span, in seconds, that a rate looks back; 0 without rates."""
        return max((w.rate.seconds for w in (self._relay, *self._windows.values()) if w), default=0)

    def remember(self, earlier: Iterable[tuple[str, float, int]]) -> None:
        """What went before this process did: domain, moment and number, the earliest first."""
        for domain, moment, number in earlier:
            self._count(domain, moment, number)

    def wait(self, now: float) -> float:
        """Seconds until the relay may be asked again."""
        return self._relay.wait(now) if self._relay else 0.0

    def domain_wait(self, domain: str, now: float) -> float:
        """Seconds until a reader of this domain may be sent to."""
        if not self._windows and not self._rests:
            return 0.0
        rest, window = self._rests.get(domain), self._windows.get(domain)
        return max(rest.wait(now) if rest else 0.0, window.wait(now) if window else 0.0)

    def take(self, domain: str, now: float) -> None:
        """Count one message to a reader of this domain."""
        self._count(domain, now, 1)

    def _count(self, domain: str, moment: float, number: int) -> None:
        if self._relay:
            self._relay.take(moment, number)
        if window := self._windows.get(domain):
            window.take(moment, number)

    def slow_down(self, domain: str, now: float) -> None:
        """The provider asked for less (421 or 4.7.x); the others go on as before."""
        self._rests.setdefault(domain, Rest()).asked(now)

    def accepted(self, domain: str, now: float) -> None:
        """The provider takes messages again."""
        if self._rests and (rest := self._rests.get(domain)) and not rest.wait(now):
            del self._rests[domain]

    def resting(self, now: float) -> list[str]:
        """The domains that are left alone."""
        return sorted(domain for domain, rest in self._rests.items() if rest.wait(now))
