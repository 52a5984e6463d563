"""The design tokens of a theme: ``theme.toml`` read, laid over what it extends, and checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from digest.errors import Place, Problem, nearest

WIDEST = 2_000  # CSS pixels of any measure in a theme

_KEYS = {"name", "description", "extends", "width", "content", "radius", "colors", "fonts", "sizes", "space"}
_HEX = re.compile(r"#[0-9A-Fa-f]{6}")


def read_tokens(file: Path, place: Place, problems: list[Problem]) -> dict[str, Any]:
    """What a ``theme.toml`` says, shown as `place`; problems are added to the list."""
    try:
        raw = dict(_toml(file.read_text("utf-8")))
    except FileNotFoundError:
        problems.append(Problem(place, "the theme has no theme.toml", code="theme"))
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        found = re.search(r"\(at line (\d+)", str(exc))
        problems.append(Problem(place.at(int(found[1]) if found else 0), f"not TOML: {exc}", code="theme"))
        return {}
    problems.extend(
        Problem(place, f"unknown key “{key}”", nearest(key, _KEYS), code="theme") for key in raw if key not in _KEYS
    )
    return raw


@lru_cache(maxsize=16)
def _toml(text: str) -> Mapping[str, Any]:
    return tomllib.loads(text)


def merged(layers: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Each layer over the one it extends, tables by their keys."""
    found: dict[str, Any] = {}
    for layer in reversed(layers):
        for key, value in layer.items():
            below = found.get(key)
            found[key] = merged([value, below]) if isinstance(value, dict) and isinstance(below, dict) else value
    return found


def token_problems(tokens: Mapping[str, Any], place: Place) -> list[Problem]:
    """What is missing or no value of its kind in the tokens of a whole theme."""
    problems = [
        Problem(place, f"the theme has no “{key}”", code="theme")
        for key in ("width", "content", "colors", "fonts", "sizes", "space")
        if key not in tokens
    ]
    colors = tokens.get("colors", {})
    light, dark = colors.get("light", {}), colors.get("dark", {})
    for name in sorted(set(light) ^ set(dark)):
        missing = "dark" if name in light else "light"
        told = f"the colour “{name}” has no value in colors.{missing}"
        problems.append(Problem(place, told, "every colour needs both", code="theme"))
    for name, value in [*light.items(), *dark.items()]:
        if not (isinstance(value, str) and _HEX.fullmatch(value)):
            cure = "write six hex digits, as #14261F: Outlook reads no other form"
            problems.append(Problem(place, f"the colour “{name}” is “{value}”", cure, code="theme"))
    numbers = {key: tokens.get(key, 0) for key in ("width", "content", "radius")}
    numbers |= {f"{table}.{name}": value for table in ("sizes", "space") for name, value in _table(tokens, table)}
    for name, value in numbers.items():
        if type(value) is not int or not 0 <= value <= WIDEST:
            problems.append(Problem(place, f"“{name}” is “{value}”", "write pixels, as a whole number", code="theme"))
    for name, value in _table(tokens, "fonts"):
        if not isinstance(value, str) or re.search(r"[<>\"{};]", value):
            cure = "write font names with commas between them, single quotes around those of several words"
            problems.append(Problem(place, f"the font “{name}” is “{value}”", cure, code="theme"))
    return problems


def _table(tokens: Mapping[str, Any], name: str) -> list[tuple[str, Any]]:
    table = tokens.get(name, {})
    return list(table.items()) if isinstance(table, dict) else []
