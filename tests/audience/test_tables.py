from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.audience.tables import Table
from digest.errors import InputError

cell = st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
row = st.tuples(cell.map(lambda text: f"x{text}"), cell, cell).map(list)


@given(st.lists(row, max_size=5), st.sampled_from(",;\t|"), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], separator: str, encoding: str
) -> None:
    """Whatever stands in the cells, the rows are read as they were written, each with the line it begins on."""
    out = io.StringIO(newline="")
    table = csv.writer(out, delimiter=separator, quoting=csv.QUOTE_ALL)
    lines = []
    for each in [["name", "email", "note"], *rows]:
        lines.append(_lines(out.getvalue()) + 1)
        table.writerow(each)
    file = tmp_path_factory.mktemp("table") / "list.csv"
    file.write_bytes(out.getvalue().encode(encoding))
    found = list(Table(file, "list.csv").records())
    assert [record.raw for record in found] == rows
    assert [record.line for record in found] == lines[1:]
    assert not any(record.fault for record in found)


def _lines(text: str) -> int:
    """As an editor counts them."""
    return text.count("\n") + text.replace("\r\n", "").count("\r")


@given(st.binary(max_size=400))
def test_any_bytes_are_a_list_or_a_located_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """No file at all makes anything but rows, or an `InputError` that names the file."""
    for start in (b"", b"email,name\n", b"\xff\xfe", b'email,"name\n'):
        file = tmp_path_factory.mktemp("bytes") / "list.csv"
        file.write_bytes(start + content)
        lines, problems = [], []
        try:
            lines = [record.line for record in Table(file, "list.csv").records()]
        except InputError as exc:
            problems = [problem.place and problem.place.file for problem in exc.problems]
        assert all(line > 0 for line in lines)
        assert set(problems) <= {"list.csv"}


HUGE = """
import resource, sys, time
from pathlib import Path
from digest.audience.tables import Table
from digest.errors import InputError
before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
try:
    for _ in Table(Path(sys.argv[1]), "list.csv").records():
        pass
except InputError as exc:
    print(exc)
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(int(used / 1024), time.process_time() - begun, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"email,name\nann@example.com,Ann\nbob@example.com,", "list.csv:3: error: a line of more than"),
        (b'email,name\nann@example.com,"', "list.csv:2: error: a line of more than"),
        (b"email,name", "list.csv:1: error: a line of more than"),
    ],
)
def test_a_line_of_a_gigabyte(tmp_path: Path, repository: Path, start: bytes, said: str) -> None:
    """A single line of a gigabyte (a file with a hole) is a located error, in bounded memory and little time."""
    file = tmp_path / "list.csv"
    with file.open("wb") as stream:
        stream.write(start)
        stream.truncate(1 << 30)
    done = subprocess.run(
        [sys.executable, "-c", HUGE, file],
        env={"PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert said in done.stdout
    megabytes, seconds = done.stderr.split()
    assert int(megabytes) < 60
    assert float(seconds) < 10  # it takes a tenth of a second; reading it all would take far longer
