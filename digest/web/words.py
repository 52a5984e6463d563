"""What the pages say, in each language that has a file ``strings/<language>.toml``.

A text may hold ``{newsletter}`` and other names. A language without a file of its own is read in its first part
(``de-AT`` as ``de``), else in the newsletter's language, else in English.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent / "strings"
FALLBACK = "en"
_LONGEST_HEADER = 500  # characters of Accept-Language that are read


@dataclass(frozen=True, slots=True)
class Words:
    """One language. `constants` are put into every text."""

    language: str
    texts: Mapping[str, str]
    constants: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, key: str, **values: object) -> str:
        """The text called ``section.name``. Raises `KeyError` for an unknown one."""
        return self.texts[key].format(**{**self.constants, **values})


@lru_cache(maxsize=1)
def languages() -> Mapping[str, Mapping[str, str]]:
    """Language → its texts by ``section.name``."""
    found = {}
    for file in sorted(FOLDER.glob("*.toml")):
        sections = tomllib.loads(file.read_text("utf-8"))
        found[file.stem] = {f"{name}.{key}": text for name, of in sections.items() for key, text in of.items()}
    return found


def choose(*wishes: str) -> str:
    """The first of these language tags that can be read; see the module.

    >>> choose("", "de-AT", "fr"), choose("xx")
    ('de', 'en')
    """
    for wish in wishes:
        for tag in (wish.lower(), wish.lower().partition("-")[0]):
            if tag in languages():
                return tag
    return FALLBACK


def accepted(header: str) -> list[str]:
    """The language tags of an Accept-Language field, the best first (RFC 9110 section 12.5.4).

    >>> accepted("fr;q=0.2, de-CH, en;q=0.7, *;q=0.1, it;q=0")
    ['de-CH', 'en', 'fr']
    """
    found: list[tuple[float, int, str]] = []
    for part in header[:_LONGEST_HEADER].split(","):
        tag, _, quality = part.strip().partition(";")
        try:
            weight = float(quality.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if tag and tag != "*" and weight > 0:
            found.append((-weight, len(found), tag.strip()))
    return [tag for _, _, tag in sorted(found)]
