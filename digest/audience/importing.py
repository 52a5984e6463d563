"""Importing a list: all of it is read and checked first, then applied a little at a time.

The first pass reads the file once; nothing of the list is touched, and a file that cannot be read as a
whole changes nothing. The second applies the good rows in batches that each hold the write lock for some
milliseconds. Killed in between, the next run of the same file finishes the work: applying a row twice is
applying it once.

A row is matched by the normal form of its address; of two rows with the same address the first counts.
Columns the file has overwrite what is stored, and an empty cell clears it; columns it does not have are
left alone. A reader who unsubscribed, bounced or complained stays so unless told otherwise, and a
suppressed address stays suppressed.
"""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TextIO

from digest.audience.entry import Reject, Row
from digest.audience.forgetting import Forgotten
from digest.audience.private import private_file
from digest.audience.readers import Readers
from digest.audience.rows import RowReader
from digest.audience.staging import Effect, Staging, staging
from digest.audience.survey import Column, Survey
from digest.audience.tables import REJECTED_COLUMNS, Record, Table
from digest.audience.values import shortened
from digest.errors import HeldError

SHOWN = 20
"""Rejects a report carries; all of them are in the rejects file."""
_BATCH = 500

Progress = Callable[[str, int], None]
"""Called now and then with what is being done and how many rows are through."""
Look = Callable[[Sequence[Column]], None]
"""Called once when all is checked, before anything is written, with what the columns hold."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, or with `dry_run` would do.

    `rows` = `rejected` + `effect.added` + `effect.updated` + `effect.unchanged`. `rejects` holds the first
    reasons; `rejects_file` has every rejected row, None when there is none.
    """

    description: str
    doubt: str
    rows: int
    rejected: int
    effect: Effect
    rejects: tuple[Reject, ...]
    rejects_file: Path | None
    dry_run: bool
    left: int = 0
    """Readers of a synchronised source who are not in the file any more."""
    columns: tuple[Column, ...] = ()
    caution: str = ""
    """What the export of a known system does not say."""
    longest_write: float = 0.0
    """Seconds that the longest write held the lock of the database."""

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "format": self.description,
            "encoding_doubt": self.doubt,
            "dry_run": self.dry_run,
            "rows": self.rows,
            "added": self.effect.added,
            "updated": self.effect.updated,
            "unchanged": self.effect.unchanged,
            "stay_unsubscribed": self.effect.stay_away,
            "revived": self.effect.revived,
            "left": self.left,
            "suppressed": self.effect.suppressed,
            "newly_suppressed": self.effect.newly_suppressed,
            "caution": self.caution,
            "columns": [
                {
                    "column": c.title,
                    "becomes": c.becomes or None,
                    "type": c.type or None,
                    "looks_like": c.looks_like,
                    "filled": round(c.filled, 4),
                    "example": c.example,
                }
                for c in self.columns
            ],
            "rejected": self.rejected,
            "rejects_file": str(self.rejects_file) if self.rejects_file else None,
            "rejects": [
                {
                    "line": r.place.line,
                    "column": r.column,
                    "column_number": r.place.column,
                    "value": r.value,
                    "reason": r.reason,
                }
                for r in self.rejects
            ],
        }


@dataclass(frozen=True, slots=True)
class Sync:
    """The file is the whole list of `source`; at most `max_change` (a share) of its readers may leave."""

    source: str
    max_change: float


def import_list(
    connection: sqlite3.Connection,
    file: Path,
    readers: Readers,
    *,
    shown: str | None = None,
    ignore: Collection[str] = (),
    renamed: Mapping[str, str] | None = None,
    dry_run: bool = False,
    revive: bool = False,
    sync: Sync | None = None,
    progress: Progress = lambda _what, _rows: None,
    look: Look = lambda _columns: None,
) -> ImportReport:
    """Import `file` (CSV, or JSON Lines by its suffix), named `shown` in messages.

    `ignore`: columns to pass over. `renamed`: columns of the file (in any case), and what they are here.
    `dry_run`: check everything, write only the rejects file.
    `revive`: make readers active again who had unsubscribed, bounced or complained.
    `sync`: the file is all that a source has; of the readers it brought, those not in it are unsubscribed, but
    not when a row was rejected: it may be theirs.
    `look` is called between the two passes, so that a person sees what comes before it is in.
    Raises `HeldError` when more than `sync.max_change` of them would leave; nothing was changed then.
    Raises `InputError` when the file as a whole cannot be read, or a column is not declared.
    """
    table = Table(file, shown or str(file), {theirs.lower(): ours.lower() for theirs, ours in (renamed or {}).items()})
    reader = RowReader(readers, ignore)
    reader.check_columns(table)
    # A file without a name: of an import that is killed nothing stays. What has no meaning is escaped.
    with (
        staging(connection, revive=revive, source=sync.source if sync else "") as staged,
        TemporaryFile("w+", encoding="utf-8", errors="backslashreplace", newline="") as stream,
    ):
        rejects = _Rejects(table, file, stream)
        survey = Survey(table)
        forgotten = Forgotten(connection)
        read = _kept_out(reader, forgotten) if forgotten.any() else reader.read
        rows = _check(table, read, staged, rejects, survey, progress)
        rejects_file = rejects.keep()
        columns = survey.columns(reader.meaning)
        look(columns)
        effect = staged.effect()
        leaving = _leaving(staged, sync) if sync and not rejects.rows else 0
        if not dry_run:
            for done in staged.apply():
                progress("importing", done)
            if leaving:
                staged.remove_missing()
        return ImportReport(
            table.description,
            table.encoding.doubt,
            rows,
            rejects.rows,
            effect,
            tuple(sorted(rejects.first, key=lambda reject: reject.place.line)),
            rejects_file,
            dry_run,
            leaving,
            columns,
            table.foreign.caution if table.foreign else "",
            staged.longest,
        )


def _leaving(staged: Staging, sync: Sync) -> int:
    missing, total = staged.missing()
    if total and missing / total > sync.max_change:
        raise HeldError(
            f"{missing:,} of the {total:,} readers from {sync.source} are not in the file: more than"
            f" {sync.max_change:.0%}; nothing was imported. Is it the whole list? (--override max_change)"
        )
    return missing


_Read = Callable[[Record, Table], Row | list[Reject]]


def _kept_out(reader: RowReader, forgotten: Forgotten) -> _Read:
    """As the reader reads, but for rows of people who were forgotten."""

    def read(record: Record, table: Table) -> Row | list[Reject]:
        row = reader.read(record, table)
        if isinstance(row, Row) and row.address in forgotten:
            why = "was forgotten, as the person asked; digest subscribers add lets them in again"
            return [Reject(table.place(record.line), "email", shortened(row.address.text), why)]
        return row

    return read


def _check(table: Table, read: _Read, staged: Staging, rejects: _Rejects, survey: Survey, progress: Progress) -> int:
    rows = 0
    records = table.records()
    with staged.filling():
        while batch := list(islice(records, _BATCH)):
            found = [read(record, table) for record in batch]
            staged.add(row for row in found if isinstance(row, Row))
            for record, row in zip(batch, found, strict=True):
                if isinstance(row, list):
                    rejects.add(record, row)
            survey.add(batch)
            rows += len(batch)
            progress("checking", rows)
    _reject_repeated(table, staged, rejects)
    return rows


def _reject_repeated(table: Table, staged: Staging, rejects: _Rejects) -> None:
    records = table.records()  # once more, only when there are some: what stands in them is wanted
    for line, first, address in staged.repeated():
        record = next(record for record in records if record.line == line)
        again = Reject(table.place(line), "email", shortened(address), f"is in line {first} already")
        rejects.add(record, [again])


@dataclass
class _Rejects:
    """Rejected rows: gathered in `stream`, then kept in a file beside the list."""

    table: Table
    list_file: Path
    stream: TextIO
    rows: int = 0
    first: list[Reject] = field(default_factory=list)

    def add(self, record: Record, reasons: list[Reject]) -> None:
        """Write down a row that is not taken, and why."""
        self.rows += 1
        self.first += reasons[: max(0, SHOWN - len(self.first))]
        because = "; ".join(f"{r.column} {r.reason}".strip() for r in reasons)
        if self.table.is_json:
            known = dict(zip(record.columns, record.values, strict=True)) or {"text": record.raw[0]}
            head = dict(zip(REJECTED_COLUMNS, (record.line, because), strict=True))
            self.stream.write(json.dumps(head | known) + "\n")
        else:
            self._table_row(self.stream, [record.line, because, *record.raw])

    def keep(self) -> Path | None:
        """Write the rejects file beside the list, readable by its owner only; None when nothing was rejected.

        Raises `InputError` when it cannot be written.
        """
        if not self.rows:
            return None
        suffix = "jsonl" if self.table.is_json else "csv"
        file = self.list_file.with_name(f"{self.list_file.name}.rejects.{suffix}")
        self.stream.seek(0)
        with private_file(file) as stream:
            if not self.table.is_json:
                self._table_row(stream, [*REJECTED_COLUMNS, *self.table.columns])
            shutil.copyfileobj(self.stream, stream)
        return file

    def _table_row(self, stream: TextIO, cells: list[Any]) -> None:
        csv.writer(stream, delimiter=self.table.separator).writerow(cells)
