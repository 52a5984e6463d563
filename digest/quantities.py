"""Spans of time, rates and shares as people write them in settings: ``24h``, ``14/s``, ``20%``.

All parsers are pure, take what was written and raise `ValueError` with what would be right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_UNITS = _SECONDS | {"second": 1, "sec": 1, "minute": 60, "min": 60, "hour": 3600, "day": 86400}


def parse_duration(text: str) -> timedelta:
    """A whole number with a unit s, m, h or d, or several from large to small.

    >>> parse_duration("24h"), parse_duration("1h 30m")
    (datetime.timedelta(days=1), datetime.timedelta(seconds=5400))
    >>> parse_duration("24")
    Traceback (most recent call last):
    ValueError: “24” is no span of time; write a number and s, m, h or d, such as 30m, 24h or 2d
    """
    parts = re.findall(r"(\d{1,6})\s*([smhd])", text)
    rest = re.sub(r"\d{1,6}\s*[smhd]|\s", "", text)
    sizes = [_SECONDS[unit] for _, unit in parts]
    if not parts or rest or sizes != sorted(set(sizes), reverse=True):
        raise ValueError(f"“{text}” is no span of time; write a number and s, m, h or d, such as 30m, 24h or 2d")
    return timedelta(seconds=sum(int(number) * _SECONDS[unit] for number, unit in parts))


def parse_age(text: str) -> timedelta:
    """A whole number of days, weeks, months (of 31 days) or years (of 366): how long something is kept at least.

    >>> parse_age("13 months"), parse_age("1 year"), parse_age("90d")
    (datetime.timedelta(days=403), datetime.timedelta(days=366), datetime.timedelta(days=90))
    >>> parse_age("soon")
    Traceback (most recent call last):
    ValueError: “soon” is no age; write a number and days, weeks, months or years, such as 13 months
    """
    match = re.fullmatch(r"([1-9]\d{0,3})\s*(d|days?|weeks?|months?|years?)", text)
    if match is None:
        raise ValueError(f"“{text}” is no age; write a number and days, weeks, months or years, such as 13 months")
    return timedelta(days=int(match[1]) * {"d": 1, "w": 7, "m": 31, "y": 366}[match[2][0]])


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` messages in every span of `seconds`."""

    count: int
    seconds: int

    @property
    def per_second(self) -> float:
        """Messages a second, on average."""
        return self.count / self.seconds

    def __str__(self) -> str:
        unit = next((name for name, size in _SECONDS.items() if size == self.seconds), f"{self.seconds}s")
        return f"{self.count}/{unit}"


def parse_rate(text: str) -> Rate:
    """A whole number, a slash, and a second, minute, hour or day.

    >>> parse_rate("14/s"), parse_rate("10000/day").per_second < 0.12
    (Rate(count=14, seconds=1), True)
    >>> str(parse_rate("600 / min"))
    '600/m'
    >>> parse_rate("fast")
    Traceback (most recent call last):
    ValueError: “fast” is no rate; write a number, a slash and s, min, h or day, such as 14/s or 10000/day
    """
    match = re.fullmatch(r"\s*([1-9]\d{0,8})\s*/\s*([a-z]+)\s*", text)
    if match is None or match[2] not in _UNITS:
        raise ValueError(
            f"“{text}” is no rate; write a number, a slash and s, min, h or day, such as 14/s or 10000/day"
        )
    return Rate(int(match[1]), _UNITS[match[2]])


def parse_share(text: str) -> float:
    """A percentage as a fraction of one.

    >>> parse_share("20%"), parse_share("2.5 %"), parse_share("150%")
    (0.2, 0.025, 1.5)
    >>> parse_share("0.2")
    Traceback (most recent call last):
    ValueError: “0.2” is no percentage; write a number and %, such as 20%
    """
    number, percent, rest = text.strip().partition("%")
    try:
        share = Decimal(number.strip()) / 100
    except InvalidOperation:
        share = Decimal("nan")
    if not percent or rest or not share.is_finite() or share < 0:
        raise ValueError(f"“{text}” is no percentage; write a number and %, such as 20%")
    return float(share)


def spoken(span: timedelta) -> str:
    """A span of time as settings have it, the two largest units of it.

    >>> spoken(timedelta(hours=6)), spoken(timedelta(days=3, minutes=2)), spoken(timedelta(seconds=90))
    ('6h', '3d 2m', '1m 30s')
    """
    left, parts = int(span.total_seconds()), []
    for unit, size in sorted(_SECONDS.items(), key=lambda item: -item[1]):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{unit}")
    return " ".join(parts[:2]) or "0s"
