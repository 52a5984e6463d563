"""The mark of a film on its still: a white triangle on a dark disc with a white edge.

Email has no positions to lay one picture over another with, so it is drawn into what is published. It is seen on any
picture, and is no copy of a player's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

FINE = 4  # drawn so many times larger, for smooth edges
DARK, WHITE = (16, 20, 26, 255), (255, 255, 255, 255)


def with_play_mark(image: Image) -> Image:
    """A copy of a picture (mode L, RGB or RGBA) with the mark in its middle."""
    from PIL import Image as Images
    from PIL import ImageDraw

    side = max(1, round(min(0.17 * image.width, 0.42 * image.height)))
    large = side * FINE
    disc, light = (Images.new("L", (large, large), 0) for _ in range(2))
    ImageDraw.Draw(disc).ellipse((0, 0, large - 1, large - 1), fill=205)
    pen = ImageDraw.Draw(light)
    pen.ellipse((0, 0, large - 1, large - 1), outline=255, width=round(0.045 * large))
    pen.polygon([(0.385 * large, 0.29 * large), (0.385 * large, 0.71 * large), (0.735 * large, 0.5 * large)], fill=255)
    made = image.convert("RGB") if image.mode == "L" else image.copy()
    left, top = (image.width - side) // 2, (image.height - side) // 2
    for colour, mask in ((DARK, disc), (WHITE, light)):
        small = mask.resize((side, side), Images.Resampling.LANCZOS)
        made.paste(colour[: len(made.mode)], (left, top, left + side, top + side), small)
    return made
