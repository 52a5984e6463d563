"""`config/readers.toml`: the attributes readers can have, the segments they form, the anonymous reader.

::

    [attributes]
    plan = {type = "string", values = ["free", "pro"], help = "What they pay for"}
    seats = "integer"                                   # short for {type = "integer"}

    [segments]
    pro = 'subscriber.plan == "pro"'
    big_pro = "pro and subscriber.seats >= 10"          # another segment by its bare name

    [exclusive]                                         # a reader is in one of each group: the audit counts the rest
    plan = ["free", "pro"]

    [public]                                            # who reads the page in the archive
    plan = "free"
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from digest.audience import values as typed
from digest.audience.conditions import expression_problems, needed_segments
from digest.audience.subscriber import BUILT_IN_ATTRIBUTES, Value
from digest.errors import InputError, Place, Problem, nearest
from digest.expressions import CONTEXT_NAMES, environment
from digest.toml import Toml, read_toml

FILE = "config/readers.toml"
_SECTIONS = ("attributes", "segments", "exclusive", "public")
_FIELDS = ("type", "values", "help")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_JINJA_WORDS = frozenset({"true", "false", "none", "and", "or", "not", "in", "is", "if", "else"})


@dataclass(frozen=True, slots=True)
class AttributeType:
    """A declared attribute. `values`, when not empty, are all it may be (of a list: each of its members)."""

    name: str
    type: str
    values: tuple[Value, ...] = ()
    help: str = ""
    place: Place = field(default_factory=lambda: Place(FILE))

    def parse(self, raw: object) -> Value | None:
        """The value of a cell, or of a JSON or TOML value; None when there is none.

        Raises `ValueError` whose text completes “<name> “<value>” …”.
        """
        value = typed.parse_cell(self.type, raw) if isinstance(raw, str) else typed.parse_json(self.type, raw)
        if self.values and value is not None:
            for member in value if isinstance(value, tuple) else (value,):
                if member not in self.values:
                    known = [typed.text_of(v) for v in self.values]
                    cure = nearest(typed.text_of(member), known)
                    raise ValueError(f"is not among the declared values ({cure})")
        return value


@dataclass(frozen=True, slots=True)
class Readers:
    """What is declared about readers. `attributes` leaves out the built-in ones; see `types`."""

    attributes: Mapping[str, AttributeType] = field(default_factory=dict)
    segments: Mapping[str, str] = field(default_factory=dict)
    public: Mapping[str, Value] = field(default_factory=dict)
    file: str = FILE
    places: Mapping[str, Place] = field(default_factory=dict)
    """Where each segment is declared."""
    exclusive: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Groups of segments of which a reader is in exactly one."""
    exclusive_places: Mapping[str, Place] = field(default_factory=dict)

    @property
    def types(self) -> Mapping[str, AttributeType]:
        """Every attribute a reader can have, the built-in ones first."""
        return built_in_types() | dict(self.attributes)

    def closure(self, names: Iterable[str]) -> dict[str, str]:
        """These segments and all they need, directly or through another: name to expression, sorted.

        Raises `KeyError` for a segment there is none of.
        """
        found: dict[str, str] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = self.segments[name]
                waiting.extend(needed_segments(found[name], self.segments))
        return dict(sorted(found.items()))


def built_in_types() -> dict[str, AttributeType]:
    """The attributes every reader has."""
    return {name: AttributeType(name, kind) for name, kind in BUILT_IN_ATTRIBUTES.items()}


def check_expression(source: str, readers: Readers, place: Place) -> list[Problem]:
    """Everything wrong with an expression over the reader, such as an issue's `audience`.

    It may read `subscriber`, declared segments by bare name or as ``segment.name``, and ``days_since``.
    """
    return expression_problems(source, readers.types, readers.segments, place)


def load_readers(root: Path) -> Readers:
    """Read and check `config/readers.toml` under a newsletter's folder; without the file: nothing declared.

    Raises `InputError` with every problem, each at its line.
    """
    try:
        content = (root / FILE).read_bytes()
    except FileNotFoundError:
        return Readers()
    except OSError:
        content = b""  # told with its place below
    return _declared(root, content)


@lru_cache(maxsize=8)  # a composing editor saves issues, seldom this file
def _declared(root: Path, _content: bytes) -> Readers:
    reading = _Reading(read_toml(root / FILE, FILE))
    readers = reading.readers()
    if reading.problems:
        raise InputError(sorted(reading.problems, key=lambda p: p.place or Place(FILE)))
    return readers


class _Reading:
    """One pass over the parsed file, gathering problems."""

    def __init__(self, toml: Toml) -> None:
        self.problems: list[Problem] = []
        self._toml = toml

    def readers(self) -> Readers:
        for key in self._toml.data:
            if key not in _SECTIONS:
                self._wrong(self._toml.place(key), f"unknown section “{key}”", nearest(key, _SECTIONS))
        attributes = dict(self._attributes())
        segments = dict(self._segments())
        places = {name: self._toml.place("segments", name) for name in segments}
        readers = Readers(attributes, segments, {}, FILE, places)
        for name, source in segments.items():
            self.problems += check_expression(source, readers, places[name])
        for cycle in _cycles(segments):
            chain = " → ".join((*cycle, cycle[0]))
            self._wrong(places[cycle[0]], f"these segments need each other: {chain}", "break the circle")
        groups = dict(self._exclusive(segments))
        group_places = {name: self._toml.place("exclusive", name) for name in groups}
        return Readers(attributes, segments, dict(self._public(readers)), FILE, places, groups, group_places)

    def _wrong(self, place: Place, message: str, cure: str = "", code: str = "readers") -> None:
        self.problems.append(Problem(place, message, cure, code=code))

    def _section(self, name: str) -> Mapping[str, Any]:
        section = self._toml.data.get(name, {})
        if isinstance(section, dict):
            return section
        self._wrong(self._toml.place(name), f"“{name}” is not a table", f"write [{name}] above its lines")
        return {}

    def _attributes(self) -> Iterator[tuple[str, AttributeType]]:
        for name, raw in self._section("attributes").items():
            place = self._toml.place("attributes", name)
            if reason := _bad_name(name):
                self._wrong(place, f"attribute “{name}” {reason}")
            elif name in BUILT_IN_ATTRIBUTES:
                self._wrong(place, f"attribute “{name}” is built in", "leave the line out")
            elif found := self._attribute(name, {"type": raw} if isinstance(raw, str) else raw, place):
                yield name, found

    def _attribute(self, name: str, raw: Any, place: Place) -> AttributeType | None:
        if not isinstance(raw, dict):
            self._wrong(place, f"attribute “{name}” is no declaration", f'write {name} = "string"')
            return None
        for key in raw.keys() - set(_FIELDS):
            self._wrong(place, f"attribute “{name}” has an unknown key “{key}”", nearest(key, _FIELDS))
        kind, allowed = raw.get("type", "string"), raw.get("values", [])
        if kind not in typed.TYPES:
            self._wrong(place, f"attribute “{name}” has an unknown type “{kind}”", nearest(str(kind), typed.TYPES))
            return None
        if not isinstance(allowed, list):
            self._wrong(place, f"the values of attribute “{name}” are no list", 'write values = ["a", "b"]')
            allowed = []
        found = AttributeType(name, kind, (), str(raw.get("help", "")), place)
        each = AttributeType(name, "string" if kind == "list" else kind)
        members = tuple(v for v in (self._value(each, a, place) for a in allowed) if v is not None)
        return AttributeType(name, kind, members, found.help, place)

    def _segments(self) -> Iterator[tuple[str, str]]:
        for name, source in self._section("segments").items():
            place = self._toml.place("segments", name)
            if reason := _bad_name(name):
                self._wrong(place, f"segment “{name}” {reason}")
            elif name in CONTEXT_NAMES | environment().globals.keys() | {"all"}:
                self._wrong(place, f"segment “{name}” has the name of something else in an issue", "rename it")
            elif not isinstance(source, str) or not source.strip():
                self._wrong(place, f"segment “{name}” is no expression", f"write {name} = 'subscriber.… == \"…\"'")
            else:
                yield name, source.strip()

    def _exclusive(self, segments: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
        for group, raw in self._section("exclusive").items():
            place = self._toml.place("exclusive", group)
            members = [str(member) for member in raw] if isinstance(raw, list) else []
            if len(set(members)) < 2:
                self._wrong(place, f"“{group}” names no two segments", f'write {group} = ["free", "pro"]')
                continue
            for name in [name for name in members if name not in segments]:
                self._wrong(place, f"unknown segment “{name}”", nearest(name, segments), code="unknown-segment")
            yield group, tuple(dict.fromkeys(members))

    def _public(self, readers: Readers) -> Iterator[tuple[str, Value]]:
        for name, raw in self._section("public").items():
            place = self._toml.place("public", name)
            if name not in readers.types:
                self._wrong(place, f"unknown attribute “{name}”", nearest(name, readers.types))
            elif (value := self._value(readers.types[name], raw, place)) is not None:
                yield name, value

    def _value(self, attribute: AttributeType, raw: object, place: Place) -> Value | None:
        try:
            return attribute.parse(raw)
        except ValueError as exc:
            self._wrong(place, f"{attribute.name} “{typed.shortened(raw)}” {exc}")
            return None


def _bad_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        return "is no name: a letter, then letters, digits and underscores"
    if name in _JINJA_WORDS or keyword.iskeyword(name):
        return "is a word of the expression language; choose another"
    return ""


def _cycles(segments: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Every circle of segments that need each other, each once, from its first declared member."""
    order = {name: number for number, name in enumerate(segments)}
    needs: dict[str, list[str]] = {}
    for name, source in segments.items():
        needs[name] = sorted(needed_segments(source, segments), key=order.__getitem__)
    done: set[str] = set()
    found: list[tuple[str, ...]] = []
    for start in segments:
        path: list[tuple[str, Iterator[str]]] = [(start, iter(needs[start]))] if start not in done else []
        while path:  # depth first, without recursion: the file may be long
            following = next(path[-1][1], None)
            if following is None:
                done.add(path.pop()[0])
            elif following in (chain := [name for name, _ in path]):
                found.append(tuple(chain[chain.index(following) :]))
            elif following not in done:
                path.append((following, iter(needs[following])))
    return found
