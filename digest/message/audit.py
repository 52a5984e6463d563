"""The audit: every value the issue prints × every reader who gets it, before anything is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from jinja2.runtime import Context

from digest.audience.subscriber import Subscriber
from digest.errors import Place, Problem
from digest.message.merge import INERT_TOKEN, MergeError, Merger
from digest.message.templates import MUTED, THIS_READER, Merged, audited

_ANYWHERE = Place("")


def audit(merger: Merger, subscribers: Iterable[Subscriber]) -> list[Problem]:
    """What would fail, for how many of the readers who get the issue; nothing, when all can be merged.

    One problem per place and cause, in the order of the issue: "`company` is missing for 3 of 30 readers,
    no fallback". Streams: holds one reader at a time, and the counts.
    """
    templates = _templates(merger)
    failures: Counter[Problem] = Counter()
    total = 0
    for subscriber in subscribers:
        try:
            if not merger.gets(subscriber):
                continue
            merger.address(subscriber.email)
        except MergeError as exc:
            failures[exc.problem] += 1
        total += 1
        failures.update(_failures(merger, templates, subscriber))
    ordered = sorted(failures.items(), key=lambda item: (item[0].place or _ANYWHERE, item[0].message))
    return [_counted(problem, count, total) for problem, count in ordered]


def _templates(merger: Merger) -> list[Merged]:
    compiled = merger.compiled
    parts = (compiled.subject, compiled.html, compiled.text)
    return [audited(merger.environment, part, compiled.constants) for part in parts]


def _failures(merger: Merger, templates: list[Merged], subscriber: Subscriber) -> set[Problem]:
    """Everything that fails for one reader; what HTML and text share counts once."""
    found: set[Problem] = set()
    muted: set[int] = set()
    context = merger.context(subscriber, INERT_TOKEN, **{MUTED: muted})
    for template in templates:
        muted.clear()
        while (failed := _failed(template, context)) is not None:
            tag, problem = failed
            found.add(problem)
            if tag in muted or not tag:
                break  # a condition or a loop: what it governs can't be known
            muted.add(tag)
    return found


def _failed(template: Merged, context: Context) -> tuple[int, Problem] | None:
    try:
        template(context)
    except Exception as exc:  # noqa: BLE001  # an author's expression may raise anything; it is explained
        return template.tag(exc), template.problem(exc)
    return None


def _counted(problem: Problem, count: int, total: int) -> Problem:
    return replace(problem, message=problem.message.replace(THIS_READER, f"{count:,} of {total:,} readers", 1))
