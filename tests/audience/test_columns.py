"""What the columns of a list are: the survey shown before an import, and mappings saved under a name."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from digest.audience.importing import import_list
from digest.audience.mappings import ColumnMapping, Mappings
from digest.audience.readers import Readers
from digest.audience.store import Subscribers
from digest.audience.survey import Column
from digest.errors import InputError

Write = Callable[..., Path]


def test_columns_are_shown_before_anything_is_written(
    connection: sqlite3.Connection, readers: Readers, write: Write
) -> None:
    """What each column becomes, its type, what it looks like, how full it is and an example, when the list is
    still as it was."""
    seen: list[Sequence[Column]] = []

    def look(columns: Sequence[Column]) -> None:
        assert Subscribers(connection).count() == 0
        seen.append(columns)

    text = "E-Mail,Surname,City,Seats,Fax,\nann@example.com,Lee,12,3,,\nbob@example.com,,13,,,\n"
    report = import_list(
        connection, write(text), readers, renamed={"E-Mail": "email", "surname": "last_name"}, ignore=["fax"], look=look
    )
    assert seen == [report.columns]
    assert report.columns == (
        Column("E-Mail", "email", "address", "string", 1.0, "ann@example.com"),
        Column("Surname", "name", "string", "string", 0.5, "Lee"),
        Column("City", "city", "string", "integer", 1.0, "12"),
        Column("Seats", "seats", "integer", "integer", 0.5, "3"),
        Column("Fax", "", "", "string", 0.0, ""),
    )
    as_json = report.to_dict()["columns"]
    assert as_json[2] == {
        "column": "City",
        "becomes": "city",
        "type": "string",
        "looks_like": "integer",
        "filled": 1.0,
        "example": "12",
    }
    assert as_json[4]["becomes"] is None


def test_columns_of_json_lines(connection: sqlite3.Connection, readers: Readers, write: Write) -> None:
    """The keys of JSON Lines are columns too, in the order they come."""
    text = '{"email": "a@example.com", "seats": 3}\n{"email": "b@example.com", "interests": ["chips"], "seats": null}\n'
    found = import_list(connection, write(text, "list.jsonl"), readers).columns
    assert [(c.title, c.type, c.filled, c.example) for c in found] == [
        ("email", "address", 1.0, "a@example.com"),
        ("seats", "integer", 0.5, "3"),
        ("interests", "list", 0.5, "chips"),
    ]


def test_first_and_last_name_make_a_name(connection: sqlite3.Connection, readers: Readers, write: Write) -> None:
    """Where a list has no name, its first and last names are one; where it has, that counts."""
    import_list(connection, write("email,first_name,last_name\na@example.com,Ann,Lee\nb@example.com,,Ray\n"), readers)
    import_list(connection, write("email,last_name,name\nc@example.com,Lee,Dr Ann Lee\nd@example.com,Lee,\n"), readers)
    assert [s.name for s in Subscribers(connection).all()] == ["Ann Lee", "Ray", "Dr Ann Lee", ""]


def test_a_mapping_is_saved_replaced_and_removed(connection: sqlite3.Connection) -> None:
    """A mapping is kept under its name; one that is not there is said with the nearest."""
    mappings = Mappings(connection)
    mappings.save("crm", ColumnMapping({"Mail": "email"}, ("Fax",)))
    mappings.save(" crm ", ColumnMapping({"E-Mail": "email"}))
    assert list(mappings.all()) == [("crm", ColumnMapping({"E-Mail": "email"}, ()))]
    with pytest.raises(InputError, match="there is no mapping “crn”"):
        mappings.get("crn")
    with pytest.raises(InputError, match="needs a name"):
        mappings.save(" ", ColumnMapping())
    assert mappings.remove("crm")
    assert not mappings.remove("crm")
