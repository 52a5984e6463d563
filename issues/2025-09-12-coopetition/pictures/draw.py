"""Draws the issue's pictures anew: each SVG in this folder becomes a PNG beside ``index.md``.

Run ``python draw.py`` after editing a drawing. Needs playwright with Chromium, Pillow, and the font Inter
(Debian: ``fonts-inter``) for the timeline's words. The PNGs are twice their size on the page, for sharp screens.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).parent
COLOURS = 128  # flat colours and their soft edges; more only add bytes


def draw(browser: Browser, drawing: Path) -> Path:
    """Render one SVG at the size of its viewBox, with as few bytes as a palette allows."""
    svg = drawing.read_text(encoding="utf-8")
    found = re.search(r'viewBox="0 0 (\d+) (\d+)"', svg)
    if not found:
        raise ValueError(f"{drawing.name} has no viewBox")
    width, height = int(found[1]), int(found[2])
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_content(f"<style>body {{ margin: 0 }} svg {{ display: block; width: {width}px }}</style>{svg}")
    image = Image.open(io.BytesIO(page.screenshot(omit_background=True))).convert("RGBA")
    page.close()
    target = HERE.parent / f"{drawing.stem}.png"
    image.quantize(COLOURS, method=Image.Quantize.FASTOCTREE).save(target, optimize=True)
    return target


def main() -> None:
    """Draw every SVG of this folder. ``CHROMIUM`` names a browser other than playwright's own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM"))
        for drawing in sorted(HERE.glob("*.svg")):
            draw(browser, drawing)
        browser.close()


if __name__ == "__main__":
    main()
