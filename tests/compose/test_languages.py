"""An issue in another language: its dates, the words of our own, and which way its lines run."""

from __future__ import annotations

import pytest

HEAD = "---\nsubject: s\ndate: 2025-09-12\nlanguage: {}\ntheme: {}\n---\n"
BODY = "::: roundup {.dated}\n### Item {date=2025-09-02}\nWords.\n:::\n\n::: contents\n:::\n"


@pytest.mark.parametrize(
    ("language", "long", "short", "contents", "leave"),
    [
        ("en", "12 September 2025", "2 Sep", "In this edition", "Unsubscribe"),
        ("en-US", "September 12, 2025", "Sep 2", "In this edition", "Unsubscribe"),
        ("de", "12. September 2025", "2. Sept.", "In dieser Ausgabe", "Abmelden"),
        ("pl", "12 września 2025", "2 wrz", "W tym wydaniu", "Wypisz się"),
        ("ja", "2025年9月12日", "9月2日", "今号の内容", "配信停止"),
        ("tlh", "2025-09-12", "09-02", "In this edition", "Unsubscribe"),
    ],
)
def test_dates_and_words_are_in_the_issues_language(
    compose, render, language: str, long: str, short: str, contents: str, leave: str
) -> None:
    """The date of the issue, the days of its items and our own words, in both parts."""
    shown = render(compose(BODY, head=HEAD.format(language, "bulletin")))
    for part in (shown.html, shown.text):
        for words in (long, contents, leave):
            assert words in part
    assert short in shown.html


@pytest.mark.parametrize("theme", ["median", "letter", "bulletin"])
@pytest.mark.parametrize(("language", "start", "end"), [("he", "right", "left"), ("fr", "left", "right")])
def test_a_table_begins_where_the_lines_do(compose, render, theme: str, language: str, start: str, end: str) -> None:
    """Cells without an alignment of their own stand at the start of the line; text runs the language's way."""
    table = "| a | b |\n|---|---:|\n| c | d |\n"
    html = render(compose(table, head=HEAD.format(language, theme))).html
    assert f'<td align="{start}"' in html
    assert f"text-align:{start}" in html.replace(": ", ":")
    assert f'dir="{"rtl" if start == "right" else "ltr"}"' in html
