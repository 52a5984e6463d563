"""``digest segments [ISSUE]``: the readers of each segment; the variants of an issue, and its audit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import date
from sqlite3 import Connection
from textwrap import indent

import click

from digest.audience.database import open_database
from digest.audience.exclusive import Exclusives
from digest.audience.readers import Readers, load_readers
from digest.audience.received import Received
from digest.audience.segments import SegmentError, Segments
from digest.audience.store import Subscribers
from digest.audience.subscriber import Subscriber, Value
from digest.cli.options import Session, command
from digest.errors import Problem
from digest.message.audit import Auditor, Variant
from digest.message.merge import Identity, MergeError, Merger, Rendering

_RENDERED = 200
"""Variants that are rendered; of the rest only their readers are counted."""


@command("segments")
@click.argument("issue", metavar="[ISSUE]", required=False)
@click.option("--text", is_flag=True, help="With ISSUE: also the plain text of each variant.")
def cli(session: Session, issue: str | None, text: bool) -> int:
    """Count the active readers of each segment and, with ISSUE, of each of its variants.

    With ISSUE every value that it prints is also tried for every one of its readers: exit code 1 when one
    is missing.
    """
    newsletter = session.newsletter()
    readers = load_readers(newsletter.root)
    today = newsletter.today
    compiled = None
    if issue is not None:
        from digest.compose.composer import compile_issue  # loads MJML and premailer

        compiled = compile_issue(newsletter, newsletter.find_issue(issue))
    with closing(open_database(newsletter.database)) as connection:
        count = _Count(readers, today, connection)
        merger = None
        if compiled is not None:
            received = Received(connection, compiled.received)
            merger = Merger(compiled, Identity.of(newsletter.settings), today=today, received=received)
            count.auditor = Auditor(merger, readers)
        count.all(Subscribers(connection).candidates())
        answer = _print_segments(session, count)
        problems = count.problems()
        if merger and count.auditor:
            answer |= {"issue": merger.compiled.slug, "variants": _print_variants(session, merger, count.auditor, text)}
            problems += [*count.auditor.problems(), *count.auditor.warnings()]
    for problem in problems:
        session.warn(str(problem))
    session.result(answer | {"problems": [str(problem) for problem in problems]})
    return 1 if any(problem.severity == "error" for problem in problems) else 0


class _Count:
    """One pass over the list."""

    def __init__(self, readers: Readers, today: date, connection: Connection) -> None:
        self.readers = readers
        self.names = tuple(readers.segments)
        self.auditor: Auditor | None = None
        self.active = 0
        self.excluded: Counter[str] = Counter()
        self.members: Counter[str] = Counter()
        self._segments = Segments(readers.segments, today)
        self._at_once = self._segments.outcomes(self.names)
        self._exclusives = Exclusives(readers, today)
        self._failed: Counter[tuple[str, str]] = Counter()
        self._vectors: Counter[tuple[bool, ...]] = Counter()
        self._received = Received.asked_by(connection, readers.segments.values())

    def all(self, candidates: Iterator[tuple[Subscriber, str | None]]) -> None:
        for subscriber, excluded in candidates:
            if excluded:
                self.excluded[excluded] += 1
                continue
            self.active += 1
            self._one(subscriber)
            if self.auditor and self.auditor.add(subscriber) is None:
                self.excluded["audience"] += 1
        for vector, number in self._vectors.items():
            for name, member in zip(self.names, vector, strict=True):
                self.members[name] += number * member

    def _one(self, subscriber: Subscriber) -> None:
        values = self._received.known(subscriber).values
        if self.auditor is None:  # which looks at the readers of its issue alone
            self._exclusives.add(values)
        try:
            self._vectors[self._at_once(values)] += 1
        except Exception:  # noqa: BLE001 -- whatever an expression meets: one by one, it is named
            self._one_by_one(values)

    def problems(self) -> list[Problem]:
        """Groups that are broken, and the expressions that failed, each once with its number of readers."""
        return [*self._exclusives.problems(), *self._failed_segments()]

    def _failed_segments(self) -> Iterator[Problem]:
        for (name, why), number in self._failed.items():
            message = f"segment “{name}” fails for {number:,} readers: {why}"
            yield Problem(self.readers.places.get(name), message, code="segment")

    def _one_by_one(self, values: Mapping[str, Value]) -> None:
        view = self._segments.view(values)
        for name in self.names:
            try:
                self.members[name] += view[name]
            except SegmentError as exc:
                self._failed[exc.segment, exc.reason] += 1


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


def _print_variants(session: Session, merger: Merger, auditor: Auditor, text: bool) -> list[Mapping[str, object]]:
    """The bodies that this audience really yields; of the larger ones also subject, size and text."""
    variants = auditor.variants()
    session.say(f"{merger.compiled.slug} goes to {auditor.total:,} readers in {len(variants)} variants:")
    found: list[Mapping[str, object]] = []
    for number, variant in enumerate(variants):
        conditions = zip(merger.compiled.conditions, variant.outcomes, strict=True)
        holds = dict.fromkeys(condition.expression for condition, true in conditions if true)
        sample = variant.sample.email
        session.say(f"  {variant.readers:>9,}  such as {sample}: {_in_short(holds) or 'no condition holds'}")
        about: dict[str, object] = {"name": variant.name, "readers": variant.readers, "sample": sample}
        if number < _RENDERED and (seen := _rendered(merger, variant)):
            size = len(seen.html.encode())
            session.say(f"             “{seen.subject}”, {size:,} bytes of HTML")
            if text:
                session.say(indent(seen.text, " " * 13))
            about |= {"subject": seen.subject, "html_bytes": size} | ({"text": seen.text} if text else {})
        found.append(about | {"conditions": list(holds)})
    return found


def _rendered(merger: Merger, variant: Variant) -> Rendering | None:
    try:
        return merger.rendering(variant.sample)
    except MergeError:
        return None  # the audit says why


def _in_short(conditions: Iterable[str]) -> str:
    """Conditions for people.

    >>> _in_short(['arm == "b"', 'segment["pro"]', "subscriber.first_name"])
    'arm b; pro; first_name'
    """
    short = re.sub(r'segment\["(\w+)"\]|subscriber\.(\w+)', r"\1\2", "; ".join(conditions))
    return re.sub(r'arm == "(\w+)"', r"arm \1", short)
