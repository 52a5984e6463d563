"""What the cells of one row mean: a checked `Row`, or the reasons why not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, get_args

from digest.audience import values as typed
from digest.audience.address import Address, AddressError, parse_address
from digest.audience.entry import Reject, Row, member, members, nulls, prefix, stored
from digest.audience.foreign import Foreign
from digest.audience.readers import FILE, Readers
from digest.audience.subscriber import Status, Value
from digest.audience.survey import guessed
from digest.audience.tables import REJECTED_COLUMNS, Record, Table
from digest.errors import InputError, Problem, nearest

_REMEMBERED = 8000
_SHORT = 40  # characters: bounds the memory of what is remembered

S = TypeVar("S")

STATUSES: tuple[str, ...] = get_args(Status)
BLOCKLISTED = "blocklisted"
"""What a list may also say of a reader: unsubscribed, and never to be written to again."""


def _status(text: str) -> str:
    if text.lower() not in (*STATUSES, BLOCKLISTED):
        raise ValueError(f"is no status ({nearest(text.lower(), STATUSES)})")
    return text.lower()


def _labels(text: str) -> tuple[str, ...]:
    parsed = typed.parse_cell("list", text)
    return parsed if isinstance(parsed, tuple) else ()


BUILT_IN: Mapping[str, Callable[[str], Value]] = {
    "name": typed.one_line,
    "first_name": typed.one_line,
    "last_name": typed.one_line,
    "status": _status,
    "language": typed.language,
    "timezone": typed.timezone,
    "tags": _labels,
    "signed_up": typed.day,
    "source": typed.one_line,
    "consented_at": typed.day,
    "note": typed.string,
}
"""The columns of a list beside `email` that are no attributes, and how each is read.

`last_name` is not kept: where there is no `name`, the two make one.
"""


class RowReader:
    """Reads rows by the declared attributes, passing over the columns in `ignore`."""

    def __init__(self, readers: Readers, ignore: Collection[str] = ()) -> None:
        self._attributes = readers.attributes
        self._ignored = frozenset(name.lower() for name in ignore) | set(REJECTED_COLUMNS)
        # A header is matched without regard to case; attributes are declared with it.
        self._names = {name.lower(): name for name in readers.attributes}
        self._plan: _Plan | None = None
        self._foreign = Foreign("", frozenset())

    def check_columns(self, table: Table) -> None:
        """Raises `InputError` for columns of the header that are not declared."""
        self._foreign = table.foreign or self._foreign
        problems = [
            Problem(table.place(1, number), *self._unknown(column, guessed(table, number - 1)), code="unknown-column")
            for number, column in enumerate(table.columns, 1)
            if column and not self._known(column)
        ]
        if problems:
            raise InputError(problems)
        whole = not table.is_json and self._foreign.bag not in table.columns
        self._plan = self._planned(table.columns) if whole else None

    def meaning(self, column: str) -> tuple[str, str]:
        """What a column of a list becomes here, and its type; both empty when it is passed over."""
        column = column.lower()
        if column == "email":
            return column, "address"
        if column in self._names and column not in self._ignored:
            name = self._names[column]
            return name, self._attributes[name].type
        if column == self._foreign.bag and column not in self._ignored:
            return "attributes", "JSON"
        if self._passes_over(column) or column not in BUILT_IN:
            return "", ""
        kinds = {"tags": "list", "signed_up": "date", "consented_at": "date"}
        return ("name" if column == "last_name" else column), kinds.get(column, "string")

    def read(self, record: Record, table: Table) -> Row | list[Reject]:
        """The row, or everything that is wrong with it."""
        if record.fault:
            return [Reject(table.place(record.line), "", "", record.fault)]
        if self._plan:
            try:
                return self._plan.row(record)
            except ValueError:
                pass  # cell by cell: everything that is wrong
        draft = _Draft(status=self._foreign.status)
        rejects = []
        for number, (column, cell) in enumerate(zip(record.columns, record.values, strict=True), 1):
            for name, value in self._members(column.lower(), cell):
                try:
                    self._take(name.lower(), value, draft)
                except ValueError as exc:
                    place = table.place(record.line, 0 if table.is_json else number)
                    rejects.append(Reject(place, name, typed.shortened(value), str(exc)))
        if draft.address is None and not rejects:
            rejects.append(Reject(table.place(record.line), "email", "", "is missing"))
        return rejects or draft.row(record.line)

    def assign(self, address: Address, pairs: Mapping[str, str]) -> Row:
        """A row from ``column=value`` pairs given by hand. Raises `InputError` with all that is wrong."""
        draft = _Draft(address)
        problems = []
        for column, text in pairs.items():
            if not self._known(column.lower()) or column.lower() == "last_name":
                cure = nearest(column, {"email", *BUILT_IN, *self._names})
                problems.append(Problem(None, f"there is no attribute “{column}”", cure, code="unknown-attribute"))
                continue
            try:
                self._take(column.lower(), text, draft)
            except ValueError as exc:
                problems.append(Problem(None, f"{column} “{typed.shortened(text)}” {exc}", code="value"))
        if problems:
            raise InputError(problems)
        return draft.row(0)

    def _members(self, column: str, cell: object) -> Iterator[tuple[str, object]]:
        """The cell with its column; of a bag, those it holds (the bag itself when it cannot be read)."""
        if column != self._foreign.bag or not column or column in self._ignored or column in self._names:
            yield column, cell
            return
        try:
            bag = json.loads(cell or "{}") if isinstance(cell, str) else cell
        except (ValueError, RecursionError):
            bag = None
        if isinstance(bag, dict):
            yield from bag.items()
        else:
            yield column, cell  # refused as of no declared attribute

    def _take(self, column: str, cell: object, draft: _Draft) -> None:
        if column == "email":
            draft.address = _address(cell)
        elif column in self._names and column not in self._ignored and column not in BUILT_IN:
            name = self._names[column]
            draft.attributes[name] = self._attributes[name].parse(cell)
        elif self._passes_over(column):
            return
        elif column in BUILT_IN:
            draft.built_in[column] = self._built_in(column, cell)
        elif column == self._foreign.bag and column:
            raise ValueError("is no JSON object of attributes")
        elif column:
            raise ValueError(f"is of no declared attribute ({nearest(column, self._names)})")
        elif str(cell).strip():
            raise ValueError("stands in a column without a name")

    def _planned(self, columns: tuple[str, ...]) -> _Plan:
        """How a row of a table with these columns is read when nothing is wrong with it."""
        here = [(n, c) for n, c in enumerate(columns) if c and not self._passes_over(c)]
        own = [(n, self._names[c]) for n, c in here if c in self._names and c not in BUILT_IN]
        built_in = [(n, c) for n, c in here if c in BUILT_IN]
        return _Plan(
            columns.index("email"),
            tuple(c for _, c in built_in),
            tuple((n, _Known(self._cell(c))) for n, c in built_in),
            tuple((n, _Known(self._member(name))) for n, name in own),
            tuple(n for n, c in enumerate(columns) if not c),
            nulls(name for _, name in own),
            self._foreign.status,
        )

    def _member(self, name: str) -> Callable[[str], str]:
        begin, parse = prefix(name), self._attributes[name].parse
        return lambda cell: member(begin, parse(cell))

    def _cell(self, column: str) -> Callable[[str], str | None]:
        if column == "status":
            return partial(self._built_in, column)
        parse = BUILT_IN[column]
        return lambda cell: stored(parse(text)) if (text := cell.strip()) else None

    def _built_in(self, column: str, cell: object) -> str | None:
        if column == "tags" and isinstance(cell, list):
            return stored(typed.parse_json("list", cell))
        if cell is not None and not isinstance(cell, str):
            raise ValueError("is not text")
        text = (cell or "").strip()
        if column == "status":
            text = self._foreign.statuses.get(text.lower(), text)
        return stored(BUILT_IN[column](text)) if text else None

    def _passes_over(self, column: str) -> bool:
        """An author's own choice, or of what another system writes all that is not declared here."""
        return column in self._ignored or (column in self._foreign.ignored and column not in self._names)

    def _known(self, column: str) -> bool:
        known = column == "email" or column in BUILT_IN or column in self._names or column == self._foreign.bag
        return known or self._passes_over(column)

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
    built_in: dict[str, str | None] = field(default_factory=dict)
    attributes: dict[str, Value | None] = field(default_factory=dict)
    status: str = ""

    def row(self, line: int) -> Row:
        assert self.address is not None  # noqa: S101 -- else it was rejected
        if self.status:
            self.built_in["status"] = self.status
        columns, values = _with_name(tuple(self.built_in), list(self.built_in.values()))
        filled = members(member(prefix(name), value) for name, value in self.attributes.items())
        return Row(line, self.address, columns, values, filled, nulls(self.attributes))


class _Known(dict[str, S]):
    """What short cells of a column are read as: most columns have the same few again and again."""

    def __init__(self, read: Callable[[str], S]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, cell: str) -> S:
        value = self._read(cell)
        if len(self) < _REMEMBERED and len(cell) < _SHORT:
            self[cell] = value
        return value


@dataclass(frozen=True, slots=True)
class _Plan:
    """The columns of a table, sorted out once: where each stands in a row, and how a cell of it is read."""

    email: int
    names: tuple[str, ...]
    built_in: tuple[tuple[int, _Known[str | None]], ...]
    attributes: tuple[tuple[int, _Known[str]], ...]
    unnamed: tuple[int, ...]
    named: str
    status: str

    def row(self, record: Record) -> Row:
        """Raises `ValueError` when anything is wrong."""
        cells = record.raw
        for number in self.unnamed:
            if cells[number].strip():
                raise ValueError
        names = self.names
        values = [known[cells[number]] for number, known in self.built_in]
        if self.status:
            names, values = (*names, "status"), [*values, self.status]
        if "last_name" in names:
            names, values = _with_name(names, values)
        filled = members([known[cells[number]] for number, known in self.attributes])
        return Row(record.line, parse_address(cells[self.email]), names, values, filled, self.named)


def _with_name(columns: tuple[str, ...], values: list[str | None]) -> tuple[tuple[str, ...], list[str | None]]:
    """A last name becomes part of the name, where there is no column for that."""
    if "last_name" not in columns:
        return columns, values
    found = dict(zip(columns, values, strict=True))
    last = found.pop("last_name")
    if "name" not in found:
        found["name"] = " ".join(filter(None, (found.get("first_name"), last))) or None
    return tuple(found), list(found.values())


def _address(cell: object) -> Address:
    if not isinstance(cell, str):
        raise AddressError("is not an address")
    return parse_address(cell)
