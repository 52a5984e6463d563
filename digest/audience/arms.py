"""A/B tests: which arm of an issue a reader is in. Nothing is stored: it follows from the issue and the reader.

Every process and every machine finds the same arm, and another issue deals the readers out anew. The token that
decides is random and the reader's own, so an arm says nothing about anybody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from digest.audience.subscriber import Subscriber

Arms = Sequence[tuple[str, int]]
"""Names with their parts, in the order they were written: ``(("a", 50), ("b", 50))``."""

EQUAL: tuple[tuple[str, int], ...] = (("a", 1), ("b", 1))
"""What an issue has that asks for ``arm`` and declares none."""

_SPACE = 1 << 64


def arm_of(arms: Arms, slug: str, token: str) -> str:
    """The arm of the reader with this token. `arms` is not empty.

    >>> [arm_of(EQUAL, "x", token) for token in ("k1", "k2", "k3", "k4", "k5")]
    ['a', 'a', 'b', 'b', 'b']
    """
    hashed = hashlib.sha256(f"arm\0{slug}\0{token}".encode()).digest()
    point = int.from_bytes(hashed[:8]) * sum(part for _, part in arms)
    for name, part in arms:
        point -= part * _SPACE
        if point < 0:
            return name
    raise ValueError("no arm has a part")


def in_arm(subscriber: Subscriber, arms: Arms, slug: str, arm: str) -> Subscriber:
    """A reader like this one who is in `arm`, by another token; for tests and previews, whose links are inert.

    Raises `ValueError` for an arm that has no part.
    """
    if not dict(arms).get(arm):
        raise ValueError(f"no reader is in the arm “{arm}”")
    tokens = (f"{subscriber.token}{n or ''}" for n in count())
    return replace(subscriber, token=next(t for t in tokens if arm_of(arms, slug, t) == arm))
