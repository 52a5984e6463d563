"""A file of addresses never to write to: another system's block list, one address a line or a table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from digest.audience.address import Address, AddressError, parse_address
from digest.audience.database import writing
from digest.audience.store import Suppressions
from digest.audience.tables import Table
from digest.audience.values import shortened
from digest.errors import InputError, Place, Problem

_BATCH = 1000


def import_suppressions(
    connection: sqlite3.Connection, file: Path, shown: str, reason: str
) -> tuple[int, int, list[Problem]]:
    """Suppress every address of `file`. Returns how many are new, how many were suppressed, and the bad rows.

    Raises `InputError` when the file cannot be read.
    """
    suppressions = Suppressions(connection)
    new = known = 0
    problems: list[Problem] = []
    found = _addresses(file, shown)
    while batch := list(islice(found, _BATCH)):
        problems += [each for each in batch if isinstance(each, Problem)]
        with writing(connection):
            for address in batch:
                if isinstance(address, Address):
                    added = suppressions.add_within(address, reason)
                    new, known = new + added, known + (not added)
    return new, known, problems


def _addresses(file: Path, shown: str) -> Iterator[Address | Problem]:
    for line, text in _texts(file, shown):
        try:
            yield parse_address(text)
        except AddressError as exc:
            yield Problem(Place(shown, line), f"“{shortened(text)}” {exc}", code="address")


def _texts(file: Path, shown: str) -> Iterator[tuple[int, str]]:
    if not _begins_with_address(file, shown):
        table = Table(file, shown)
        for record in table.records():
            cells = dict(zip((column.lower() for column in record.columns), record.values, strict=True))
            yield record.line, str(cells.get("email") or "")
        return
    with file.open(encoding="utf-8-sig", errors="replace") as stream:
        yield from ((number, line.strip()) for number, line in enumerate(stream, 1) if line.strip())


def _begins_with_address(file: Path, shown: str) -> bool:
    try:
        with file.open(encoding="utf-8-sig", errors="replace") as stream:
            parse_address(stream.readline(1000))
    except AddressError:
        return False
    except OSError as exc:
        raise InputError(Problem(Place(shown), f"cannot be read: {exc.strerror}", code="file")) from exc
    return True
