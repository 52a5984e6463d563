"""Front matter: YAML whose every value is a string, typed here, with the line of each key kept.

YAML surprises newsletter writers (``subject: Talks: what next`` fails, ``#1 story`` is empty, ``no`` is false), so
plain values are read as YAML 1.2 strings and a mistake is answered with the mended line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from string import ascii_lowercase
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from digest.errors import Place, Problem, nearest
from digest.issue.model import FrontMatter

_MOST_ARMS = 26
_LONGEST_NAME = 100  # of a folder: many systems have no room for more than 255 bytes

FREE_TEXTS = ("subject", "preheader", "title")
"""Fields in which `` #`` is far more likely a number sign than the begin of a comment."""


def split_front_matter(text: str) -> tuple[str, int] | None:
    """The YAML between the first two ``---`` lines, and the number of lines until the body; None without."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return None
    for number, line in enumerate(lines[1:], start=1):
        if line.rstrip() == "---":
            return "\n".join(lines[1:number]), number + 1
    return None


def read_front_matter(source: str, start: Place) -> tuple[FrontMatter, list[Problem]]:
    """Type every field of the YAML `source`, whose first line is at `start`.

    Returns what could be read, with all problems: YAML's own, unknown and doubled keys, wrong values.
    """
    problems: list[Problem] = []
    lines = source.split("\n")
    try:
        root = yaml.compose(source, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as exc:
        problems.append(_yaml_problem(exc, lines, start))
        return FrontMatter(subject=_rescued(lines, "subject")), problems
    except yaml.YAMLError as exc:
        problems.append(Problem(start, f"the front matter is not YAML: {exc}", code="front-matter"))
        return FrontMatter(subject=""), problems
    except RecursionError:  # PyYAML goes down once for each bracket
        problems.append(Problem(start, "lists stand inside one another too deep", code="front-matter"))
        return FrontMatter(subject=_rescued(lines, "subject")), problems
    values: dict[str, Any] = {}
    places: dict[str, Place] = {}
    if root is not None and not isinstance(root, yaml.MappingNode):
        problems.append(Problem(start, "the front matter holds no “key: value” lines", code="front-matter"))
    for key, node, place in _fields(root, start):
        if key in places:
            problems.append(Problem(place, f"“{key}” stands twice (first on line {places[key].line})", code="field"))
            continue
        places[key] = place
        if key not in _READERS:
            problems.append(Problem(place, f"unknown field “{key}”", nearest(key, _READERS), code="field"))
            continue
        try:
            _refuse_comment(key, node, lines)
            values[key] = _READERS[key](node)
        except ValueError as exc:
            problems.append(Problem(place, f"{key}: {exc}", code="field"))
    if "subject" not in places:
        problems.append(Problem(start, "the issue has no subject", 'add a line “subject: "…"”', code="field"))
    return FrontMatter(**{"subject": "", **values}, places=places), problems


def _fields(root: Any, start: Place) -> Iterator[tuple[str, yaml.Node, Place]]:
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            place = start.at(start.line + key.start_mark.line, key.start_mark.column + 1)
            yield str(key.value), value, place


def _yaml_problem(exc: yaml.MarkedYAMLError, lines: list[str], start: Place) -> Problem:
    mark = exc.problem_mark or exc.context_mark
    number = min(mark.line if mark else 0, len(lines) - 1)
    place = start.at(start.line + number, (mark.column if mark else 0) + 1)
    # YAML notices lines later that a value was not closed, and often one line late that it was not quoted.
    opened = exc.context_mark.line if exc.context_mark and "quoted scalar" in (exc.context or "") else number
    for candidate in (opened, number, number - 1):
        if 0 <= candidate < len(lines) and (mended := _mended(lines[candidate])):
            return Problem(place.at(start.line + candidate), f"not YAML: {exc.problem}", f"write {mended}", code="yaml")
    return Problem(place, f"not YAML: {exc.problem or exc.context}", code="yaml")


def _mended(line: str) -> str:
    """The line with its value quoted, if that is what it lacks.

    >>> _mended('subject: Coopetition: what "next"')
    'subject: "Coopetition: what \\\\"next\\\\""'
    """
    found = re.fullmatch(r"(\s*[\w-]+:)\s+(\S.*?)\s*", line)
    if not found or re.fullmatch(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|\[.*\]|\{[^{].*\}', found[2]):
        return ""
    value = found[2]
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    elif value[0] in "\"'":
        value = value[1:]
    escaped = re.sub(r"\\(?![\"\\])", r"\\\\", value)
    escaped = re.sub(r'(?<!\\)"', r"\"", escaped)
    return f'{found[1]} "{escaped}"'


def _rescued(lines: list[str], key: str) -> str:
    """A value read without YAML, so that the rest of the issue can still be checked."""
    return next((line.split(":", 1)[1].strip().strip("\"'") for line in lines if line.startswith(f"{key}:")), "")


def _refuse_comment(key: str, node: yaml.Node, lines: list[str]) -> None:
    if key not in FREE_TEXTS or not isinstance(node, yaml.ScalarNode) or node.style:
        return
    line = lines[node.start_mark.line]
    rest = line[node.end_mark.column :] if node.end_mark.line == node.start_mark.line else ""
    if rest.lstrip().startswith("#") or (not node.value and "#" in line):
        raise ValueError(f"YAML takes what follows “#” as a comment (write {_mended(line)})")


# ---- one reader a field: a YAML node to a value, or ValueError with what would be right


def _text(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError("one line of text was expected (quote it if it begins with a brace or bracket)")  # noqa: TRY004 - an author's mistake, told as one
    return " ".join(str(node.value).split())


def _filled(node: yaml.Node) -> str:
    if not (value := _text(node)):
        raise ValueError("it is empty")
    return value


def _theme(node: yaml.Node) -> str:
    value = _filled(node)
    if len(value) > _LONGEST_NAME:
        raise ValueError(f"the name of a theme has at most {_LONGEST_NAME} characters")
    return value


def _list(node: yaml.Node) -> tuple[str, ...]:
    if isinstance(node, yaml.SequenceNode):
        return tuple(_filled(item) for item in node.value)
    return tuple(part.strip() for part in _text(node).split(",") if part.strip())


def _mapping(node: yaml.Node) -> Mapping[str, str]:
    if not isinstance(node, yaml.MappingNode):
        raise ValueError('segments and texts were expected: {pro: "…", free: "…"}')  # noqa: TRY004 - as above
    return {_filled(key): _filled(value) for key, value in node.value}


def _date(node: yaml.Node) -> date:
    try:
        return date.fromisoformat(_text(node))
    except ValueError:
        raise ValueError(f"“{_text(node)}” is no date (write it as 2025-09-12)") from None


def _moment(node: yaml.Node) -> datetime | None:
    value = _text(node)
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"“{value}” is no time (write it as 2025-09-12 09:00)") from None
    if moment.tzinfo is not None:
        raise ValueError("give the wall time alone; the zone stands in “timezone”")
    return moment


def _zone(node: yaml.Node) -> str:
    value = _filled(node)
    if value == "reader":  # each reader at that wall time of their own zone
        return value
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: “Europe” is a folder of zones
        raise ValueError(f"“{value}” is no time zone (write it as Europe/London, or reader)") from None
    return value


def _status(node: yaml.Node) -> str:
    value = _text(node)
    if value not in ("draft", "ready"):
        raise ValueError(f"“{value}” is no status ({nearest(value, ('draft', 'ready'))})")
    return value


def _boolean(node: yaml.Node) -> bool:
    value = _text(node)
    if value not in ("true", "false"):
        raise ValueError(f"“{value}” is neither true nor false")
    return value == "true"


def _language(node: yaml.Node) -> str:
    value = _filled(node)
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", value):
        raise ValueError(f"“{value}” is no language (write it as en or pt-BR, RFC 5646)")
    return value


def _arms(node: yaml.Node) -> tuple[tuple[str, int], ...]:
    """``3``, ``[short, long]`` or ``{a: 80, b: 20}``: names with their parts."""
    if isinstance(node, yaml.MappingNode):
        parts = list(_mapping(node).items())
    elif isinstance(node, yaml.SequenceNode):
        parts = [(name, "1") for name in _list(node)]
    else:
        count = _text(node)
        if not re.fullmatch(r"[0-9]{1,2}", count):
            raise ValueError(f"“{count}” is no number of arms (write 2, [short, long] or {{a: 80, b: 20}})")
        parts = [(name, "1") for name in ascii_lowercase[: int(count)] if int(count) <= _MOST_ARMS]
    for name, part in parts:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
            raise ValueError(f"“{name}” is no name of an arm: a letter, then letters, digits and underscores")
        if not re.fullmatch(r"[1-9][0-9]{0,5}", part):
            raise ValueError(f"the part of “{name}” is no whole number above nothing: “{part}”")
    if not 2 <= len({name for name, _ in parts}) == len(parts) <= _MOST_ARMS:
        raise ValueError(f"an issue has from 2 to {_MOST_ARMS} arms, each once")
    return tuple((name, int(part)) for name, part in parts)


_READERS: Mapping[str, Callable[[yaml.Node], Any]] = {
    "subject": _filled,
    "subject_for": _mapping,
    "preheader": _text,
    "title": _text,
    "date": _date,
    "authors": _list,
    "audience": _filled,
    "status": _status,
    "send_at": _moment,
    "timezone": _zone,
    "theme": _theme,
    "language": _language,
    "trusted": _boolean,
    "arms": _arms,
}
