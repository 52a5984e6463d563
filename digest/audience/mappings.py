"""Mappings saved under a name: what the columns of a list that comes again and again are here.

They are in the database, beside the list they are for: a command writes them, and `config/readers.toml` is a
person's own file, whose comments no program should rewrite.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from digest.audience.database import writing
from digest.errors import InputError, Problem, nearest


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """What columns of a list are here (`renamed`), and those that are passed over (`ignored`)."""

    renamed: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    def __or__(self, other: ColumnMapping) -> ColumnMapping:
        """Both; where they differ, `other` says.

        >>> saved = ColumnMapping({"Mail": "email"}, ("Fax",))
        >>> saved | ColumnMapping({"Town": "city"}, ("Fax", "Age"))
        ColumnMapping(renamed={'Mail': 'email', 'Town': 'city'}, ignored=('Fax', 'Age'))
        """
        return ColumnMapping({**self.renamed, **other.renamed}, tuple(dict.fromkeys(self.ignored + other.ignored)))


class Mappings:
    """The saved ones."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def save(self, name: str, mapping: ColumnMapping) -> None:
        """Keep a mapping, in place of one of this name. Raises `InputError` when there is no name."""
        if not name.strip():
            raise InputError(Problem(None, "a mapping needs a name", "--save-map NAME", code="mapping"))
        with writing(self._connection):
            self._connection.execute(
                "INSERT OR REPLACE INTO mappings (name, renamed, ignored) VALUES (?, ?, ?)",
                (name.strip(), json.dumps(dict(mapping.renamed)), json.dumps(mapping.ignored)),
            )

    def get(self, name: str) -> ColumnMapping:
        """The mapping of this name. Raises `InputError` when there is none, naming the nearest."""
        found = dict(self.all())
        if name not in found:
            cure = nearest(name, found) or "--map COLUMN=NAME --save-map NAME saves one"
            raise InputError(Problem(None, f"there is no mapping “{name}”", cure, code="mapping"))
        return found[name]

    def all(self) -> Iterator[tuple[str, ColumnMapping]]:
        """Every mapping with its name, by name."""
        for name, renamed, ignored in self._connection.execute("SELECT * FROM mappings ORDER BY name"):
            yield name, ColumnMapping(json.loads(renamed), tuple(json.loads(ignored)))

    def remove(self, name: str) -> bool:
        """Forget a mapping. False: there is none of this name."""
        with writing(self._connection):
            done = self._connection.execute("DELETE FROM mappings WHERE name = ?", (name,))
        return done.rowcount > 0
