"""What the cells of one row mean: a checked, typed `Row`, or the reasons why not."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import NamedTuple, get_args

from digest.audience import values as typed
from digest.audience.address import Address, AddressError, parse_address
from digest.audience.foreign import Foreign
from digest.audience.readers import FILE, Readers
from digest.audience.subscriber import Status, Value
from digest.audience.tables import REJECTED_COLUMNS, Record, Table
from digest.errors import InputError, Place, Problem, nearest

_REMEMBERED = 2000
_GUESSES = ("integer", "number", "boolean", "date", "url")
_SAMPLE = 1000
_SHORT = 40  # characters: bounds the memory of what is remembered

STATUSES: tuple[str, ...] = get_args(Status)


@dataclass(frozen=True, slots=True)
class Reject:
    """Why a row is not taken: the column and its value (shortened; both empty when the row's shape is wrong)."""

    place: Place
    column: str
    value: str
    reason: str

    def __str__(self) -> str:
        """
        >>> str(Reject(Place("a.csv", 3, 2), "plan", "gold", "is not among the declared values"))
        'a.csv:3:2: plan “gold” is not among the declared values'
        """
        what = f"{self.column} “{self.value}” " if self.column else ""
        return f"{self.place}: {what}{self.reason}"


class Row(NamedTuple):  # the cheapest frozen value: a million of them are made
    """A reader as a list gives it.

    `built_in` and `attributes` hold the columns that are there; None where the cell is empty, which
    clears what the database holds. Columns that are not there leave it alone.
    """

    line: int
    address: Address
    built_in: Mapping[str, Value | None]
    attributes: Mapping[str, Value | None]


def _status(text: str) -> str:
    if text.lower() not in STATUSES:
        raise ValueError(f"is no status ({nearest(text.lower(), STATUSES)})")
    return text.lower()


def _labels(text: str) -> tuple[str, ...]:
    parsed = typed.parse_cell("list", text)
    return parsed if isinstance(parsed, tuple) else ()


BUILT_IN: Mapping[str, Callable[[str], Value]] = {
    "name": typed.one_line,
    "first_name": typed.one_line,
    "status": _status,
    "language": typed.language,
    "timezone": typed.timezone,
    "tags": _labels,
    "signed_up": typed.day,
    "source": typed.one_line,
    "consented_at": typed.day,
    "note": typed.string,
}
"""The columns of a list beside `email` that are no attributes, and how each is read."""


class RowReader:
    """Reads rows by the declared attributes, passing over the columns in `ignore`."""

    def __init__(self, readers: Readers, ignore: Collection[str] = ()) -> None:
        self._attributes = readers.attributes
        self._ignored = frozenset(name.lower() for name in ignore) | set(REJECTED_COLUMNS)
        # A header is matched without regard to case; attributes are declared with it.
        self._names = {name.lower(): name for name in readers.attributes}
        self._plan: _Plan | None = None
        self._statuses: Mapping[str, str] = {}
        self._status = ""

    def check_columns(self, table: Table) -> None:
        """Raises `InputError` for columns of the header that are not declared."""
        if table.foreign:
            self._understand(table.foreign)
        problems = [
            Problem(table.place(1, number), *self._unknown(column, guessed(table, number - 1)), code="unknown-column")
            for number, column in enumerate(table.columns, 1)
            if column and not self._known(column)
        ]
        if problems:
            raise InputError(problems)
        self._plan = None if table.is_json else self._planned(table.columns)

    def _understand(self, foreign: Foreign) -> None:
        self._ignored |= foreign.ignored
        self._statuses = foreign.statuses
        self._status = foreign.status

    def read(self, record: Record, table: Table) -> Row | list[Reject]:
        """The row, or everything that is wrong with it."""
        if record.fault:
            return [Reject(table.place(record.line), "", "", record.fault)]
        if self._plan:
            try:
                return self._whole(self._plan.row(record))
            except ValueError:
                pass  # cell by cell: everything that is wrong
        draft = _Draft()
        rejects = []
        for number, (column, cell) in enumerate(zip(record.columns, record.values, strict=True), 1):
            try:
                self._take(column.lower(), cell, draft)
            except ValueError as exc:
                place = table.place(record.line, 0 if table.is_json else number)
                rejects.append(Reject(place, column, typed.shortened(cell), str(exc)))
        if draft.address is None and not rejects:
            rejects.append(Reject(table.place(record.line), "email", "", "is missing"))
        if rejects or draft.address is None:
            return rejects
        return self._whole(Row(record.line, draft.address, draft.built_in, draft.attributes))

    def _whole(self, row: Row) -> Row:
        return row._replace(built_in={**row.built_in, "status": self._status}) if self._status else row

    def assign(self, address: Address, pairs: Mapping[str, str]) -> Row:
        """A row from ``column=value`` pairs given by hand. Raises `InputError` with all that is wrong."""
        draft = _Draft(address)
        problems = []
        for column, text in pairs.items():
            if not self._known(column.lower()):
                cure = nearest(column, {"email", *BUILT_IN, *self._names})
                problems.append(Problem(None, f"there is no attribute “{column}”", cure, code="unknown-attribute"))
                continue
            try:
                self._take(column.lower(), text, draft)
            except ValueError as exc:
                problems.append(Problem(None, f"{column} “{typed.shortened(text)}” {exc}", code="value"))
        if problems or draft.address is None:
            raise InputError(problems)
        return Row(0, draft.address, draft.built_in, draft.attributes)

    def _take(self, column: str, cell: object, draft: _Draft) -> None:
        if column == "email":
            draft.address = _address(cell)
        elif column in BUILT_IN:
            draft.built_in[column] = self._built_in(column, cell)
        elif column in self._names:
            name = self._names[column]
            draft.attributes[name] = self._attributes[name].parse(cell)
        elif column in self._ignored:
            return
        elif column:
            raise ValueError(f"is of no declared attribute ({nearest(column, self._names)})")
        elif str(cell).strip():
            raise ValueError("stands in a column without a name")

    def _planned(self, columns: tuple[str, ...]) -> _Plan:
        """How a row of a table with these columns is read when nothing is wrong with it."""
        numbered = list(enumerate(columns))
        return _Plan(
            columns.index("email"),
            tuple((c, n, _Known(partial(self._built_in, c))) for n, c in numbered if c in BUILT_IN),
            tuple(
                (self._names[c], n, _Known(self._attributes[self._names[c]].parse))
                for n, c in numbered
                if c in self._names and c not in BUILT_IN
            ),
            tuple(n for n, c in numbered if not c),
        )

    def _built_in(self, column: str, cell: object) -> Value | None:
        if column == "tags" and isinstance(cell, list):
            return typed.parse_json("list", cell)
        if cell is not None and not isinstance(cell, str):
            raise ValueError("is not text")
        text = (cell or "").strip()
        if column == "status":
            text = self._statuses.get(text.lower(), text)
        return BUILT_IN[column](text) if text else None

    def _known(self, column: str) -> bool:
        return column == "email" or column in BUILT_IN or column in self._names or column in self._ignored

    def _unknown(self, column: str, kind: str) -> tuple[str, str]:
        close = nearest(column, {"email", *BUILT_IN, *self._names})
        cure = f"{close} Or declare it" if close.startswith("did") else "declare it"
        name = re.sub(r"\W+", "_", column, flags=re.ASCII).strip("_")
        return (
            f"the column “{column}” is no declared attribute",
            f'{cure} in {FILE}, its cells look like {name} = "{kind}", or leave it out with --ignore "{column}"',
        )


@dataclass(slots=True)
class _Draft:
    """A row while its cells are read."""

    address: Address | None = None
    built_in: dict[str, Value | None] = field(default_factory=dict)
    attributes: dict[str, Value | None] = field(default_factory=dict)


def guessed(table: Table, number: int) -> str:
    """The narrowest type that every one of the first cells of a column has; “string” when all are empty."""
    fitting = list(_GUESSES)
    seen = False
    for record in islice(table.records(), _SAMPLE):
        cell = record.raw[number] if not record.fault else ""
        if cell.strip():
            seen = True
            fitting = [kind for kind in fitting if _fits(kind, cell)]
    return fitting[0] if seen and fitting else "string"


def _fits(kind: str, cell: str) -> bool:
    try:
        typed.parse_cell(kind, cell)
    except ValueError:
        return False
    return True


class _Known(dict[str, Value | None]):
    """What short cells of a column are read as: most columns have the same few again and again."""

    def __init__(self, read: Callable[[str], Value | None]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, cell: str) -> Value | None:
        value = self._read(cell)
        if len(self) < _REMEMBERED and len(cell) < _SHORT:
            self[cell] = value
        return value


_Cells = tuple[tuple[str, int, _Known], ...]
"""Columns: the name, where it stands in a row, and how a cell of it is read."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """The columns of a table, sorted out once."""

    email: int
    built_in: _Cells
    attributes: _Cells
    unnamed: tuple[int, ...]

    def row(self, record: Record) -> Row:
        """Raises `ValueError` when anything is wrong."""
        cells = record.raw
        for number in self.unnamed:
            if cells[number].strip():
                raise ValueError
        return Row(
            record.line,
            parse_address(cells[self.email]),
            {name: known[cells[number]] for name, number, known in self.built_in},
            {name: known[cells[number]] for name, number, known in self.attributes},
        )


def _address(cell: object) -> Address:
    if not isinstance(cell, str):
        raise AddressError("is not an address")
    return parse_address(cell)
