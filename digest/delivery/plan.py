"""Who would get an issue, and whether it can be merged for every one of them: before anything is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from digest.audience.readers import Readers
from digest.audience.subscriber import Subscriber
from digest.delivery.runs import Head
from digest.errors import InputError, Problem
from digest.message.audit import Auditor, Variant, audit, variant_name
from digest.message.envelope import Message
from digest.message.merge import MergeError, Merger

__all__ = ["Candidate", "Plan", "Planner", "Variant", "by_reason", "check", "variant_name"]

Candidate = tuple[Subscriber, str | None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do. `variants` begins with the largest; `largest` is a message's size in bytes.

    `warnings` are worth a look before it is done.
    """

    head: Head
    variants: tuple[Variant, ...]
    largest: int
    largest_reader: str
    warnings: tuple[Problem, ...] = ()

    @property
    def planned(self) -> int:
        """How many readers would get it."""
        return self.head.planned


class Planner:
    """Goes once over all candidates and audits each planned reader; memory stays flat.

    `candidates` begins anew at each call: readers, each with the reason to exclude them, if there is one.
    `keep` is called with the first message of each variant; of the others, which differ from it only by what a
    reader's values put in, the one with the longest values is merged. `rows` yields who is planned, for
    `Runs.stage`; the plan is there when it is exhausted. `readers`: see `Auditor`.
    """

    def __init__(
        self,
        merger: Merger,
        date: datetime,
        candidates: Callable[[], Iterable[Candidate]],
        keep: Callable[[Message], None] = lambda _message: None,
        readers: Readers | None = None,
    ) -> None:
        self._merger = merger
        self._date = date
        self._candidates = candidates
        self._keep = keep
        self._auditor = Auditor(merger, readers)
        self._asked = ("name", *{ask.attribute for ask in merger.compiled.asks} - {"name"})
        self._number = 0
        self._excluded: Counter[str] = Counter()
        self._longest: dict[tuple[bool, ...], tuple[int, Subscriber]] = {}
        self._failure: Problem | None = None

    def rows(self) -> Iterator[tuple[int, str]]:
        """Subscriber and variant of everybody planned."""
        for subscriber, excluded in self._candidates():
            self._number += 1
            outcomes = None if excluded else self._auditor.add(subscriber)
            if outcomes is None:
                self._excluded[excluded or "audience"] += 1
                continue
            self._weigh(subscriber, outcomes)
            yield subscriber.id, variant_name(outcomes)

    def _weigh(self, subscriber: Subscriber, outcomes: tuple[bool, ...]) -> None:
        get = subscriber.values.get
        weight = len(subscriber.email) + sum([len(str(get(name, ""))) for name in self._asked])
        if outcomes not in self._longest and (message := self._message(subscriber)):
            self._keep(message)
        if weight > self._longest.get(outcomes, (-1,))[0]:
            self._longest[outcomes] = weight, subscriber

    def _message(self, subscriber: Subscriber) -> Message | None:
        try:
            return self._merger.message(subscriber, date=self._date, purpose="dry")
        except MergeError as exc:
            self._failure = exc.problem
            return None

    def plan(self) -> Plan:
        """The plan, once `rows` is exhausted. Raises `InputError` with everything that can't be merged."""
        if problems := self._auditor.problems():
            raise InputError(problems)
        largest = (0, "")
        for _, subscriber in self._longest.values():
            if message := self._message(subscriber):
                largest = max(largest, (len(message.data), subscriber.email))
        if self._failure:
            raise InputError(self._failure)  # one that only shows in a whole message
        head = Head(self._number, dict(self._excluded))
        return Plan(head, tuple(self._auditor.variants()), *largest, tuple(self._auditor.warnings()))

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
