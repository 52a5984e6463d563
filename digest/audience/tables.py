"""Reading a list: CSV (any common separator and encoding) or JSON Lines, row by row in bounded memory.

What makes the whole file unreadable (its encoding, header, quoting) raises `InputError` with the line.
What is wrong with one row is left to `digest.audience.rows`.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, TextIO

from digest.audience.foreign import Foreign, recognised
from digest.errors import InputError, Place, Problem, nearest

LONGEST_LINE = 1_000_000
"""Characters. A longer line is no list: it is refused before it fills the memory."""

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with a byte order mark"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_CHUNK = 1 << 20

REJECTED_COLUMNS = ("rejected_line", "rejected_because")
"""Written into a rejects file before its own columns, and passed over when it is imported again."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file's bytes are read: a codec, its name for people, and where it is a guess, why.

    Of a guessed encoding, bytes that mean nothing become lone surrogates, which no value may hold.
    """

    codec: str
    name: str
    doubt: str = ""

    @property
    def errors(self) -> str:
        """How the codec treats bytes it does not know."""
        return "surrogateescape" if self.doubt else "strict"


class Record(NamedTuple):  # the cheapest frozen value: a million of them are made
    """One row: the line it begins on, its columns and values, and what is wrong with its shape, if anything.

    `raw` is what stands there, for the rejects file: cells of a CSV, the text of a line of JSON.
    """

    line: int
    columns: Sequence[str]
    values: Sequence[object]
    raw: list[str]
    fault: str = ""


class Table:
    """An opened list. `titles` is its header as it is written, `columns` the same by our names, in lower case
    (both empty for JSON Lines, where each row names its own)."""

    def __init__(self, file: Path, shown: str, renamed: Mapping[str, str] | None = None) -> None:
        """`renamed` maps columns of the file (lower case) to ours, before what a known export says.

        Raises `InputError` when the file cannot be read as a list at all.
        """
        self._renamed = dict(renamed or {})
        self.foreign: Foreign | None = None
        self._file = file
        self._shown = shown
        self.is_json = file.suffix.lower() in (".jsonl", ".ndjson", ".json")
        self.encoding = _encoding(file, shown)
        self.separator = ""
        self.titles: tuple[str, ...] = ()
        self.columns: tuple[str, ...] = ()
        if not self.is_json:
            self.separator, self.titles, self.columns = self._header()

    def place(self, line: int = 0, column: int = 0) -> Place:
        """A place in this file."""
        return Place(self._shown, line, column)

    @property
    def description(self) -> str:
        """What the file was taken for, in words."""
        if self.is_json:
            return f"JSON Lines, {self.encoding.name}"
        whose = f", an export of {self.foreign.name}" if self.foreign else ""
        return f"CSV, {self.encoding.name}, separated by {_SEPARATORS[self.separator]}s{whose}"

    def records(self) -> Iterator[Record]:
        """The rows in order, blank lines left out. Raises `InputError` where the file breaks off."""
        with self._open() as stream:
            yield from self._json_records(stream) if self.is_json else self._csv_records(stream)

    def _open(self) -> TextIO:
        return self._file.open(encoding=self.encoding.codec, errors=self.encoding.errors, newline="")

    def _fail(self, line: int, message: str, cure: str = "", code: str = "table") -> InputError:
        return InputError(Problem(self.place(line), message, cure, code=code))

    def _lines(self, stream: TextIO) -> Iterator[str]:
        number = 0
        try:
            for number, line in enumerate(iter(partial(stream.readline, LONGEST_LINE + 1), ""), 1):
                if len(line) > LONGEST_LINE:
                    raise self._fail(number, f"a line of more than {LONGEST_LINE:,} characters", "is this a list?")
                yield line
        except UnicodeError as exc:
            raise self._fail(number + 1, f"is not {self.encoding.name}", "save it as UTF-8", "encoding") from exc

    def _header(self) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        with self._open() as stream:
            number, first = next(((n, line) for n, line in enumerate(self._lines(stream), 1) if line.strip()), (0, ""))
        if not first:
            raise self._fail(0, "is empty", "the first row names the columns, one of them “email”", "header")
        if "\0" in first:
            raise self._fail(number, "is not a text file, or one in UTF-16 without its mark", "save it as UTF-8")
        headers = {sep: _split(first, sep) for sep in _SEPARATORS}
        separator = max(headers, key=lambda sep: ("email" in headers[sep], len(headers[sep])))
        columns = self._ours(headers[separator])
        titles = _split(first, separator, str)
        if problems := list(self._header_problems(titles, columns, number)):
            raise InputError(problems)
        return separator, titles, columns

    def _ours(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        """The columns by our names."""
        self.foreign = recognised(columns)
        known = {**(self.foreign.columns if self.foreign else {}), **self._renamed}
        return tuple(known.get(column, column) for column in columns)

    def _header_problems(self, written: tuple[str, ...], columns: tuple[str, ...], number: int) -> Iterator[Problem]:
        place = self.place(number)
        for column in self._renamed.keys() - {column.lower() for column in written}:
            yield Problem(place, f"there is no column “{column}” to map", nearest(column, written), code="header")
        if "email" not in columns:
            seen = ", ".join(f"“{c}”" for c in written)
            if any("@" in column for column in written):
                cure = "the first row must name the columns; here it holds an address"
            else:
                likely = next((column for column in written if "mail" in column.lower()), "COLUMN")
                cure = f"--map {shlex.quote(f'{likely}=email')} says which it is"
            yield Problem(place, f"no “email” column; the columns are {seen}", cure, code="header")
        for name, times in Counter(filter(None, columns)).items():
            if times > 1:
                yield Problem(place, f"the column “{name}” is there {times} times", code="header")

    def _csv_records(self, stream: TextIO) -> Iterator[Record]:
        """Quoting is taken strictly, so that no error in it swallows rows."""
        reader = csv.reader(self._lines(stream), delimiter=self.separator, strict=True)
        columns, width = self.columns, len(self.columns)
        header = True
        while True:
            line = reader.line_num + 1  # where the row begins
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as exc:
                raise self._fail(line, *_quoting(str(exc)), code="quoting") from exc
            if not any(row):
                continue
            if header:
                header = False
            elif len(row) == width:
                yield Record(line, columns, row, row)
            else:
                yield Record(line, (), (), row, f"{len(row)} cells where the header has {width}")

    def _json_records(self, stream: TextIO) -> Iterator[Record]:
        for number, line in enumerate(self._lines(stream), 1):
            text = line.strip()
            if text:
                yield _json_record(number, text, self._renamed)


def _split(header: str, separator: str, form: Callable[[str], str] = str.lower) -> tuple[str, ...]:
    """The columns if this were the separator (not strict: with the wrong one quotes look misplaced)."""
    return tuple(form(cell.strip()) for cell in next(csv.reader([header], delimiter=separator)))


def _json_record(number: int, text: str, renamed: Mapping[str, str]) -> Record:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        reason = exc.msg if isinstance(exc, json.JSONDecodeError) else "too deep or too large"
        return Record(number, (), (), [text], f"not JSON: {reason[:1].lower()}{reason[1:]}")
    if not isinstance(found, dict):
        return Record(number, (), (), [text], "not a JSON object")
    return Record(number, tuple(renamed.get(k.lower(), k) for k in found), tuple(found.values()), [text])


def _quoting(reason: str) -> tuple[str, str]:
    """What is wrong with the quotes of a row that begins here, from the csv module's words."""
    double = 'inside quotation marks write "" for one "'
    if "unexpected end" in reason:
        return "a quotation mark opens in this row and is never closed", f"close it; {double}"
    if "field larger" in reason:
        what = f"a quotation mark opens in this row and is never closed, or a cell has over {csv.field_size_limit():,}"
        return f"{what} characters", f"close it; {double}"
    if "expected after" in reason:
        return "text follows a closing quotation mark in the row that begins here", double
    return f"cannot be read as CSV: {reason}", ""


def _encoding(file: Path, shown: str) -> Encoding:
    try:
        with file.open("rb") as stream:
            return _encoding_of(stream)
    except OSError as exc:
        raise InputError(Problem(Place(shown), f"cannot be read: {exc.strerror}", code="file")) from exc


def _encoding_of(stream: io.BufferedReader) -> Encoding:
    head = stream.peek(4)
    for mark, codec, name in _MARKS:
        if head.startswith(mark):
            return Encoding(codec, name)
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, since = 1, 0
    while True:
        chunk = stream.read(_CHUNK)
        since = since + len(chunk) if b"\n" not in chunk else 0
        if since > 4 * LONGEST_LINE:  # bytes of one line: it is refused when it is read, whatever follows
            return Encoding("utf-8", "UTF-8")
        try:
            decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as exc:
            line += exc.object.count(b"\n", 0, exc.start)
            return Encoding("cp1252", "Windows-1252 (Latin-1)", f"line {line} is not UTF-8")
        if not chunk:
            return Encoding("utf-8", "UTF-8")
        line += chunk.count(b"\n")
