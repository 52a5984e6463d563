"""Groups of segments that exclude each other: who is in two of one, or in none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from digest.audience.readers import Readers
from digest.audience.segments import Segments
from digest.audience.subscriber import Value
from digest.errors import Problem


class Exclusives:
    """Counts the readers in whom a group of ``[exclusive]`` is broken. `today` is what `days_since` counts to."""

    def __init__(self, readers: Readers, today: date) -> None:
        self._readers = readers
        names = [name for members in readers.exclusive.values() for name in members]
        self._outcomes = Segments(readers.closure(names), today).outcomes([f'segment["{name}"]' for name in names])
        self._broken: dict[tuple[str, tuple[str, ...]], tuple[int, str]] = {}
        self._known: dict[tuple[bool, ...], list[tuple[str, tuple[str, ...]]]] = {}
        self._total = 0

    def add(self, values: Mapping[str, Value]) -> None:
        """Look at one reader, by their values."""
        self._total += 1
        if not self._readers.exclusive:
            return
        try:
            outcomes = self._outcomes(values)
        except Exception:  # noqa: BLE001  # a segment that can't be worked out is told as that
            return
        if (found := self._known.get(outcomes)) is None:
            found = self._known[outcomes] = list(self._breaks(outcomes))
        for broken in found:
            number, sample = self._broken.get(broken, (0, str(values["email"])))
            self._broken[broken] = number + 1, sample

    def problems(self) -> Iterator[Problem]:
        """A warning for each way in which a group is broken."""
        for (group, members), (number, sample) in self._broken.items():
            who = f"{number:,} of {self._total:,} readers {'is' if number == 1 else 'are'}"
            if members:
                message = f"{who} in {_and(members)}, which exclude each other"
            else:
                message = f"{who} in none of {_and(self._readers.exclusive[group])}"
            place = self._readers.exclusive_places.get(group)
            yield Problem(place, message, f"such as {sample}", severity="warning", code="exclusive")

    def _breaks(self, outcomes: tuple[bool, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
        start = 0
        for group, members in self._readers.exclusive.items():
            held = outcomes[start : start + len(members)]
            start += len(members)
            if sum(held) != 1:
                yield group, tuple(name for name, holds in zip(members, held, strict=True) if holds)


def _and(names: tuple[str, ...]) -> str:
    """
    >>> _and(("free", "pro", "team"))
    '“free”, “pro” and “team”'
    """
    *first, last = [f"“{name}”" for name in names]
    return f"{', '.join(first)} and {last}" if first else last
