"""Filters that write dates and numbers as a language does, and a name's possessive.

``{{ subscriber.renews_on | date("long") }}`` is written in the reader's language, else in the issue's. The rules
are those of CLDR, read by Babel, which is loaded when the first such value is written and not before. What has no
value passes through: `default` may follow, and printing it stays an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date as day
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jinja2 import Undefined, pass_context
from jinja2.runtime import Context

if TYPE_CHECKING:
    from babel import Locale

LANGUAGE = " language"
"""The name (no author can write it) under which a template finds the reader's language tag, or nothing."""

ISSUE_LANGUAGE = " issue language"
"""The same for the language the issue is written in."""

FALLBACK = "en"
_FORMATS = ("short", "medium", "long", "full")
_SAMPLE = day(2025, 9, 12)
_MOST_DIGITS = 12
# Letters of a CLDR pattern that ask for a part of a day; the others ask for a time that a date does not have.
_DAY_PATTERN = re.compile(r"(?:[GyYuQqMLwWdDFEec]+|[^A-Za-z']|'[^']*')+")


@lru_cache(maxsize=512)
def locale_of(language: str) -> Locale | None:
    """What CLDR knows of a language tag (BCP 47), or of its first parts; None for a language it doesn't know.

    >>> str(locale_of("de-XX")), locale_of("xx")
    ('de', None)
    """
    from babel import Locale, UnknownLocaleError

    parts = language.replace("_", "-").split("-")
    for end in range(len(parts), 0, -1):
        try:
            return Locale.parse("-".join(parts[:end]), sep="-")
        except (ValueError, UnknownLocaleError):
            continue
    return None


def _locale(context: Context) -> Locale:
    for name in (LANGUAGE, ISSUE_LANGUAGE):
        language = context.get(name)
        if language and (found := locale_of(str(language))):
            return found
    fallback = locale_of(FALLBACK)
    assert fallback is not None  # noqa: S101  # Babel has no release without English
    return fallback


@pass_context
def date(context: Context, value: Any, form: str = "medium") -> Any:
    """A date as the language writes it: `form` is short, medium, long, full, or a pattern of CLDR (``d. MMMM``)."""
    if isinstance(value, Undefined):
        return value
    return _date(value if type(value) is day else day.fromisoformat(str(value)), form, _locale(context))


@lru_cache(maxsize=4096)
def _date(value: day, form: str, locale: Locale) -> str:
    from babel.dates import format_date

    if str(locale) == "en":  # CLDR's plain “en” is American; the masthead's is international, too
        locale = locale_of("en-001") or locale
    if form not in _FORMATS and not _DAY_PATTERN.fullmatch(form):
        raise TypeError(f"date knows {', '.join(_FORMATS)}, or a pattern such as “d. MMMM y”")
    return format_date(value, form, locale)


@pass_context
def number(context: Context, value: Any, digits: int | None = None) -> Any:
    """A number with the language's separators; `digits` after the point, else as many as it has, up to three."""
    if isinstance(value, Undefined):
        return value
    from babel.numbers import format_decimal

    locale = _locale(context)
    return format_decimal(_number(value), _pattern(locale.decimal_formats[None].pattern, digits), locale)


@pass_context
def percent(context: Context, value: Any, digits: int = 0) -> Any:
    """A share as a percentage: 0.25 is 25 %."""
    if isinstance(value, Undefined):
        return value
    from babel.numbers import format_percent

    locale = _locale(context)
    return format_percent(_number(value), _pattern(locale.percent_formats[None].pattern, digits), locale)


@pass_context
def currency(context: Context, value: Any, code: str, digits: int | None = None) -> Any:
    """An amount of money; `code` is one of ISO 4217 (``EUR``). `digits`: else as many as that currency has."""
    if isinstance(value, Undefined):
        return value
    from babel.numbers import format_currency, is_currency

    if not is_currency(code):
        raise TypeError("currency takes a code of ISO 4217, such as currency(“EUR”)")
    locale = _locale(context)
    pattern = _pattern(locale.currency_formats["standard"].pattern, digits)
    return format_currency(_number(value), code, pattern, locale, currency_digits=digits is None)


@pass_context
def possessive(context: Context, value: Any) -> Any:
    """A name's possessive in the language the issue is written in; a language that has none leaves it as it is."""
    if isinstance(value, Undefined):
        return value
    language = str(context.get(ISSUE_LANGUAGE) or FALLBACK).split("-")[0].lower()
    return possessive_of(str(value), language)


def possessive_of(name: str, language: str) -> str:
    """
    >>> possessive_of("Ada", "en"), possessive_of("James", "en"), possessive_of("Ada", "de"), possessive_of("Max", "de")
    ('Ada’s', 'James’', 'Adas', 'Max’')
    >>> possessive_of("Anna", "nl"), possessive_of("Eva", "sv"), possessive_of("Ada", "fr")
    ('Anna’s', 'Evas', 'Ada')
    """
    name = name.rstrip()
    last = name[-1:].casefold()
    if not name or language not in _POSSESSIVES:
        return name
    hissing, vowels, plain = _POSSESSIVES[language]
    if last in hissing:
        return name + _AFTER_HISSING.get(language, "’")
    return f"{name}’s" if last in vowels or not plain else f"{name}s"


# Per language: the letters after which the s of the possessive is left out, those after which it takes an
# apostrophe, and whether it otherwise stands without one.
_POSSESSIVES: Mapping[str, tuple[str, str, bool]] = {
    "en": ("s", "", False),
    "de": ("sßxz", "", True),
    "nl": ("sßxz", "aiouy", True),
    "da": ("sxz", "", True),
    "nb": ("sxz", "", True),
    "nn": ("sxz", "", True),
    "no": ("sxz", "", True),
    "sv": ("sxz", "", True),
}
_AFTER_HISSING = {"sv": ""}

LOCALIZED: Mapping[str, Callable[..., Any]] = {
    "date": date,
    "number": number,
    "percent": percent,
    "currency": currency,
}
"""The filters that ask for the reader's language, and Babel."""

FILTERS: Mapping[str, Callable[..., Any]] = {**LOCALIZED, "possessive": possessive}


def misuse(name: str, arguments: list[Any], named: Mapping[str, Any]) -> str:
    """What is wrong with the constant arguments of a filter of `LOCALIZED`, or nothing; tried on a sample."""
    sample = _SAMPLE if name == "date" else 1234.5
    context = _Sampled({ISSUE_LANGUAGE: FALLBACK})
    try:
        LOCALIZED[name](context, sample, *arguments, **named)
    except TypeError as exc:
        return str(exc).replace("()", "")
    except (ValueError, AttributeError, LookupError):
        return f"“{arguments[0] if arguments else ''}” is no pattern"
    return ""


class _Sampled(dict[str, str]):
    """Stands for a context: all that is asked of one here is a value by name."""


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"a number is written here, not {type(value).__name__}")
    return float(value) if isinstance(value, str) else value


def _pattern(pattern: str, digits: int | None) -> str:
    """A pattern of CLDR with so many digits after the point.

    >>> _pattern("#,##0.###", 2), _pattern("#,##0 %", 1), _pattern("¤#,##,##0.00", 0)
    ('#,##0.00', '#,##0.0 %', '¤#,##,##0')
    """
    if digits is None:
        return pattern
    if not 0 <= digits <= _MOST_DIGITS:
        raise TypeError(f"digits is from 0 to {_MOST_DIGITS}")
    return re.sub(r"0(?:\.[0#]+)?", "0." + "0" * digits if digits else "0", pattern)
