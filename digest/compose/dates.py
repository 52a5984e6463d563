"""Dates in words, as a language writes them. English needs nothing; other languages are read from CLDR by Babel."""

from __future__ import annotations

from datetime import date

from digest.localized import locale_of

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)  # the calendar module's follow the machine's locale
_PLAIN = ("en", "en-GB")  # Babel's “en” is American


def long_date(day: date, language: str) -> str:
    """A day with its month and year; ISO 8601 in a language that CLDR does not know.

    >>> long_date(date(2025, 9, 12), "en"), long_date(date(2025, 9, 12), "de"), long_date(date(2025, 9, 12), "tlh")
    ('12 September 2025', '12. September 2025', '2025-09-12')
    """
    if language in _PLAIN:
        return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
    from babel.dates import format_date

    locale = locale_of(language)
    return format_date(day, "long", locale) if locale else day.isoformat()


def short_date(day: date, language: str) -> str:
    """A day with its month, as short as it can be.

    >>> short_date(date(2025, 9, 12), "en"), short_date(date(2025, 9, 12), "pl"), short_date(date(2025, 9, 12), "tlh")
    ('12 Sep', '12 wrz', '09-12')
    """
    if language in _PLAIN:
        return f"{day.day} {_MONTHS[day.month - 1][:3]}"
    from babel.dates import format_skeleton

    locale = locale_of(language)
    return format_skeleton("MMMd", day, locale=locale) if locale else f"{day:%m-%d}"
