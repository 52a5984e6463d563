"""A database file and declarations of readers for the tests of the audience."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from digest.audience.database import open_database
from digest.audience.readers import Readers, load_readers

READERS = """
[attributes]
plan = {type = "string", values = ["free", "pro", "enterprise"]}
city = "string"
seats = "integer"
score = "number"
annual = "boolean"
renewed = "date"
interests = {type = "list", values = ["models", "chips"]}
desk_url = "url"

[segments]
free = 'subscriber.plan == "free"'
pro = 'subscriber.plan == "pro"'
large = 'pro and subscriber.seats >= 10'

[public]
plan = "free"
"""


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    """A newsletter's folder with declared readers."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/readers.toml").write_text(READERS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def readers(declared: Path) -> Readers:
    return load_readers(declared)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = open_database(tmp_path / "digest.db")
    yield opened
    opened.close()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of the given text or bytes."""

    def written(content: str | bytes, name: str = "list.csv") -> Path:
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return written
