from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import product
from pathlib import Path

import pytest

from digest.audience import samples
from digest.audience.lists import read_list
from digest.audience.readers import Readers, load_readers
from digest.audience.samples import made_up_readers, public_reader
from digest.audience.segments import Segments
from digest.audience.subscriber import Subscriber
from digest.compose.compiled import Ask, CompiledIssue
from digest.compose.handmade import handmade
from digest.errors import InputError, Place
from digest.expressions import RECEIVED
from digest.message.merge import Identity, Merger

PLACE = Place("issues/x.md", 1)
TODAY = date(2025, 9, 12)


def issue(readers: Readers, *conditions: str, audience: str = "true", asks: tuple[str, ...] = ()) -> CompiledIssue:
    asked = tuple(Ask(name, PLACE, bare=True) for name in asks)
    return handmade(audience=audience, segments=dict(readers.segments), conditions=conditions, asks=asked)


def outcomes(compiled: CompiledIssue, readers: list[Subscriber]) -> list[tuple[bool, ...]]:
    segments = Segments(compiled.segments, TODAY)
    conditions = [segments.condition(c.expression) for c in compiled.conditions]
    return [tuple(c(r.values, segments.view(r.values)) for c in conditions) for r in readers]


@pytest.mark.parametrize(
    ("conditions", "variants"),
    [
        ((), 1),
        (("segment.pro",), 2),
        (("segment.pro", "segment.free"), 3),
        (("segment.large", "segment.pro"), 3),
        (("subscriber.seats >= 10", "subscriber.seats"), 3),
        (("days_since(subscriber.signed_up) < 30", "subscriber.first_name"), 4),
        (('"chips" in subscriber.interests', '"models" in subscriber.interests'), 4),
        (('subscriber.city == "Ulm"', 'subscriber.city == "Bath"', "subscriber.city"), 4),
        (('subscriber.language.startswith("de")',), 2),
        (("subscriber.annual", "subscriber.annual is defined"), 3),
        (('"beta" in subscriber.tags', "subscriber.tags"), 3),
    ],
)
def test_every_variant_has_its_reader(readers: Readers, conditions: tuple[str, ...], variants: int) -> None:
    """One made-up reader for each outcome of all conditions that a reader can have, and the public one first."""
    compiled = issue(readers, *conditions)
    found = made_up_readers(readers, compiled, TODAY)
    assert found[0] == public_reader(readers)
    made = outcomes(compiled, found[1:])
    assert len(made) == len(set(made)) == variants
    assert len({r.token for r in found}) == len({r.email for r in found}) == len(found)


def test_only_readers_of_the_audience(readers: Readers) -> None:
    """Nobody outside the issue's audience is made up."""
    found = made_up_readers(readers, issue(readers, "segment.large", audience="pro"), TODAY)
    assert {r.values["plan"] for r in found[1:]} == {"pro"}


def test_what_is_printed_has_a_value(readers: Readers) -> None:
    """A value the issue asks for and no condition depends on is there, and plausible for its type."""
    found = made_up_readers(readers, issue(readers, "segment.pro", asks=("desk_url", "renewed", "city")), TODAY)
    assert all({"desk_url", "renewed", "city"} <= r.values.keys() for r in found[1:])
    assert isinstance(found[1].values["renewed"], date)


def test_too_many_combinations_are_sampled(readers: Readers) -> None:
    """Many conditions neither take for ever nor miss the simple variants; the same readers come each time."""
    values = [f"subscriber.{name} == {n}" for name in ("seats", "score") for n in range(0, 90, 10)]
    names = ["segment.pro", "subscriber.annual", "subscriber.first_name", "subscriber.city", "subscriber.desk_url"]
    compiled = issue(readers, *values, *names)
    found = made_up_readers(readers, compiled, TODAY)
    seen = outcomes(compiled, found[1:])
    for column in zip(*seen, strict=True):
        assert set(column) == {True, False}
    assert found == made_up_readers(readers, compiled, TODAY)


def test_conditions_that_fail_do_no_harm(readers: Readers) -> None:
    """A condition over a name of the issue's own, or one that can't be computed, makes no variant."""
    compiled = issue(readers, "item == 3", "1 / 0 > 1", "segment.pro")
    assert len(made_up_readers(readers, compiled, TODAY)) == 3


def test_with_and_without_an_earlier_issue(readers: Readers) -> None:
    """Where a condition asks for an issue received, there is a reader who received it and one who did not."""
    asks = ('received("old")', 'not received("new") and segment.pro')
    compiled = replace(issue(readers, *asks), received=("old", "new"))
    found = made_up_readers(readers, compiled, TODAY)
    assert len(found[1:]) == 4
    identity = Identity("The Sample <a@example.com>", "example.com", "The Sample")
    merger = Merger(compiled, identity, today=TODAY, received=lambda _number: ())  # a ledger that knows none of them
    assert {merger.variant(r) for r in found[1:]} == set(product((True, False), repeat=2))
    only = replace(issue(readers, audience='received("old")'), received=("old",))
    assert [r.values[RECEIVED] for r in made_up_readers(readers, only, TODAY)[1:]] == [("old",)]


def test_constants_beyond_all_dates_do_no_harm(readers: Readers) -> None:
    """A number of days that no calendar holds is not tried, and the rest is."""
    assert len(made_up_readers(readers, issue(readers, "days_since(subscriber.renewed) < 99999999999"), TODAY)) == 3


def test_the_public_reader(readers: Readers) -> None:
    """The anonymous reader has what [public] sets, an example address, and nothing else."""
    assert dict(public_reader(readers).values) == {"plan": "free", "email": "reader@example.com", "tags": ()}
    named = replace(readers, public={"name": "Dear Reader", "tags": ("public",)})
    assert public_reader(named).values["first_name"] == "Dear"


def test_the_test_list(declared: Path, readers: Readers) -> None:
    """The test readers come typed, with tokens of their own; none without the file; all faults at once."""
    assert samples.test_list(declared, readers) == []
    (declared / "subscribers").mkdir()
    file = declared / "subscribers/test.csv"
    file.write_text("email,name,seats,signed_up\nann@example.com,Ann Lee,3,2025-01-01\nbob@example.com,,,\n")
    ann, bob = samples.test_list(declared, readers)
    assert (ann.values["seats"], ann.values["first_name"], ann.values["signed_up"]) == (3, "Ann", date(2025, 1, 1))
    assert ann.token != bob.token
    file.write_text("email,seats\nann,3\nbob@example.com,x\nBOB@example.com,3\nbob@example.com,4\n")
    with pytest.raises(InputError) as caught:
        samples.test_list(declared, readers)
    assert [p.place and p.place.line for p in caught.value.problems] == [2, 3, 5]


@pytest.fixture
def shipped(repository: Path) -> Readers:
    return load_readers(repository)


def test_the_sample_list_is_what_it_promises(repository: Path, shipped: Readers) -> None:
    """About thirty readers at example domains, of all plans, enterprise ones with a desk; and awkward names."""
    people = read_list(repository / "subscribers/sample.csv", "sample.csv", shipped)
    assert 28 <= len(people) <= 34
    domains = {p.email.lower().rpartition("@")[2] for p in people}
    assert all(d.endswith(("example.com", "example.org", "example.net")) for d in domains)
    assert {p.values["plan"] for p in people} == {"free", "pro", "enterprise"}
    assert all("desk_url" in p.values for p in people if p.values["plan"] == "enterprise")
    names = "\n".join(p.name for p in people)
    for awkward in ('"', ",", "'", "<b>", "&", "\u200d", "Оле", "Νίκ", "يار", "佐藤", "陳"):
        assert awkward in names
    assert any(len(p.name) > 120 for p in people)
    assert any(not p.name for p in people)
    assert any("+" in p.email and p.email != p.email.lower() for p in people)
    assert any(not d.isascii() for d in domains)


def test_the_sample_test_list(repository: Path, shipped: Readers) -> None:
    """The shipped test list has one reader of each plan."""
    people = samples.test_list(repository, shipped)
    assert [p.values["plan"] for p in people] == ["free", "pro", "enterprise"]
