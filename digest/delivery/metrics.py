"""The accounts of runs as Prometheus reads them: its text format, for the textfile collector of node-exporter.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from digest.delivery.accounts import Accounts
from digest.delivery.desk import Desk, open_desk
from digest.delivery.progress import Progress, Watch
from digest.delivery.runs import Run
from digest.errors import DigestError, HeldError
from digest.newsletter import Newsletter

_EVERY = 15.0  # seconds: as often as Prometheus usually looks

_STATES = ("accepted", "bounced", "rejected", "expired", "dropped", "deferred", "unknown", "withdrawn", "waiting")

_FAMILIES = (
    ("digest_candidates", "Readers looked at when the run was planned."),
    ("digest_excluded", "Candidates who were not planned."),
    ("digest_planned", "Readers planned."),
    ("digest_readers", "Planned readers by state; accepted means accepted by the relay."),
    ("digest_accepted_later", "What came of accepted messages later."),
    ("digest_sending", "1 while some process sends the run."),
    ("digest_started_timestamp_seconds", "When the run began."),
    ("digest_metrics_timestamp_seconds", "When this was written."),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One run at one moment; `started_at` in microseconds since the epoch."""

    issue: str
    accounts: Accounts
    sending: bool
    started_at: int


def sample(desk: Desk, run: Run) -> Sample:
    """The run as it is now."""
    return Sample(run.slug, desk.accounts(run), desk.is_running(run), run.started_at)


def prometheus(samples: Iterable[Sample]) -> str:
    """The text: each family with its help, its type and a line for each run and label.

    >>> print(prometheus([Sample('a"b', Accounts(candidates=2, planned=2, accepted=2), False, 0)]).splitlines()[2])
    digest_candidates{issue="a\\"b"} 2
    """
    lines: dict[str, list[str]] = {name: [] for name, _ in _FAMILIES}
    for sample in samples:
        for name, labels, value in _values(sample):
            pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in (("issue", sample.issue), *labels))
            lines[name].append(f"{name}{{{pairs}}} {value}")
    lines["digest_metrics_timestamp_seconds"].append(f"digest_metrics_timestamp_seconds {time.time():.3f}")
    head = {name: (f"# HELP {name} {text}", f"# TYPE {name} gauge") for name, text in _FAMILIES}
    return "".join(f"{line}\n" for name, found in lines.items() if found for line in (*head[name], *found))


def _values(sample: Sample) -> Iterator[tuple[str, tuple[tuple[str, str], ...], int | float]]:
    accounts = sample.accounts
    yield "digest_candidates", (), accounts.candidates
    for reason, number in accounts.excluded.items():
        yield "digest_excluded", (("reason", reason),), number
    yield "digest_planned", (), accounts.planned
    for state in _STATES:
        yield "digest_readers", (("state", state),), accounts.number(state)
    for kind, number in accounts.accepted_later.items():
        yield "digest_accepted_later", (("kind", kind),), number
    yield "digest_sending", (), int(sample.sending)
    yield "digest_started_timestamp_seconds", (), sample.started_at / 1e6


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def write_metrics(file: Path, text: str) -> None:
    """Replace `file` as a whole: whoever reads it never sees a half. Raises `HeldError`."""
    part = file.with_name(f".{file.name}.{os.getpid()}")  # the collector reads *.prom alone
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    except OSError as exc:
        part.unlink(missing_ok=True)
        raise HeldError(f"{file}: the metrics can't be written: {exc.strerror}") from exc


class Metered:
    """Writes the metrics of an issue's run to a file while it is being sent; passes everything on to `watch`."""

    def __init__(self, newsletter: Newsletter, slug: str, file: Path, watch: Watch) -> None:
        self._newsletter, self._slug, self._file, self._watch = newsletter, slug, file, watch
        self._next = 0.0

    def __call__(self, progress: Progress, at_end: bool) -> None:
        """See `Watch`. A file that can't be written, or a busy database, stops no run: the next time may do."""
        self._watch(progress, at_end)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY
            with suppress(DigestError):
                self.write()

    def write(self) -> None:
        """Write them now. Raises `HeldError`, `LaterError` or `InputError`."""
        with open_desk(self._newsletter) as desk:
            run = desk.runs.latest(self._slug)
            write_metrics(self._file, prometheus([sample(desk, run)] if run else []))
