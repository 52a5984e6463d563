"""What no expression may do: each refused with its place, in bounded time, whatever it is given."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.audience.readers import AttributeType, Readers
from digest.compose.names import tag_problems
from digest.errors import InputError, Place
from digest.issue.jinja import TagTable, lift
from digest.message.merge import MergeError

READERS = Readers({"plan": AttributeType("plan", "string"), "seats": AttributeType("seats", "integer")})
PLACE = Place("issues/x.md", 1, 1)
VALUES = {"name": "Ada", "plan": "pro", "seats": 3, "tags": ("a", "b")}


def refusals(workshop: Any, source: str) -> list[str]:
    """Everything an issue with this text is told, composing and merging; nothing for one that can be sent."""
    table = TagTable.for_text(source)
    problems = list(lift(source, table, PLACE).problems)
    local = frozenset({"a", "b", "x", "y", "loop"})
    problems += [p for tag in table.tags.values() if tag.source for p in tag_problems(tag, READERS, local)]
    if not problems:
        try:
            merger = workshop.merger(html=source, text=source)
            merger.message(workshop.reader(**VALUES), date=workshop.now)
        except InputError as exc:
            problems += exc.problems
        except MergeError as exc:
            problems.append(exc.problem)
    return [str(p) for p in problems]


ATTACKS = [
    "{{ subscriber.__class__ }}",
    "{{ subscriber['__class__'] }}",
    "{{ subscriber['__cla' ~ 'ss__'] }}",
    "{{ subscriber.name.__class__.__mro__ }}",
    "{{ ''['__class__'] }}",
    "{{ [] | map(attribute='__class__') | list }}{{ [1] | map(attribute='__class__') | list | first }}",
    "{{ [subscriber] | sort(attribute='_values') | map(attribute='_values') | list | first }}",
    "{{ (1).__add__(2) }}",
    "{{ self }}",
    "{{ cycler(1, 2) }}",
    "{{ namespace() }}",
    "{{ lipsum() }}",
    "{{ dict(a=1) }}",
    "{{ range.__globals__ }}",
    "{{ days_since.__globals__ }}",
    "{{ received.__globals__ }}",
    "{{ '{0.__class__}'.format(subscriber) }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ ('%' ~ '1000000000d') % 1 }}",
    "{{ 'a' * 10**9 }}",
    "{{ [0] * 10**9 }}",
    "{{ 9 ** 9 ** 9 }}",
    "{{ (10 ** 64) ** 64 }}",
    "{{ 'a'.ljust(10**9) }}",
    "{{ 'a'.zfill(10**9) }}",
    "{{ 'a'.center(10**9) }}",
    "{{ 'a\t'.expandtabs(10**9) }}",
    "{{ 'a'.encode() }}",
    "{{ range(10**9) | list }}",
    "{{ range(10**9) | sum }}",
    "{{ [1] | batch(10**9, 0) | list }}",
    "{{ [1] | slice(10**9) | list }}",
    "{{ 1 | round(10**9, 'ceil') }}",
    "{{ ('a' * 9999) | replace('a', 'b' * 9999) }}",
    "{{ ('a' * 9999).replace('a', 'b' * 9999) }}",
    "{{ range(999) | join('b' * 9999) }}",
    "{{ ('b' * 9999).join(('a' * 999) | list) }}",
    "{{ range(999) | map('replace', '', 'b' * 9999) | join | length }}",
    "{% set a = 'x' * 9999 %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}",
    "{% set a = 'x' * 9999 %}" + "{% set a = a + a %}" * 40 + "{{ a }}",
    "{% set a = [1] %}" + "{% set a = a + a %}" * 40 + "{{ a }}",
    "{% set a = 9 %}" + "{% set a = a * a %}" * 40 + "{{ a }}",
    "{% for x in range(10**6) %}{{ x }}{% endfor %}",
    "{% for x in range(999) %}{% for y in range(999) %}{% for b in range(999) %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for x in range(999) %}{% for y in range(999) %}{{ 'a' * 9999 }}{% endfor %}{% endfor %}",
    "{% for x in subscriber.tags recursive %}{{ loop(subscriber.tags) }}{% endfor %}",
    "{% import 'os' as x %}",
    "{% include '/etc/passwd' %}",
    "{% macro x() %}{% endmacro %}",
    "{% raw %}{{ x }}{% endraw %}",
    "{{ " + "(" * 900 + "1" + ")" * 900 + " }}",
    "{{ " + "-" * 1900 + "1 }}",
    "{{ " + "not " * 450 + "1 }}",
    "{{ " + "[" * 900 + "]" * 900 + " }}",
    "{{ 1" + " ~ 1" * 450 + " }}{{ 1" + ".x" * 900 + " }}",
]


@pytest.mark.parametrize("source", ATTACKS)
def test_each_attack_is_refused(workshop: Any, source: str) -> None:
    """Located, within two seconds of processor time, and without a word of what it wanted to know."""
    start = time.process_time()
    told = refusals(workshop, source)
    assert time.process_time() - start < 2
    assert told
    assert not any("<class" in line or "root:" in line or " at 0x" in line for line in told)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ subscriber.name.upper() }}", "ADA"),
        ("{{ ', '.join(subscriber.tags) }}", "a, b"),
        ("{{ subscriber.name.replace('d', 't') }}", "Ata"),
        ("{{ subscriber.tags | join(' & ') | replace('a', 'c', 1) }}", "c & b"),
        ("{% for x in subscriber.tags %}{{ loop.cycle('odd', 'even') }}{{ loop.index }}{% endfor %}", "odd1even2"),
        ("{% for x in subscriber.tags %}{% for y in range(2) %}{{ x }}{% endfor %}{% endfor %}", "aabb"),
        ("{{ 7 % 4 + 2 * 3 ** 2 }}{{ 'a' + 'b' ~ 1 }}", "21ab1"),
        ("{{ 'ab' * 2 }}{{ [1, 2] + [3] }}", "abab1, 2, 3"),
        ("{{ subscriber.tags | batch(2) | first | join }}{{ 2.345 | round(1) }}", "ab2.3"),
        ("{{ range(3) | list }}{{ range(1, 9, 4) | join('-') }}", "0, 1, 21-5"),
    ],
)
def test_what_is_useful_is_allowed(workshop: Any, source: str, expected: str) -> None:
    """The limits are felt by nobody who writes a newsletter."""
    assert refusals(workshop, source) == []
    assert workshop.merger(text=source).rendering(workshop.reader(**VALUES)).text == expected


words = st.sampled_from(
    [
        *(
            "subscriber",
            ".name",
            ".tags",
            "['plan']",
            ".seats",
            ".__class__",
            "['__init__']",
            "segment",
            "links",
            "arm",
        ),
        *("issue", "newsletter", "range", "days_since", "received", "('x')", "(9)", "(10**9)", "()", "self", "loop"),
        *(
            "'a'",
            "'%9999999d'",
            "'{0.__class__}'",
            "9",
            "10**9",
            "-",
            "+",
            "*",
            "**",
            "%",
            "~",
            "/",
            "//",
            " in ",
            " is ",
        ),
        *(" and ", " or ", " not ", " if ", " else ", " == ", " < ", "(", ")", "[", "]", "[0]", "[:9]", "{", "}", ","),
        *(
            "|join",
            "|list",
            "|batch",
            "|slice",
            "|map('upper')",
            "|replace('a',",
            "|date",
            "|number",
            "|currency('EUR')",
        ),
        *(
            "|default",
            "|round",
            "|sort",
            "|truncate",
            ".upper()",
            ".format",
            ".ljust(10**9)",
            "defined",
            "none",
            "true",
        ),
    ]
)


@given(st.lists(words, min_size=1, max_size=9).map("".join))
@settings(max_examples=400, deadline=20_000)
def test_any_expression_is_written_or_refused(workshop: Any, source: str) -> None:
    """Whatever is put together from the language's words: a text of some length, or a refusal with a place."""
    for whole in (f"{{{{ {source} }}}}", f"{{% if {source} %}}1{{% endif %}}"):
        told = refusals(workshop, whole)
        assert all(line.startswith("issues/x.md:") for line in told), told
        assert not any("<class" in line or " at 0x" in line for line in told)
