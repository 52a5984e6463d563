"""What the columns of a list hold, seen while its rows go by: how full each is, what it looks like, an example."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

from digest.audience import values as typed
from digest.audience.tables import Record, Table

_SAMPLE = 1000
"""Rows a guess at a type looks at."""
_GUESSES = ("integer", "number", "boolean", "date", "url")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a list: its title, what it becomes here (empty: passed over) and its type, the narrowest type
    its first cells have, the share of rows that have a value, and the first of them, shortened."""

    title: str
    becomes: str
    type: str
    looks_like: str
    filled: float
    example: str


@dataclass(slots=True)
class _Seen:
    filled: int = 0
    example: str = ""
    fitting: list[str] = field(default_factory=lambda: list(_GUESSES))

    @property
    def type(self) -> str:
        return self.fitting[0] if self.fitting and self.filled else "string"

    def narrow(self, cell: str) -> None:
        """Looks at a cell that is not empty."""
        self.example = self.example or typed.shortened(cell.strip(), 30)
        self.fitting = [kind for kind in self.fitting if _fits(kind, cell)]


class Survey:
    """Counts while a list is read; bounded in memory by the number of columns."""

    def __init__(self, table: Table) -> None:
        self._header = list(zip(table.titles, table.columns, (_Seen() for _ in table.columns), strict=True))
        self._keys: dict[str, _Seen] = {}
        self._rows = 0

    def add(self, records: Iterable[Record]) -> None:
        """Look at some rows; those of a wrong shape are passed over."""
        whole = [record for record in records if not record.fault]
        if self._header and whole:
            for (_, _, seen), cells in zip(self._header, zip(*(r.raw for r in whole), strict=True), strict=True):
                seen.filled += len(cells) - cells.count("")
                if self._rows < _SAMPLE:
                    for cell in filter(str.strip, cells):
                        seen.narrow(cell)
        else:
            for record in whole:
                self._members(record)
        self._rows += len(whole)

    def _members(self, record: Record) -> None:
        for key, value in zip(record.columns, record.values, strict=True):
            if value not in (None, "", []) and (key in self._keys or len(self._keys) < _SAMPLE):
                seen = self._keys.setdefault(key, _Seen())
                seen.filled += 1
                if seen.filled <= _SAMPLE:
                    seen.narrow(typed.text_of(tuple(map(str, value))) if isinstance(value, list) else str(value))

    def columns(self, meaning: Callable[[str], tuple[str, str]]) -> tuple[Column, ...]:
        """All columns in order; `meaning` tells what one becomes and its type."""
        header = self._header or [(key, key, seen) for key, seen in self._keys.items()]
        return tuple(
            Column(title, *meaning(name), seen.type, seen.filled / self._rows if self._rows else 0.0, seen.example)
            for title, name, seen in header
            if title or seen.filled
        )


def guessed(table: Table, number: int) -> str:
    """The narrowest type that every one of the first cells of a column has; “string” when all are empty."""
    seen = _Seen()
    for record in islice(table.records(), _SAMPLE):
        cell = record.raw[number] if not record.fault else ""
        if cell.strip():
            seen.filled += 1
            seen.narrow(cell)
    return seen.type


def _fits(kind: str, cell: str) -> bool:
    try:
        typed.parse_cell(kind, cell)
    except ValueError:
        return False
    return True
