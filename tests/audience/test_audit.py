"""The audit over many readers at once against the audit of each alone; and what is worth a look."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from digest.audience.arms import EQUAL
from digest.audience.readers import Readers
from digest.audience.subscriber import Subscriber, Value
from digest.compose.handmade import handmade
from digest.errors import InputError, Place
from digest.message.audit import Auditor, audit
from digest.message.identity import Identity
from digest.message.likeness import key_of
from digest.message.merge import Merger

TODAY = date(2025, 9, 12)
SEGMENTS = {
    "pro": 'subscriber.plan == "pro"',
    "odd": "subscriber.seats % 2 == 1",
    "new": "days_since(subscriber.day) < 9",
}
IDENTITY = Identity(
    sender="A <a@example.com>",
    reply_to="",
    domain="example.com",
    list_name="A",
    unsubscribe_url="https://example.com/u",
    unsubscribe_mailto="",
    one_click=False,
    return_path="b@example.com",
    base_url="https://example.com",
)


def made(html: str, text: str = "", audience: str = "true", conditions: tuple[str, ...] = (), **fields: Any) -> Merger:
    compiled = handmade(
        audience=audience,
        subject="{{ subscriber.name | default('you') }}",
        html=html,
        text=text,
        segments=SEGMENTS,
        constants={"issue": {"slug": "x"}},
        conditions=conditions,
        arms=EQUAL,
        received=("y",),
        **fields,
    )
    return Merger(compiled, IDENTITY, today=TODAY, received=lambda number: ("y",) if number % 3 else ())


def reader(number: int, **values: Value) -> Subscriber:
    email = str(values.pop("email", f"reader{number}@example.com"))
    return Subscriber(number, f"token{number}", email, values={"email": email, "tags": (), **values})


printed = st.sampled_from(
    [
        "{{ subscriber.name }}",
        "{{ subscriber['city'] }}",
        "{{ subscriber.city | default('there') }}",
        "{{ subscriber.city | default(subscriber.name) }}",
        "{{ subscriber.city | default('', true) | upper }}",
        "{{ (subscriber.desk) | link }}",
        "{{ (subscriber.city | default('x')) | link }}",
        "{{ ('https://example.com/' ~ subscriber.city) | link }}",
        "{{ (subscriber.name) | urlpart }}",
        "{{ subscriber.seats + 1 }}",
        "{{ 10 / subscriber.seats }}",
        "{{ subscriber.day | date }}",
        "{{ subscriber.city | possessive | upper }}",
        "{{ subscriber.seats | currency('EUR') }}",
        "{{ subscriber.city | number }}",
        "{{ 1 / (subscriber.day | date('d') | int - 3) }}",
        "{{ 1 / (arm == 'b') | int }}",
        "{{ 10 / received('y') | int }}",
        "{{ subscriber.seats if subscriber.name else subscriber.city }}",
        "{{ subscriber.city.upper() }}",
        "{{ none }}",
        "{{ n }}",
        "{{ segment['pro'] }}",
        "{{ links.view | link }}",
        "{{ issue.slug }}",
        "{{ subscriber | string }}",
        "{% set n = subscriber.seats %}",
        "{% set n = 1 %}",
        "{% set n = (n | default(0)) + 1 %}",
    ]
)
tests = st.sampled_from(
    [
        "segment['pro']",
        "segment['odd']",
        "segment['new'] or subscriber.name",
        "subscriber.seats > 2",
        "arm == 'a'",
        "received('y') or segment['odd']",
        "subscriber.city.startswith('U')",
        "10 / subscriber.seats > 2",
        "n == 1",
        "n == subscriber.seats",
        "subscriber.name is defined",
        "issue.slug == 'x'",
        "links.view and subscriber.city",
    ]
)


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.lists(inner, min_size=1, max_size=3).map("".join)
    return st.one_of(
        st.tuples(tests, several, several).map(lambda p: "{%% if %s %%}%s{%% else %%}%s{%% endif %%}" % p),  # noqa: UP031 -- braces
        st.tuples(tests, several, tests, several).map(lambda p: "{%% if %s %%}%s{%% elif %s %%}%s{%% endif %%}" % p),  # noqa: UP031 -- braces
        several.map(lambda s: "{% for n in subscriber.tags %}" + s + "{% endfor %}"),
    )


bodies = st.lists(st.recursive(printed, nested, max_leaves=5), min_size=1, max_size=4).map("".join)
people = st.lists(
    st.fixed_dictionaries(
        {"tags": st.lists(st.sampled_from(["a", "b"]), max_size=2).map(tuple)},
        optional={
            "name": st.sampled_from(["Ann", "Bo"]),
            "city": st.sampled_from(["Ulm", "https://example.com/x", "javascript:x"]),
            "seats": st.sampled_from([0, 1, 3, True, 1.0]),
            "plan": st.sampled_from(["pro", "free"]),
            "desk": st.sampled_from(["https://example.com/desk", "desk"]),
            "day": st.dates(date(2025, 9, 1), TODAY),
            "language": st.sampled_from(["de", "en", "xx"]),
            "email": st.sampled_from(["x@example.com", "nobody"]),
        },
    ),
    min_size=1,
    max_size=8,
)


@given(
    html=bodies, text=bodies, people=people, audience=st.sampled_from(["true", "pro", "odd", "1 / subscriber.seats"])
)
@example(
    html="{{ 10 / subscriber.seats }}", text="", people=[{"tags": (), "seats": n} for n in (1, 0)], audience="true"
)
@example(
    html="{{ (subscriber.desk) | link }}",
    text="",
    people=[{"tags": (), "desk": d} for d in ("x", "mailto:x")],
    audience="true",
)
@settings(max_examples=60)
def test_many_at_once_fail_as_each_alone(html: str, text: str, people: list[dict[str, Value]], audience: str) -> None:
    """For any issue and readers, the audit, which tries readers who are alike once, counts exactly what fails where
    each is tried."""
    try:
        merger = made(html, text, audience)
    except InputError as exc:
        assert "loops stand at most" in str(exc)  # noqa: PT017 -- the other way to fail
        return
    readers = [reader(n, **values) for n, values in enumerate(people, 1)]
    each = Auditor(merger)
    each._key = None  # nobody is taken for another
    for one in readers:
        each.add(one)
    assert audit(merger, readers) == each.problems()


def test_readers_who_are_alike_are_tried_once() -> None:
    """What is only printed does not tell readers apart; whether it is there does, and a condition's outcome."""
    key = key_of(made("{% if segment['pro'] %}{{ subscriber.name }}{% endif %}{{ (subscriber.desk) | link }}"))
    assert key
    people: list[dict[str, Value]] = [
        {"plan": "pro", "name": "Ann", "desk": "https://example.com/1"},
        {"plan": "pro", "name": "Bob", "desk": "https://example.com/2"},
        {"plan": "pro", "desk": "https://example.com/2"},
        {"plan": "free", "name": "Bob", "desk": "https://example.com/2"},
        {"plan": "pro", "name": "Bob", "desk": "desk"},
    ]
    first, *others = [key(values) for values in people]
    assert [other == first for other in others] == [True, False, False, False]


def test_variants_are_counted() -> None:
    """The variants of an audience, the largest first, with the first reader of each."""
    auditor = Auditor(made("", conditions=("segment['pro']", "subscriber.name")))
    for n, values in enumerate([{"plan": "pro"}, {"plan": "free"}, {"plan": "pro"}, {"plan": "pro", "name": "A"}], 1):
        auditor.add(reader(n, **values))
    found = [(v.outcomes, v.readers, v.sample.id) for v in auditor.variants()]
    assert found == [((True, False), 2, 1), ((False, False), 1, 2), ((True, True), 1, 4)]


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        ([{"plan": "pro", "seats": 1, "day": TODAY}, {"plan": "free", "name": "A"}], []),
        (
            [{"plan": "pro", "seats": 1, "day": TODAY}, {"plan": "pro", "seats": 3, "email": "ann@gmial.com"}],
            [
                "x.md:1: warning: “segment['pro']” is true for every one of 2 readers",
                "x.md:2: warning: “subscriber.name” is true for none of 2 readers: nobody gets this",
                "warning: 1 reader has an address at gmial.com (did they mean gmail.com?)",
            ],
        ),
        (
            [{"name": "A", "email": "postmaster@example.com"}, {"seats": 1, "day": TODAY}],
            [
                "x.md:1: warning: “segment['pro']” is true for none of 2 readers: nobody gets this",
                "readers.toml:3: warning: segment “pro” matches none of 2 readers",
                "warning: 1 reader has the address of a role, postmaster@… (a list is for people)",
            ],
        ),
        ([], []),
    ],
)
def test_what_is_worth_a_look(people: list[dict[str, Value]], expected: list[str]) -> None:
    """Conditions that split nobody, segments without members and doubtful addresses are warnings with a place."""
    declared = Readers(places={"pro": Place("readers.toml", 3)})
    auditor = Auditor(made("", conditions=("segment['pro']", "subscriber.name")), declared)
    for n, values in enumerate(people, 1):
        auditor.add(reader(n, **values))
    assert [str(p) for p in auditor.warnings()] == expected
    assert not auditor.problems()


def test_readers_for_whom_nothing_is_left() -> None:
    """An empty issue is counted, and told at the file."""
    auditor = Auditor(made("", conditions=("segment['pro']",), content='(segment["pro"])'))
    for n, plan in enumerate(("pro", "free", "free"), 1):
        auditor.add(reader(n, plan=plan))
    (told,) = [str(p) for p in auditor.warnings() if p.code == "empty-issue"]
    assert told.startswith("x.md:1: warning: 2 of 3 readers would get an empty issue")


def test_groups_that_exclude_each_other_are_part_of_it() -> None:
    """Segments that only [exclusive] names are looked at, too; readers whom the issue is not for are not."""
    declared = Readers(
        segments={"small": "subscriber.seats < 9", "large": "subscriber.seats > 5"},
        exclusive={"size": ("small", "large")},
        exclusive_places={"size": Place("readers.toml", 9)},
    )
    auditor = Auditor(made("", audience="subscriber.name"), declared)
    for n, seats in enumerate((1, 7, 8, 10), 1):
        auditor.add(reader(n, seats=seats, name="Ann"))
    auditor.add(reader(9, seats=7))
    (told,) = [str(p) for p in auditor.warnings() if p.code == "exclusive"]
    assert told == (
        "readers.toml:9: warning: 2 of 4 readers are in “small” and “large”, which exclude each other"
        " (such as reader2@example.com)"
    )
