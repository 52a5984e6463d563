from __future__ import annotations

import io
import json
import sqlite3
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from digest.audience.address import parse_address
from digest.audience.database import open_database
from digest.audience.exporting import FORMATS, export_list
from digest.audience.importing import ImportReport, import_list
from digest.audience.readers import Readers
from digest.audience.rows import STATUSES
from digest.audience.store import Subscribers, Suppressions

# What any of the systems can hold: no leading or trailing white space, no controls but a line break in a note.
line = st.text(alphabet=st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=10).map(str.strip)
person = st.fixed_dictionaries(
    {"status": st.sampled_from(STATUSES)},
    optional={
        "name": line,
        "city": st.text(alphabet=st.characters(exclude_categories=["C"]) | st.sampled_from("\r\n\t"), max_size=8),
        "seats": st.integers(-(10**6), 10**6),
        "annual": st.booleans(),
        "renewed": st.dates(),
        "signed_up": st.dates(),
        "consented_at": st.dates(),
        "interests": st.lists(st.sampled_from(["models", "chips"]), min_size=1, max_size=2),
        "tags": st.lists(line.filter(bool), max_size=3),
        "note": line,
        "language": st.sampled_from(["de", "pt-BR"]),
    },
)
Person = dict[str, object]


def exported(connection: sqlite3.Connection, readers: Readers, form: str, status: str | None = None) -> bytes:
    out = io.StringIO(newline="")
    export_list(connection, readers, out, form, status)
    return out.getvalue().encode()


def take(file: Path, content: bytes, readers: Readers) -> tuple[sqlite3.Connection, ImportReport]:
    file.write_bytes(content)
    connection = open_database(file.with_suffix(".db"))
    return connection, import_list(connection, file, readers)


@pytest.mark.parametrize("form", FORMATS)
@given(people=st.lists(person, min_size=1, max_size=3))
@example(people=[{"status": "active", "city": "a lone\rreturn"}])
@example(people=[{"status": "active", "name": "no\N{NO-BREAK SPACE}break"}])
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_format_comes_back(
    readers: Readers, tmp_path_factory: pytest.TempPathFactory, form: str, people: list[Person]
) -> None:
    """Any readers, exported for another system and imported again, have all their values; who may be written to
    may still be, and nobody else."""
    folder = tmp_path_factory.mktemp("round")
    first = open_database(folder / "first.db")
    rows = [{"email": f"p{n}@example.com", **p} for n, p in enumerate(people)]
    (folder / "in.jsonl").write_text("\n".join(map(_json, rows)), encoding="utf-8")
    assert import_list(first, folder / "in.jsonl", readers).rejects == ()
    suffix = "jsonl" if form == "jsonl" else "csv"
    files = ["active", "unsubscribed", "bounced"] if form == "mailchimp" else [None]
    found: dict[str, tuple[str | None, dict[str, object]]] = {}
    for status in files:
        name = f"{status or 'all'}.{suffix}"
        again, report = take(folder / name, exported(first, readers, form, status), readers)
        assert report.rejects == ()
        found |= {s.email: (excluded, dict(s.values)) for s, excluded in Subscribers(again).candidates()}
        again.close()
    for reader, excluded in Subscribers(first).candidates():
        if form != "mailchimp" or reader.status in files:
            other, values = found[reader.email]
            assert values == reader.values
            assert (other is None) == (excluded is None)
    first.close()


def _json(row: Person) -> str:
    return json.dumps(row, default=str)


def test_mailchimp_has_a_file_for_each_state(connection: sqlite3.Connection, readers: Readers, tmp_path: Path) -> None:
    """Without a status the active readers are written, and it is said how many are left out; else those of it."""
    lines = "".join(f"{status}@example.com,{status}\n" for status in STATUSES)
    take_into(connection, tmp_path / "in.csv", "email,status\n" + lines, readers)
    out = io.StringIO()
    assert export_list(connection, readers, out, "mailchimp") == (1, len(STATUSES) - 1, 0)
    assert "CLEAN_TIME" in exported(connection, readers, "mailchimp", "bounced").decode()
    assert "UNSUB_TIME" in exported(connection, readers, "mailchimp", "unsubscribed").decode()


@pytest.mark.parametrize(
    ("form", "word"), [("ghost", "false"), ("listmonk", "disabled"), ("buttondown", "unsubscribed")]
)
def test_nobody_suppressed_goes_elsewhere_as_a_reader(
    connection: sqlite3.Connection, readers: Readers, tmp_path: Path, form: str, word: str
) -> None:
    """Whoever is suppressed here has left for another system; a list of ours says how many there are."""
    take_into(connection, tmp_path / "in.csv", "email\nann@example.com\nbob@example.com\n", readers)
    Suppressions(connection).add(parse_address("bob@example.com"), "by hand")
    _, ann, bob = exported(connection, readers, form).decode().splitlines()
    assert word in bob.split(",")
    assert word not in ann.split(",")
    assert export_list(connection, readers, io.StringIO(), "csv").suppressed == 1
    assert export_list(connection, readers, io.StringIO(), "mailchimp") == (1, 1, 0)


def take_into(connection: sqlite3.Connection, file: Path, text: str, readers: Readers) -> None:
    file.write_text(text, encoding="utf-8")
    assert import_list(connection, file, readers).rejected == 0


# Headers and rows as the systems' own tools and tests have them; see `digest.audience.foreign`.
MAILCHIMP = (
    "Email Address,First Name,Last Name,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,LATITUDE,LONGITUDE,"
    "GMTOFF,DSTOFF,TIMEZONE,CC,REGION,LAST_CHANGED,LEID,EUID,NOTES,TAGS\n"
    's@example.com, Dolor , Simet ,,2018-02-05 19:28:22,,2018-02-05 19:28:22,,,,,,,,,,,,,"""Lorem, Editors"",""b"""\n'
)
BEEHIIV = (
    "email,First Name,Last Name,status,tier,created_at,stripe_customer_id,Free Tier,Premium Tier,unsubscribed_at,"
    "Subscription Date (Substack)\n"
    "lorem@example.com, Lorem Name  ,,active,free,2023-03-24 10:23:10 UTC,,Yes,No,,\n"
    "unsublit@example.com,,,inactive,premium,2023-04-11 14:02:46 UTC,cus_1234,No,Yes,2024-03-13 11:33:53 UTC,\n"
)
LISTMONK = (
    "uuid,email,name,attributes,status,created_at,updated_at\n"
    'u,ann@example.com,Ann,"{""city"": ""Ulm"", ""seats"": 4, ""interests"": [""chips""]}",enabled,'
    "2024-05-06T10:00:00.1234Z,\nu,bob@example.com,Bob,{},blocklisted,2024-05-06T10:00:00Z,\n"
)
GHOST = (
    "id,email,name,note,subscribed_to_emails,complimentary_plan,stripe_customer_id,created_at,deleted_at,labels,"
    "tiers,gift_id\r\n,email@example.com,Sam Memberino,Early supporter,true,,,2021-01-01T10:00:00.000Z,,VIP,,\r\n"
)


def test_mailchimp_as_it_is(connection: sqlite3.Connection, readers: Readers, tmp_path: Path) -> None:
    """First and last names make one, tags are a quoted list within the cell, times are days."""
    take_into(connection, tmp_path / "m.csv", MAILCHIMP, readers)
    (reader,) = Subscribers(connection).all()
    assert (reader.name, reader.values["first_name"]) == ("Dolor Simet", "Dolor")
    assert reader.values["tags"] == ("Lorem, Editors", "b")
    assert reader.values["signed_up"] == date(2018, 2, 5)


def test_beehiiv_as_it_is(connection: sqlite3.Connection, readers: Readers, tmp_path: Path) -> None:
    """Its days have a zone behind them, and its inactive readers are suppressed."""
    take_into(connection, tmp_path / "b.csv", BEEHIIV, readers)
    lorem, gone = Subscribers(connection).candidates()
    assert (lorem[0].name, lorem[0].values["signed_up"], lorem[1]) == ("Lorem Name", date(2023, 3, 24), None)
    assert gone[1] == "unsubscribed"


def test_listmonk_as_it_is(connection: sqlite3.Connection, readers: Readers, tmp_path: Path) -> None:
    """Its JSON of attributes is read by the declarations; what is not declared rejects the row unless ignored."""
    take_into(connection, tmp_path / "l.csv", LISTMONK, readers)
    ann, _ = Subscribers(connection).all()
    assert (ann.values["city"], ann.values["seats"], ann.values["interests"]) == ("Ulm", 4, ("chips",))
    more = tmp_path / "more.csv"
    more.write_text(LISTMONK.replace("seats", "shoe"), encoding="utf-8")
    report = import_list(connection, more, readers)
    assert [(r.column, r.place.column) for r in report.rejects] == [("shoe", 4)]
    assert "unsubscribed from a list" in report.caution
    assert import_list(connection, more, readers, ignore=["shoe"]).rejected == 0


def test_ghost_as_it_is(connection: sqlite3.Connection, readers: Readers, tmp_path: Path) -> None:
    """Its newest columns are passed over, its labels are tags."""
    take_into(connection, tmp_path / "g.csv", GHOST, readers)
    (reader,) = Subscribers(connection).all()
    assert (reader.name, reader.values["tags"], reader.status) == ("Sam Memberino", ("VIP",), "active")
