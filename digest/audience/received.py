"""``received("slug")``: whether the relay accepted an earlier issue for a reader, asked of the ledger.

Readers come in the order of their numbers, mostly: so a block of neighbours is looked up at once, by the ledger's
primary key, and few blocks are kept. A pass over a million readers holds some thousand rows at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Self

from digest.audience.subscriber import Subscriber
from digest.audience.trees import issues_asked, parsed
from digest.expressions import RECEIVED

_BLOCK = 1000  # numbers of subscribers looked up together
_KEPT = 8


class Received:
    """Answers for the issues `slugs`, whatever runs they had. A call takes a subscriber's number."""

    def __init__(self, connection: sqlite3.Connection, slugs: Sequence[str]) -> None:
        self._connection = connection
        marks = ", ".join("?" * len(slugs))
        query = f"SELECT id, slug FROM runs WHERE slug IN ({marks}) ORDER BY slug, id"  # noqa: S608 -- marks only
        self._runs: list[tuple[int, str]] = connection.execute(query, tuple(slugs)).fetchall() if slugs else []
        self._blocks: dict[int, dict[int, tuple[str, ...]]] = {}

    @classmethod
    def asked_by(cls, connection: sqlite3.Connection, expressions: Iterable[str]) -> Self:
        """For the issues that these expressions ask for. Raises `ValueError` for one that cannot be parsed."""
        return cls(connection, sorted({slug for source in expressions for slug in issues_asked(parsed(source))}))

    def __call__(self, number: int) -> tuple[str, ...]:
        """The slugs of those the relay accepted for this subscriber, sorted."""
        if not self._runs:
            return ()
        block = number // _BLOCK
        if (known := self._blocks.get(block)) is None:
            while len(self._blocks) >= _KEPT:
                del self._blocks[next(iter(self._blocks))]
            known = self._blocks[block] = self._looked_up(block * _BLOCK)
        return known.get(number, ())

    def known(self, subscriber: Subscriber) -> Subscriber:
        """The reader with what they received among their values: for whoever merges without a ledger at hand."""
        if not self._runs:
            return subscriber
        return replace(subscriber, values={**subscriber.values, RECEIVED: self(subscriber.id)})

    def _looked_up(self, start: int) -> dict[int, tuple[str, ...]]:
        found: dict[int, tuple[str, ...]] = {}
        for run, slug in self._runs:
            rows = self._connection.execute(
                "SELECT subscriber_id FROM deliveries"
                " WHERE run_id = ? AND subscriber_id BETWEEN ? AND ? AND state = 'accepted'",
                (run, start, start + _BLOCK - 1),
            )
            for (number,) in rows:
                before = found.get(number, ())
                found[number] = before if slug in before else (*before, slug)
        return found
