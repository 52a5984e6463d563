"""The compiled conditions against the sandbox they stand for."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import nodes
from jinja2.exceptions import UndefinedError

from digest.audience.conditions import expression_problems
from digest.audience.readers import Readers
from digest.audience.segments import SegmentError, Segments
from digest.audience.subscriber import Value
from digest.errors import Place
from digest.expressions import ExpressionEnvironment, ReaderView, parse_expression

TODAY = date(2025, 9, 12)
SEGMENTS = {"pro": 'subscriber.plan == "pro"', "big": "subscriber.seats >= 10 and pro", "odd": "subscriber.seats % 2"}


def in_the_sandbox(source: str, values: dict[str, Value]) -> object:
    """What Jinja's own compiler makes of an expression in the sandbox: true, false, or the error's type."""
    environment = ExpressionEnvironment(lambda: TODAY)
    environment.optimized = False  # folding constants hides some of their errors
    tree = parse_expression(source)
    tree.set_environment(environment)
    result = nodes.Assign(nodes.Name("result", "store"), tree, lineno=1)
    with warnings.catch_warnings(action="ignore", category=SyntaxWarning):  # `2[:1]`: Python sees it in the source
        template = environment.from_string(nodes.Template([result], lineno=1))
    names = {name: in_the_sandbox(of, values) for name, of in SEGMENTS.items() if name in source and of != source}
    if any(isinstance(found, type) for found in names.values()):
        return SegmentError
    context = template.new_context({"subscriber": ReaderView(values), "segment": names, **names})
    try:
        list(template.root_render_func(context))
        return bool(context.vars["result"])
    except UndefinedError:
        return False
    except Exception as exc:  # noqa: BLE001 -- the type is what is compared
        return type(exc)


def compiled(source: str, values: dict[str, Value]) -> object:
    made = Segments(SEGMENTS, TODAY)
    try:
        return made.condition(source)(values, made.view(values))
    except Exception as exc:  # noqa: BLE001 -- as above
        return type(exc)


def at_once(source: str, values: dict[str, Value]) -> object:
    """The same by the function that computes everything; an absent value is not caught there."""
    try:
        return Segments({"it": source, **SEGMENTS}, TODAY).outcomes(['segment["it"]'])(values)[0]
    except Exception as exc:  # noqa: BLE001 -- as above
        return type(exc)


texts = st.sampled_from(["pro", "free", "", "Ulm", "de", "2", "a b", "2025-01-01"])
people = st.fixed_dictionaries(
    {"email": st.just("ann@example.com"), "tags": st.lists(texts, max_size=2).map(tuple)},
    optional={
        "plan": texts,
        "city": texts,
        "seats": st.integers(-3, 12),
        "score": st.sampled_from([0.0, 0.5, 2.0, -1.5]),
        "annual": st.booleans(),
        "signed_up": st.dates(date(2025, 7, 1), TODAY),
    },
)

constants = st.sampled_from(
    [
        '"pro"',
        '""',
        '"a"',
        "2",
        "0",
        "10",
        "-1",
        "2.5",
        "none",
        "true",
        "false",
        '["pro", 2]',
        '("de", none)',
        "[]",
        "{}",
    ]
)
reads = st.sampled_from(["plan", "city", "seats", "score", "annual", "signed_up", "tags", "email", "nobody"]).flatmap(
    lambda name: st.sampled_from([f"subscriber.{name}", f'subscriber["{name}"]'])
)
asked = st.sampled_from(["pro", "segment.pro", 'segment["big"]', "big", "odd", "(not odd)"])
leaves = st.one_of(constants, reads, reads, asked)


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def put(pattern: str, count: int) -> st.SearchStrategy[str]:
        return st.tuples(*[inner] * count).map(lambda parts: pattern.format(*parts))

    binary = [f"({{}} {op} {{}})" for op in ("==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or")]
    binary += [f"({{}} {op} {{}})" for op in ("+", "-", "*", "/", "//", "%", "~")]
    binary += ["({0} == {1} == {0})", "({} | default({}))", "({} if {})", "({}, {})", "[{}, {}]", "{{{}: {}}}"]
    binary += ["({} | join({}))", "({} | replace({}, 'x'))", "({})[{}]"]
    unary = ["(not {})", "(- {})", "(+ {})", "({} | length)", "({} | upper)", "({} | first)", "({} | list)", "({})[:1]"]
    unary += ["({} is defined)", "({} is none)", "({} is string)", "({} is odd)", "({} | map('upper') | list)"]
    unary += ["({} | select('string') | list)", "({} | sort)", "({} | int)", "days_since({})", "({}).year", "range({})"]
    unary += ["({}).startswith('p')", "({}).upper()", "({}).strip().lower()", "({} | default('x', true))", "({})[0]"]
    return st.one_of(
        *(put(pattern, 2) for pattern in binary), *(put(pattern, 1) for pattern in unary), put("({} if {} else {})", 3)
    )


expressions = st.recursive(leaves, larger, max_leaves=7)


@given(source=expressions, values=people)
@settings(max_examples=300)
def test_compiled_means_what_the_sandbox_means(source: str, values: dict[str, Value]) -> None:
    """For any expression and any reader, absent values and errors included, both say the same."""
    expected = in_the_sandbox(source, values)
    assert compiled(source, values) == expected
    together = at_once(source, values)
    # Computed at once, a segment that fails fails everything, also where nobody asked for it.
    fails = any(isinstance(in_the_sandbox(of, values), type) for of in SEGMENTS.values())
    assert together == expected or (isinstance(together, type) and (fails or isinstance(expected, type)))


@pytest.mark.parametrize(
    "source",
    [
        "subscriber.__class__",
        'subscriber["__class__"]',
        "subscriber.plan._x",
        "subscriber",
        "segment",
        "newsletter.name",
        "range",
        "days_since",
        "subscriber.plan.format(1)",
        "subscriber.plan.upper",
        "subscriber.plan.__len__()",
        "subscriber.plan.startswith(*subscriber.tags)",
        "range(**subscriber.tags)",
        "subscriber.plan | map(**{})",
        "cycler('a')",
        "self",
        "loop.index",
        "subscriber[0]",
        "segment[subscriber.plan]",
        "[pro](1)",
        "(" * 60 + "not " * 3000 + "pro" + ")" * 60,
        " + ".join(["1"] * 5000),
    ],
)
def test_everything_else_is_refused_with_its_place(readers: Readers, source: str) -> None:
    """What is not on the list of forms is refused where it is declared, and by whoever compiles it."""
    place = Place("config/readers.toml", 7)
    problems = expression_problems(source, readers.types, readers.segments, place)
    assert problems
    assert {p.place for p in problems} == {place}
    with pytest.raises(ValueError, match=r"."):
        Segments(SEGMENTS, TODAY).condition(source)


def test_long_chains_are_no_depth(readers: Readers) -> None:
    """Three hundred addresses joined by “or” are a long list, not a deep one."""
    source = " or ".join(f'subscriber.email == "reader{n}@example.com"' for n in range(300))
    assert expression_problems(source, readers.types, (), Place("x")) == []
    condition = Segments({}).condition(source)
    assert condition({"email": "reader299@example.com"}, Segments({}).view({})) is True


@pytest.fixture
def outcomes() -> Callable[..., tuple[bool, ...]]:
    return lambda values, *sources: Segments(SEGMENTS, TODAY).outcomes(sources, {"issue": {"slug": "x"}})(values)


def test_all_at_once(outcomes: Callable[..., tuple[bool, ...]]) -> None:
    """Conditions are computed together, with the segments they need and the issue's own constants."""
    sources = ("pro", 'segment["big"]', 'issue.slug == "x"', "subscriber.city", "not odd")
    assert outcomes({"plan": "pro", "seats": 11, "tags": ()}, *sources) == (True, True, True, False, False)
    assert outcomes({"tags": ()}, *sources) == (False, False, True, False, True)


def test_an_absent_value_in_a_condition_is_no_outcome(outcomes: Callable[..., tuple[bool, ...]]) -> None:
    """Where a condition of the issue computes with a value that is not there, that is raised, not decided."""
    with pytest.raises(UndefinedError):
        outcomes({"tags": ()}, "subscriber.city.lower() == 'ulm'")


def test_circles_are_refused() -> None:
    """Segments that need each other cannot be computed at once."""
    with pytest.raises(ValueError, match="need each other: a, b"):
        Segments({"a": "b", "b": "not a", "c": "true"}).outcomes(["c"])
