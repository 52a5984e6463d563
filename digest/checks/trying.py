"""An issue tried on made-up readers: what fails, for whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from digest.audience.readers import Readers
from digest.audience.samples import made_up_readers
from digest.audience.subscriber import Subscriber
from digest.errors import Problem
from digest.message.audit import Auditor
from digest.message.merge import Merger
from digest.message.templates import THIS_READER


def tried(merger: Merger, readers: Readers) -> Iterator[tuple[Subscriber, list[Problem]]]:
    """Made-up readers of every variant, each with what fails for them, in the order of the issue.

    What a made-up reader lacks a real one may have, so that is a warning; the audit before a send knows.
    """
    auditor = Auditor(merger)
    for reader in made_up_readers(readers, merger.compiled, merger.today):
        yield reader, [_guessed(problem) for problem in auditor.failures(reader)]


def _guessed(problem: Problem) -> Problem:
    severity = "warning" if problem.code == "missing-value" else problem.severity
    return replace(problem, message=problem.message.replace(THIS_READER, "a made-up reader", 1), severity=severity)
