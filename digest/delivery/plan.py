"""Who would get an issue, and whether it can be merged for every one of them: before anything is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from digest.audience.subscriber import Subscriber
from digest.delivery.runs import Head
from digest.errors import InputError, Problem
from digest.message.audit import audit
from digest.message.envelope import Message
from digest.message.merge import MergeError, Merger

Candidate = tuple[Subscriber, str | None]


@dataclass(frozen=True, slots=True)
class Variant:
    """One vector of the conditions' outcomes, how many readers get it, and one of them (the first)."""

    outcomes: tuple[bool, ...]
    readers: int
    sample: Subscriber

    @property
    def name(self) -> str:
        """The outcomes as digits, as the ledger keeps them."""
        return variant_name(self.outcomes)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do. `variants` begins with the largest; `largest` is a message's size in bytes."""

    head: Head
    variants: tuple[Variant, ...]
    largest: int
    largest_reader: str

    @property
    def planned(self) -> int:
        """How many readers would get it."""
        return self.head.planned


def variant_name(outcomes: Iterable[bool]) -> str:
    """
    >>> variant_name((True, False, True))
    '101'
    """
    return "".join("01"[outcome] for outcome in outcomes)


class Planner:
    """Goes once over all candidates, merging each planned reader's message; memory stays flat.

    `candidates` begins anew at each call: readers, each with the reason to exclude them, if there is one.
    `keep` is called with the first message of each variant. `rows` yields who is planned, for
    `Runs.stage`; the plan is there when it is exhausted.
    """

    def __init__(
        self,
        merger: Merger,
        date: datetime,
        candidates: Callable[[], Iterable[Candidate]],
        keep: Callable[[Message], None] = lambda _message: None,
    ) -> None:
        self._merger = merger
        self._date = date
        self._candidates = candidates
        self._keep = keep
        self._number = 0
        self._excluded: Counter[str] = Counter()
        self._readers: Counter[tuple[bool, ...]] = Counter()
        self._samples: dict[tuple[bool, ...], Subscriber] = {}
        self._largest = (0, "")
        self._failure: Problem | None = None

    def rows(self) -> Iterator[tuple[int, str]]:
        """Subscriber and variant of everybody planned."""
        for subscriber, excluded in self._candidates():
            self._number += 1
            try:
                if excluded or not self._merger.gets(subscriber):
                    self._excluded[excluded or "audience"] += 1
                else:
                    yield subscriber.id, variant_name(self._merged(subscriber))
            except MergeError as exc:
                self._failure = exc.problem

    def _merged(self, subscriber: Subscriber) -> tuple[bool, ...]:
        outcomes = self._merger.variant(subscriber)
        message = self._merger.message(subscriber, date=self._date, purpose="dry")
        self._readers[outcomes] += 1
        if outcomes not in self._samples:
            self._samples[outcomes] = subscriber
            self._keep(message)
        self._largest = max(self._largest, (len(message.data), subscriber.email))
        return outcomes

    def plan(self) -> Plan:
        """The plan, once `rows` is exhausted. Raises `InputError` with everything that can't be merged."""
        if self._failure:
            check(self._merger, (reader for reader, excluded in self._candidates() if not excluded))
            raise InputError(self._failure)  # one that only shows in a whole message
        variants = [Variant(o, number, self._samples[o]) for o, number in self._readers.items()]
        variants.sort(key=lambda v: (-v.readers, v.sample.id))
        return Plan(Head(self._number, dict(self._excluded)), tuple(variants), *self._largest)

    def finished(self) -> Plan:
        """`plan`, where nobody needs the rows."""
        for _row in self.rows():
            pass
        return self.plan()


def check(merger: Merger, readers: Iterable[Subscriber]) -> None:
    """Raises `InputError` with everything that can't be merged for some of `readers`."""
    if problems := audit(merger, readers):
        raise InputError(problems)


def by_reason(reasons: Mapping[str, int]) -> str:
    """Counts by reason, the largest first, for people.

    >>> by_reason({"pending": 1, "unsubscribed": 4})
    '4 unsubscribed, 1 pending'
    """
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number} {_REASONS.get(reason, reason)}" for reason, number in ordered)


_REASONS = {"audience": "not in its audience"}
