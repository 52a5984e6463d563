"""A backup is whole, and putting one back brings nobody back and sends nothing again."""

import shutil
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from digest.audience.address import parse_address
from digest.audience.database import MIGRATIONS, open_database, writing
from digest.audience.departures import JOURNAL
from digest.audience.forgetting import Forgotten
from digest.audience.leaving import leave_within
from digest.audience.store import Subscribers, Suppressions
from digest.delivery.desk import open_desk
from digest.delivery.lock import sole_sender
from digest.delivery.scripted import ScriptedRelay
from digest.delivery.sentlog import SentLog
from digest.errors import HeldError, InputError
from digest.keeping.backup import back_up
from digest.keeping.restore import restore


def _back_up(weekly: Any, file: Path) -> None:
    with closing(open_database(weekly.database)) as connection:
        back_up(connection, file)


def test_nobody_comes_back_and_nothing_is_sent_again(weekly: Any, tmp_path: Path) -> None:
    """Yesterday's backup after today's departures by every way and today's send: nobody who left is mailed, and what
    was sent is not sent again."""
    readers = {name: f"{name}@example.org" for name in ("stays", "button", "hand", "dead", "forgotten", "complains")}
    weekly.subscribe(*readers.values())
    weekly.send("yesterday")
    _back_up(weekly, tmp_path / "yesterday.db")

    with closing(open_database(weekly.database)) as connection:
        with writing(connection):
            leave_within(connection, [weekly.token(readers["button"])])
        Subscribers(connection).leave(parse_address(readers["hand"]), "unsubscribed")
        Subscribers(connection).leave(parse_address(readers["complains"]), "complained")
        Suppressions(connection).add(parse_address(readers["dead"]), "bounced")
        Suppressions(connection).add(parse_address("stranger@example.org"), "by hand")
        Forgotten(connection).forget(parse_address(readers["forgotten"]))
    weekly.subscribe("new@example.org")
    with closing(open_database(weekly.database)) as connection:
        Subscribers(connection).leave(parse_address("new@example.org"), "unsubscribed")
    weekly.send("today")
    assert weekly.accounts("today").accepted == 1

    restored = restore(weekly.newsletter, tmp_path / "yesterday.db")
    assert (restored.replayed.left, restored.replayed.suppressed, restored.replayed.forgotten) == (3, 1, 1)
    assert restored.replayed.kept_out == 2  # the stranger, and who came and left meanwhile
    assert [gap.slug for gap in restored.gaps] == ["today"]

    taken_in = len(weekly.relay.received)
    with pytest.raises(HeldError, match="accept-restored"):
        weekly.send("today")
    with pytest.raises(HeldError, match="accept-restored"):
        weekly.send("tomorrow")
    with open_desk(weekly.newsletter) as desk:
        SentLog(weekly.newsletter, desk.storage).accept()
    with pytest.raises(HeldError, match="is held"):
        weekly.send("today")
    assert len(weekly.relay.received) == taken_in
    assert weekly.send("tomorrow").accounts.accepted == 1
    assert [m.recipient for m in weekly.relay.received[taken_in:]] == [readers["stays"]]


def test_who_came_and_left_is_left_out_of_imports(weekly: Any, tmp_path: Path) -> None:
    """Of whom the backup knows nothing at all, an import brings nobody back."""
    weekly.subscribe("old@example.org")
    _back_up(weekly, tmp_path / "b.db")
    weekly.subscribe("new@example.org")
    with closing(open_database(weekly.database)) as connection:
        Subscribers(connection).leave(parse_address("new@example.org"), "unsubscribed")
    restore(weekly.newsletter, tmp_path / "b.db")
    with closing(open_database(weekly.database)) as connection:
        assert parse_address("new@example.org") in Forgotten(connection)
        assert parse_address("old@example.org") not in Forgotten(connection)


def test_restoring_twice_is_restoring_once(weekly: Any, tmp_path: Path) -> None:
    """The journal is read, and not added to: it stays as long as it was."""
    weekly.subscribe("a@example.org")
    _back_up(weekly, tmp_path / "b.db")
    with closing(open_database(weekly.database)) as connection:
        Subscribers(connection).leave(parse_address("a@example.org"), "unsubscribed")
    journal = weekly.database.with_name(JOURNAL)
    before = journal.read_bytes()
    for _ in range(2):
        assert restore(weekly.newsletter, tmp_path / "b.db").replayed.left == 1
    assert journal.read_bytes() == before
    assert weekly.status("a@example.org") == "unsubscribed"


def test_what_was_replaced_is_kept_aside(weekly: Any, tmp_path: Path) -> None:
    """The database as it was can be put back as well; it is its owner's only."""
    weekly.subscribe("a@example.org")
    _back_up(weekly, tmp_path / "b.db")
    weekly.subscribe("b@example.org")
    aside = restore(weekly.newsletter, tmp_path / "b.db").aside
    assert aside is not None
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    assert weekly.status("b@example.org") == "gone"
    restore(weekly.newsletter, aside)
    assert weekly.status("b@example.org") == "active"


def test_who_has_it_open_goes_on_with_the_new_one(weekly: Any, tmp_path: Path) -> None:
    """`digest serve` need not be stopped."""
    weekly.subscribe("a@example.org")
    _back_up(weekly, tmp_path / "b.db")
    weekly.subscribe("b@example.org")
    with closing(open_database(weekly.database)) as serving:
        assert Subscribers(serving).count() == 2
        restore(weekly.newsletter, tmp_path / "b.db")
        assert Subscribers(serving).count() == 1
        assert Subscribers(serving).leave(parse_address("a@example.org"), "unsubscribed")
    assert weekly.status("a@example.org") == "unsubscribed"


def test_not_while_it_is_being_sent(weekly: Any, tmp_path: Path) -> None:
    """A run that is under way would write into another database's rows."""
    weekly.subscribe("a@example.org")
    _back_up(weekly, tmp_path / "b.db")
    with ScriptedRelay(lambda step: "451 later" if step.verb == "RCPT" else None) as relay:
        weekly.overrides["smtp.port"] = relay.port
        weekly.send("one")
    with sole_sender(weekly.database, 1), pytest.raises(HeldError, match="digest hold one"):
        restore(weekly.newsletter, tmp_path / "b.db")
    assert weekly.accounts("one").planned == 1
    restore(weekly.newsletter, tmp_path / "b.db")


@pytest.mark.parametrize("ruin", ["missing", "garbage"])
def test_a_database_that_is_lost_is_the_reason_to_restore(weekly: Any, tmp_path: Path, ruin: str) -> None:
    """It need not be there, nor be one."""
    weekly.subscribe("a@example.org", "b@example.org")
    _back_up(weekly, tmp_path / "b.db")
    with closing(open_database(weekly.database)) as connection:
        Subscribers(connection).leave(parse_address("a@example.org"), "unsubscribed")
    weekly.database.unlink()
    if ruin == "garbage":
        weekly.database.write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)
    restored = restore(weekly.newsletter, tmp_path / "b.db")
    assert (restored.aside is not None) == (ruin == "garbage")
    assert weekly.status("a@example.org") == "unsubscribed"
    assert weekly.status("b@example.org") == "active"


def test_no_backup_changes_nothing(weekly: Any, tmp_path: Path) -> None:
    """What is no backup of ours, is damaged, of a newer version or of another newsletter is refused by name."""
    weekly.subscribe("a@example.org")
    with closing(open_database(weekly.database)) as connection:
        Suppressions(connection).add(parse_address("x@example.org"), "by hand")
    good = tmp_path / "good.db"
    _back_up(weekly, good)
    (tmp_path / "text.db").write_text("no database")
    with closing(sqlite3.connect(tmp_path / "foreign.db")) as other:
        other.execute("CREATE TABLE t (a)")
    newer = Path(shutil.copy(good, tmp_path / "newer.db"))
    with closing(sqlite3.connect(newer)) as other:
        other.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    torn = Path(shutil.copy(good, tmp_path / "torn.db"))
    data = bytearray(torn.read_bytes())
    data[4096 * 2 : 4096 * 6] = b"\xa5" * 4096 * 4
    torn.write_bytes(data)
    open_database(tmp_path / "elsewhere" / "digest.db").close()

    for file, error, words in (
        (tmp_path / "none.db", InputError, "no such file"),
        (tmp_path / "text.db", InputError, "text.db"),
        (tmp_path / "foreign.db", InputError, "no database of digest"),
        (newer, HeldError, "newer digest"),
        (torn, (HeldError, InputError), "torn.db"),
        (tmp_path / "elsewhere" / "digest.db", HeldError, "--foreign"),
        (weekly.database, InputError, "the database itself"),
    ):
        with pytest.raises(error, match=words):
            restore(weekly.newsletter, file)
        assert weekly.status("a@example.org") == "active"
    assert [f.name for f in weekly.database.parent.glob("*replaced*")] == []
    assert [f.name for f in weekly.database.parent.glob(".*restored*")] == []


def test_a_backup_beside_writers_is_whole(weekly: Any, tmp_path: Path) -> None:
    """Made while others write, it is one moment's: whole, its owner's only, and a file alone."""
    weekly.subscribe(*(f"r{n}@example.org" for n in range(50)))
    end = threading.Event()

    def write() -> None:
        with closing(open_database(weekly.database)) as connection:
            while not end.is_set():
                with writing(connection):  # both or neither
                    connection.execute("UPDATE subscribers SET name = coalesce(name, 0) + 1 WHERE id = 1")
                    connection.execute("UPDATE subscribers SET name = coalesce(name, 0) + 1 WHERE id = 50")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for n in range(5):
            _back_up(weekly, tmp_path / "b.db")
            with closing(sqlite3.connect(tmp_path / "b.db")) as copy:
                names = copy.execute("SELECT name FROM subscribers WHERE id IN (1, 50)").fetchall()
                assert names[0] == names[1], n
                assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    finally:
        end.set()
        writer.join()
    assert stat.S_IMODE((tmp_path / "b.db").stat().st_mode) == 0o600
    assert sorted(f.name for f in tmp_path.iterdir()) == ["b.db", "weekly"]


def test_a_backup_overwrites_nothing_else(weekly: Any, tmp_path: Path) -> None:
    """A file that is no backup, a folder and the database itself stay as they are."""
    weekly.subscribe("a@example.org")
    (tmp_path / "thesis.txt").write_text("years of work")
    for file in (tmp_path / "thesis.txt", tmp_path, weekly.database, tmp_path / "nowhere" / "b.db"):
        with pytest.raises(InputError):
            _back_up(weekly, file)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_the_commands(weekly: Any, tmp_path: Path, digest: Any) -> None:
    """They say what they did, and what to do next."""
    weekly.subscribe("a@example.org", "b@example.org")
    done = digest("backup", tmp_path / "b.db", cwd=weekly.root)
    assert (done.returncode, "2 subscribers" in done.stdout) == (0, True)
    digest("subscribers", "unsubscribe", "a@example.org", cwd=weekly.root)
    weekly.send("one")
    done = digest("restore", tmp_path / "b.db", cwd=weekly.root)
    assert done.returncode == 0, done.stderr
    assert "1 left since" in done.stdout
    assert "digest doctor --accept-restored" in done.stdout
    assert weekly.status("a@example.org") == "unsubscribed"
