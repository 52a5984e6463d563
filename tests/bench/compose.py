"""How long composing takes, and whether it holds on to memory: python tests/bench/compose.py

Prints the time of the sample issue: composed for the first time; with nothing in memory of what was composed; with a
word of one paragraph or title changed or a paragraph added, in another place each time, as while its author writes;
unchanged. Beside it that of premailer with its defaults on the same page (what a pipeline without our settings pays
for inlining alone), and the memory before and after 200 compositions, each of a changed text.
"""

from __future__ import annotations

import gc
import logging
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from digest.compose.composer import compile_issue
from digest.memo import Memo
from digest.newsletter import Newsletter

ROOT = Path(__file__).parents[2]
SLUG = "2025-09-12-coopetition"


def milliseconds(
    work: Callable[[], object],
    rounds: int,
    before: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """How long each of `rounds` took, sorted. What is done `before` each does not count."""
    taken = []
    for _ in range(rounds):
        before()
        begun = clock()
        work()
        taken.append((clock() - begun) * 1000)
    return sorted(taken)


def resident() -> int:
    """KB of memory this process holds now."""
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) if found else 0


def forget() -> None:
    """Empty every memory of what was made before."""
    for memo in [found for found in gc.get_objects() if isinstance(found, Memo)]:
        memo.clear()


def edits(file: Path) -> Iterator[None]:
    """Change one paragraph or title, or add a paragraph, in another place each time."""
    written = file.read_text().split("\n")
    paragraphs = [n for n, line in enumerate(written) if re.match(r"[A-Z*“][^|{]{80}", line)]
    titles = [n for n, line in enumerate(written) if re.match(r"##+ ", line)]
    count = 0
    while True:
        for number in (*paragraphs, *titles, *paragraphs):
            count += 1
            changed = list(written)
            if number in titles:
                changed[number] = re.sub(r"^#+ \[?", rf"\g<0>{count} ", changed[number])
            elif count % 2:
                changed[number] += f" Change {count}."
            else:
                changed[number] += f"\n\nIts {count}th paragraph, with [a link](https://example.com/{count})."
            file.write_text("\n".join(changed))
            yield


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("config", "templates", "issues"):
            shutil.copytree(ROOT / name, Path(folder) / name)
        measure(Newsletter.open(Path(folder)))


def measure(newsletter: Newsletter) -> None:
    """Compose the sample issue of `newsletter`, which is written to, in every way."""
    file = newsletter.find_issue(SLUG)

    def composed() -> object:
        return compile_issue(newsletter, file)

    (first,) = milliseconds(composed, 1)
    print(f"first composition      {first:7.1f} ms (imports and templates included)")
    whole = milliseconds(composed, 40, before=forget)
    print(f"all of it              {whole[0]:7.1f} ms best, {statistics.median(whole):.1f} ms median")
    composed()
    change = edits(file)
    one = milliseconds(composed, 200, before=lambda: next(change))
    told = f"{statistics.median(one):.1f} ms median, {one[-10]:.1f} ms for 95 in 100"
    print(f"one block changed      {one[0]:7.1f} ms best, {told}")
    busy = milliseconds(composed, 200, before=lambda: next(change), clock=time.process_time)
    print(f"  of processor time    {busy[0]:7.1f} ms best, {statistics.median(busy):.1f} ms median")
    same = milliseconds(composed, 40)
    print(f"nothing changed        {same[0]:7.1f} ms best, {statistics.median(same):.1f} ms median")

    from premailer import Premailer  # after ours, which sets the size of its cache

    page = re.sub(r"\{[{%].*?[%}]\}", "", compile_issue(newsletter, file).html.source)

    def premailer() -> object:
        return Premailer(page, allow_network=False, cssutils_logging_level=logging.CRITICAL).transform()

    peer = milliseconds(premailer, 10)[0]
    print(f"premailer's defaults   {peer:7.1f} ms best, on the finished page alone: {peer / whole[0]:.1f} of ours")
    for _ in range(2_000):  # until every memory is as full as it gets
        next(change)
        composed()
    before = resident()
    for _ in range(200):
        next(change)
        composed()
    print(f"memory                 {before / 1024:7.1f} MB, after 200 more compositions {resident() / 1024:.1f} MB")


if __name__ == "__main__":
    main()
