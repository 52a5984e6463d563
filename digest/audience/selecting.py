"""Readers by what they are: status, tag, segment."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from digest.audience.readers import Readers, check_expression
from digest.audience.received import Received
from digest.audience.segments import SegmentError, Segments
from digest.audience.store import Subscribers
from digest.audience.subscriber import Subscriber
from digest.errors import InputError, Place


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which readers: those for whom all that is set holds. `segment` is a name or an expression."""

    status: str | None = None
    tag: str | None = None
    segment: str | None = None

    @property
    def everybody(self) -> bool:
        """Whether nothing is set."""
        return self == Wanted()


def selected(
    connection: sqlite3.Connection, readers: Readers, wanted: Wanted, today: date
) -> Iterator[tuple[Subscriber, str | None]]:
    """The readers wanted, by id, each with the reason to exclude them or None; see `Subscribers.candidates`.

    `today` is the day a segment's `days_since` counts to. Raises `InputError` when the segment is none.
    """
    fits = _membership(connection, readers, wanted.segment, today) if wanted.segment else None
    for subscriber, excluded in Subscribers(connection).candidates():
        if wanted.status not in (None, subscriber.status):
            continue
        tags = subscriber.values.get("tags", ())
        if wanted.tag is not None and not (isinstance(tags, tuple) and wanted.tag in tags):
            continue
        if fits is None or fits(subscriber):
            yield subscriber, excluded


def _membership(
    connection: sqlite3.Connection, readers: Readers, source: str, today: date
) -> Callable[[Subscriber], bool]:
    if wrong := check_expression(source, readers, Place("--segment")):
        raise InputError(wrong)
    segments = Segments(readers.segments, today)
    condition = segments.condition(source)
    received = Received.asked_by(connection, (source, *readers.segments.values()))

    def fits(subscriber: Subscriber) -> bool:
        values = received.known(subscriber).values
        try:
            return bool(condition(values, segments.view(values)))
        except (SegmentError, TypeError, ValueError, ArithmeticError):
            return False  # it cannot be computed for them, which digest segments tells

    return fits
