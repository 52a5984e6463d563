"""The same as cron does, in the foreground: for containers. Exact to the second, and stopped cleanly by SIGTERM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from digest.errors import DigestError
from digest.newsletter import Newsletter
from digest.schedule.noting import Done
from digest.schedule.records import moment_at
from digest.schedule.run_due import Tools, run_due

LOOK_EVERY = 5.0  # seconds: how soon a date that was just written is seen


def serve(
    newsletter: Callable[[], Newsletter],
    tools: Tools,
    tell: Callable[[str], None],
    stop: threading.Event | None = None,
    done: Callable[[Done], None] = lambda _done: None,
) -> None:
    """Call `run_due` whenever there is something to do, until SIGTERM, SIGINT or `stop`.

    `newsletter` reads the settings anew each time. `tell` hears every line a person has to read; one that
    repeats itself is told once.
    """
    stop = stop or threading.Event()
    tools = replace(tools, stopped=stop.is_set)
    trouble = ""
    with _stopping(stop):
        while not stop.is_set():
            wait = LOOK_EVERY
            try:
                report = run_due(newsletter(), tools)
                trouble = ""
                done(report)
                for line in report.told:
                    tell(line)
                if report.exit_code == 130:
                    return
                if report.next_at is not None:
                    wait = min(wait, (report.next_at - moment_at(tools.clock.now())).total_seconds())
            except DigestError as exc:
                if str(exc) != trouble:
                    trouble = str(exc)
                    tell(trouble)
            stop.wait(max(0.0, wait))


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """Signals set `stop`; while a run sends, they stop that run."""

    def asked(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
