"""``digest segments [ISSUE]``: how many readers each segment has, and each variant of an issue."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

import click

from digest.audience.database import open_database
from digest.audience.readers import Readers, load_readers
from digest.audience.segments import SegmentError, Segments
from digest.audience.store import Subscribers
from digest.audience.subscriber import Subscriber
from digest.cli.options import Session, command
from digest.compose.compiled import CompiledIssue
from digest.errors import InputError, Problem
from digest.message.merge import Identity, MergeError, Merger


@command("segments")
@click.argument("issue", metavar="[ISSUE]", required=False)
def cli(session: Session, issue: str | None) -> None:
    """Count the active readers of each segment and, with ISSUE, of each of its variants."""
    newsletter = session.newsletter()
    readers = load_readers(newsletter.root)
    today = datetime.now(ZoneInfo(newsletter.settings.newsletter.timezone)).date()
    merger = None
    if issue is not None:
        from digest.compose.composer import compile_issue  # loads MJML and premailer

        compiled = compile_issue(newsletter, newsletter.find_issue(issue))
        merger = Merger(compiled, Identity.of(newsletter.settings), today=today)
    count = _Count(Segments(readers.segments, today), tuple(readers.segments), merger)
    with closing(open_database(newsletter.database)) as connection:
        count.all(Subscribers(connection).candidates())
    count.check(readers)
    _print(session, count, merger.compiled if merger else None)


@dataclass(frozen=True, slots=True)
class _Variant:
    readers: int
    sample: str


@dataclass(slots=True)
class _Count:
    """One pass over the list."""

    segments: Segments
    names: tuple[str, ...]
    merger: Merger | None
    active: int = 0
    excluded: Counter[str] = field(default_factory=Counter)
    members: Counter[str] = field(default_factory=Counter)
    variants: dict[tuple[bool, ...], _Variant] = field(default_factory=dict)
    failed: dict[tuple[str, str], int] = field(default_factory=dict)
    problems: dict[Problem, int] = field(default_factory=dict)

    def all(self, candidates: Iterator[tuple[Subscriber, str | None]]) -> None:
        for subscriber, excluded in candidates:
            if excluded:
                self.excluded[excluded] += 1
                continue
            self.active += 1
            self._segments_of(subscriber)
            if self.merger:
                self._variant_of(self.merger, subscriber)

    def check(self, readers: Readers) -> None:
        """Raises `InputError` for the expressions that failed, each once with its number of readers."""
        found = [
            Problem(readers.places.get(name), f"segment “{name}” fails for {number} readers: {reason}", code="segment")
            for (name, reason), number in self.failed.items()
        ]
        found += [replace(p, message=f"{p.message} ({n} readers)") for p, n in self.problems.items()]
        if found:
            raise InputError(found)

    def _segments_of(self, subscriber: Subscriber) -> None:
        view = self.segments.view(subscriber.values)
        for name in self.names:
            try:
                self.members[name] += view[name]
            except SegmentError as exc:
                self.failed[exc.segment, exc.reason] = self.failed.get((exc.segment, exc.reason), 0) + 1

    def _variant_of(self, merger: Merger, subscriber: Subscriber) -> None:
        try:
            if not merger.gets(subscriber):
                self.excluded["audience"] += 1
                return
            outcomes = merger.variant(subscriber)
        except MergeError as exc:
            self.problems[exc.problem] = self.problems.get(exc.problem, 0) + 1
            return
        known = self.variants.get(outcomes)
        self.variants[outcomes] = _Variant(
            known.readers + 1 if known else 1, known.sample if known else subscriber.email
        )


def _print(session: Session, count: _Count, compiled: CompiledIssue | None) -> None:
    reasons = ", ".join(f"{number} {reason}" for reason, number in count.excluded.items() if reason != "audience")
    session.say(f"{count.active} readers may be written to" + (f" ({reasons} left out)" if reasons else ""))
    width = max(map(len, count.names), default=0)
    for name in count.names:
        session.say(f"  {name:{width}}  {count.members[name]:>9,}")
    answer: dict[str, object] = {
        "readers": count.active,
        "excluded": dict(count.excluded),
        "segments": {name: count.members[name] for name in count.names},
    }
    if compiled:
        answer |= {"issue": compiled.slug, "variants": _print_variants(session, compiled, count)}
    session.result(answer)


def _print_variants(session: Session, compiled: CompiledIssue, count: _Count) -> list[Mapping[str, object]]:
    gets = sum(variant.readers for variant in count.variants.values())
    session.say(f"{compiled.slug} goes to {gets} readers in {len(count.variants)} variants:")
    ordered = sorted(count.variants.items(), key=lambda item: (-item[1].readers, item[1].sample))
    found: list[Mapping[str, object]] = []
    for outcomes, variant in ordered:
        holds = dict.fromkeys(c.expression for c, true in zip(compiled.conditions, outcomes, strict=True) if true)
        session.say(f"  {variant.readers:>9,}  such as {variant.sample}: {_in_short(holds) or 'no condition holds'}")
        found.append({"readers": variant.readers, "sample": variant.sample, "conditions": list(holds)})
    return found


def _in_short(conditions: Iterable[str]) -> str:
    """Conditions for people.

    >>> _in_short(['segment["pro"]', "subscriber.first_name"])
    'pro; first_name'
    """
    return re.sub(r'segment\["(\w+)"\]|subscriber\.(\w+)', r"\1\2", "; ".join(conditions))
