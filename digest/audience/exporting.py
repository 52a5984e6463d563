"""Exporting the list: in the forms `digest.audience.importing` reads back, and in those of other systems.

What another system has no column for stands in columns after its own, by our names: it passes over them, and an
import here reads them. Its states are fewer than ours; a reader becomes the one that is nearest and gets no more.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TextIO

from digest.audience.foreign import WRITTEN, Foreign
from digest.audience.readers import Readers
from digest.audience.values import are_plain, from_json, text_of

FORMATS = ("csv", "jsonl", *WRITTEN)
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


class Exported(NamedTuple):
    """How many subscribers were written, how many were not, and how many of those written as active are suppressed,
    which a list of ours does not say."""

    written: int
    left_out: int
    suppressed: int


def export_list(
    connection: sqlite3.Connection,
    readers: Readers,
    stream: TextIO,
    form: str = "csv",
    status: str | None = None,
) -> Exported:
    """Write the subscribers of any status, or of `status`, by id, with all declared attributes.

    `form` is one of `FORMATS`. As ``csv`` or ``jsonl`` read back by an import under the same declarations the
    list is the same, suppressions and tokens aside. For another system whoever is suppressed here has left.
    Mailchimp has a file for each state; without `status` the active ones are written.
    """
    names = tuple(readers.attributes)
    foreign = _variant(form, status)
    if foreign and foreign.name.startswith("Mailchimp"):
        status = status or "active"
    write = _foreign_writer(stream, foreign, names) if foreign else _own_writer(stream, form, names)
    written = left_out = suppressed = 0
    for reader in held(connection):
        if reader["status"] == "active" and _is_suppressed(connection, reader["address_key"]):
            if foreign:
                reader["status"] = "unsubscribed"
            else:
                suppressed += 1
        if status in (None, reader["status"]):
            write(reader)
            written += 1
        else:
            left_out += 1
    return Exported(written, left_out, suppressed)


def _is_suppressed(connection: sqlite3.Connection, address_key: str) -> bool:
    found = connection.execute("SELECT 1 FROM suppressions WHERE address_key = ?", (address_key,))
    return found.fetchone() is not None


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


_Writer = Callable[[Mapping[str, Any]], object]


def _own_writer(stream: TextIO, form: str, names: tuple[str, ...]) -> _Writer:
    def flat(reader: Mapping[str, Any]) -> dict[str, Any]:
        return {name: reader[name] for name in _BUILT_IN} | {name: reader["attributes"].get(name) for name in names}

    def line(reader: Mapping[str, Any]) -> None:
        filled = {key: value for key, value in flat(reader).items() if value not in (None, "", ())}
        stream.write(json.dumps(filled, ensure_ascii=False, default=str) + "\n")

    if form == "jsonl":
        return line
    table = csv.writer(stream)  # lines end as RFC 4180 says, so that a lone CR in a cell is quoted too
    table.writerow((*_BUILT_IN, *names))
    return lambda reader: table.writerow(map(text_of, flat(reader).values()))


def _variant(form: str, status: str | None) -> Foreign | None:
    """How another system writes a file for readers of this status."""
    kinds = WRITTEN.get(form, ())
    wanted = {None: "", "active": "", "complained": "unsubscribed", "pending": ""}.get(status, status)
    return next((kind for kind in kinds if kind.status == wanted), kinds[0] if kinds else None)


def _foreign_writer(stream: TextIO, foreign: Foreign, names: tuple[str, ...]) -> _Writer:
    ours = {title: foreign.columns.get(title.lower(), title.lower()) for title in foreign.header}
    if foreign.bag:
        extra: tuple[str, ...] = ()
    else:
        has = set(ours.values()) | {"source", "status"}
        extra = tuple(name for name in (*_BUILT_IN, *names) if name not in has)
    titles = (*foreign.header, *extra)
    table = csv.writer(stream)  # lines end as RFC 4180 says, so that a lone CR in a cell is quoted too
    table.writerow(titles)

    def write(reader: Mapping[str, Any]) -> None:
        cells = _foreign_cells(reader, foreign, names, tuple(ours.values()))
        table.writerow([cells.get(ours.get(title, title), "") for title in titles])

    return write


def _foreign_cells(
    reader: Mapping[str, Any], foreign: Foreign, names: tuple[str, ...], ours: tuple[str, ...]
) -> dict[str, str]:
    """Cells by our names, and by the bag's where there is one; what is in neither is passed over there."""
    values = {name: reader[name] for name in _BUILT_IN} | {n: reader["attributes"].get(n) for n in names}
    first, rest = [*(reader["name"] or "").split(maxsplit=1), "", ""][:2]
    cells = {name: text_of(value) for name, value in values.items()}
    cells["status"] = foreign.states.get(reader["status"], "")
    cells["tags"] = _labels(reader["tags"], foreign)
    cells["last_name"] = rest
    if "last_name" in ours:
        cells["first_name"] = cells["first_name"] or first
    for column in ("signed_up", "consented_at"):
        if column in ours and cells[column]:
            cells[column] = foreign.moment.format(cells[column])
    if foreign.bag:
        rest_of = {k: v for k, v in values.items() if k not in ours and k not in ("status", "source")}
        filled = {key: value for key, value in rest_of.items() if value not in (None, "", ())}
        cells[foreign.bag] = json.dumps(filled, ensure_ascii=False, default=str)
    return cells


def _labels(tags: tuple[str, ...], foreign: Foreign) -> str:
    """Tags as a list within the cell: Mailchimp quotes each, the others only split at commas."""
    if are_plain(tags) and not foreign.name.startswith("Mailchimp"):
        return ",".join(tags)
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="").writerow(tags)
    return line.getvalue() if tags else ""
