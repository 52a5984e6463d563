from __future__ import annotations

import sqlite3
import stat
from pathlib import Path
from threading import Thread

import pytest

from digest.audience import database
from digest.audience.database import MIGRATIONS, open_database, writing
from digest.errors import HeldError, InputError, LaterError


def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    """The database and what SQLite keeps beside it have mode 0600; the folder is made."""
    file = tmp_path / "new" / "digest.db"
    connection = open_database(file)
    with writing(connection):
        connection.execute("DELETE FROM runs")
    modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in file.parent.iterdir()}
    connection.close()
    assert set(modes) == {"digest.db", "digest.db-wal", "digest.db-shm"}
    assert set(modes.values()) == {0o600}


def test_opened_again_it_is_the_same(tmp_path: Path) -> None:
    """Opening an existing database changes nothing in it and keeps WAL mode."""
    first = open_database(tmp_path / "digest.db")
    first.execute("INSERT INTO suppressions VALUES ('a@example.com', 'test', '', 1)")
    first.close()
    again = open_database(tmp_path / "digest.db")
    assert again.execute("SELECT count(*) FROM suppressions").fetchone() == (1,)
    assert again.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert again.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    again.close()


def test_many_processes_may_open_it_first(tmp_path: Path) -> None:
    """Connections that open a new database at the same time all find the whole schema, made once."""
    faults: list[Exception] = []

    def opened() -> None:
        try:
            connection = open_database(tmp_path / "digest.db")
            connection.execute("SELECT count(*) FROM tests")
            connection.close()
        except Exception as exc:  # noqa: BLE001 -- a thread's error would be lost
            faults.append(exc)

    threads = [Thread(target=opened) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def test_an_older_one_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database made before a migration gets it when it is opened, and keeps its rows."""
    connection = open_database(tmp_path / "digest.db")
    connection.execute("INSERT INTO suppressions VALUES ('a@example.com', 'test', '', 1)")
    connection.close()
    later = (*MIGRATIONS, ("ALTER TABLE suppressions ADD COLUMN by TEXT NOT NULL DEFAULT 'us'",))
    monkeypatch.setattr(database, "MIGRATIONS", later)
    connection = open_database(tmp_path / "digest.db")
    assert connection.execute("SELECT by FROM suppressions").fetchall() == [("us",)]
    connection.close()


def test_one_of_a_newer_digest_is_refused(tmp_path: Path) -> None:
    """A database with a later version is left alone, and a person is told."""
    connection = open_database(tmp_path / "digest.db")
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(HeldError, match="newer digest"):
        open_database(tmp_path / "digest.db")


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A text, another program's SQLite file and a folder are wrong input, and stay as they were."""
    text = tmp_path / "text.db"
    text.write_text("not a database, but long enough to have a header of one hundred bytes " * 3)
    foreign = tmp_path / "foreign.db"
    other = sqlite3.connect(foreign)
    other.execute("CREATE TABLE photographs (id)")
    other.close()
    for file in (text, foreign, tmp_path):
        before = file.read_bytes() if file.is_file() else b""
        with pytest.raises(InputError):
            open_database(file)
        assert (file.read_bytes() if file.is_file() else b"") == before


def test_a_locked_one_is_for_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing while another process keeps the lock raises `LaterError`."""
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    holder, waiter = open_database(tmp_path / "digest.db"), open_database(tmp_path / "digest.db")
    with writing(holder), pytest.raises(LaterError), writing(waiter):
        pass
    holder.close()
    waiter.close()


def test_a_failed_transaction_leaves_nothing(connection: sqlite3.Connection) -> None:
    """What was written before an error in the same transaction is undone."""

    def interrupted() -> None:
        with writing(connection):
            connection.execute("INSERT INTO suppressions VALUES ('a@example.com', 'test', '', 1)")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert connection.execute("SELECT count(*) FROM suppressions").fetchone() == (0,)
