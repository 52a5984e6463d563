"""The marks of a twin, read: where each part of the picture was written. The twin itself is `compose.marks`' work."""

from __future__ import annotations

from digest.errors import Place

SOURCE = "data-src"
"""``issues/x.md:42`` on a block-level element; ``data-kind`` and ``data-kind-file`` stand on a block's own."""


def place_of(mark: str | None) -> Place | None:
    """The place a mark names, if it is one.

    >>> place_of("issues/x.md:42"), place_of("x"), place_of(None)
    (Place(file='issues/x.md', line=42, column=0), None, None)
    """
    file, _, line = (mark or "").rpartition(":")
    return Place(file, int(line)) if file and line.isascii() and line.isdigit() else None
