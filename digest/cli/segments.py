"""``digest segments [ISSUE]``: the readers of each segment; the variants of an issue, and its audit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import click

from digest.audience.compiling import Outcomes
from digest.audience.database import open_database
from digest.audience.readers import Readers, load_readers
from digest.audience.segments import SegmentError, Segments
from digest.audience.store import Subscribers
from digest.audience.subscriber import Subscriber
from digest.cli.options import Session, command
from digest.errors import Problem
from digest.message.audit import Auditor
from digest.message.merge import Identity, Merger


@command("segments")
@click.argument("issue", metavar="[ISSUE]", required=False)
def cli(session: Session, issue: str | None) -> int:
    """Count the active readers of each segment and, with ISSUE, of each of its variants.

    With ISSUE every value that it prints is also tried for every one of its readers: exit code 1 when one
    is missing.
    """
    newsletter = session.newsletter()
    readers = load_readers(newsletter.root)
    today = datetime.now(ZoneInfo(newsletter.settings.newsletter.timezone)).date()
    merger = None
    if issue is not None:
        from digest.compose.composer import compile_issue  # loads MJML and premailer

        compiled = compile_issue(newsletter, newsletter.find_issue(issue))
        merger = Merger(compiled, Identity.of(newsletter.settings), today=today)
    count = _Count.of(Segments(readers.segments, today), readers, Auditor(merger) if merger else None)
    with closing(open_database(newsletter.database)) as connection:
        count.all(Subscribers(connection).candidates())
    answer = _print_segments(session, count)
    problems = count.failed_segments(readers)
    if merger and count.auditor:
        answer |= {"issue": merger.compiled.slug, "variants": _print_variants(session, merger, count.auditor)}
        problems += [*count.auditor.problems(), *count.auditor.warnings(readers.places)]
    for problem in problems:
        session.warn(str(problem))
    session.result(answer | {"problems": [str(problem) for problem in problems]})
    return 1 if any(problem.severity == "error" for problem in problems) else 0


@dataclass(slots=True)
class _Count:
    """One pass over the list."""

    segments: Segments
    names: tuple[str, ...]
    at_once: Outcomes
    auditor: Auditor | None
    active: int = 0
    excluded: Counter[str] = field(default_factory=Counter)
    members: Counter[str] = field(default_factory=Counter)
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    vectors: Counter[tuple[bool, ...]] = field(default_factory=Counter)

    @classmethod
    def of(cls, segments: Segments, readers: Readers, auditor: Auditor | None) -> _Count:
        names = tuple(readers.segments)
        return cls(segments, names, segments.outcomes(names), auditor)

    def all(self, candidates: Iterator[tuple[Subscriber, str | None]]) -> None:
        for subscriber, excluded in candidates:
            if excluded:
                self.excluded[excluded] += 1
                continue
            self.active += 1
            try:
                self.vectors[self.at_once(subscriber.values)] += 1
            except Exception:  # noqa: BLE001 -- whatever an expression meets: one by one, it is named
                self._one_by_one(subscriber)
            if self.auditor and not self.auditor.add(subscriber):
                self.excluded["audience"] += 1
        for vector, number in self.vectors.items():
            for name, member in zip(self.names, vector, strict=True):
                self.members[name] += number * member

    def failed_segments(self, readers: Readers) -> list[Problem]:
        """The expressions that failed, each once with its number of readers."""
        return [
            Problem(readers.places.get(name), f"segment “{name}” fails for {number:,} readers: {why}", code="segment")
            for (name, why), number in self.failed.items()
        ]

    def _one_by_one(self, subscriber: Subscriber) -> None:
        view = self.segments.view(subscriber.values)
        for name in self.names:
            try:
                self.members[name] += view[name]
            except SegmentError as exc:
                self.failed[exc.segment, exc.reason] += 1


def _print_segments(session: Session, count: _Count) -> dict[str, object]:
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in count.excluded.items() if reason != "audience")
    session.say(f"{count.active:,} readers may be written to" + (f" ({reasons} left out)" if reasons else ""))
    width = max(map(len, count.names), default=0)
    for name in count.names:
        session.say(f"  {name:{width}}  {count.members[name]:>9,}")
    return {
        "readers": count.active,
        "excluded": dict(count.excluded),
        "segments": {name: count.members[name] for name in count.names},
    }


def _print_variants(session: Session, merger: Merger, auditor: Auditor) -> list[Mapping[str, object]]:
    variants = auditor.variants()
    session.say(f"{merger.compiled.slug} goes to {auditor.total:,} readers in {len(variants)} variants:")
    found: list[Mapping[str, object]] = []
    for variant in variants:
        conditions = zip(merger.compiled.conditions, variant.outcomes, strict=True)
        holds = dict.fromkeys(condition.expression for condition, true in conditions if true)
        sample = variant.sample.email
        session.say(f"  {variant.readers:>9,}  such as {sample}: {_in_short(holds) or 'no condition holds'}")
        found.append({"readers": variant.readers, "sample": sample, "conditions": list(holds)})
    return found


def _in_short(conditions: Iterable[str]) -> str:
    """Conditions for people.

    >>> _in_short(['segment["pro"]', "subscriber.first_name"])
    'pro; first_name'
    """
    return re.sub(r'segment\["(\w+)"\]|subscriber\.(\w+)', r"\1\2", "; ".join(conditions))
