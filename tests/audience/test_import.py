from __future__ import annotations

import io
import json
import sqlite3
import stat
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digest.audience.database import open_database
from digest.audience.editing import add_subscriber, given_address, set_values
from digest.audience.exporting import export_list
from digest.audience.importing import ImportReport, import_list
from digest.audience.readers import Readers
from digest.audience.store import Subscribers, Suppressions
from digest.errors import InputError

Write = Callable[..., Path]
Import = Callable[..., ImportReport]


@pytest.fixture
def take(connection: sqlite3.Connection, readers: Readers) -> Import:
    """Imports a file into the test's database."""

    def imported(file: Path, **options: object) -> ImportReport:
        return import_list(connection, file, readers, shown=file.name, **options)  # type: ignore[arg-type]

    return imported


def stored(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    return connection.execute(
        "SELECT id, token, email, status, name, first_name, language, timezone, tags, attributes, signed_up,"
        " source, note, consented_at, updated_at FROM subscribers ORDER BY id"
    ).fetchall()


def problems(caught: pytest.ExceptionInfo[InputError]) -> list[str]:
    return [str(p) for p in caught.value.problems]


def test_a_row_becomes_a_reader(take: Import, write: Write, connection: sqlite3.Connection) -> None:
    """Every column ends as a typed value; the token is opaque; the address is kept as it was written."""
    take(
        write(
            "email,name,plan,seats,score,annual,renewed,interests,tags,signed_up,language,timezone,desk_url\n"
            'Ann.Lee@Example.COM," Lee, Ann ",pro,12,2.5,yes,2025-01-31,models;chips,"a, b",2024-02-29,'
            "pt-BR,Europe/Lisbon,https://example.com/d\n"
        )
    )
    (reader,) = Subscribers(connection).all()
    assert dict(reader.values) == {
        "email": "Ann.Lee@Example.COM",
        "name": "Lee, Ann",
        "first_name": "Lee,",
        "plan": "pro",
        "seats": 12,
        "score": 2.5,
        "annual": True,
        "renewed": date(2025, 1, 31),
        "interests": ("models", "chips"),
        "tags": ("a", "b"),
        "signed_up": date(2024, 2, 29),
        "language": "pt-BR",
        "timezone": "Europe/Lisbon",
        "desk_url": "https://example.com/d",
    }
    assert reader.status == "active"
    assert len(reader.token) == 24
    assert reader.token.isalnum()
    assert Subscribers(connection).by_address("ANN.LEE@example.com") == reader
    assert Subscribers(connection).by_token(reader.token) == reader


def test_every_bad_row_is_reported_and_kept(take: Import, write: Write, connection: sqlite3.Connection) -> None:
    """Good rows go in; each bad one is named by line, column, value and reason, and is in the rejects file."""
    file = write(
        "email,name,plan,seats,interests\n"
        "ann@example.com,Ann,pro,1,models\n"
        "bob.example.com,Bob,pro,1,\n"
        "cat@example.com,Cat,gold,many,poetry\n"
        "dan@example.com,Dan,free\n"
        "eve@example.com,E\x00ve,free,2,\n"
        "ANN@example.com,Ann again,free,2,\n"
        ",Nobody,free,,\n"
        ",,,,\n"
        'fay@example.com,"Fay\nBcc: x@example.com",free,,\n'
        "gus@example.com,Gus,free,,chips\n"
    )
    report = take(file)
    assert [str(r) for r in report.rejects] == [
        "list.csv:3:1: email “bob.example.com” has no @",
        "list.csv:4:3: plan “gold” is not among the declared values (one of: enterprise, free, pro)",
        "list.csv:4:4: seats “many” is not a whole number",
        "list.csv:4:5: interests “poetry” is not among the declared values (one of: chips, models)",
        "list.csv:5: 3 cells where the header has 5",
        "list.csv:6:2: name “E�ve” holds the control character U+0000",
        "list.csv:7: email “ANN@example.com” is in line 2 already",
        "list.csv:8:1: email “” is empty",
        "list.csv:10:2: name “Fay�Bcc: x@example.com” holds a line break",
    ]
    assert (report.rows, report.rejected, report.effect.added) == (9, 7, 2)
    assert [s.email for s in Subscribers(connection).all()] == ["ann@example.com", "gus@example.com"]
    assert report.rejects_file == file.with_name("list.csv.rejects.csv")
    assert stat.S_IMODE(report.rejects_file.stat().st_mode) == 0o600


def test_a_mended_rejects_file_can_be_imported(take: Import, write: Write, connection: sqlite3.Connection) -> None:
    """The rejects file has the list's own columns: mended, it is a list."""
    file = take(write("email;plan\nann@example.com;gold\nbob@example.com;free\n")).rejects_file
    assert file
    file.write_text(file.read_text().replace(";gold", ";pro"))
    report = take(file)
    assert (report.rejected, report.effect.added) == (0, 1)
    assert {s.email for s in Subscribers(connection).all()} == {"ann@example.com", "bob@example.com"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("E-Mail,Plan\nann@example.com,pro\n", "no “email” column; the columns are “E-Mail”, “Plan”"),
        ("address,plan\nx,pro\n", "no “email” column; the columns are “address”, “plan”"),
        ("ann@example.com,pro\n", "the first row must name the columns"),
        ("email,plann\nann@example.com,pro\n", "list.csv:1:2: error: the column “plann” is no declared attribute"),
        ("email,plan,plan\na@example.com,pro,pro\n", "the column “plan” is there 2 times"),
        ("", "is empty"),
        ("\n\n", "is empty"),
        ('email,name\na@example.com,A\nb@example.com,"B\nc@example.com,C\n', "list.csv:3: error: a quotation mark"),
        ('email,name\na@example.com,"A" Lee\n', "list.csv:2: error: text follows a closing quotation mark"),
        ("email,name\na@example.com," + "x" * 1_100_000 + "\n", "list.csv:2: error: a line of more than"),
        ("email,name\n".encode("utf-16-le"), "not a text file"),
        (b"PK\x03\x04\x14\x00\x06\x00\x08", "not a text file"),
        (b"\xff\xfe" + "email\na@example.com\n".encode("utf-16-le")[:-1], "is not UTF-16"),
    ],
)
def test_a_file_that_is_no_list_changes_nothing(
    take: Import, write: Write, connection: sqlite3.Connection, text: str | bytes, message: str
) -> None:
    """What is wrong with the file as a whole is said with its place, and no row of it is imported."""
    with pytest.raises(InputError) as caught:
        take(write(text))
    assert any(message in p for p in problems(caught)), problems(caught)
    assert Subscribers(connection).count() == 0
    assert "staging" not in {name for _, name, _ in connection.execute("PRAGMA database_list")}


def test_an_unclosed_quote_early_in_a_long_file_is_found_quickly(take: Import, write: Write) -> None:
    """A quotation mark opened in line 3 is named by that line, however many lines follow."""
    rows = "".join(f"reader{n}@example.com,Reader\n" for n in range(50_000))
    with pytest.raises(InputError) as caught:
        take(write('email,name\na@example.com,A\nb@example.com,"B\n' + rows))
    assert "list.csv:3: error: a quotation mark opens in this row and is never closed" in problems(caught)[0]


def test_missing_files_are_wrong_input(take: Import, tmp_path: Path) -> None:
    """A file that is not there, or is a folder, is said."""
    for file in (tmp_path / "nowhere.csv", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            take(file)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8 with a byte order mark"),
        ("utf-16", "UTF-16"),
        ("cp1252", "Windows-1252 (Latin-1)"),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_separators_and_encodings(
    take: Import,
    write: Write,
    connection: sqlite3.Connection,
    separator: str,
    encoding: str,
    said: str,
    line_end: str,
) -> None:
    """Separator and encoding are found out and said; the accents arrive."""
    rows = (
        ("name", "email", "city"),
        ('"Jörg “Z” Groß"', "ann@example.com", "Łódź" if encoding != "cp1252" else "Köln"),
    )
    text = line_end.join(separator.join(row) for row in rows) + line_end
    report = take(write(text.encode(encoding)))
    assert said in report.description
    assert bool(report.doubt) == (encoding == "cp1252")
    (reader,) = Subscribers(connection).all()
    assert reader.name == "Jörg “Z” Groß"
    assert reader.values["city"] == rows[1][2]


def test_a_guess_at_the_encoding_names_the_line(take: Import, write: Write) -> None:
    """Where a file is not UTF-8 the first line that shows it is said; bytes that mean nothing reject their row."""
    report = take(write(b"email,name\na@example.com,Ann\nb@example.com,J\xf6rg\nc@example.com,\x81\n"))
    assert report.doubt == "line 3 is not UTF-8"
    assert report.effect.added == 2
    assert "control character" in report.rejects[0].reason


def test_columns_can_be_passed_over(take: Import, write: Write, connection: sqlite3.Connection) -> None:
    """`ignore` leaves out an undeclared column; columns without a name must be empty."""
    report = take(write("email,Shoe Size,,\na@example.com,43,,\nb@example.com,44,,x\n"), ignore=["shoe size"])
    assert report.effect.added == 1
    assert report.rejects[0].reason == "stands in a column without a name"
    assert "shoe size" not in next(Subscribers(connection).all()).values


def test_what_a_second_import_changes(take: Import, write: Write, connection: sqlite3.Connection) -> None:
    """Columns there are overwrite, an empty cell clears, columns not there are left alone; tokens stay."""
    take(write("email,name,plan,seats,tags\nann@example.com,Ann,pro,5,a;b\nbob@example.com,Bob,free,,\n"))
    before = {s.email: s for s in Subscribers(connection).all()}
    report = take(write("email,plan,seats\nANN@example.com,,7\nbob@example.com,free,\ncat@example.com,free,1\n"))
    after = {s.id: s for s in Subscribers(connection).all()}
    assert (report.effect.added, report.effect.updated, report.effect.unchanged) == (1, 1, 1)
    ann = after[before["ann@example.com"].id]
    assert dict(ann.values) == {
        "email": "ANN@example.com",
        "name": "Ann",
        "first_name": "Ann",
        "tags": ("a", "b"),
        "seats": 7,
    }
    assert ann.token == before["ann@example.com"].token
    assert after[before["bob@example.com"].id] == before["bob@example.com"]


def test_importing_twice_is_importing_once(take: Import, write: Write, connection: sqlite3.Connection) -> None:
    """The same file again changes nothing at all, times of change included."""
    file = write(
        "email,name,plan,renewed,interests\nann@example.com,“Ann”,pro,2025-01-01,models\nbob@example.com,,,,\n"
    )
    take(file)
    before = stored(connection)
    report = take(file)
    assert (report.effect.added, report.effect.updated, report.effect.unchanged) == (0, 0, 2)
    assert stored(connection) == before


def test_a_dry_run_says_what_would_be_and_does_nothing(
    take: Import, write: Write, connection: sqlite3.Connection
) -> None:
    """A dry run reports the same numbers as the import that follows, and leaves the list alone."""
    take(write("email,plan\nann@example.com,pro\nbob@example.com,pro\n"))
    before = stored(connection)
    file = write("email,plan\nann@example.com,free\nbob@example.com,pro\ncat@example.com,pro\ndan,free\n")
    dry = take(file, dry_run=True)
    assert stored(connection) == before
    real = take(file)
    assert dry.effect == real.effect
    assert (dry.rejected, dry.rows) == (real.rejected, real.rows)
    assert (real.effect.added, real.effect.updated, real.effect.unchanged) == (1, 1, 1)


@pytest.mark.parametrize("status", ["unsubscribed", "bounced", "complained"])
def test_nobody_is_revived_unless_told(take: Import, write: Write, connection: sqlite3.Connection, status: str) -> None:
    """A reader who left stays away whatever the file says, until `revive`; other values are taken."""
    subscribers = Subscribers(connection)
    take(write("email,plan\nann@example.com,pro\n"))
    subscribers.leave(given_address("ann@example.com"), status)
    again = write("email,plan,status\nann@example.com,free,active\n")
    report = take(again)
    assert (report.effect.stay_away, report.effect.revived) == (1, 0)
    ann = subscribers.by_address("ann@example.com")
    assert ann
    assert (ann.status, ann.values["plan"]) == (status, "free")
    report = take(again, revive=True)
    assert (report.effect.stay_away, report.effect.revived) == (0, 1)
    assert next(subscribers.all()).status == "active"


def test_a_list_can_bring_leavers(take: Import, write: Write, connection: sqlite3.Connection) -> None:
    """A status column adds readers who have left as such, and takes active ones off."""
    take(write("email\nann@example.com\n"))
    take(write("email,status\nann@example.com,Unsubscribed\nbob@example.com,complained\ncat@example.com,pending\n"))
    assert [s.status for s in Subscribers(connection).all()] == ["unsubscribed", "complained", "pending"]


def test_suppressed_stays_suppressed(take: Import, write: Write, connection: sqlite3.Connection) -> None:
    """An import of a suppressed address, even with `revive`, leaves it excluded, and says so."""
    suppressions = Suppressions(connection)
    assert suppressions.add(given_address("ann@example.com"), "by hand")
    report = take(write("email\nANN@Example.com\nbob@example.com\n"), revive=True)
    assert report.effect.suppressed == 1
    assert [why for _, why in Subscribers(connection).candidates()] == ["suppressed", None]


def test_json_lines(take: Import, write: Write, connection: sqlite3.Connection) -> None:
    """JSON Lines are typed by the declarations too; a key that is not there leaves its value alone."""
    lines = [
        '{"email": "ann@example.com", "seats": 3, "annual": true, "interests": ["chips"], "tags": ["a;b"]}',
        '{"email": "bob@example.com", "seats": "4", "renewed": "2025-01-01", "score": 2}',
        '{"email": "cat@example.com", "seats": 4.5}',
        '{"email": "dan@example.com", "seats": true}',
        '{"email": "eve@example.com", "name": "\\ud800"}',
        '{"email": "fay@example.com", "nickname": "F"}',
        '{"email": ["gus@example.com"]}',
        '{"name": "Hal"}',
        '["ida@example.com"]',
        '{"email": "jon@example.com"',
        "[" * 100_000,
        '{"email": "kim@example.com", "seats": ' + "9" * 5000 + "}",
    ]
    report = take(write("\n".join(lines), "list.jsonl"))
    assert report.effect.added == 2
    assert [r.place.line for r in report.rejects] == list(range(3, 13))
    ann, bob = Subscribers(connection).all()
    assert (ann.values["seats"], ann.values["annual"], ann.values["tags"]) == (3, True, ("a;b",))
    assert (bob.values["seats"], bob.values["renewed"], bob.values["score"]) == (4, date(2025, 1, 1), 2)
    take(write('{"email": "ann@example.com", "annual": null}\n', "list.jsonl"))
    ann = next(Subscribers(connection).all())
    assert "annual" not in ann.values
    assert ann.values["seats"] == 3
    rejects = (report.rejects_file or Path()).read_text().splitlines()
    assert len([json.loads(line) for line in rejects]) == 10


def test_every_write_is_short(take: Import, write: Write, tmp_path: Path, connection: sqlite3.Connection) -> None:
    """Another connection can write between the batches of an import: none of them keeps the lock."""
    other = open_database(tmp_path / "digest.db")
    seen: list[int] = []

    def meanwhile(what: str, rows: int) -> None:
        if what == "importing":
            other.execute("INSERT OR REPLACE INTO suppressions VALUES ('x@example.com', 'meanwhile', '', ?)", (rows,))
            seen.append(Subscribers(other).count())

    rows = "".join(f"reader{n}@example.com\n" for n in range(2500))
    take(write("email\n" + rows), progress=meanwhile)
    other.close()
    assert len(seen) > 1
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (1000, 2500)


text = st.text(alphabet=st.characters(exclude_categories=["C"]), max_size=12).map(str.strip)
one_line = text.filter(lambda s: "\n" not in s and "\r" not in s)
person = st.fixed_dictionaries(
    {},
    optional={
        "name": one_line,
        "city": text,
        "seats": st.integers(-(10**17), 10**17),
        "score": st.floats(allow_nan=False, allow_infinity=False),
        "annual": st.booleans(),
        "renewed": st.dates(),
        "interests": st.lists(st.sampled_from(["models", "chips"]), min_size=1, max_size=2),
        "tags": st.lists(text.filter(bool), max_size=3),
    },
)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@given(people=st.lists(person, max_size=4))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_export_is_imported_as_the_same_list(
    readers: Readers, tmp_path_factory: pytest.TempPathFactory, form: str, people: list[dict[str, object]]
) -> None:
    """Any readers, exported and imported into an empty database, are the same; and into their own, unchanged."""
    folder = tmp_path_factory.mktemp("round")
    first, second = open_database(folder / "a.db"), open_database(folder / "b.db")
    lines = [json.dumps({"email": f"p{n}@example.com", **p}, default=str) for n, p in enumerate(people)]
    (folder / "in.jsonl").write_text("\n".join(lines))
    assert import_list(first, folder / "in.jsonl", readers).rejects == ()
    out = io.StringIO()
    assert export_list(first, readers, out, form).written == len(people)
    (folder / f"out.{form}").write_bytes(out.getvalue().encode())
    again = import_list(first, folder / f"out.{form}", readers)
    assert (again.rejects, again.effect.unchanged) == ((), len(people))
    import_list(second, folder / f"out.{form}", readers)
    mine = [(s.email, s.status, dict(s.values)) for s in Subscribers(first).all()]
    assert [(s.email, s.status, dict(s.values)) for s in Subscribers(second).all()] == mine
    first.close()
    second.close()


def test_changing_one_by_hand(connection: sqlite3.Connection, readers: Readers) -> None:
    """`add` takes a new address only; `set` changes and clears values, and brings back when told the status."""
    ann = given_address("Ann@example.com")
    add_subscriber(connection, readers, ann, {"plan": "pro", "seats": "4"})
    with pytest.raises(InputError, match="already"):
        add_subscriber(connection, readers, given_address("ANN@example.com"), {})
    with pytest.raises(InputError) as caught:
        set_values(connection, readers, ann, {"plan": "gold", "town": "Ulm"})
    assert len(caught.value.problems) == 2
    assert set_values(connection, readers, given_address("ann@EXAMPLE.com"), {"plan": "free", "seats": ""}).updated
    reader = Subscribers(connection).by_address("ann@example.com")
    assert reader
    assert (reader.email, reader.values.get("plan"), reader.values.get("seats")) == ("Ann@example.com", "free", None)
    Subscribers(connection).leave(ann, "unsubscribed", "asked by phone")
    assert not set_values(connection, readers, ann, {"plan": "free"}).updated
    assert set_values(connection, readers, ann, {"status": "active"}).revived
    with pytest.raises(InputError, match="not in the list"):
        set_values(connection, readers, given_address("bob@example.com"), {"plan": "free"})


def test_who_is_excluded(connection: sqlite3.Connection, readers: Readers) -> None:
    """A reader is excluded by status, else by a suppression; one who is gone from the list is forgotten."""
    subscribers = Subscribers(connection)
    statuses = ("unsubscribed", "bounced", "complained", "pending", "active", "active")
    for n, status in enumerate(statuses):
        add_subscriber(connection, readers, given_address(f"reader{n}@example.com"), {"status": status})
    Suppressions(connection).add(given_address("READER1@example.com"), "by hand")
    Suppressions(connection).add(given_address("READER4@example.com"), "by hand")
    expected = ["unsubscribed", "bounced", "complained", "pending", "suppressed", None]
    assert [why for _, why in subscribers.candidates()] == expected
    assert [subscribers.exclusion(n) for n in range(1, 8)] == [*expected, "forgotten"]
    assert Suppressions(connection).remove(given_address("reader4@example.com"))
    assert subscribers.exclusion(5) is None
    assert (subscribers.count(), subscribers.count("active")) == (6, 2)


def test_rejects_that_cannot_be_written_stop_the_import(
    take: Import, write: Write, connection: sqlite3.Connection
) -> None:
    """Where the rejects file cannot be put, that is said before the list is touched."""
    file = write("email\nann@example.com\nbob\n")
    file.with_name("list.csv.rejects.csv").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        take(file)
    assert Subscribers(connection).count() == 0


def test_the_list_is_read_in_pages(connection: sqlite3.Connection, take: Import, write: Write) -> None:
    """Reading streams by id, and rows that come meanwhile disturb nothing."""
    take(write("email\n" + "".join(f"reader{n}@example.com\n" for n in range(2345))))
    found = []
    for reader in Subscribers(connection).all():
        if reader.id == 500:
            connection.execute("DELETE FROM subscribers WHERE id = 2000")
        found.append(reader.id)
    assert found == [n for n in range(1, 2346) if n != 2000]
