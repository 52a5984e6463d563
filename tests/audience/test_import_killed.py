from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from digest.audience.database import open_database
from digest.audience.importing import import_list
from digest.audience.readers import Readers
from digest.audience.staging import staging
from digest.audience.store import Subscribers

ROWS = 40_000

# A process of its own, which is killed by a timer of its own soon after it has come so far. Near its end it waits.
IMPORT = """
import os, random, signal, sys, threading, time
from pathlib import Path
from digest.audience.database import open_database
from digest.audience.importing import import_list
from digest.audience.readers import load_readers
folder, what, rows = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
def progress(doing, done):
    if doing == what and done >= rows:
        threading.Timer(random.uniform(0, 0.02), os.kill, (os.getpid(), signal.SIGKILL)).start()
        time.sleep(60 if done > 20_000 else 0)
import_list(open_database(folder / "digest.db"), folder / "list.csv", load_readers(folder), progress=progress)
"""


@pytest.mark.parametrize("moment", ["checking 5000", "importing 1000", "importing 9000"])
def test_a_killed_import_is_finished_by_the_next(
    moment: str, declared: Path, readers: Readers, write: Callable[..., Path], repository: Path
) -> None:
    """`kill -9` in either pass, and the same import again: the list is whole, nothing is there twice, rows
    that were in keep their token, and nothing is left lying about."""
    file = write("email,plan\n" + "".join(f"reader{n}@example.com,pro\n" for n in range(ROWS)))
    killed = subprocess.run(
        [sys.executable, "-c", IMPORT, str(declared), *moment.split()],
        env=os.environ | {"PYTHONPATH": str(repository)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    connection = open_database(declared / "digest.db")
    halfway = {s.email: s.token for s in Subscribers(connection).all()}
    assert len(halfway) < ROWS
    assert bool(halfway) == moment.startswith("importing")
    report = import_list(connection, file, readers)
    assert (report.effect.added, report.effect.unchanged) == (ROWS - len(halfway), len(halfway))
    tokens = {s.email: s.token for s in Subscribers(connection).all()}
    connection.close()
    assert len(tokens) == ROWS
    assert halfway.items() <= tokens.items()
    assert sorted(p.name for p in declared.iterdir()) == ["config", "digest.db", "list.csv"]


@pytest.mark.parametrize("moment", ["checking 5000", "importing 1000"])
def test_an_interrupted_import_says_how_to_go_on(
    moment: str, declared: Path, readers: Readers, write: Callable[..., Path], repository: Path
) -> None:
    """Ctrl-C in either pass leaves a whole list, exit code 130 and a line that says what is in and what to do."""
    (declared / "config/digest.toml").write_text(SETTINGS)
    file = write("email,plan\n" + "".join(f"reader{n}@example.com,pro\n" for n in range(2 * ROWS)))
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, moment, "--project", declared, "subscribers", "import", file],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(repository)},
    )
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    connection = open_database(declared / "subscribers/digest.db")
    inside = Subscribers(connection).count()
    if moment.startswith("checking"):
        assert "nothing of it was imported" in said
        assert inside == 0
    else:
        told = re.search(rf"at least ([0-9,]+) of {2 * ROWS:,} rows are in; the same command again does the rest", said)
        assert told, said
        assert 0 < int(told[1].replace(",", "")) <= inside < 2 * ROWS
    assert "Traceback" not in said
    assert import_list(connection, file, readers).effect.added == 2 * ROWS - inside
    connection.close()


def test_what_is_interrupted_amid_a_statement_is_an_interruption(tmp_path: Path) -> None:
    """Also while the statement holds the place that is to be taken away: Ctrl-C stays what it is."""
    connection = open_database(tmp_path / "digest.db")

    def interrupted() -> None:
        with staging(connection):
            rows = connection.execute("SELECT name FROM staging.sqlite_schema")
            assert rows.fetchone()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    connection.close()


SETTINGS = """
[newsletter]
name = "Test Weekly"
sender = "Test Weekly <weekly@news.example.com>"
domain = "news.example.com"
base_url = "https://news.example.com"
"""

# The command, which gets Ctrl-C from a timer of its own once it has come so far.
INTERRUPTED = """
import os, signal, sys, threading
from digest.cli import importing, main
what, rows = sys.argv[1].split()
tell = importing._Progress.__call__
def told(self, doing, done):
    tell(self, doing, done)
    if doing == what and done >= int(rows) and not told.sent:
        told.sent = True
        threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()
told.sent = False
importing._Progress.__call__ = told
main(sys.argv[2:])
"""
