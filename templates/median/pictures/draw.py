"""Draws the icons of the social row anew: each SVG in this folder becomes ``../assets/icons/<name>.png``.

Run ``python draw.py`` after editing one. Needs resvg-py (the extra ``svg``) and Pillow. An icon is a white glyph on a
round chip, shown 32 CSS pixels wide, drawn with twice as many dots. The chip is neither light nor dark, so that its
edge is seen on both kinds of ground; the glyph stands out from it by more than 6:1. No mail client recolours pictures.
"""

from __future__ import annotations

import io
from pathlib import Path

import resvg_py
from PIL import Image

HERE = Path(__file__).parent
SIDE = 64  # dots
COLOURS = 64  # of the palette: two, and the soft edges between them


def main() -> None:
    """Draw every SVG of this folder."""
    folder = HERE.parent / "assets" / "icons"
    folder.mkdir(parents=True, exist_ok=True)
    for drawing in sorted(HERE.glob("*.svg")):
        png = resvg_py.svg_to_bytes(svg_string=drawing.read_text("utf-8"), width=SIDE, height=SIDE)
        icon = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
        reduced = icon.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        reduced.save(folder / f"{drawing.stem}.png", optimize=True)


if __name__ == "__main__":
    main()
