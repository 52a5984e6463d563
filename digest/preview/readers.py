"""Who the preview can show an issue to: made-up readers, the test list, segments, the real list.

A reader is named in the page's address by a key such as ``made-2`` or ``db-17``: never by an address.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import chain, islice

from digest.audience.arms import arm_of, in_arm
from digest.audience.database import open_database
from digest.audience.readers import AttributeType, Readers, load_readers
from digest.audience.received import Received
from digest.audience.samples import made_up_readers, public_reader, test_list
from digest.audience.segments import SegmentError, Segments
from digest.audience.store import Subscribers
from digest.audience.subscriber import BUILT_IN_ATTRIBUTES, Subscriber, Value
from digest.compose.compiled import CompiledIssue
from digest.errors import DigestError, InputError
from digest.expressions import RECEIVED
from digest.newsletter import Newsletter

LISTED = 50
"""Subscribers of the database listed at once; the search finds the others."""
_KEPT = 20  # issues whose made-up readers are remembered
SCANNED = 20_000
"""Subscribers looked through for a segment's first reader or a search."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to look at an issue. `key` names it in the address; `subscriber` None: nobody fits."""

    key: str
    label: str
    note: str = ""
    subscriber: Subscriber | None = None

    @property
    def values(self) -> list[tuple[str, str]]:
        """The reader's attributes as text, for the page."""
        if self.subscriber is None:
            return []
        values = self.subscriber.values
        order = [*BUILT_IN_ATTRIBUTES, *sorted(values.keys() - BUILT_IN_ATTRIBUTES.keys())]
        return [(name.strip(), _text(values[name])) for name in order if values.get(name, ()) not in ("", ())]


@dataclass(frozen=True, slots=True)
class Group:
    """Choices under one heading."""

    title: str
    choices: tuple[Choice, ...]


class MadeUp:
    """Made-up readers of an issue, kept while its conditions stay the same: finding them takes a while."""

    def __init__(self) -> None:
        self._known: dict[str, list[Subscriber]] = {}

    def of(self, readers: Readers, compiled: CompiledIssue | None, today: date) -> list[Subscriber]:
        """The public reader, then one for each variant that can be found as of `today`."""
        if compiled is None:
            return [public_reader(readers)]
        conditions = [compiled.audience, *(c.expression for c in compiled.conditions)]
        asked = sorted({ask.attribute for ask in compiled.asks})
        own = (compiled.slug, compiled.segments, compiled.arms, compiled.received)
        about = (own, conditions, asked, readers.attributes, readers.public, today)
        key = repr(about)
        if key not in self._known:
            while len(self._known) >= _KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[key] = made_up_readers(readers, compiled, today)
        return self._known[key]


class Audience:
    """Everyone an issue can be shown to, read anew for each page: lists are edited while it is open."""

    def __init__(self, newsletter: Newsletter, made_up: MadeUp, compiled: CompiledIssue | None, today: date) -> None:
        self._newsletter = newsletter
        self._asked = compiled.received if compiled else ()
        self._arms = compiled.arms if compiled else ()
        self._slug = compiled.slug if compiled else ""
        self._readers = _declared(newsletter)
        self._made = _made_up(self._readers, made_up.of(self._readers, compiled, today), self.arm_of)
        self._tests = _test_list(newsletter, self._readers)

    def groups(self, search: str = "") -> list[Group]:
        """The chooser's content; `search` finds subscribers of the database by name or address."""
        segments = (Choice(f"segment-{name}", name) for name in self._readers.segments)
        groups = [
            Group("The public page", tuple(self._made[:1])),
            Group("One of a segment", tuple(segments)),
            Group("One of an arm", tuple(self._one_in(name) for name, part in self._arms if part)),
            Group("Test list", tuple(self._tests)),
            Group("Subscribers", tuple(self._subscribers(search))),
            Group(f"Each variant ({len(self._made) - 1})", tuple(self._made[1:])),
        ]
        return [group for group in groups if group.choices]

    def find(self, key: str) -> Choice:
        """The choice with this key, with its reader; the public reader when there is none."""
        kind, _, name = key.partition("-")
        found: Choice | None
        match kind:
            case "db":
                found = self._from_database(name)
            case "segment":
                found = self._one_of(name)
            case "arm":
                found = self._one_in(name) if dict(self._arms).get(name) else None
            case _:
                found = next((c for c in (*self._made, *self._tests) if c.key == key), None)
        return found or self._made[0]

    def arm_of(self, reader: Subscriber) -> str:
        """The arm of the issue's A/B test that a reader is in; empty where there is none."""
        return arm_of(self._arms, self._slug, reader.token) if self._arms else ""

    def by_token(self, token: str) -> Subscriber | None:
        """The subscriber a link of an email belongs to."""
        with self._database() as connection:
            reader = Subscribers(connection).by_token(token) if connection else None
            return Received(connection, self._asked).known(reader) if connection and reader else None

    @property
    def searchable(self) -> bool:
        """Whether there is a real list to search."""
        return self._newsletter.database.is_file()

    def _subscribers(self, search: str) -> Iterator[Choice]:
        words = search.casefold().split()

        def wanted(reader: Subscriber) -> bool:
            row = f"{reader.name} {reader.email}".casefold()
            return all(word in row for word in words)

        with self._database() as connection:
            if connection is not None:
                found = filter(wanted, self._listed(connection))
                yield from (_choice(f"db-{reader.id}", reader) for reader in islice(found, LISTED))

    def _from_database(self, number: str) -> Choice | None:
        if not number.isascii() or not number.isdigit() or len(number) > 18:
            return None
        with self._database() as connection:
            reader = Subscribers(connection).get(int(number)) if connection else None
            if connection and reader:
                reader = Received(connection, self._asked).known(reader)
        return _choice(f"db-{reader.id}", reader) if reader else None

    def _one_of(self, segment: str) -> Choice | None:
        if segment not in self._readers.segments:
            return None
        belongs = _membership(Segments(self._readers.segments), segment)
        short = (c.subscriber for c in (*self._tests, *self._made) if c.subscriber is not None)
        with self._database() as connection:
            listed = self._listed(connection) if connection else ()
            reader = next(filter(belongs, chain(short, listed)), None)
        return Choice(f"segment-{segment}", segment, reader.email if reader else "", reader)

    def _one_in(self, arm: str) -> Choice:
        """Anybody, in an arm of the issue's A/B test."""
        anybody = self._made[0].subscriber
        return Choice(f"arm-{arm}", f"arm {arm}", "", in_arm(anybody, self._arms, self._slug, arm) if anybody else None)

    def _listed(self, connection: sqlite3.Connection) -> Iterator[Subscriber]:
        """The first of the list, with what they received of what the issue asks for."""
        return map(Received(connection, self._asked).known, islice(Subscribers(connection).all(), SCANNED))

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection | None]:
        if not self._newsletter.database.is_file():
            yield None
            return
        with closing(open_database(self._newsletter.database)) as connection:
            yield connection


def _declared(newsletter: Newsletter) -> Readers:
    try:
        return load_readers(newsletter.root)
    except InputError:  # said beside the issue, which can't be composed either
        return Readers()


def _made_up(readers: Readers, found: Sequence[Subscriber], arm: Callable[[Subscriber], str]) -> list[Choice]:
    """The public reader first, then one for each variant, told apart by the values that differ and by the arm."""
    arms = {arm(reader) for reader in found[1:]}
    values: dict[str, set[Value | None]] = {}
    for name in dict.fromkeys(name for reader in found[1:] for name in reader.values):
        values[name] = {reader.values.get(name) for reader in found[1:]}
    telling = [name for name in values if len(values[name]) > 1 and name not in ("email", "first_name")]
    # What has few values names a group best: plan before country before the day of signing up.
    kinds = {**readers.types, RECEIVED: AttributeType(RECEIVED, "list")}
    telling.sort(key=lambda name: (not kinds[name].values, kinds[name].type == "date"))
    made = [Choice("made-0", "Anybody", "", found[0])]
    for number, reader in enumerate(found[1:], 1):
        words = [f"arm {arm(reader)}"] if len(arms) > 1 else []
        words += _distinction(reader, telling, values)
        made.append(Choice(f"made-{number}", ", ".join(words) or "Everybody", "", reader))
    return made


def _distinction(reader: Subscriber, telling: Sequence[str], values: Mapping[str, set[Value | None]]) -> Iterator[str]:
    for name in telling:
        value = reader.values.get(name)
        if name == RECEIVED:
            yield f"received {_text(value)}" if value else "did not receive it"
        elif value is None or value == ():
            yield f"no {name}"
        elif name != "name":
            # Where it is there or not, and nothing else, the value itself says nothing.
            yield name if len(values[name]) == 2 and None in values[name] else f"{name} {_text(value)}"


def _test_list(newsletter: Newsletter, readers: Readers) -> list[Choice]:
    try:
        found = test_list(newsletter.root, readers)
    except DigestError:  # `digest check` names its rows
        return []
    return [_choice(f"test-{number}", reader) for number, reader in enumerate(found)]


def _membership(segments: Segments, name: str) -> Callable[[Subscriber], bool]:
    def belongs(reader: Subscriber) -> bool:
        try:
            return segments.view(reader.values)[name]
        except SegmentError:
            return False

    return belongs


def _choice(key: str, reader: Subscriber) -> Choice:
    label = reader.name or reader.email
    return Choice(key, label, reader.email if reader.name else "", reader)


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, tuple) else str(value)
