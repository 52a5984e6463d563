"""A list of a million: import, segments, audit and variants; seconds, peak memory, and ratios.

Run it alone: ``python tests/bench/audience.py [readers] [issue]``. It writes its own list, addresses in random
order, into a temporary folder. Each step is a process of its own, so that its peak memory is its own; the
import runs at a hundredth of the size as well. `issue` is a compiled one as JSON (default: a made-up one).
"""

from __future__ import annotations

import csv
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from jinja2.sandbox import SandboxedEnvironment

from digest.audience.database import open_database
from digest.audience.importing import import_list
from digest.audience.readers import AttributeType, Readers
from digest.audience.segments import Segments
from digest.audience.store import Subscribers
from digest.audience.subscriber import Subscriber
from digest.compose.compiled import CompiledIssue
from digest.message.audit import Auditor
from digest.message.merge import Merger

TODAY = date(2025, 9, 12)
READERS = Readers(
    {
        name: AttributeType(name, kind)
        for name, kind in {
            "plan": "string",
            "country": "string",
            "company": "string",
            "seats": "integer",
            "interests": "list",
            "desk_url": "url",
            "annual": "boolean",
            "score": "number",
        }.items()
    },
    {
        "free": 'subscriber.plan == "free" or not subscriber.plan',
        "pro": 'subscriber.plan == "pro"',
        "enterprise": 'subscriber.plan == "enterprise"',
        "paying": "pro or enterprise",
        "large_teams": "enterprise and subscriber.seats >= 50",
        "newcomers": "days_since(subscriber.signed_up) < 30",
        "dach": 'subscriber.country in ["DE", "AT", "CH"]',
        "german": 'subscriber.language == "de" or subscriber.language.startswith("de-")',
        "chips": '"chips" in subscriber.interests',
        "yearly": "subscriber.annual and subscriber.score > 2.5",
    },
)


def write_list(file: Path, count: int) -> None:
    """`count` rows, addresses in random order, eight attributes beside name, language and sign-up."""
    draw = random.Random(1)
    numbers = list(range(count))
    draw.shuffle(numbers)
    with file.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["email", "name", "language", "signed_up", *READERS.attributes])
        for n in numbers:
            plan = draw.choice(("free", "free", "pro", "enterprise"))
            table.writerow(
                [
                    f"reader.{n}@example.com",
                    f"Zoë Reader {n}",
                    draw.choice(("de", "de-AT", "en", "")),
                    date.fromordinal(TODAY.toordinal() - draw.randrange(2000)),
                    plan,
                    draw.choice(("DE", "AT", "FR", "GB", "")),
                    f"Company {n % 5000}" if n % 3 else "",
                    draw.randrange(100) if n % 2 else "",
                    draw.choice(("models", "chips; policy", "")),
                    f"https://example.com/desk/{n}" if plan == "enterprise" else "",
                    draw.choice(("yes", "no")),
                    f"{draw.random() * 5:.2f}",
                ]
            )


def step_import(folder: Path) -> None:
    """Every row checked and typed, then written in short transactions, whose longest is printed."""
    report = import_list(open_database(folder / "digest.db"), folder / "list.csv", READERS)
    assert report.rejected == 0
    print(f"the longest write held the lock for {report.longest_write * 1000:.0f} ms", file=sys.stderr)


def step_load(folder: Path) -> None:
    """The least there is: the same cells, unread, in one transaction into a table with the same two indexes."""
    connection = sqlite3.connect(folder / "load.db")
    connection.execute("PRAGMA journal_mode = WAL")
    with (folder / "list.csv").open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream)
        columns = next(rows)
        connection.execute(f"CREATE TABLE list (id INTEGER PRIMARY KEY, token TEXT UNIQUE, {', '.join(columns)})")
        connection.execute("CREATE UNIQUE INDEX by_email ON list (email)")
        marks = ", ".join("?" * len(columns))
        connection.executemany(
            f"INSERT INTO list ({', '.join(columns)}, token) VALUES ({marks}, lower(hex(randomblob(12))))", rows
        )
    connection.commit()
    connection.close()
    (folder / "load.db").unlink()


def step_stream(folder: Path) -> None:
    for _ in everybody(folder):
        pass


def step_segments(folder: Path) -> None:
    outcomes = Segments(READERS.segments, TODAY).outcomes(list(READERS.segments))
    counts = [0] * len(READERS.segments)
    for reader in everybody(folder):
        for number, member in enumerate(outcomes(reader.values)):
            counts[number] += member
    assert all(counts)


def step_expressions(folder: Path) -> None:
    """The same with Jinja's `compile_expression`, over every hundredth reader (its seconds are times 100)."""
    environment = SandboxedEnvironment()
    environment.globals["days_since"] = lambda day: (TODAY - day).days
    sources = dict(READERS.segments) | {"paying": "subscriber.plan in ['pro', 'enterprise']"}
    sources["large_teams"] = 'subscriber.plan == "enterprise" and subscriber.seats and subscriber.seats >= 50'
    sources["german"] = "subscriber.language and subscriber.language.startswith('de')"
    sources["yearly"] = "subscriber.annual and subscriber.score and subscriber.score > 2.5"
    expressions = [environment.compile_expression(source) for source in sources.values()]
    for reader in everybody(folder):
        if reader.id % 100 == 0:
            for expression in expressions:
                expression(subscriber=reader.values)


def step_audit(folder: Path) -> None:
    issue = folder / "issue.json"
    from merge import IDENTITY, sample_issue  # the benchmark beside this one

    compiled = CompiledIssue.from_json(issue.read_text("utf-8")) if issue.exists() else sample_issue()
    auditor = Auditor(Merger(compiled, IDENTITY, today=TODAY))
    for reader in everybody(folder):
        auditor.add(reader)
    print(f"{len(auditor.variants())} variants, {len(auditor.problems())} problems", file=sys.stderr)


def everybody(folder: Path) -> Iterator[Subscriber]:
    return Subscribers(open_database(folder / "digest.db")).all()


STEPS: dict[str, Callable[[Path], None]] = {
    "import": step_import,
    "load": step_load,
    "stream": step_stream,
    "segments": step_segments,
    "compile_expression": step_expressions,
    "audit": step_audit,
}


def run(step: str, folder: Path) -> dict[str, Any]:
    """Wall seconds, processor seconds and peak MB of a step in its own process."""
    done = subprocess.run(
        [sys.executable, __file__, "--step", step, folder], check=True, stdout=subprocess.PIPE, text=True
    )
    wall, cpu, peak = map(float, done.stdout.split())
    print(f"{step:20} {wall:8.1f} s  {cpu:8.1f} s of processor  {peak:6.0f} MB", flush=True)
    return {"cpu": cpu, "wall": wall}


def peak_memory() -> float:
    """MB. Not ``ru_maxrss``: that of a process just started begins with the peak of the one that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Print the figures."""
    if sys.argv[1:2] == ["--step"]:
        wall, cpu = time.monotonic(), time.process_time()
        STEPS[sys.argv[2]](Path(sys.argv[3]))
        print(time.monotonic() - wall, time.process_time() - cpu, peak_memory())
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with TemporaryDirectory() as small, TemporaryDirectory() as large:
        print(f"{count // 100:,} readers")
        write_list(Path(small) / "list.csv", count // 100)
        run("import", Path(small))
        print(f"{count:,} readers")
        write_list(Path(large) / "list.csv", count)
        if len(sys.argv) > 2:
            (Path(large) / "issue.json").write_text(Path(sys.argv[2]).read_text("utf-8"), "utf-8")
        found = {step: run(step, Path(large)) for step in STEPS}
        times = found["import"]["wall"] / found["load"]["wall"]
        print(f"import with all its checks: {times:.1f} times the bare load of the cells")
        streaming = found["stream"]["cpu"]
        ours = found["segments"]["cpu"] - streaming
        theirs = (found["compile_expression"]["cpu"] - streaming) * 100
        print(f"ten segments alone: {ours:.1f} s; with compile_expression {theirs:.0f} s: ratio {theirs / ours:.0f}")


if __name__ == "__main__":
    main()
