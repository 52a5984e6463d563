"""What takes the room in an email: the bytes of each block, measured in the finished page.

Every block is drawn between two marks; they pass through MJML and inlining like any marker and are taken out again,
so that the page is the same as without them. In the same page stand the statements around a block: they say who
gets it.
"""

from __future__ import annotations

import re

from digest.compose.branches import Branches
from digest.compose.compiled import Size
from digest.compose.marks import without_marks
from digest.compose.slim import join_seams
from digest.compose.workspace import Workspace


def take_sizes(html: str, work: Workspace) -> tuple[str, tuple[Size, ...]]:
    """The page without its marks, and the bytes of each block in reading order, the frame around them last."""
    pieces = re.split(rf"<!--(Zq{work.table.nonce}M\d{{4,}}qZ)-->", html)  # every second one is a mark
    texts = [piece.strip() for piece in pieces[::2]]
    sizes = []
    around = Branches(work)
    for n, mark in enumerate(pieces[1::2]):
        around.step(texts[n])  # a block closes what it opens, so that at its end the same is open as at its begin
        if mark in work.measures:  # the block's end: its HTML stands before it
            _, kind, place = work.measures[mark]
            sizes.append(Size(kind, _bytes(texts[n], work), place, around.outcomes))
    page = join_seams("\n".join(filter(None, texts)))
    frame = _bytes(page, work) - sum(size.bytes for size in sizes)
    return page, (*sizes, Size("frame", max(0, frame), work.frame_place))


def _bytes(html: str, work: Workspace) -> int:
    """Bytes of what is sent: those of a twin's marks do not count."""
    return len((without_marks(html) if work.marks else html).encode())
