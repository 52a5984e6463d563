"""How far a run is, and how that is shown: one line on a terminal, plain lines in a log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TextIO


@dataclass(frozen=True, slots=True)
class Progress:
    """What this process has done so far, of `total` readers to try, in `seconds`; why it does nothing now."""

    total: int
    seconds: float
    accepted: int = 0
    deferred: int = 0
    bounced: int = 0
    rejected: int = 0
    unknown: int = 0
    withdrawn: int = 0
    paused: str = ""

    @property
    def done(self) -> int:
        """Readers tried, or found gone; one who was tried again counts once."""
        tries = self.accepted + self.deferred + self.bounced + self.rejected + self.unknown + self.withdrawn
        return min(tries, self.total)

    @property
    def percent(self) -> int:
        """Of the readers to try, rounded down."""
        return 100 * self.done // self.total if self.total else 100

    @property
    def rate(self) -> float:
        """Readers a second."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        """
        >>> str(Progress(total=1000, seconds=10, accepted=240, bounced=10))
        '250 of 1000 (25 %): 240 accepted, 10 bounced; 25/s, 30 s left'
        >>> str(Progress(total=9, seconds=1, paused="paused: relay.example:25: connection refused"))
        '0 of 9 (0 %): 0 accepted; paused: relay.example:25: connection refused'
        """
        parts = ("accepted", "deferred", "bounced", "rejected", "unknown", "withdrawn")
        counts = [f"{getattr(self, part)} {part}" for part in parts if getattr(self, part) or part == "accepted"]
        begin = f"{self.done} of {self.total} ({self.percent} %): {', '.join(counts)}"
        if self.paused:
            return f"{begin}; {self.paused}"
        pace = f"{self.rate:.0f}/s" if self.rate >= 10 else f"{self.rate:.1f}/s"
        if self.rate and self.done < self.total:
            pace += f", {span((self.total - self.done) / self.rate)} left"
        return f"{begin}; {pace}"


Watch = Callable[[Progress, bool], None]
"""Called several times a second with how far it is, and once at the end with True."""


def unwatched(_progress: Progress, _at_end: bool) -> None:
    """Nobody looks."""


def span(seconds: float) -> str:
    """
    >>> span(0.27), span(30.2), span(170), span(7500)
    ('0.3 s', '30 s', '3 min', '2 h 5 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


class ProgressLog:
    """Writes progress, and whatever else is said, as lines of JSON: for a log that machines read."""

    def __init__(self, stream: TextIO, every: float = 10.0) -> None:
        self._stream = stream
        self._every = every
        self._next = time.monotonic() + every
        self._paused = False

    def __call__(self, progress: Progress, at_end: bool) -> None:
        """See `Watch`."""
        moment = time.monotonic()
        if at_end or moment >= self._next or bool(progress.paused) != self._paused:
            self._next, self._paused = moment + self._every, bool(progress.paused)
            event = "ended" if at_end else "paused" if progress.paused else "progress"
            self._write(event, **asdict(progress), done=progress.done, rate=round(progress.rate, 1))

    def say(self, text: str) -> None:
        """A line for a person."""
        self._write("note", text=text)

    def _write(self, event: str, **more: object) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._stream.write(json.dumps({"at": at, "event": event, **more}, ensure_ascii=False) + "\n")
        self._stream.flush()


class ProgressLine:
    """Writes progress to a stream: rewriting one line on a terminal, else a line every ten seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._next = time.monotonic() + (0.0 if self._terminal else 10.0)
        self._paused = False

    def __call__(self, progress: Progress, at_end: bool) -> None:
        """See `Watch`."""
        moment = time.monotonic()
        if not at_end and moment < self._next and bool(progress.paused) == self._paused:
            return
        self._next, self._paused = moment + (0.2 if self._terminal else 10.0), bool(progress.paused)
        if self._terminal:
            # ESC [ K: clear to the end of the line (ECMA-48)
            self._stream.write(f"\r{progress}\x1b[K" + ("\n" if at_end else ""))
        else:
            self._stream.write(f"{progress}\n")
        self._stream.flush()
