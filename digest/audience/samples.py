"""Readers for looking at an issue without the real list: the anonymous one, the test list, made-up ones.

Made-up readers show an issue as each group will get it. For every attribute that a condition of the issue
asks for, the values that can matter are tried: the declared ones, the constants the conditions compare
with (and their neighbours), and no value. Where a condition asks for an arm or for an issue received, there are
readers in each arm, and with and without that issue. Of all combinations one reader is kept for each distinct
outcome of all conditions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import chain, combinations, product
from math import prod
from pathlib import Path
from random import Random
from typing import Any

from jinja2 import nodes

from digest.audience.arms import arm_of, in_arm
from digest.audience.lists import read_list
from digest.audience.readers import AttributeType, Readers
from digest.audience.segments import Condition, Segments
from digest.audience.subscriber import Subscriber, Value
from digest.compose.compiled import CompiledIssue
from digest.expressions import ARM, RECEIVED, parse_expression, uses

TEST_LIST = "subscribers/test.csv"

_MOST_COMBINATIONS = 4096
_SAMPLED = 1000
_FEW_ISSUES = 4
_NAMES = (
    "Alma Birkeland",
    "Bruno Castellani",
    "Chiara Dubois",
    "Daniel Eriksen",
    "Esther Feldman",
    "Felix Grünwald",
    "Greta Hollis",
    "Hassan Idrissi",
    "Iris Jablonska",
    "Jonas Keller",
    "Kaya Lindgren",
    "Leon Moreau",
)
_BY_NAME: Mapping[str, Value] = {
    "city": "Lisbon",
    "company": "Harbour & Daughters",
    "country": "PT",
    "language": "en",
    "role": "Engineer",
    "timezone": "Europe/Lisbon",
}
_BY_TYPE: Mapping[str, Value] = {
    "string": "Example",
    "integer": 12,
    "number": 2.5,
    "boolean": True,
    "list": ("example",),
    "url": "https://example.com/desk",
}

Values = dict[str, Value | None]


def public_reader(readers: Readers) -> Subscriber:
    """The anonymous reader: what `[public]` sets, and an example address."""
    return _reader("public", {"email": "reader@example.com", **readers.public})


def test_list(root: Path, readers: Readers) -> list[Subscriber]:
    """The readers of a newsletter's `subscribers/test.csv`, in order; none when there is no such file.

    Raises `InputError` with everything wrong in any row.
    """
    return read_list(root / TEST_LIST, TEST_LIST, readers) if (root / TEST_LIST).exists() else []


def made_up_readers(readers: Readers, compiled: CompiledIssue, today: date | None = None) -> list[Subscriber]:
    """The public reader, then one made-up reader for each variant of the issue that can be found.

    Deterministic for the same `today` (the day `days_since` counts to; default: this one). A variant that
    only a value nobody could guess leads to is not found.
    """
    day = today or datetime.now().astimezone().date()
    variants = _Variants(compiled, day)
    seen: set[tuple[bool, ...]] = set()
    found = [public_reader(readers)]
    base = _plausible_values(readers, compiled, day)
    values = _combinations(_choices(readers, variants.expressions, day))
    arms = [name for name, _ in compiled.arms] or [""]
    for chosen, received, arm in product(values, _subsets(compiled.received), arms):
        person = _person(len(found), base | chosen)
        if received:  # of them alone the ledger knows nothing
            person = replace(person, values={**person.values, RECEIVED: received})
        if arm:
            person = in_arm(person, compiled.arms, compiled.slug, arm)
        variant = variants.of(person)
        if variant and variant not in seen:
            seen.add(variant)
            found.append(person)
    return found


class _Variants:
    """The outcomes of all conditions of an issue for a reader."""

    def __init__(self, compiled: CompiledIssue, today: date) -> None:
        self._compiled = compiled
        self._segments = Segments(compiled.segments, today)
        sources = dict.fromkeys([compiled.audience, *(c.expression for c in compiled.conditions)])
        self._conditions = [self._condition(source) for source in sources]
        self.expressions = [*sources, *compiled.segments.values()]

    def of(self, subscriber: Subscriber) -> tuple[bool, ...]:
        """Empty for a reader who does not get the issue."""
        values = subscriber.values
        if self._compiled.arms:
            values = {**values, ARM: arm_of(self._compiled.arms, self._compiled.slug, subscriber.token)}
        view = self._segments.view(values)
        outcomes = []
        for condition in self._conditions:
            try:
                outcomes.append(condition(values, view))
            except Exception:  # noqa: BLE001 -- whatever an author's expression meets; the merge reports it
                outcomes.append(False)
        return tuple(outcomes) if outcomes[0] else ()

    def _condition(self, source: str) -> Condition:
        try:
            return self._segments.condition(source)
        except ValueError:  # it reads a name that the issue sets: it splits nothing here
            return lambda _values, _view: False


def _plausible_values(readers: Readers, compiled: CompiledIssue, today: date) -> Values:
    """A value for everything the issue asks for, so that nothing is missing where it is printed."""
    asked = {ask.attribute for ask in compiled.asks} | {"language", "timezone", "signed_up"}
    values: Values = {}
    for name in sorted(asked & readers.types.keys() - {"email", "name", "first_name", "tags"}):
        attribute = readers.types[name]
        by_type = today - timedelta(days=400) if attribute.type == "date" else _BY_TYPE[attribute.type]
        value = attribute.values[0] if attribute.values else _BY_NAME.get(name, by_type)
        values[name] = (value,) if attribute.type == "list" and isinstance(value, str) else value
    return values


def _choices(readers: Readers, expressions: Iterable[str], today: date) -> dict[str, list[Value | None]]:
    """For each attribute the expressions read: the values that can make a difference, none of them last."""
    constants: dict[str, list[Any]] = {}
    for source in expressions:
        try:
            tree = parse_expression(source)
        except ValueError:
            continue
        for name in uses(tree).attributes:
            constants.setdefault(name, [])
        for node in _nodes_with_constants(tree):
            for name in uses(node).attributes:
                constants[name] += [c.value for c in node.find_all(nodes.Const) if c.value is not None]
    return {
        name: [*dict.fromkeys(_candidates(readers.types[name], constants[name], today)), None]
        for name in sorted(constants)
        if name in readers.types and name != "email"
    }


def _nodes_with_constants(tree: nodes.Node) -> Iterator[nodes.Node]:
    """Comparisons, and calls such as ``subscriber.language.startswith("de")``."""
    if isinstance(tree, nodes.Compare | nodes.Call):
        yield tree
    yield from tree.find_all((nodes.Compare, nodes.Call))


def _candidates(attribute: AttributeType, constants: list[Any], today: date) -> Iterator[Value]:
    texts = [c for c in constants if isinstance(c, str)]
    numbers = [c for c in constants if isinstance(c, int | float) and not isinstance(c, bool)]
    match attribute.type:
        case "boolean":
            yield from (True, False)
        case "date":
            yield from (today - timedelta(days=int(n) + d) for n in numbers if abs(n) < 10**5 for d in (-1, 0, 1))
            yield today - timedelta(days=400)
        case "integer" | "number":
            yield from attribute.values or [n + d for n in numbers for d in (1, 0, -1)] or [12]
        case "list":
            members = [str(v) for v in attribute.values] or list(dict.fromkeys(texts))
            yield from ((member,) for member in members)
            yield tuple(members)
            if not attribute.values:
                yield _BY_TYPE["list"]
        case _ if attribute.name in ("name", "first_name"):
            yield from _NAMES[:1]  # the person's own comes in its place
        case kind:
            yield from attribute.values or texts
            if not attribute.values:
                yield _BY_NAME.get(attribute.name, _BY_TYPE[kind])


def _combinations(choices: Mapping[str, list[Value | None]]) -> Iterator[Values]:
    """All combinations, or a fixed sample of them where there are too many."""
    if prod(map(len, choices.values())) <= _MOST_COMBINATIONS:
        for combination in product(*choices.values()):
            yield dict(zip(choices, combination, strict=True))
        return
    draw = Random(0)  # noqa: S311 -- the same sample every time is what is wanted
    for _ in range(_SAMPLED):
        yield {name: draw.choice(values) for name, values in choices.items()}


def _subsets(slugs: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """None of the issues, each alone, all of them; of a few everything in between as well.

    >>> list(_subsets(["old", "new"]))
    [(), ('old',), ('new',), ('old', 'new')]
    """
    few = len(slugs) <= _FEW_ISSUES
    sizes = range(len(slugs) + 1) if few else (0, 1, len(slugs))
    return chain.from_iterable(combinations(slugs, size) for size in sizes)


def _person(number: int, values: Values) -> Subscriber:
    name = _NAMES[(number - 1) % len(_NAMES)]
    local = name.lower().replace(" ", ".").replace("ü", "u")
    again = f".{number}" if number > len(_NAMES) else ""
    named = values.get("name", name) and values.get("first_name", name)
    own: Values = {"email": f"{local}{again}@example.com", "name": name if named else None, "first_name": None}
    return _reader(f"sample{number:018d}", values | own)


def _reader(token: str, values: Mapping[str, Value | None]) -> Subscriber:
    given = {name: value for name, value in values.items() if value is not None}
    name = str(given.get("name", ""))
    if name and "first_name" not in given:
        given["first_name"] = name.split(maxsplit=1)[0]
    return Subscriber(0, token, str(given["email"]), "active", {"tags": (), **given})
