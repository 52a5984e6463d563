"""An anonymous summary of the list, fit to be committed: how often each attribute is filled, and with what.

Numbers below `LEAST` are left out, values included: nobody can be made out in it. Committed as `PROFILE` it
lets a clone without the list know what the list is like.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from digest.audience.readers import Readers
from digest.audience.subscriber import Subscriber
from digest.audience.values import text_of
from digest.errors import InputError, Place, Problem

PROFILE = "config/profile.json"
LEAST = 20
_MOST_VALUES = 1000  # an attribute with more is no choice among a few: its values say nothing
_PERSONAL = ("email", "name", "first_name")


@dataclass(frozen=True, slots=True)
class AttributeProfile:
    """In how many readers an attribute is `filled` (0 also for fewer than `LEAST`), and how many have each of its
    frequent values, as text."""

    type: str
    filled: int
    values: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Profile:
    """What a list was like: its number of active readers, and each attribute."""

    readers: int
    attributes: Mapping[str, AttributeProfile]

    def fill_rate(self, name: str) -> float | None:
        """The share of readers who have a value; None where the profile does not know the attribute.

        >>> Profile(200, {"city": AttributeProfile("string", 50)}).fill_rate("city")
        0.25
        """
        found = self.attributes.get(name)
        return found.filled / self.readers if found and self.readers else None


def load_profile(root: Path) -> Profile | None:
    """The committed profile of a newsletter, or None where there is none. Raises `InputError` when it is broken."""
    file = root / PROFILE
    if not file.exists():
        return None
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        return Profile(
            int(raw["readers"]),
            {
                name: AttributeProfile(str(a["type"]), int(a["filled"]), {v: int(n) for v, n in a["values"].items()})
                for name, a in raw["attributes"].items()
            },
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        cure = "write it anew: digest subscribers profile --save"
        raise InputError(Problem(Place(PROFILE), "is no profile of a list", cure, code="profile")) from exc


def profile(readers: Readers, subscribers: Iterable[Subscriber]) -> dict[str, object]:
    """Per attribute its `type`, in how many readers it is `filled`, and the count of each frequent value."""
    total = 0
    filled: Counter[str] = Counter()
    values: dict[str, Counter[str]] = {name: Counter() for name in readers.types if name not in _PERSONAL}
    for subscriber in subscribers:
        total += 1
        for name, value in subscriber.values.items():
            filled[name] += value != ()
            if (counts := values.get(name)) is not None:
                counts.update(value if isinstance(value, tuple) else (text_of(value),))
                if len(counts) > _MOST_VALUES:
                    del values[name]
    return {
        "readers": total if total >= LEAST else 0,
        "attributes": {
            name: {
                "type": kind.type,
                "filled": filled[name] if filled[name] >= LEAST else 0,
                "values": {v: n for v, n in sorted(values.get(name, Counter()).items()) if n >= LEAST},
            }
            for name, kind in readers.types.items()
        },
    }
