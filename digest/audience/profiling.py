"""An anonymous summary of the list, fit to be committed: how often each attribute is filled, and with what.

Numbers below `LEAST` are left out, values included: nobody can be made out in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from digest.audience.readers import Readers
from digest.audience.subscriber import Subscriber
from digest.audience.values import text_of

LEAST = 20
_MOST_VALUES = 1000  # an attribute with more is no choice among a few: its values say nothing
_PERSONAL = ("email", "name", "first_name")


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
