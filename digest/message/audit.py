"""The audit: every value the issue prints × every reader who gets it, before anything is sent.

One pass over the readers also counts the variants, and finds what is no error but worth a look: a block that
nobody gets, a condition that splits nothing, addresses that are probably mistyped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace

from jinja2.runtime import Context

from digest.audience.subscriber import Subscriber
from digest.errors import Place, Problem
from digest.message.doubtful import doubt_about, doubts
from digest.message.likeness import key_of
from digest.message.merge import INERT_TOKEN, MergeError, Merger
from digest.message.templates import MUTED, THIS_READER, Merged, audited

_ANYWHERE = Place("")
_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Variant:
    """One vector of the conditions' outcomes, how many readers get it, and the first of them."""

    outcomes: tuple[bool, ...]
    readers: int
    sample: Subscriber


def audit(merger: Merger, subscribers: Iterable[Subscriber]) -> list[Problem]:
    """What would fail, for how many of the readers who get the issue; nothing, when all can be merged.

    One problem per place and cause, in the order of the issue: "`company` is missing for 3 of 30 readers,
    no fallback". Streams: holds one reader at a time, and the counts.
    """
    auditor = Auditor(merger)
    for subscriber in subscribers:
        auditor.add(subscriber)
    return auditor.problems()


class Auditor:
    """Takes the readers one by one; `total` is how many of them get the issue, or may."""

    def __init__(self, merger: Merger) -> None:
        self.total = 0
        self._merger = merger
        compiled = merger.compiled
        parts = (compiled.subject, compiled.html, compiled.text)
        self._templates = [audited(merger.environment, part, compiled.constants) for part in parts]
        self._key = key_of(merger)
        self._known: dict[Hashable, frozenset[Problem]] = {}
        self._failures: Counter[Problem] = Counter()
        self._variants: dict[tuple[bool, ...], tuple[int, Subscriber]] = {}
        self._doubts: Counter[tuple[str, str]] = Counter()
        self._segments = merger.outcomes([f'segment["{name}"]' for name in compiled.segments])
        self._members: Counter[tuple[bool, ...]] = Counter()

    def add(self, subscriber: Subscriber) -> bool:
        """Try one reader who may be written to. False: the issue is not for them."""
        try:
            if not self._merger.gets(subscriber):
                return False
            self._merger.address(subscriber.email)
        except MergeError as exc:
            self._failures[exc.problem] += 1
        self.total += 1
        self._failures.update(self._failed(subscriber))
        self._count(subscriber)
        return True

    def problems(self) -> list[Problem]:
        """What fails, in the order of the issue."""
        ordered = sorted(self._failures.items(), key=lambda item: (item[0].place or _ANYWHERE, item[0].message))
        return [_counted(problem, count, self.total) for problem, count in ordered]

    def variants(self) -> list[Variant]:
        """The variants that these readers get, the largest first."""
        found = [Variant(outcomes, *counted) for outcomes, counted in self._variants.items()]
        return sorted(found, key=lambda v: (-v.readers, v.sample.id))

    def warnings(self, segment_places: Mapping[str, Place] | None = None) -> list[Problem]:
        """What is worth a look; nothing when nobody gets the issue. `segment_places`: where each is declared."""
        if not self.total:
            return []
        return [*self._conditions(), *self._empty_segments(segment_places or {}), *doubts(self._doubts)]

    def _failed(self, subscriber: Subscriber) -> frozenset[Problem]:
        """Everything that fails for one reader, tried or known from a reader who is alike."""
        if self._key is None:
            return _tried(self._merger, self._templates, subscriber)
        try:
            key = self._key(subscriber.values)
        except Exception:  # noqa: BLE001  # a condition can't be worked out: the trial says which, and where
            return _tried(self._merger, self._templates, subscriber)
        if (known := self._known.get(key)) is None:
            if len(self._known) >= _REMEMBERED:  # bounds the memory
                self._known.clear()
            known = self._known[key] = _tried(self._merger, self._templates, subscriber)
        return known

    def _count(self, subscriber: Subscriber) -> None:
        try:
            outcomes = self._merger.variant(subscriber)
        except MergeError:
            return  # a failure: it is told as one
        number, sample = self._variants.get(outcomes, (0, subscriber))
        self._variants[outcomes] = number + 1, sample
        if (doubt := doubt_about(subscriber.email)) is not None:
            self._doubts[doubt] += 1
        try:
            self._members[self._segments(subscriber.values)] += 1
        except Exception:  # noqa: BLE001  # as above; of this reader nothing is known
            self._members[(True,) * len(self._merger.compiled.segments)] += 1

    def _conditions(self) -> Iterable[Problem]:
        holds = [any(column) for column in zip(*self._variants, strict=True)]
        always = [all(column) for column in zip(*self._variants, strict=True)]
        seen: set[tuple[str, Place]] = set()
        for condition, some, every in zip(self._merger.compiled.conditions, holds, always, strict=False):
            if (some and not every) or (here := (condition.expression, condition.place)) in seen:
                continue
            seen.add(here)
            shown = f"“{condition.expression}”"
            if every:
                message, code = f"{shown} is true for every one of {self.total:,} readers", "always-true"
            else:
                message, code = f"{shown} is true for none of {self.total:,} readers: nobody gets this", "for-nobody"
            yield Problem(condition.place, message, severity="warning", code=code)

    def _empty_segments(self, places: Mapping[str, Place]) -> Iterable[Problem]:
        met = [any(column) for column in zip(*self._members, strict=True)]
        for name, some in zip(self._merger.compiled.segments, met, strict=False):
            if not some:
                message = f"segment “{name}” matches none of {self.total:,} readers"
                yield Problem(places.get(name), message, severity="warning", code="empty-segment")


def _tried(merger: Merger, templates: list[Merged], subscriber: Subscriber) -> frozenset[Problem]:
    """Everything that fails for one reader; what HTML and text share counts once."""
    found: set[Problem] = set()
    muted: set[int] = set()
    context = merger.context(subscriber, INERT_TOKEN, **{MUTED: muted})
    for template in templates:
        muted.clear()
        while (failed := _failure(template, context)) is not None:
            tag, problem = failed
            found.add(problem)
            if tag in muted or not tag:
                break  # a condition or a loop: what it governs can't be known
            muted.add(tag)
    return frozenset(found)


def _failure(template: Merged, context: Context) -> tuple[int, Problem] | None:
    try:
        template(context)
    except Exception as exc:  # noqa: BLE001  # an author's expression may raise anything; it is explained
        return template.tag(exc), template.problem(exc)
    return None


def _counted(problem: Problem, count: int, total: int) -> Problem:
    return replace(problem, message=problem.message.replace(THIS_READER, f"{count:,} of {total:,} readers", 1))
