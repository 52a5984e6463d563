"""Exporting the list, in the forms `digest.audience.importing` reads back."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator
from typing import Any, Literal, TextIO

from digest.audience.readers import Readers
from digest.audience.values import from_json, text_of

_BUILT_IN = (
    "email",
    "name",
    "first_name",
    "status",
    "language",
    "timezone",
    "tags",
    "signed_up",
    "source",
    "consented_at",
    "note",
)


def export_list(
    connection: sqlite3.Connection,
    readers: Readers,
    stream: TextIO,
    form: Literal["csv", "jsonl"] = "csv",
) -> int:
    """Write every subscriber of any status, by id, with all declared attributes. Returns how many.

    Read back by an import under the same declarations, the list is the same, suppressions and tokens
    aside.
    """
    names = tuple(readers.attributes)
    table = csv.writer(stream, lineterminator="\n")
    if form == "csv":
        table.writerow((*_BUILT_IN, *names))
    written = 0
    for reader in held(connection):
        row = {name: reader[name] for name in _BUILT_IN}
        row |= {name: reader["attributes"].get(name) for name in names}
        if form == "csv":
            table.writerow(map(text_of, row.values()))
        else:
            filled = {key: value for key, value in row.items() if value not in (None, "", ())}
            stream.write(json.dumps(filled, ensure_ascii=False, default=str) + "\n")
        written += 1
    return written


def held(connection: sqlite3.Connection, address_key: str | None = None) -> Iterator[dict[str, Any]]:
    """Everything held on each subscriber, or on the one with this normal form: columns by name.

    `tags` and `attributes` are typed values; every attribute is there, declared or not.
    """
    columns = (*_BUILT_IN, "id", "token", "address_key", "attributes", "created_at", "updated_at")
    after = 0
    while rows := connection.execute(
        f"SELECT {', '.join(columns)} FROM subscribers"  # noqa: S608 -- constants of this module
        " WHERE id > :after AND (:key IS NULL OR address_key = :key) ORDER BY id LIMIT 1000",
        {"after": after, "key": address_key},
    ).fetchall():
        for row in rows:
            reader = dict(zip(columns, row, strict=True))
            reader["tags"] = tuple(json.loads(reader["tags"]))
            stored = json.loads(reader["attributes"])
            reader["attributes"] = {name: from_json(raw) for name, raw in stored.items()}
            yield reader
        after = rows[-1][columns.index("id")]
