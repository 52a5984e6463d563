"""The variants of an issue among its real readers: counted once, until the text or the list changes."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import dataclass

from digest.audience.database import open_database
from digest.audience.store import Subscribers
from digest.message.audit import Auditor
from digest.message.merge import Merger
from digest.newsletter import Newsletter


@dataclass(frozen=True, slots=True)
class Counted:
    """One variant: the outcome of each condition, its number of readers, and the key of one of them."""

    outcomes: tuple[bool, ...]
    readers: int
    key: str
    sample: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """All variants, the largest first. `conditions` are the columns that differ, as (expression, index)."""

    total: int
    variants: tuple[Counted, ...]
    conditions: tuple[tuple[str, int], ...]


class Variants:
    """Counts on demand; keeps the last answer for each issue. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[object, Matrix]] = {}

    def of(self, newsletter: Newsletter, merger: Merger) -> Matrix | None:
        """The matrix of an issue; None without a list. A million readers take some seconds, the first time."""
        database = newsletter.database
        if not database.is_file():
            return None
        log = database.with_name(database.name + "-wal")
        written = [file.stat().st_mtime_ns for file in (database, log) if file.is_file()]
        key = (merger.compiled.fingerprint, written)
        with self._lock:
            slug = merger.compiled.slug
            if slug not in self._known or self._known[slug][0] != key:
                self._known[slug] = (key, _count(newsletter, merger))
            return self._known[slug][1]


def _count(newsletter: Newsletter, merger: Merger) -> Matrix:
    auditor = Auditor(merger)
    with closing(open_database(newsletter.database)) as connection:
        for subscriber, excluded in Subscribers(connection).candidates():
            if excluded is None:
                auditor.add(subscriber)
    variants = tuple(
        Counted(v.outcomes, v.readers, f"db-{v.sample.id}", v.sample.name or v.sample.email) for v in auditor.variants()
    )
    columns: dict[str, int] = {}
    for index, condition in enumerate(merger.compiled.conditions):
        columns.setdefault(short(condition.expression), index)
    telling = tuple((name, i) for name, i in columns.items() if len({v.outcomes[i] for v in variants}) > 1)
    return Matrix(auditor.total, variants, telling)


def short(expression: str) -> str:
    """A condition as a column's head.

    >>> short('segment["pro"] or not segment["free"]')
    'pro or not free'
    """
    return expression.replace('segment["', "").replace('"]', "").replace("subscriber.", "")
