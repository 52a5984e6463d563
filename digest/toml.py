"""A TOML file together with the line each of its keys stands on, so that errors can name it.

`tomllib` reads the values; it keeps no positions, so a second, simple pass over the lines finds where
tables and keys begin. A key inside an inline table is placed at the line of that table.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digest.errors import InputError, Place, Problem

_PART = r"(?:[A-Za-z0-9_-]+|\"(?:[^\"\\]|\\.)*\"|'[^']*')"
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_TABLE = re.compile(rf"\s*\[\[?\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?\r?$")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=")


@dataclass(frozen=True, slots=True)
class Toml:
    """What a TOML file says (`data`) and where: `lines` maps a path of keys to its 1-based line."""

    file: str
    data: Mapping[str, Any]
    lines: Mapping[tuple[str, ...], int]

    def place(self, *keys: str) -> Place:
        """Where the key stands; where it is not written, the closest table around it, else the file."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.lines:
                return Place(self.file, self.lines[keys[:length]])
        return Place(self.file)


def read_toml(file: Path, shown: str) -> Toml:
    """Read `file`, named `shown` in errors. Raises `InputError`: not there, not UTF-8, not TOML (with line)."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(Problem(Place(shown), f"cannot be read: {error.strerror}", code="file")) from error
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError(Problem(Place(shown, line), "is not UTF-8", "save it as UTF-8", code="encoding")) from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(_syntax_problem(str(error), shown, text)) from error
    return Toml(shown, data, _lines(text))


def _syntax_problem(message: str, shown: str, text: str) -> Problem:
    at = re.search(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)", message)
    line, column = (int(at[1]), int(at[2])) if at and at[1] else (text.count("\n") + 1, 0)
    what = message[: at.start()] if at else message
    return Problem(
        Place(shown, line, column),
        f"broken TOML: {what[:1].lower()}{what[1:]}",
        'texts stand in double quotes: key = "value"',
        code="toml",
    )


def _lines(text: str) -> dict[tuple[str, ...], int]:
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in _statements(text):
        if match := _TABLE.match(line):
            table = _keys(match[1])
            lines.setdefault(table, number)
        elif match := _KEY.match(line):
            lines.setdefault(table + _keys(match[1]), number)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The lines that do not begin inside a multi-line string."""
    inside = ""
    for number, line in enumerate(text.split("\n"), 1):
        if not inside:
            yield number, line
        for quotes in re.findall(r'"""|\'\'\'', line):
            inside = "" if inside == quotes else inside or quotes


def _keys(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))
