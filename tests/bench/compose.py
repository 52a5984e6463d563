"""How long composing takes, and whether it holds on to memory: python tests/bench/compose.py

Prints the time of the sample issue, warm, beside that of premailer with its defaults on the same page (what a
pipeline without our settings pays for inlining alone), and the memory before and after 200 compositions.
"""

from __future__ import annotations

import logging
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from digest.compose.composer import compile_issue
from digest.newsletter import Newsletter

ROOT = Path(__file__).parents[2]
SLUG = "2025-09-12-coopetition"


def milliseconds(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """The best and the median of `rounds`."""
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begun) * 1000)
    return min(taken), statistics.median(taken)


def resident() -> int:
    """KB of memory this process holds now."""
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) if found else 0


def main() -> None:
    """Measure and print."""
    newsletter = Newsletter.open(ROOT)
    file = newsletter.find_issue(SLUG)
    begun = time.perf_counter()
    compiled = compile_issue(newsletter, file)
    print(f"first composition      {(time.perf_counter() - begun) * 1000:7.1f} ms (imports and templates included)")
    best, median = milliseconds(lambda: compile_issue(newsletter, file), 40)
    print(f"warm                   {best:7.1f} ms best, {median:.1f} ms median")
    from premailer import Premailer  # after ours, which sets the size of its cache

    page = re.sub(r"\{[{%].*?[%}]\}", "", compiled.html.source)

    def premailer() -> object:
        return Premailer(page, allow_network=False, cssutils_logging_level=logging.CRITICAL).transform()

    peer, _ = milliseconds(premailer, 10)
    print(f"premailer's defaults   {peer:7.1f} ms best, on the finished page alone: {peer / best:.1f} of ours")
    before = resident()
    for _ in range(200):
        compile_issue(newsletter, file)
    after = resident()
    print(f"memory                 {before / 1024:7.1f} MB, after 200 more compositions {after / 1024:.1f} MB")


if __name__ == "__main__":
    main()
