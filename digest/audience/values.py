"""Typed values: what a cell, a JSON value or a TOML value becomes for a declared type.

Every function raises `ValueError` whose text completes “<column> “<value>” …”: what is wrong, and what
would be right.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from digest.audience.subscriber import Value

Type = Literal["string", "integer", "number", "boolean", "date", "list", "url"]
TYPES: tuple[str, ...] = get_args(Type)
LONGEST = 100_000
"""Characters of the longest value; a longer one is a mistake in the file, not a value."""

_TRUTH = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]{1,18}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?", re.ASCII)
# A day, and the time and zone that other systems write behind it: “2024-05-06 10:00:00 UTC”.
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})([T ][0-9]{2}:[0-9]{2}[0-9:.]*( ?(Z|UTC|[+-][0-9:]{2,6}))?)?", re.ASCII)
# Controls, lone surrogates and the two non-characters: no text of a person, and no valid XML or header.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# The web address of nearly everybody: no check of `_url` would say no.
_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(/[!#-;=?-Z_a-z~]*)?", re.ASCII)
_QUOTABLE = re.compile(r'^["\[]|[;,]|^\s|\s$')
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)


def parse_cell(kind: str, text: str) -> Value | None:
    """The value of a cell of a table; None when it is empty.

    >>> parse_cell("integer", " 12 "), parse_cell("list", "a; b"), parse_cell("date", "")
    (12, ('a', 'b'), None)
    """
    text = text.strip()
    value = _FROM_TEXT[kind](text) if text else None
    return None if value == () else value  # a list of nothing is an empty cell


def parse_json(kind: str, raw: object) -> Value | None:
    """The value of something read from JSON or TOML; text is read as a cell is.

    >>> parse_json("integer", 3), parse_json("integer", "3"), parse_json("boolean", True)
    (3, 3, True)
    """
    if raw is None:
        return None
    if isinstance(raw, str):
        return parse_cell(kind, raw)
    if kind == "list" and isinstance(raw, list | tuple):
        return _list_of(raw) or None
    if kind == "date" and isinstance(raw, date):
        return raw.date() if isinstance(raw, datetime) else raw
    fits: Mapping[str, tuple[type, ...]] = {"boolean": (bool,), "integer": (int,), "number": (int, float)}
    if type(raw) not in fits.get(kind, ()):  # an exact type: True is no integer here
        raise ValueError(f"is not {A[kind]}")
    return parse_cell(kind, repr(raw))


def text_of(value: Value | None) -> str:
    """A value as a cell: what `parse_cell` reads back.

    >>> text_of(True), text_of(date(2025, 9, 12)), text_of(("a", "b")), text_of(("a; b",))
    ('yes', '2025-09-12', 'a;b', '["a; b"]')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ";".join(value) if are_plain(value) else json.dumps(value, ensure_ascii=False)
    return value.isoformat() if isinstance(value, date) else str(value)


def are_plain(members: Iterable[str]) -> bool:
    """Whether the members of a list can be told apart again when they are written with separators only."""
    return all(member and not _QUOTABLE.search(member) for member in members)


def to_json(value: Value) -> object:
    """A value as the database stores it; `from_json` is its inverse."""
    return {"$date": value.isoformat()} if isinstance(value, date) else value


def from_json(raw: object) -> Value:
    """A stored value."""
    if isinstance(raw, list):
        return tuple(raw)
    if isinstance(raw, dict):
        return date.fromisoformat(raw["$date"])
    return raw  # type: ignore[return-value]  # nothing else is ever stored


def language(text: str) -> str:
    """A language tag (BCP 47, its shape only)."""
    if not _LANGUAGE.fullmatch(text):
        raise ValueError("is not a language tag such as en or pt-BR")
    return text


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def timezone(text: str) -> str:
    """A time zone of the IANA database."""
    if _zones() and text not in _zones():
        raise ValueError("is not a time zone such as Europe/London")
    return text


def one_line(text: str) -> str:
    """Text for a header or a greeting: no line breaks."""
    if "\n" in text or "\r" in text:
        raise ValueError("holds a line break")
    return string(text)


def string(text: str) -> str:
    """Any text a person could have typed."""
    if len(text) > LONGEST:
        raise ValueError(f"is longer than {LONGEST:,} characters")
    if found := _CONTROL.search(text):
        raise ValueError(f"holds the control character U+{ord(found[0]):04X}")
    return text


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError("is not a whole number")
    return int(text)


def _number(text: str) -> int | float:
    if _INTEGER.fullmatch(text):
        return int(text)  # printed as it was written: 3, not 3.0
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise ValueError("is not a number such as 3 or 2.5")
    return float(text)


def _boolean(text: str) -> bool:
    if text.casefold() not in _TRUTH:
        raise ValueError("is neither yes nor no (true, false, 1 and 0 are understood)")
    return _TRUTH[text.casefold()]


def day(text: str) -> date:
    """An ISO date; of a date with a time, its date."""
    if found := _DAY.fullmatch(text):
        try:
            return date.fromisoformat(found[1])
        except ValueError:
            pass
    raise ValueError("is not a date such as 2025-09-12")


def _list(text: str) -> tuple[str, ...]:
    if text.startswith("["):
        try:
            parts = json.loads(text)
        except (ValueError, RecursionError):
            parts = None
        if isinstance(parts, list):
            return _list_of(parts)
    if text.startswith('"'):  # as Mailchimp writes tags: “"a","b, c"”
        try:
            (quoted,) = csv.reader([text], strict=True, skipinitialspace=True)
            return tuple(string(p.strip()) for p in quoted if p.strip())
        except (csv.Error, ValueError):
            pass
    return tuple(string(p.strip()) for p in text.split(";" if ";" in text else ",") if p.strip())


def _list_of(parts: list[object] | tuple[object, ...]) -> tuple[str, ...]:
    if not all(isinstance(part, str) for part in parts):
        raise ValueError("is not a list of texts")
    return tuple(string(str(part)) for part in parts)


def _url(text: str) -> str:
    if len(text) <= LONGEST and _PLAIN_URL.fullmatch(text):
        return text
    try:
        parts = urlsplit(string(text))
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"[\s<>\"]", text)
        _ = parts.port
    except ValueError:
        whole = False
    if not whole:
        raise ValueError("is not a web address such as https://example.com/desk")
    return text


_FROM_TEXT: Mapping[str, Callable[[str], Value]] = {
    "string": string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "date": day,
    "list": _list,
    "url": _url,
}
A = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "yes or no",
    "date": "a date",
    "list": "a list",
    "url": "a web address",
}


def shortened(raw: object, most: int = 40) -> str:
    """A value as it is shown in a message: one line, not long, nothing invisible.

    >>> shortened("a" * 50)
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…'
    """
    text = raw if isinstance(raw, str) else repr(raw)
    shown = "".join(c if c.isprintable() else "�" for c in text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 1] + "…"
