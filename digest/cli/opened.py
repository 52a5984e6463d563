"""What the commands about subscribers share: the opened list, and a file to write to."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TextIO

from digest.audience.database import open_database
from digest.audience.private import private_file
from digest.cli.options import Session
from digest.newsletter import Newsletter


@contextmanager
def opened(session: Session) -> Iterator[tuple[Newsletter, sqlite3.Connection]]:
    """The newsletter and its database. Raises as `Newsletter.open` and `open_database` do."""
    newsletter = session.newsletter()
    session.masks = False  # addresses are what is asked for
    with closing(open_database(newsletter.database)) as connection:
        yield newsletter, connection


@contextmanager
def output(out: Path | None) -> Iterator[TextIO]:
    """A file of mode 0600 that is there once it is whole, or standard output. Raises `InputError`."""
    if out is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]  # a list is UTF-8 everywhere
        yield sys.stdout
        return
    with private_file(out) as stream:
        yield stream
