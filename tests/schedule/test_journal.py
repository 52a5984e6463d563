"""A journal keeps what was written, whatever happens to the one who writes."""

import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from digest.errors import HeldError
from digest.journal import Contents, Journal

REPOSITORY = Path(__file__).parents[2]


def test_what_is_written_is_read_in_order(tmp_path):
    """Records come back as they were; the file is its owner's only."""
    journal = Journal(tmp_path / "deep/sent.log")
    assert journal.read() == Contents()
    records = [{"issue": "one", "accepted": 3}, {"issue": "zwei\n“3”"}]
    for record in records:
        journal.append(record)
    assert list(journal.read().records) == records
    assert stat.S_IMODE(journal.file.stat().st_mode) == 0o600


def test_a_torn_line_is_named_and_harms_no_other(tmp_path):
    """Half a line after a power cut: its number is said, what was and what comes is whole."""
    journal = Journal(tmp_path / "sent.log")
    journal.append({"n": 1})
    with journal.file.open("ab") as file:
        file.write(b'{"n": 2, "ac')
    assert journal.read() == Contents(({"n": 1},), (2,))
    journal.append({"n": 3})
    assert journal.read() == Contents(({"n": 1}, {"n": 3}), (2,))


def test_many_at_once(tmp_path):
    """Threads with descriptors of their own lose and mix nothing."""
    journal = Journal(tmp_path / "sent.log")
    writers = [
        threading.Thread(target=lambda n=n: [journal.append({"n": n, "i": i, "pad": "x" * 5000}) for i in range(20)])
        for n in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = journal.read()
    assert found.broken == ()
    for n in range(4):
        assert [r["i"] for r in found.records if r["n"] == n] == list(range(20))


def test_killed_while_writing(tmp_path):
    """kill -9 at any moment: at most the last record is missing, and nothing is broken for the next writer."""
    journal = Journal(tmp_path / "sent.log")
    writing = (
        "import sys; from pathlib import Path; from digest.journal import Journal\n"
        "for n in range(10**6): Journal(Path(sys.argv[1])).append({'n': n}); print(n, flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", writing, str(journal.file)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(50):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    said = [line for line in process.stdout.read().splitlines() if line]
    process.wait()
    process.stdout.close()
    last = int(said[-1]) if said else 49
    journal.append({"n": "after"})
    found = [record["n"] for record in journal.read().records]
    assert found[: last + 1] == list(range(last + 1))
    assert found[-1] == "after"


def test_a_full_disk_leaves_no_half(tmp_path):
    """What can't be written whole is not written at all, and that is said."""
    import resource

    journal = Journal(tmp_path / "sent.log")
    journal.append({"n": 1})
    before = journal.file.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, hard))
    try:
        with pytest.raises(HeldError, match="can't be written"):
            journal.append({"n": 2, "pad": "x" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert journal.file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [journal.file]
