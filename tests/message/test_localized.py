"""Filters that follow a language: dates, numbers, money, possessives, wherever they stand."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from typing import Any

import pytest

from digest.localized import locale_of, misuse
from digest.message.audit import Auditor
from digest.message.merge import MergeError

DAY = date(2026, 1, 31)


def shown(workshop: Any, source: str, **values: Any) -> str:
    return workshop.merger(text=source, language="en").rendering(workshop.reader(**values)).text


@pytest.mark.parametrize(
    ("source", "language", "expected"),
    [
        ("{{ subscriber.day | date }}", "de", "31.01.2026"),
        ("{{ subscriber.day | date('long') }}", "de", "31. Januar 2026"),
        ("{{ subscriber.day | date('long') }}", "fr-CA", "31 janvier 2026"),
        ("{{ subscriber.day | date('long') }}", "en-US", "January 31, 2026"),
        ("{{ subscriber.day | date('long') }}", "en", "31 January 2026"),
        ("{{ subscriber.day | date('EEEE') }}", "pt-BR", "sábado"),
        ("{{ '2026-01-31' | date('d. MMM') }}", "de", "31. Jan."),
        ("{{ subscriber.seats | number }}", "de", "12.345"),
        ("{{ 1234.5 | number(2) }}", "de", "1.234,50"),
        ("{{ 0.256 | percent }}", "de", "26\xa0%"),
        ("{{ 0.256 | percent(1) }}", "en", "25.6%"),
        ("{{ 1234.5 | currency('EUR') }}", "de", "1.234,50\xa0€"),
        ("{{ 1234.5 | currency('JPY') }}", "en", "¥1,234"),
        ("{{ 1234.5 | currency('EUR', 0) }}", "en", "€1,234"),
        ("{{ subscriber.name | possessive }}", "de", "James’"),  # the words around it are the issue's
        ("{{ subscriber.day | date('long') }}", "xx-Latn", "31 January 2026"),
        ("{{ subscriber.day | date('long') }}", "nonsense!", "31 January 2026"),
        ("{{ subscriber.never | date | default('soon') }}", "de", "soon"),
        ("{{ 'A sentence that goes on' | truncate(12, false, '…') }}", "de", "A sentence…"),
    ],
)
def test_what_a_reader_sees(workshop: Any, source: str, language: str, expected: str) -> None:
    """The reader's language writes dates and numbers; one that nobody knows gives way to the issue's."""
    assert shown(workshop, source, day=DAY, seats=12345, name="James", language=language) == expected


def test_without_a_language_the_issues_own(workshop: Any) -> None:
    """Who has none set reads the issue's."""
    merger = workshop.merger(text="{{ subscriber.day | date('long') }} {{ 'Max' | possessive }}", language="de")
    assert merger.rendering(workshop.reader(day=DAY)).text == "31. Januar 2026 Max’"


def test_each_place_has_its_own_writing(workshop: Any) -> None:
    """The same value in subject, text, HTML, attribute and address, decoded from the message's bytes."""
    merger = workshop.merger(
        subject="{{ 1234.5 | currency('EUR') }}",
        text="{{ 1234.5 | currency('EUR') }}\n",
        html='<p title="{{ subscriber.day | date("\'<\'d") }}">{{ 5 | currency("EUR") }}</p>\n'
        '<a href="https://x.example/?p={{ (1234.5 | currency("EUR")) | urlpart }}">x</a>\n',
    )
    parsed = workshop.parsed(merger.message(workshop.reader(day=DAY, language="de"), date=workshop.now))
    assert parsed["Subject"] == "1.234,50\xa0€"
    assert workshop.body(parsed, "plain") == "1.234,50\xa0€\n"
    html = workshop.body(parsed, "html")
    assert html.startswith('<p title="&lt;31">5,00\xa0€</p>')
    assert 'href="https://x.example/?p=1.234%2C50%C2%A0%E2%82%AC"' in html


def test_a_missing_value_is_missing(workshop: Any) -> None:
    """A filter hides no empty cell: printing it is the error it is without one, with its place."""
    with pytest.raises(MergeError) as caught:
        shown(workshop, "\n{{ subscriber.day | date }}")
    assert "`day` is missing for this reader" in str(caught.value)
    with pytest.raises(MergeError, match="a number is written here"):
        shown(workshop, "{{ subscriber.day | number }}", day=DAY)


@pytest.mark.parametrize(
    ("name", "arguments", "wrong"),
    [
        ("date", ["medium"], ""),
        ("date", ["d. MMMM ''yy"], ""),
        ("date", ["hh:mm"], "date knows short"),
        ("date", ["yolo"], "date knows short"),
        ("date", ["qqqqqq"], "is no pattern"),
        ("currency", [], "code"),
        ("currency", ["EURO"], "ISO 4217"),
        ("number", [99], "digits"),
        ("percent", ["two"], "not supported"),
    ],
)
def test_a_filter_that_is_used_wrongly(name: str, arguments: list[Any], wrong: str) -> None:
    """What can be seen without a reader is told while composing."""
    told = misuse(name, arguments, {})
    assert (wrong in told) if wrong else told == ""


def test_the_audit_says_which_language_nobody_knows(workshop: Any) -> None:
    """Only where something is written by language, with the number of readers."""
    for source, expected in (("{{ subscriber.day | date }}", 1), ("{{ subscriber.day }}", 0)):
        auditor = Auditor(workshop.merger(text=source))
        for language in ("de", "xx", "xx", "en"):
            auditor.add(workshop.reader(day=DAY, language=language))
        found = [str(p) for p in auditor.warnings() if p.code == "unknown-language"]
        assert len(found) == expected
        assert all("2 readers have the language “xx”" in line for line in found)


def test_babel_comes_when_it_is_needed() -> None:
    """Merging without such a filter never loads it; with one, a process that never composed can."""
    program = """
import sys
from datetime import date, datetime, UTC
from digest.audience.subscriber import Subscriber
from digest.compose.handmade import handmade
from digest.message.merge import Identity, Merger
who = Identity(sender="a@example.com", domain="example.com", list_name="A", return_path="b@example.com")
reader = Subscriber(1, "t", "r@example.com", values={"email": "r@example.com", "tags": (), "language": "de"})
for text in ("{{ subscriber.email | possessive }}", "{{ '2026-01-31' | date('long') }}"):
    data = Merger(handmade(text=text), who, today=date(2025, 9, 12)).message(reader, date=datetime.now(UTC)).data
    print("babel" in sys.modules, "lxml" in sys.modules, b"31. Januar 2026" in data)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "False", "False", "True", "False", "True"]


def test_what_stands_for_a_language() -> None:
    """A tag is cut from its end until CLDR knows it."""
    assert [str(locale_of(tag)) for tag in ("zh-Hant-TW", "de-DE-1996", "en-XX", "tlh", "")] == [
        *("zh_Hant_TW", "de_DE", "en", "None", "None"),
    ]
