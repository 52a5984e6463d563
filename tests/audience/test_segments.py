from __future__ import annotations

from datetime import date

import pytest

from digest.audience.segments import SegmentError, Segments
from digest.audience.subscriber import Value

TODAY = date(2025, 9, 12)
EXPRESSIONS = {
    "pro": 'subscriber.plan == "pro"',
    "german": 'subscriber.country in ["DE", "AT"]',
    "by_name": "pro and german",
    "by_segment": 'segment.pro and segment["german"]',
    "nested": "not by_name and (german or 1 in [pro, 1])",
    "new": "days_since(subscriber.signed_up) < 30",
    "large": "subscriber.seats >= 10",
    "small": "not large",
    "other_plan": 'subscriber.plan != "pro"',
    "example": 'subscriber.email.endswith("@example.org")',
    "beta": '"beta" in subscriber.tags',
    "first_letter": "subscriber.city|first == 'U'",
}


def belongs(name: str, **values: Value) -> bool:
    return Segments(EXPRESSIONS, TODAY).view(values)[name]


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("pro", {"plan": "pro"}, True),
        ("pro", {"plan": "free"}, False),
        ("by_name", {"plan": "pro", "country": "AT"}, True),
        ("by_segment", {"plan": "pro", "country": "AT"}, True),
        ("by_segment", {"plan": "pro", "country": "FR"}, False),
        ("nested", {"plan": "free", "country": "AT"}, True),
        ("new", {"signed_up": date(2025, 8, 14)}, True),
        ("new", {"signed_up": date(2025, 8, 13)}, False),
        ("large", {"seats": 10}, True),
        ("large", {"seats": 9}, False),
        ("beta", {"tags": ("beta", "early")}, True),
        ("first_letter", {"city": "Ulm"}, True),
    ],
)
def test_membership(name: str, values: dict[str, Value], expected: bool) -> None:
    """A reader belongs to a segment when its expression is true, other segments read by either spelling."""
    assert belongs(name, **values) is expected


@pytest.mark.parametrize("name", ["pro", "by_name", "new", "large", "example", "beta", "first_letter"])
def test_a_reader_without_the_value_does_not_belong(name: str) -> None:
    """An absent value is equal to nothing, less than nothing, and nothing can be computed with it."""
    assert belongs(name) is False


def test_absent_is_not_equal() -> None:
    """“Not pro” and “not large” hold for a reader of whom neither plan nor seats are known."""
    assert belongs("other_plan") is True
    assert belongs("small") is True


def test_each_is_asked_once_and_only_when_needed() -> None:
    """A segment that fails is no matter until it is asked for, and one that is read twice is computed once."""
    reads: list[str] = []

    class Counting(dict[str, Value]):
        def get(self, key: str, default: object = None) -> Value | None:  # type: ignore[override]
            reads.append(key)
            return super().get(key)

    view = Segments({**EXPRESSIONS, "broken": "1 / 0"}, TODAY).view(Counting(plan="pro"))
    assert (view["pro"], view["pro"], view.pro) == (True, True, True)
    assert reads == ["plan"]


def test_a_failing_one_is_named() -> None:
    """An expression that fails for a reader raises `SegmentError` with its name, each time it is asked."""
    view = Segments({"broken": "subscriber.seats / 0 > 1", "user": "broken"}).view({"seats": 3})
    for _ in range(2):
        with pytest.raises(SegmentError, match="broken"):
            _ = view["user"]


def test_one_that_needs_itself_is_an_error_not_a_crash() -> None:
    """Segments from elsewhere than a checked file may form a circle; that is an error of the segment."""
    view = Segments({"a": "b", "b": "not a"}).view({})
    with pytest.raises(SegmentError, match="needs itself"):
        _ = view["a"]


def test_unknown_segments_are_unknown() -> None:
    """There is no default for a segment that is not declared."""
    view = Segments({}).view({})
    with pytest.raises(KeyError):
        _ = view["pro"]
    with pytest.raises(AttributeError):
        _ = view.pro


def test_any_expression_can_be_asked() -> None:
    """An audience is an expression over the same reader and segments, and does not change them."""
    segments = Segments(EXPRESSIONS, TODAY)
    audience = segments.condition("pro or german")
    for plan, expected in (("pro", True), ("free", False)):
        values: dict[str, Value] = {"plan": plan}
        assert audience(values, segments.view(values)) is expected
