"""Short lists read straight from a file, without the database: the test readers."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from digest.audience.entry import Row
from digest.audience.readers import Readers
from digest.audience.rows import RowReader
from digest.audience.store import built_in_values, new_token
from digest.audience.subscriber import Subscriber, Value
from digest.audience.tables import Table
from digest.audience.values import from_json
from digest.errors import InputError, Problem


def read_list(file: Path, shown: str, readers: Readers) -> list[Subscriber]:
    """Every row of a short list as an active subscriber with id 0 and a token of its own.

    Raises `InputError` with everything wrong in any row: such a list is ours, and has no bad rows.
    """
    table = Table(file, shown)
    reader = RowReader(readers)
    reader.check_columns(table)
    problems: list[Problem] = []
    found: dict[str, Subscriber] = {}
    for record in table.records():
        row = reader.read(record, table)
        if isinstance(row, list):
            problems += [Problem(reject.place, reject.message, code="row") for reject in row]
        elif row.address.key in found:
            problems.append(Problem(table.place(record.line), f"{row.address.text} is there already", code="row"))
        else:
            found[row.address.key] = subscriber_of(row)
    if problems:
        raise InputError(problems)
    return list(found.values())


def subscriber_of(row: Row) -> Subscriber:
    """The reader of a row that is in no database."""
    built_in = dict(zip(row.columns, row.values, strict=True))
    signed_up = built_in.get("signed_up")
    values: dict[str, Value] = built_in_values(
        row.address.text,
        name=built_in.get("name"),
        first_name=built_in.get("first_name"),
        language=built_in.get("language"),
        timezone=built_in.get("timezone"),
        tags=tuple(json.loads(built_in.get("tags") or "[]")),
        signed_up=date.fromisoformat(signed_up) if signed_up else None,
    )
    values |= {name: from_json(raw) for name, raw in json.loads(row.attributes).items() if raw is not None}
    return Subscriber(0, new_token(), row.address.text, "active", values)
