"""Wall times as moments: what a date in the front matter means where clocks change.

Twice a year a wall time is not one moment (PEP 495):

* it *does not exist* where clocks are put forward: the issue goes out at the moment they jump, so that
  ``02:30`` and ``02:00`` of that night are both the moment after 01:59:59;
* it *exists twice* where they are put back: the first one counts.

Both are told at `check` time. Everything here is pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Oddity = Literal["", "skipped", "twice"]

_STEP = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Moment:
    """A wall time in a zone, and the one moment (UTC) it stands for; `oddity` where that took a decision."""

    wall: datetime
    zone: str
    at: datetime
    oddity: Oddity = ""


def resolve(wall: datetime, zone: str) -> Moment:
    """The moment of the naive `wall` time in `zone` (IANA). Raises what `ZoneInfo` raises.

    >>> str(resolve(datetime(2025, 9, 12, 9), "Europe/London").at)
    '2025-09-12 08:00:00+00:00'
    >>> odd = resolve(datetime(2025, 3, 30, 1, 30), "Europe/London")  # clocks jump from 01:00 to 02:00
    >>> str(odd.at), odd.oddity
    ('2025-03-30 01:00:00+00:00', 'skipped')
    >>> odd = resolve(datetime(2025, 10, 26, 1, 30), "Europe/London")  # 02:00 becomes 01:00 again
    >>> str(odd.at), odd.oddity
    ('2025-10-26 00:30:00+00:00', 'twice')
    """
    there = ZoneInfo(zone)
    # Of a time in a gap, fold=0 reckons with the offset before it, fold=1 with the one after (PEP 495).
    first, second = (_utc(wall.replace(tzinfo=there, fold=fold)) for fold in (0, 1))
    if first.astimezone(there).replace(tzinfo=None) != wall:
        return Moment(wall, zone, _jump(second, first, there), "skipped")
    return Moment(wall, zone, first, "twice" if second != first else "")


def _utc(aware: datetime) -> datetime:
    try:
        return aware.astimezone(UTC)
    except OverflowError:  # the first and the last day of the calendar: far enough either way
        return aware.replace(tzinfo=UTC)


def _jump(early: datetime, late: datetime, there: ZoneInfo) -> datetime:
    """The first moment with the new offset, between two around it."""
    new = late.astimezone(there).utcoffset()
    while late - early > _STEP:
        middle = early + (late - early) // 2
        if middle.astimezone(there).utcoffset() == new:
            late = middle
        else:
            early = middle
    return late.replace(microsecond=0)
