"""What can't be merged: named at its place, for one reader and for all."""

from __future__ import annotations

from typing import Any

import pytest

from digest.compose.compiled import Condition, Template
from digest.errors import InputError, Place
from digest.message.audit import audit
from digest.message.merge import MergeError


def problem_of(workshop: Any, reader: Any, **fields: Any) -> Any:
    """The problem that merging raises; rendering raises the same."""
    merger = workshop.merger(**fields)
    with pytest.raises(MergeError) as caught:
        merger.message(reader, date=workshop.now)
    with pytest.raises(MergeError) as rendered:
        merger.rendering(reader)
    assert caught.value.problem == rendered.value.problem
    return caught.value.problem


def test_a_missing_value_names_its_place_and_cure(workshop: Any) -> None:
    """Printing an absent value names the attribute, the tag's place, and the fallback to write."""
    html = "<p>\n\n{{ subscriber.name }}</p>\n{% if true %}\n{{ subscriber.company }}\n{% endif %}"
    problem = problem_of(workshop, workshop.reader(name="Ada"), html=html)
    assert str(problem) == (
        "issues/x.md:3: error: `company` is missing for this reader, no fallback "
        '({{ subscriber.company | default("…") }})'
    )


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("{{ 1 }}\n\n{{ subscriber.company | upper }}", 2),
        ("a {{ subscriber.company ~ 'x' }}", 1),
        ("{{ 1 }}{% if subscriber.company + 1 > 2 %}x{% endif %}", 2),
        ("{% if false %}{{ 1 }}{% elif subscriber.company + 1 > 2 %}x{% endif %}", 3),
        ("{{ 1 }}{% for x in subscriber.company.list %}x{% endfor %}", 2),
        ("{% for x in [1, 2] %}{{ x }}{{ subscriber.company }}{% endfor %}", 3),
        ("{% for x in [1, 0] %}\n{{ x }}\n{{ 1 // x }}{% endfor %}", 3),
        ("{{ 1 }}{% set x = subscriber.company.upper() %}{{ x }}", 2),
        ('{{ 1 }}<a href="{{ (subscriber.company) | link }}">', 2),
        ('{{ "{{" }}{{ "}}" }}{{ subscriber.company }}', 3),
        ("{{ 1 }}{{ [] | first }}", 2),
        ("{{ 1 }}{{ none }}", 2),
        ("{{ 1 }}{{ ''.__class__.__mro__ }}", 2),
        ("{{ 1 }}{{ 'ab' * 9000 }}", 2),
        ("{{ 1 }}{{ links.nothing }}", 2),
        ("{{ 1 }}{{ newsletter.nothing }}", 2),
        ("{{ 1 }}{{ segment['nothing'] }}", 2),
    ],
)
def test_every_failure_has_its_tags_place(workshop: Any, source: str, line: int) -> None:
    """Whatever fails, in print, condition, loop or assignment, in HTML or text: the k-th tag's place."""
    for part in ("html", "text"):
        assert problem_of(workshop, workshop.reader(), **{part: source}).place == Place("issues/x.md", line)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVa\tscript:x",
        " data:text/html,x",
        "//example.com",
        "x",
        "",
        "https:",
        "\x01vbscript:x",
    ],
)
def test_only_web_mail_and_telephone_links(workshop: Any, url: str) -> None:
    """Any other scheme in a reader's value is refused at the link's place, without showing the value."""
    html = 'a <a href="{{ (subscriber.desk_url) | link }}">b</a>'
    problem = problem_of(workshop, workshop.reader(desk_url=url), html=html)
    assert problem.place == Place("issues/x.md", 1)
    assert "http:, https:, mailto: or tel:" in problem.message
    assert "alert" not in problem.message


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com/a?b=c&d=e#f", "https://example.com/a?b=c&amp;d=e#f"),
        ("HTTP://example.com/ä b", "HTTP://example.com/%C3%A4%20b"),
        ('https://example.com/"><script>', "https://example.com/%22%3E%3Cscript%3E"),
        ("https://example.com/100%?x=%41", "https://example.com/100%25?x=%41"),
        ("mailto:a@example.com", "mailto:a@example.com"),
        ("tel:+44123", "tel:+44123"),
        ("https://example.com/a\r\nb'c", "https://example.com/a%20b&#39;c"),
    ],
)
def test_link_values_are_made_safe(workshop: Any, url: str, expected: str) -> None:
    """What is unsafe in an address is percent-encoded once, then escaped for the attribute."""
    merger = workshop.merger(html='<a href="{{ (subscriber.u) | link }}">')
    assert merger.rendering(workshop.reader(u=url)).html == f'<a href="{expected}">'


def test_a_part_of_an_address_is_quoted_whole(workshop: Any) -> None:
    """A value inside an address can't end its component."""
    merger = workshop.merger(html='<a href="https://example.com/{{ (subscriber.u) | urlpart }}">')
    html = merger.rendering(workshop.reader(u='../a&b="c d/?#é')).html
    assert html == '<a href="https://example.com/..%2Fa%26b%3D%22c%20d%2F%3F%23%C3%A9">'


def test_an_author_cannot_reach_the_merges_own_filters(workshop: Any) -> None:
    """`link` inside an expression is no filter of the author's: the issue is refused at its place."""
    with pytest.raises(InputError) as caught:
        workshop.merger(html="{{ 1 }}{{ (subscriber.x | link) ~ 'y' }}")
    assert caught.value.problems[0].place == Place("issues/x.md", 2)


@pytest.mark.parametrize(
    "source",
    [
        "{% macro m() %}{% endmacro %}",
        "{% set x %}a{% endset %}",
        "{% filter upper %}a{% endfilter %}",
        "{% for x in [] recursive %}a{% endfor %}",
        "{% include 'x' %}",
        "{% if %}",
        "{% if true %}",
    ],
)
def test_other_statements_are_refused_at_once(workshop: Any, source: str) -> None:
    """Statements whose text would be encoded twice, and broken ones, are refused with their place."""
    with pytest.raises(InputError) as caught:
        workshop.merger(text="{{ 1 }}" + source)
    assert caught.value.problems[0].place is not None
    assert caught.value.problems[0].place.line >= 2


def test_a_condition_that_cannot_be_compiled_is_refused(workshop: Any) -> None:
    """An unknown filter or broken syntax in a condition, a segment or the audience is an InputError."""
    for source in ("subscriber.x | nothing", "subscriber.x ==", "1 }}{{ 2"):
        with pytest.raises(InputError) as caught:
            workshop.merger(conditions=(Condition(source, Place("issues/x.md", 7)),))
        assert caught.value.problems[0].place == Place("issues/x.md", 7)
        for fields in ({"audience": source}, {"segments": {"a": source}}):
            with pytest.raises(InputError):
                workshop.merger(**fields)


def test_a_failing_condition_names_its_place(workshop: Any) -> None:
    """A condition of the variant that can't be worked out is a MergeError at the condition's place."""
    conditions = (Condition("true", Place("issues/x.md", 5)), Condition("subscriber.n + 1", Place("issues/x.md", 6)))
    merger = workshop.merger(conditions=conditions)
    with pytest.raises(MergeError) as caught:
        merger.variant(workshop.reader())
    assert caught.value.problem.place == Place("issues/x.md", 6)


def test_a_failing_segment_shows_no_value(workshop: Any) -> None:
    """A segment that can't be worked out is named; the reader's value is not."""
    issue = {"segments": {"new": "days_since(subscriber.day) < 3"}, "text": "{% if segment['new'] %}x{% endif %}"}
    problem = problem_of(workshop, workshop.reader(day="secret"), **issue)
    assert "“new”" in problem.message
    assert "secret" not in str(problem)


def test_the_audit_counts_every_missing_value(workshop: Any) -> None:
    """Each place is counted over all readers who get the issue, also when one reader lacks several values."""
    text = "{{ subscriber.name }} {{ subscriber.company }} {% if subscriber.city %}{{ subscriber.city }}{% endif %}"
    merger = workshop.merger(
        text=text, html=text, subject=Template("{{ subscriber.name }}"), audience='subscriber.plan != "none"'
    )
    readers = [
        workshop.reader(name="A", company="B"),
        workshop.reader(name="A"),
        workshop.reader(),
        workshop.reader(plan="none"),
        workshop.reader("no address", name="A", company="B"),
    ]
    assert [(str(p.place), p.message) for p in audit(merger, iter(readers))] == [
        ("None", "`name` is missing for 1 of 4 readers, no fallback"),
        ("None", "the address of 1 of 4 readers has no @"),
        ("issues/x.md:1", "`name` is missing for 1 of 4 readers, no fallback"),
        ("issues/x.md:2", "`company` is missing for 2 of 4 readers, no fallback"),
    ]


def test_the_audit_agrees_with_the_merge(workshop: Any) -> None:
    """The audit finds a problem exactly when a message can't be made."""
    text = (
        "{% for x in subscriber.parts %}{{ subscriber.name }}{{ x | upper }}{% endfor %}"
        "{% if subscriber.age // subscriber.zero > 1 %}{{ subscriber.a }}{% endif %}"
        '<a href="{{ (subscriber.u) | link }}">'
    )
    merger = workshop.merger(text=text)
    good = {"name": "A", "parts": ("x", "y"), "age": 4, "zero": 1, "a": "a", "u": "tel:1"}
    for broken in ({}, {"zero": 0}, {"a": None}, {"u": "javascript:x"}, {"name": None}, {"parts": (), "name": None}):
        reader = workshop.reader(**{**good, **broken})
        try:
            merger.message(reader, date=workshop.now)
            fails = False
        except MergeError:
            fails = True
        assert bool(audit(merger, [reader])) is fails
