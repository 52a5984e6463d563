"""One reader as a list gives it, in the form the database stores; or why the row is not taken."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from digest.audience.address import Address
from digest.audience.subscriber import Value
from digest.audience.values import text_of, to_json
from digest.errors import Place

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Reject:
    """Why a row is not taken: the column and its value (shortened; both empty when the row's shape is wrong)."""

    place: Place
    column: str
    value: str
    reason: str

    @property
    def message(self) -> str:
        """All but the place, in words."""
        what = f"{self.column} “{self.value}” " if self.column else ""
        return f"{what}{self.reason}"

    def __str__(self) -> str:
        """
        >>> str(Reject(Place("a.csv", 3, 2), "plan", "gold", "is not among the declared values"))
        'a.csv:3:2: plan “gold” is not among the declared values'
        """
        return f"{self.place}: {self.message}"


class Row(NamedTuple):  # the cheapest frozen value: a million of them are made
    """A checked row.

    `columns` are the built-in columns that are there, and `values` what they hold: None where the cell is
    empty, which clears what the database has. `attributes` is a JSON object of those that have a value;
    `named` one of all that are there, each null. What is not there is left alone.
    """

    line: int
    address: Address
    columns: tuple[str, ...]
    values: Sequence[str | None]
    attributes: str
    named: str


def prefix(name: str) -> str:
    """How a member of this name begins in a JSON object."""
    return f"{_json(name)}:"


def member(begin: str, value: Value | None) -> str:
    """An attribute as a member of a JSON object, nothing when it has no value; `begin` is its `prefix`."""
    return "" if value is None else begin + _json(to_json(value))


def members(filled: Iterable[str]) -> str:
    """A JSON object of members, those that are nothing left out."""
    return f"{{{','.join(filter(None, filled))}}}"


def nulls(names: Iterable[str]) -> str:
    """A JSON object in which each of these is null.

    >>> nulls(["plan", "seats"])
    '{"plan":null,"seats":null}'
    """
    return members(prefix(name) + "null" for name in names)


def stored(value: Value | None) -> str | None:
    """What the database holds of the value of a built-in column.

    >>> stored(("a", "b")), stored("en"), stored(None)
    ('["a","b"]', 'en', None)
    """
    if value is None or isinstance(value, str):
        return value
    return _json(value) if isinstance(value, tuple) else text_of(value)
