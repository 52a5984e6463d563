"""Everything that is held on one person, wherever it is: what `show` prints, and what forgetting has to erase."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from digest.audience.address import Address
from digest.audience.exporting import held
from digest.audience.forgetting import Forgotten, spellings

_OF_READER: Mapping[str, str] = {
    "consents": "SELECT page, wording, requested_at, confirmed_at FROM consents WHERE subscriber_id = ? ORDER BY id",
    "leavings": "SELECT was, left_at FROM leavings WHERE subscriber_id = ?",
    "deliveries": """
        SELECT r.slug, d.run_id AS run, d.state, d.attempts, d.code, d.reply, d.next_attempt_at, d.message_id,
            d.updated_at
        FROM deliveries d JOIN runs r ON r.id = d.run_id WHERE d.subscriber_id = ? ORDER BY d.run_id""",
    "afterwards": """
        SELECT r.slug, l.run_id AS run, l.kind, l.detail, l.at
        FROM later l JOIN runs r ON r.id = l.run_id WHERE l.subscriber_id = ? ORDER BY l.at""",
    "returned": "SELECT kind, at FROM returned WHERE subscriber_id = ? ORDER BY at",
}
_OF_ADDRESS: Mapping[str, str] = {
    "suppression": "SELECT reason, note, created_at FROM suppressions WHERE address_key = ?",
    "signups": "SELECT name, language, tags, page, wording, requested_at, mailed_at FROM signups WHERE address_key = ?",
}


@dataclass(frozen=True, slots=True)
class Holding:
    """`subscriber` by column (None: not in the list), `attributes` typed; `records` are rows by their kind, moments
    as ISO 8601 text. `forgotten`: only a keyed hash is left, which keeps imports from bringing the person back."""

    subscriber: Mapping[str, Any] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    records: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    forgotten: bool = False

    def __bool__(self) -> bool:
        return bool(self.subscriber or self.forgotten or any(self.records.values()))

    def to_dict(self) -> dict[str, Any]:
        """As one object, in which each kind of record has its name; of a suppression there is one, or null."""
        return {
            "subscriber": self.subscriber,
            "attributes": self.attributes,
            **self.records,
            "suppression": next(iter(self.records["suppression"]), None),
            "forgotten": self.forgotten,
        }


def holding(connection: sqlite3.Connection, address: Address) -> Holding:
    """All that is held on the person at this address, however it is spelled."""
    reader = next(held(connection, address.key), None)
    attributes = reader.pop("attributes") if reader else {}
    records = {kind: _rows(connection, query, address.key) for kind, query in _OF_ADDRESS.items()}
    if reader:
        records |= {kind: _rows(connection, query, reader["id"]) for kind, query in _OF_READER.items()}
    records["tests"] = _rows(
        connection,
        "SELECT slug, fingerprint, outcome, at FROM tests WHERE lower(address) IN (?, ?, ?) ORDER BY at",
        *spellings(address),
    )
    return Holding(reader and _readable(reader), attributes, records, address in Forgotten(connection))


def _rows(connection: sqlite3.Connection, query: str, *values: object) -> list[dict[str, Any]]:
    cursor = connection.execute(query, values)
    names = [column[0] for column in cursor.description]
    return [_readable(dict(zip(names, row, strict=True))) for row in cursor]


def _readable(row: Mapping[str, Any]) -> dict[str, Any]:
    """Microseconds as moments, what is stored as JSON as what it says."""

    def told(name: str, value: Any) -> Any:
        if isinstance(value, int) and (name == "at" or name.endswith("_at")):
            return datetime.fromtimestamp(value / 1e6, UTC).isoformat(timespec="seconds")
        return json.loads(value) if name == "tags" and isinstance(value, str) else value

    return {name: told(name, value) for name, value in row.items()}
