"""Whoever leaves, by whatever way, is in the journal before anybody is told."""

import json
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from digest.audience.address import parse_address
from digest.audience.database import open_database, writing
from digest.audience.departures import JOURNAL, hash_key, read_departures
from digest.audience.forgetting import Forgotten
from digest.audience.importing import Sync, import_list
from digest.audience.leaving import come_back_within, leave_within
from digest.audience.readers import load_readers
from digest.audience.store import Subscribers, Suppressions
from digest.audience.suppressing import import_suppressions
from digest.delivery.scripted import ScriptedRelay, Step
from digest.errors import HeldError

ADA = parse_address("Ada@Example.org")


def _lines(weekly: Any) -> list[dict[str, str]]:
    journal = weekly.database.with_name(JOURNAL)
    return [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []


def _unsubscribe(weekly: Any, connection: sqlite3.Connection) -> None:
    Subscribers(connection).leave(ADA, "unsubscribed")


def _suppress(weekly: Any, connection: sqlite3.Connection) -> None:
    Suppressions(connection).add(ADA, "by hand")


def _forget(weekly: Any, connection: sqlite3.Connection) -> None:
    Forgotten(connection).forget(ADA)


def _press_the_button(weekly: Any, connection: sqlite3.Connection) -> None:
    with writing(connection):
        leave_within(connection, [weekly.token(ADA.text)])


def _import_as_unsubscribed(weekly: Any, connection: sqlite3.Connection) -> None:
    file = weekly.root / "list.csv"
    file.write_text("email,status\nada@example.org,unsubscribed\n")
    import_list(connection, file, load_readers(weekly.root))


def _import_a_block_list(weekly: Any, connection: sqlite3.Connection) -> None:
    file = weekly.root / "block.txt"
    file.write_text("ada@example.org\n")
    import_suppressions(connection, file, str(file), "imported")


def _synchronise_without(weekly: Any, connection: sqlite3.Connection) -> None:
    with writing(connection):
        connection.execute("UPDATE subscribers SET source = 'shop'")
    file = weekly.root / "list.csv"
    file.write_text("email\nbob@example.org\n")
    import_list(connection, file, load_readers(weekly.root), sync=Sync("shop", 1.0))


def _import_a_stranger_as_complained(weekly: Any, connection: sqlite3.Connection) -> None:
    file = weekly.root / "list.csv"
    file.write_text("email,status\neve@example.org,complained\n")
    import_list(connection, file, load_readers(weekly.root))


WAYS_OUT: dict[Callable[[Any, sqlite3.Connection], None], dict[str, str]] = {
    _unsubscribe: {"left": "unsubscribed"},
    _suppress: {"suppressed": "by hand"},
    _forget: {"forgotten": ""},
    _press_the_button: {"left": "unsubscribed"},
    _import_as_unsubscribed: {"left": "unsubscribed", "suppressed": "unsubscribed"},
    _import_a_block_list: {"suppressed": "imported"},
    _import_a_stranger_as_complained: {"suppressed": "complained"},
    _synchronise_without: {"left": "unsubscribed"},
}


@pytest.mark.parametrize("way", WAYS_OUT, ids=lambda way: way.__name__.strip("_"))
def test_every_way_out_is_written_down(weekly: Any, way: Callable[[Any, sqlite3.Connection], None]) -> None:
    """With the time, a keyed hash and why; the file is its owner's, and no address is in it."""
    weekly.subscribe(ADA.text)
    with closing(open_database(weekly.database)) as connection:
        way(weekly, connection)
        known = read_departures(weekly.database.with_name(JOURNAL), hash_key(connection))
    assert {line["event"]: line.get("why", "") for line in _lines(weekly)} == WAYS_OUT[way]
    assert len(known.departures) == 1
    journal = weekly.database.with_name(JOURNAL)
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    assert "ada" not in journal.read_text().lower().replace('"', " ").split()
    assert "@" not in journal.read_text()


def test_a_send_writes_down_whom_it_suppresses(weekly: Any) -> None:
    """A dead address found while sending."""
    weekly.subscribe(ADA.text, "bob@example.org")

    def script(step: Step) -> str | None:
        return "550 5.1.1 no such user" if step.verb == "RCPT" and "Ada" in step.argument else None

    with ScriptedRelay(script) as relay:
        weekly.overrides["smtp.port"] = relay.port
        weekly.send("one")
    assert [(line["event"], line["why"]) for line in _lines(weekly)] == [("suppressed", "bounced"), ("left", "bounced")]


def test_who_is_back_is_written_down_too(weekly: Any) -> None:
    """The journal's last word is what counts."""
    weekly.subscribe(ADA.text)
    token = weekly.token(ADA.text)
    with closing(open_database(weekly.database)) as connection:
        for action in (
            lambda: leave_within(connection, [token]),
            lambda: come_back_within(connection, token),
        ):
            with writing(connection):
                action()
        Suppressions(connection).add(ADA, "by hand")
        Suppressions(connection).remove(ADA)
        Forgotten(connection).forget(ADA)
        Forgotten(connection).readmit(ADA)
        events = [line["event"] for line in _lines(weekly)]
        assert events == ["left", "back", "suppressed", "released", "forgotten", "readmitted"]
        assert read_departures(weekly.database.with_name(JOURNAL), hash_key(connection)).departures == {}


def test_what_is_undone_is_not_written_down(weekly: Any) -> None:
    """A transaction that fails leaves no line, also not in the one that follows."""
    weekly.subscribe(ADA.text)
    with closing(open_database(weekly.database)) as connection:
        with suppress(KeyError), writing(connection):
            leave_within(connection, [weekly.token(ADA.text)])
            raise KeyError
        with writing(connection):
            connection.execute("UPDATE subscribers SET name = 'Ada'")
    assert _lines(weekly) == []


def test_nothing_happens_that_can_t_be_written_down(weekly: Any) -> None:
    """Where the journal can't be written, nobody is told that they are out, and they are not."""
    weekly.subscribe(ADA.text)
    weekly.database.with_name(JOURNAL).mkdir()
    with closing(open_database(weekly.database)) as connection, pytest.raises(HeldError, match=JOURNAL):
        Subscribers(connection).leave(ADA, "unsubscribed")
    assert weekly.status(ADA.text) == "active"


def test_two_databases_are_told_apart(weekly: Any, tmp_path: Path) -> None:
    """Lines of another key are counted, and say nothing."""
    weekly.subscribe(ADA.text)
    with closing(open_database(weekly.database)) as connection:
        Subscribers(connection).leave(ADA, "unsubscribed")
    with closing(open_database(weekly.database.with_name("other.db"))) as other:
        Suppressions(other).add(ADA, "by hand")
        known = read_departures(weekly.database.with_name(JOURNAL), hash_key(other))
    assert (len(known.departures), known.foreign) == (1, 1)
