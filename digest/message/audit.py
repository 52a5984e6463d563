"""The audit: every value the issue prints × every reader who gets it, before anything is sent.

One pass over the readers also counts the variants, and finds what is no error but worth a look: a block that
nobody gets, a condition that splits nothing, readers for whom nothing is left of the issue, who are in two
segments that exclude each other, whose language or address is probably mistyped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace

from jinja2 import nodes
from jinja2.runtime import Context

from digest.audience.exclusive import Exclusives
from digest.audience.readers import Readers
from digest.audience.subscriber import Subscriber
from digest.errors import Place, Problem
from digest.localized import LOCALIZED, locale_of
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

    @property
    def name(self) -> str:
        """The outcomes as digits, as the ledger keeps them."""
        return variant_name(self.outcomes)


def variant_name(outcomes: Iterable[bool]) -> str:
    """
    >>> variant_name((True, False, True))
    '101'
    """
    return "".join("01"[outcome] for outcome in outcomes)


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
    """Takes the readers one by one; `total` is how many of them get the issue, or may.

    `readers`: what is declared of them, for the places of segments and the groups that exclude each other.
    """

    def __init__(self, merger: Merger, readers: Readers | None = None) -> None:
        self.total = 0
        self._merger = merger
        self._readers = readers or Readers()
        compiled = merger.compiled
        parts = (compiled.subject, compiled.html, compiled.text)
        self._templates = [audited(merger.environment, part, compiled.constants) for part in parts]
        self._key = key_of(merger)
        self._known: dict[Hashable, frozenset[Problem]] = {}
        self._failures: Counter[Problem] = Counter()
        self._variants: dict[tuple[bool, ...], tuple[int, Subscriber]] = {}
        self._doubts: Counter[tuple[str, str]] = Counter()
        # The last one: whether anything is left for a reader besides the frame.
        asked = [*(f'segment["{name}"]' for name in compiled.segments), compiled.content]
        self._segments = merger.outcomes(asked)
        self._members: Counter[tuple[bool, ...]] = Counter()
        self._exclusives = Exclusives(self._readers, merger.today)
        self._languages: Counter[str] | None = Counter() if writes_by_language(merger) else None

    def add(self, subscriber: Subscriber) -> tuple[bool, ...] | None:
        """Try one reader who may be written to; returns their variant. None: the issue is not for them."""
        known = self._merger.known(subscriber)
        try:
            if not self._merger.gets(known):
                return None
            self._merger.address(subscriber.email)
        except MergeError as exc:
            self._failures[exc.problem] += 1
        self.total += 1
        if failed := self._failed(known):
            self._failures.update(failed)
        return self._count(subscriber, known)

    def failures(self, subscriber: Subscriber) -> list[Problem]:
        """What would fail for one reader, in the order of the issue; nobody is counted."""
        return sorted(self._failed(self._merger.known(subscriber)), key=_in_order)

    def problems(self) -> list[Problem]:
        """What fails, in the order of the issue."""
        ordered = sorted(self._failures.items(), key=lambda item: _in_order(item[0]))
        return [_counted(problem, count, self.total) for problem, count in ordered]

    def variants(self) -> list[Variant]:
        """The variants that these readers get, the largest first."""
        found = [Variant(outcomes, *counted) for outcomes, counted in self._variants.items()]
        return sorted(found, key=lambda v: (-v.readers, v.sample.id))

    def warnings(self) -> list[Problem]:
        """What is worth a look; nothing when nobody gets the issue."""
        if not self.total:
            return []
        return [
            *self._conditions(),
            *self._empty(),
            *self._empty_segments(),
            *self._exclusives.problems(),
            *self._unknown_languages(),
            *doubts(self._doubts),
        ]

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

    def _count(self, subscriber: Subscriber, known: Subscriber) -> tuple[bool, ...]:
        values = known.values
        self._exclusives.add(values)
        if self._languages is not None and (language := values.get("language")):
            self._languages[str(language)] += 1
        if (doubt := doubt_about(subscriber.email)) is not None:
            self._doubts[doubt] += 1
        try:
            self._members[self._segments(values)] += 1
        except Exception:  # noqa: BLE001  # as above; of this reader nothing is known
            self._members[(True,) * (len(self._merger.compiled.segments) + 1)] += 1
        try:
            outcomes = self._merger.variant(known)
        except MergeError:
            return ()  # a failure: it is told as one
        number, sample = self._variants.get(outcomes, (0, subscriber))
        self._variants[outcomes] = number + 1, sample
        return outcomes

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

    def _empty(self) -> Iterable[Problem]:
        number = sum(count for column, count in self._members.items() if not column[-1])
        if number:
            file = next((c.place.file for c in self._merger.compiled.conditions), "")
            message = f"{number:,} of {self.total:,} readers would get an empty issue: every block of it is for others"
            cure = "leave them out with “audience”, or write something for everybody"
            yield Problem(Place(file, 1) if file else None, message, cure, severity="warning", code="empty-issue")

    def _empty_segments(self) -> Iterable[Problem]:
        met = [any(column) for column in zip(*self._members, strict=True)]
        for name, some in zip(self._merger.compiled.segments, met, strict=False):
            if not some:
                message = f"segment “{name}” matches none of {self.total:,} readers"
                yield Problem(self._readers.places.get(name), message, severity="warning", code="empty-segment")

    def _unknown_languages(self) -> Iterable[Problem]:
        for language, number in (self._languages or Counter()).most_common():
            if locale_of(language) is None:
                readers = "1 reader has" if number == 1 else f"{number:,} readers have"
                message = f"{readers} the language “{language}”, which is none that dates and numbers can be written in"
                cure = f"theirs are written in “{self._merger.compiled.language}”"
                yield Problem(None, message, cure, severity="warning", code="unknown-language")


def writes_by_language(merger: Merger) -> bool:
    """Whether the issue writes something by its reader's language."""
    parts = (merger.compiled.subject, merger.compiled.html, merger.compiled.text)
    trees = (merger.environment.parse(part.source) for part in parts)
    return any(node.name in LOCALIZED for tree in trees for node in tree.find_all(nodes.Filter))


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


def _in_order(problem: Problem) -> tuple[Place, str]:
    return problem.place or _ANYWHERE, problem.message


def _counted(problem: Problem, count: int, total: int) -> Problem:
    return replace(problem, message=problem.message.replace(THIS_READER, f"{count:,} of {total:,} readers", 1))
