"""What the cells of one row mean: a checked, typed `Row`, or the reasons why not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import get_args

from digest.audience import values as typed
from digest.audience.address import Address, AddressError, parse_address
from digest.audience.readers import FILE, Readers
from digest.audience.subscriber import Status, Value
from digest.audience.tables import REJECTED_COLUMNS, Record, Table
from digest.errors import InputError, Place, Problem, nearest

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


@dataclass(frozen=True, slots=True)
class Row:
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

    def check_columns(self, table: Table) -> None:
        """Raises `InputError` for columns of the header that are not declared."""
        problems = [
            Problem(table.place(1, number), *self._unknown(column), code="unknown-column")
            for number, column in enumerate(table.columns, 1)
            if column and not self._known(column)
        ]
        if problems:
            raise InputError(problems)

    def read(self, record: Record, table: Table) -> Row | list[Reject]:
        """The row, or everything that is wrong with it."""
        if record.fault:
            return [Reject(table.place(record.line), "", "", record.fault)]
        draft = _Draft()
        rejects = []
        for number, (column, cell) in enumerate(record.cells.items(), 1):
            try:
                self._take(column.lower(), cell, draft)
            except ValueError as exc:
                place = table.place(record.line, 0 if table.is_json else number)
                rejects.append(Reject(place, column, typed.shortened(cell), str(exc)))
        if draft.address is None and not rejects:
            rejects.append(Reject(table.place(record.line), "email", "", "is missing"))
        if rejects or draft.address is None:
            return rejects
        return Row(record.line, draft.address, draft.built_in, draft.attributes)

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
            draft.built_in[column] = _built_in(column, cell)
        elif column in self._names:
            name = self._names[column]
            draft.attributes[name] = self._attributes[name].parse(cell)
        elif column in self._ignored:
            return
        elif column:
            raise ValueError(f"is of no declared attribute ({nearest(column, self._names)})")
        elif str(cell).strip():
            raise ValueError("stands in a column without a name")

    def _known(self, column: str) -> bool:
        return column == "email" or column in BUILT_IN or column in self._names or column in self._ignored

    def _unknown(self, column: str) -> tuple[str, str]:
        close = nearest(column, {"email", *BUILT_IN, *self._names})
        cure = f"{close} Or declare it" if close.startswith("did") else "declare it"
        return (
            f"the column “{column}” is no declared attribute",
            f"{cure} in {FILE}, or leave it out with --ignore {column}",
        )


@dataclass(slots=True)
class _Draft:
    """A row while its cells are read."""

    address: Address | None = None
    built_in: dict[str, Value | None] = field(default_factory=dict)
    attributes: dict[str, Value | None] = field(default_factory=dict)


def _address(cell: object) -> Address:
    if not isinstance(cell, str):
        raise AddressError("is not an address")
    return parse_address(cell)


def _built_in(column: str, cell: object) -> Value | None:
    if column == "tags" and isinstance(cell, list):
        return typed.parse_json("list", cell)
    if cell is not None and not isinstance(cell, str):
        raise ValueError("is not text")
    text = (cell or "").strip()
    return BUILT_IN[column](text) if text else None
