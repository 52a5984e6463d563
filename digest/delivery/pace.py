"""How fast the relay is asked: over all connections, and for each provider of mailboxes by itself.

What was sent lately and who asked to be left alone is *kept* (`Keep`): in memory, or in the database, where
all processes that send take from the same rates, and the next one finds them (`digest.delivery.keeping`).
Moments are seconds of one clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

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

    @property
    def slots(self) -> Sequence[tuple[float, float, int]]:
        """What it remembers, for `again`: first and last moment, and how many, the earliest first."""
        return tuple(self._slots)

    @classmethod
    def again(cls, rate: Rate, slots: Iterable[Sequence[float]], now: float) -> Window:
        """A window that remembers `slots`, none of them later than `now`: the clock may have been put back."""
        known = deque((min(first, now), min(last, now), int(number)) for first, last, number in slots)
        return cls(rate, known, sum(number for _, _, number in known))

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


class Keep(Protocol):
    """Where windows and rests are kept, by name."""

    def windows(self, rates: Mapping[str, Rate], now: float) -> AbstractContextManager[Mapping[str, Window]]:
        """The windows of these rates, for nobody else until the end; then what was taken is kept."""

    def slow_down(self, domain: str, now: float) -> Rest:
        """`Rest.asked` for this domain, kept."""

    def wake(self, domain: str) -> None:
        """Forget the rest of this domain."""

    def rests(self, now: float) -> dict[str, Rest]:
        """All rests that are not forgotten."""


@dataclass(slots=True)
class Memory:
    """A `Keep` of this process alone."""

    _windows: dict[str, Window] = field(default_factory=dict)
    _rests: dict[str, Rest] = field(default_factory=dict)

    @contextmanager
    def windows(self, rates: Mapping[str, Rate], now: float) -> Iterator[Mapping[str, Window]]:
        """See `Keep`."""
        del now
        yield {name: self._windows.setdefault(name, Window(rate)) for name, rate in rates.items()}

    def slow_down(self, domain: str, now: float) -> Rest:
        """See `Keep`."""
        rest = self._rests.setdefault(domain, Rest())
        rest.asked(now)
        return rest

    def wake(self, domain: str) -> None:
        """See `Keep`."""
        self._rests.pop(domain, None)

    def rests(self, now: float) -> dict[str, Rest]:
        """See `Keep`."""
        del now
        return dict(self._rests)


RELAY, DOMAIN = "relay ", "domain "
"""What names of rates begin with; any other one holds for every message."""


@dataclass(slots=True)
class Pace:
    """The rates of relays, of some domains, and of everything; and the rests of other domains.

    `rates` by name: ``relay …``, ``domain …``, and any other for what holds for every message.

    >>> pace = Pace({"relay r": Rate(1, 1), "domain gmail.example": Rate(1, 60)})
    >>> pace.take("r", "gmail.example", 0.0), pace.wait("r", 0.5), pace.take("r", "x.example", 0.5)
    (True, 0.5, False)
    >>> pace.take("r", "gmail.example", 2.0), pace.domain_wait("gmail.example", 2.0), pace.wait("r", 2.0)
    (False, 58.0, 0.0)
    >>> pace.slow_down("other.example", 1.0); pace.domain_wait("other.example", 2.0), pace.resting(2.0)
    (4.0, ['other.example'])
    >>> pace.accepted("other.example", 7.0); pace.domain_wait("other.example", 7.0)
    0.0
    """

    rates: Mapping[str, Rate] = field(default_factory=dict)
    keep: Keep = field(default_factory=Memory)
    _general: tuple[str, ...] = ()
    _shut: dict[str, float] = field(default_factory=dict)
    """Until when a rate is known to be used up: others can only use it up further."""
    _rests: dict[str, Rest] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._general = tuple(name for name in self.rates if not name.startswith((RELAY, DOMAIN)))

    @property
    def is_free(self) -> bool:
        """Whether nobody has to wait for anything."""
        return not self.rates and not self._rests

    def wait(self, relay: str, now: float) -> float:
        """Seconds for which nothing may be sent over this relay, as far as we know."""
        return max((self._wait(name, now) for name in self._limits(relay)), default=0.0)

    def why(self, relay: str, now: float) -> str:
        """The name of the rate that `wait` waits for."""
        return max(self._limits(relay), key=lambda name: self._wait(name, now))

    def domain_wait(self, domain: str, now: float) -> float:
        """Seconds for which no reader of this domain may be sent to, as far as we know."""
        if self.is_free:
            return 0.0
        rest = self._rests.get(domain)
        return max(rest.wait(now) if rest else 0.0, self._wait(DOMAIN + domain, now))

    def take(self, relay: str, domain: str, now: float) -> bool:
        """Count one message to a reader of this domain, if it may be sent now; else `wait` or `domain_wait`
        know for how long it may not. Raises what the `Keep` raises."""
        limits = self._limits(relay, domain)
        if not limits:
            return True
        with self.keep.windows({name: self.rates[name] for name in limits}, now) as windows:
            free = not any(window.wait(now) for window in windows.values())
            for name, window in windows.items():
                if free:
                    window.take(now)
                self._shut[name] = now + window.wait(now)
        return free

    def slow_down(self, domain: str, now: float) -> None:
        """The provider asked for less (421 or 4.7.x); the others go on as before."""
        self._rests[domain] = self.keep.slow_down(domain, now)

    def accepted(self, domain: str, now: float) -> None:
        """The provider takes messages again."""
        if self._rests and (rest := self._rests.get(domain)) and not rest.wait(now):
            del self._rests[domain]
            self.keep.wake(domain)

    def refresh(self, now: float) -> None:
        """Learn of the rests that other processes have noted."""
        self._rests = self.keep.rests(now)

    def resting(self, now: float) -> list[str]:
        """The domains that are left alone."""
        return sorted(domain for domain, rest in self._rests.items() if rest.wait(now))

    def _limits(self, relay: str, domain: str = "") -> list[str]:
        if not self.rates:
            return []
        return [*self._general, *(name for name in (RELAY + relay, DOMAIN + domain) if name in self.rates)]

    def _wait(self, name: str, now: float) -> float:
        return max(0.0, self._shut.get(name, 0.0) - now)


def warmed_up(start: Rate, growth: float, end: Rate, days: int) -> Rate | None:
    """What a new domain may send on its so-manieth day (0 is the first): `growth` more each day; None from
    `end` on: there is no limit any more.

    >>> [str(warmed_up(Rate(50, 86400), 0.5, Rate(200, 86400), day)) for day in (0, 1, 2, 3, 4, 9999)]
    ['50/d', '75/d', '112/d', '168/d', 'None', 'None']
    """
    count = float(start.count)
    for _ in range(days):
        if count >= end.count:
            break
        count *= 1 + growth
    return None if count >= end.count else Rate(int(count), start.seconds)
