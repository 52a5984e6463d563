from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from digest.audience.importing import ImportReport, Sync, import_list
from digest.audience.readers import Readers
from digest.audience.store import Subscribers
from digest.errors import HeldError

Take = Callable[..., ImportReport]


@pytest.fixture
def take(connection: sqlite3.Connection, readers: Readers, write: Callable[..., Path]) -> Take:
    def taken(text: str, sync: Sync | None = None, **options: bool) -> ImportReport:
        return import_list(connection, write(text), readers, sync=sync, **options)

    return taken


def statuses(connection: sqlite3.Connection) -> dict[str, str]:
    return {s.email.partition("@")[0]: s.status for s in Subscribers(connection).all()}


def feed(*names: str) -> str:
    return "email\n" + "".join(f"{name}@example.com\n" for name in names)


def test_those_missing_from_a_feed_leave(take: Take, connection: sqlite3.Connection) -> None:
    """Readers whom the source brought leave when it has them no more; all others are left alone."""
    crm = Sync("crm", 0.5)
    take(feed("own", "both"))
    take(feed("ann", "bob", "cat", "both"), crm)
    dry = take(feed("ann", "bob"), crm, dry_run=True)
    assert set(statuses(connection).values()) == {"active"}
    assert take(feed("ann", "bob"), crm).left == dry.left == 1
    expected = {"own": "active", "both": "active", "ann": "active", "bob": "active", "cat": "unsubscribed"}
    assert statuses(connection) == expected
    assert take(feed("ann", "bob"), crm).left == 0


def test_too_many_leavers_need_a_person(take: Take, connection: sqlite3.Connection) -> None:
    """A file that would take off more than the guard allows changes nothing."""
    take(feed("ann", "bob", "cat"), Sync("crm", 0.2))
    with pytest.raises(HeldError, match=r"2 of the 3 readers from crm"):
        take(feed("ann", "dan"), Sync("crm", 0.2))
    assert statuses(connection) == {"ann": "active", "bob": "active", "cat": "active"}
    assert take(feed("ann", "dan"), Sync("crm", 1.0)).left == 2


def test_with_a_rejected_row_nobody_leaves(take: Take, connection: sqlite3.Connection) -> None:
    """A row that cannot be read may be anybody's: those missing stay until it is mended."""
    take(feed("ann", "bob"), Sync("crm", 1.0))
    report = take(feed("ann", "b ob"), Sync("crm", 1.0))
    assert (report.rejected, report.left) == (1, 0)
    assert statuses(connection) == {"ann": "active", "bob": "active"}
