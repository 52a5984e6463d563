"""Dates as people type them, and moments as they read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from digest.delivery.accounts import Accounts
from digest.schedule.when import Moment

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def parse_when(text: str, local_now: datetime) -> datetime:
    """The wall time somebody means; `local_now` (naive) is on the wall there. Raises `ValueError`.

    >>> now = datetime(2025, 9, 10, 12)  # a Wednesday
    >>> [str(parse_when(t, now)) for t in ("2025-09-12 09:00", "09:00", "13:30", "tomorrow 9:00", "Friday 09:00")]
    ... # doctest: +NORMALIZE_WHITESPACE
    ['2025-09-12 09:00:00', '2025-09-11 09:00:00', '2025-09-10 13:30:00', '2025-09-11 09:00:00',
     '2025-09-12 09:00:00']
    >>> parse_when("soon", now)
    Traceback (most recent call last):
    ValueError: “soon” is no time; write it as 2025-09-12 09:00, 09:00, tomorrow 09:00 or friday 09:00
    """
    words = text.casefold().replace("t", " ", 1).split() if re.match(r"\d{4}-", text) else text.casefold().split()
    try:
        return _meant(words, local_now)
    except (ValueError, IndexError, OverflowError):
        raise ValueError(
            f"“{text}” is no time; write it as 2025-09-12 09:00, 09:00, tomorrow 09:00 or friday 09:00"
        ) from None


def _meant(words: list[str], now: datetime) -> datetime:
    at = _clock(words[-1])
    if len(words) == 1:
        today = datetime.combine(now.date(), at)
        return today if today > now else today + timedelta(days=1)
    if len(words) > 2:
        raise ValueError(words)
    if words[0] == "today":
        return datetime.combine(now.date(), at)
    if words[0] == "tomorrow":
        return datetime.combine(now.date() + timedelta(days=1), at)
    if words[0] in _DAYS:
        day = now.date() + timedelta(days=(_DAYS.index(words[0]) - now.weekday()) % 7)
        meant = datetime.combine(day, at)
        return meant if meant > now else meant + timedelta(days=7)
    return datetime.combine(datetime.strptime(words[0], "%Y-%m-%d").date(), at)  # noqa: DTZ007 -- a date on a wall


def _clock(text: str) -> time:
    if not re.fullmatch(r"\d{1,2}:\d\d(:\d\d)?", text, re.ASCII):
        raise ValueError(text)
    hour, minute, second = map(int, (text + ":0").split(":")[:3])
    return time(hour, minute, second)


def spoken_moment(moment: Moment) -> str:
    """A date in its zone and in UTC.

    >>> from digest.schedule.when import resolve
    >>> spoken_moment(resolve(datetime(2025, 9, 12, 9), "Europe/London"))
    'Fri 2025-09-12 09:00 Europe/London (08:00 UTC)'
    >>> spoken_moment(resolve(datetime(2025, 9, 12, 9), "Asia/Tokyo"))
    'Fri 2025-09-12 09:00 Asia/Tokyo (00:00 UTC)'
    >>> spoken_moment(resolve(datetime(2025, 9, 12, 20), "America/New_York"))
    'Fri 2025-09-12 20:00 America/New_York (2025-09-13 00:00 UTC)'
    """
    local = moment.at.astimezone(ZoneInfo(moment.zone))
    utc = moment.at.astimezone(UTC)
    other = f"{utc:%H:%M}" if utc.date() == local.date() else f"{utc:%Y-%m-%d %H:%M}"
    return f"{_weekday(local)} {local:%Y-%m-%d %H:%M} {moment.zone} ({other} UTC)"


def _weekday(moment: datetime) -> str:
    return _DAYS[moment.weekday()][:3].capitalize()  # strftime's follow the machine's locale


def account_lines(accounts: Accounts) -> str:
    """The account of a run for a mail: what is nobody's state is left out."""
    rows = [(name, number) for name, number in accounts.to_dict().items() if isinstance(number, int)]
    shown = [(name, number) for name, number in rows if number or name in ("candidates", "planned", "accepted")]
    return "\n".join(f"{name:<11} {number}" for name, number in shown)


def one_line(text: str) -> str:
    """The first words of a message of several lines."""
    first, *rest = [line.strip() for line in text.split("\n") if line.strip()]
    more = sum(not line.startswith("(") for line in rest)  # what is only a hint stands in brackets
    return f"{first} (and {more} more)" if more else first
