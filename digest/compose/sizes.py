"""What takes the room in an email: the bytes of each block, measured in the finished page.

Every block is drawn between two marks; they pass through MJML and inlining like any marker and are taken out again,
so that the page is the same as without them.
"""

from __future__ import annotations

import re

from digest.compose.compiled import Size
from digest.compose.slim import join_seams
from digest.compose.workspace import Workspace


def take_sizes(html: str, work: Workspace) -> tuple[str, tuple[Size, ...]]:
    """The page without its marks, and the bytes of each block in reading order, the frame around them last."""
    mark = re.compile(rf"\s*<!--(Zq{work.table.nonce}M\d{{4,}}qZ)-->\s*")
    opened: dict[str, int] = {}
    sizes: list[Size] = []
    for found in mark.finditer(html):
        end = work.measures.get(found[1])
        if end is None:
            opened[found[1]] = found.end()
        else:
            begin, kind, place = end
            sizes.append(Size(kind, len(mark.sub("", html[opened[begin] : found.start()]).encode()), place))
    page = join_seams(mark.sub("\n", html))
    frame = len(page.encode()) - sum(size.bytes for size in sizes)
    return page, (*sizes, Size("frame", max(0, frame), work.frame_place))
