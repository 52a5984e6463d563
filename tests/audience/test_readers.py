from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.audience.readers import Readers, check_expression, load_readers
from digest.audience.values import TYPES, parse_cell, text_of
from digest.errors import InputError, Place


def problems_of(declared: Path, text: str) -> list[str]:
    (declared / "config/readers.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_readers(declared)
    return [str(p) for p in caught.value.problems]


def test_what_is_declared(readers: Readers) -> None:
    """Attributes are typed, values checked, segments kept, the public reader typed."""
    assert readers.attributes["seats"].type == "integer"
    assert readers.attributes["plan"].values == ("free", "pro", "enterprise")
    assert readers.public == {"plan": "free"}
    assert readers.places["large"] == Place("config/readers.toml", 15)


def test_without_the_file_nothing_is_declared(tmp_path: Path) -> None:
    """A newsletter without readers.toml has the built-in attributes only."""
    assert not load_readers(tmp_path).attributes
    assert "email" in load_readers(tmp_path).types


def test_every_problem_in_one_pass(declared: Path) -> None:
    """All that is wrong is named at once, each with its line and what would be right."""
    found = problems_of(
        declared,
        """\
[attributes]
plan = {type = "string", values = ["free", "pro"], colour = "red"}
seats = "intger"
email = "string"
"first-name" = "string"
score = {type = "integer", values = [1, "many"]}
for = "string"

[segments]
free = 'subscriber.plann == "free"'
pro = 'subscriber.plan == "pro'
gold = 'subscriber.plan == "gold"'
team = 'fre and segment.prio'
subscriber = 'true'
all = 'true'
calls = 'subscriber.plan.__class__'
seven = 7

[public]
plan = "gold"
town = "Ulm"

[extra]
""",
    )
    expected = {
        2: "unknown key “colour”",
        3: "unknown type “intger” (did you mean “integer”?)",
        4: "built in",
        5: "is no name",
        6: "“many” is not a whole number",
        7: "word of the expression language",
        10: "unknown attribute “plann” (did you mean “plan”?)",
        11: "not an expression",
        12: "plan is never “gold” (one of: free, pro)",
        13: "unknown name “fre” (did you mean “free”?)",
        14: "name of something else",
        15: "name of something else",
        16: "“__class__” cannot be read",
        17: "no expression",
        20: "“gold” is not among the declared values (one of: free, pro)",
        21: "unknown attribute “town”",
        23: "unknown section “extra”",
    }
    for line, message in expected.items():
        assert any(p.startswith(f"config/readers.toml:{line}:") and message in p for p in found), (line, found)
    assert any("unknown segment “prio” (did you mean “pro”?)" in p for p in found)
    assert len(found) == len(expected) + 1


def test_a_circle_of_segments_is_named_whole(declared: Path) -> None:
    """Segments that need each other are one problem naming all of them; one that needs itself is another."""
    found = problems_of(declared, "[segments]\na = 'b'\nb = 'segment.c or true'\nc = 'not a'\nd = 'd'\ne = 'a'\n")
    assert [p.partition("error: ")[2] for p in found] == [
        "these segments need each other: a → b → c → a (break the circle)",
        "these segments need each other: d → d (break the circle)",
    ]


def test_broken_toml_has_its_line(declared: Path) -> None:
    """A file that is no TOML is refused with the line."""
    (found,) = problems_of(declared, "[attributes]\nplan = string\n")
    assert found.startswith("config/readers.toml:2")


def test_the_closure_holds_all_a_segment_needs(readers: Readers) -> None:
    """The segments a segment needs come with it; those it does not need don't."""
    assert set(readers.closure(["large"])) == {"large", "pro"}


@pytest.mark.parametrize(
    "source",
    [
        "pro",
        "pro or free",
        'segment["pro"] and not segment.free',
        'subscriber.plan in ["free", "pro"]',
        "days_since(subscriber.signed_up) < 30",
        '"beta" in subscriber.tags',
        'subscriber.city|lower == "ulm"',
        'subscriber.email.endswith("@example.org")',
        "subscriber.seats is defined and subscriber.seats > 3",
        "true",
    ],
)
def test_expressions_that_are_right(readers: Readers, source: str) -> None:
    """What a segment may say has no problem."""
    assert check_expression(source, readers, Place("issues/x.md", 4)) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "not an expression"),
        ("  ", "not an expression"),
        ("pro, free", "comma"),
        ("'pro'", "no condition"),
        ("[pro]", "no condition"),
        ("pro and", "not an expression"),
        ("pro }} {{ free", "not an expression"),
        ("pro %} {% if free", "not an expression"),
        ("plan == 'pro'", "did you mean subscriber.plan?"),
        ("subscriber.plan == 3", "never"),
        ("subscriber.seats == '3'", "never"),
        ('subscriber.plan in ["free", "por"]', "did you mean “pro”?"),
        ("subscriber.plan|uper", "did you mean “upper”?"),
        ("subscriber.plan is strin", "did you mean “string”?"),
        ("subscriber.plan.format(1)", "not allowed"),
        ("cycler(1)", "unknown name"),
        ("issue.title == 'x'", "unknown name “issue”"),
        ("subscriber", "stands alone"),
        ("subscriber|length", "stands alone"),
    ],
)
def test_expressions_that_are_wrong(readers: Readers, source: str, message: str) -> None:
    """What a segment may not say is one located problem at least, with what would be right."""
    found = check_expression(source, readers, Place("issues/x.md", 4))
    assert found
    assert all(p.place == Place("issues/x.md", 4) for p in found)
    assert any(message in str(p) for p in found), found


@given(st.text(max_size=40) | st.text(alphabet="pro(){}%\"'[]|.= subcrie", max_size=40))
def test_checking_never_fails_itself(source: str) -> None:
    """Any text is checked without an exception."""
    check_expression(source, Readers(segments={"pro": "true"}), Place("x"))


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", " Ulm ", "Ulm"),
        ("integer", "-12", -12),
        ("number", "2.5", 2.5),
        ("number", "3", 3),
        ("boolean", "YES", True),
        ("boolean", "0", False),
        ("date", "2025-02-28", date(2025, 2, 28)),
        ("date", "2025-02-28T23:30:00Z", date(2025, 2, 28)),
        ("list", "a; b;;c", ("a", "b", "c")),
        ("list", "a, b", ("a", "b")),
        ("list", '["a,b"]', ("a,b",)),
        ("url", "https://example.com/a?b=c", "https://example.com/a?b=c"),
        ("integer", "  ", None),
    ],
)
def test_cells_are_typed(kind: str, text: str, value: object) -> None:
    """A cell becomes a value of the declared type; an empty one none."""
    found = parse_cell(kind, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("integer", "1.0"),
        ("integer", "1,000"),
        ("integer", "9" * 5000),
        ("integer", "٣"),
        ("number", "nan"),
        ("number", "1e999"),
        ("boolean", "perhaps"),
        ("date", "28.02.2025"),
        ("date", "2025-02-30"),
        ("date", "20250228"),
        ("date", "2025-W09-5"),
        ("url", "javascript:alert(1)"),
        ("url", "https://"),
        ("url", "https://[::1"),
        ("url", "https://example.com/a b"),
        ("url", 'https://example.com/"onclick="'),
        ("string", "a\0b"),
        ("string", "a\ud800"),
        ("string", "x" * 100_001),
    ],
)
def test_cells_that_do_not_fit_are_refused(kind: str, text: str) -> None:
    """A cell that is no value of the type is an error with a reason."""
    with pytest.raises(ValueError, match=r"is |holds |as "):
        parse_cell(kind, text)


@given(st.sampled_from(TYPES), st.text(max_size=30))
def test_a_value_survives_being_written(kind: str, text: str) -> None:
    """Whatever a cell becomes, written as a cell and read again it is the same."""
    try:
        value = parse_cell(kind, text)
    except ValueError:
        return
    assert parse_cell(kind, text_of(value)) == value


@given(st.lists(st.text(alphabet="ab ,;[]\"'é", min_size=1, max_size=5).filter(str.strip), max_size=4))
def test_lists_of_any_texts_survive_being_written(members: list[str]) -> None:
    """A list whose members hold separators and quotes is read back as it was."""
    value = tuple(members)
    assert (parse_cell("list", text_of(value)) or ()) == value
