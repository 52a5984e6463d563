"""Our MJML stage beside the reference renderer, pixel by pixel. For development; run by hand:

    mkdir -p build/mjml && npm install --prefix build/mjml mjml
    python tests/bench/mjml_reference/compare.py build/mjml [FOLDER of .mjml files] [--out DIR]

Each document is drawn by the reference (npm `mjml`), by mjml-python alone and by `render_mjml`, shown in Chromium at
600 and 375 px, and compared. Nothing is fetched: every picture is drawn here, in the size that its name tells.
With --out, the pictures that differ are written there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from mjml import mjml2html
from PIL import Image, ImageChops, ImageDraw
from playwright.sync_api import Page, Route, sync_playwright

from digest.compose.mjml.render import render_mjml
from digest.errors import InputError, Place

HERE = Path(__file__).parent
DOCUMENTS = HERE.parents[1] / "compose" / "mjml"
WIDTHS = (600, 375)
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")


@dataclass(frozen=True, slots=True)
class Result:
    """One document at one width: the share of equal pixels, 1.0 for identical; None where nothing was drawn."""

    name: str
    width: int
    ours: float | None
    bare: float | None
    refused: str = ""


def reference(folder: Path, documents: dict[str, str]) -> dict[str, str]:
    """The HTML of the reference renderer that is installed in `folder`."""
    script = folder / "render.mjs"
    script.write_text((HERE / "render.mjs").read_text())
    given = json.dumps(documents)
    done = subprocess.run(["node", script.name], cwd=folder, input=given, capture_output=True, text=True, check=True)
    rendered = json.loads(done.stdout)
    for name, about in rendered.items():
        for error in about["errors"]:
            print(f"  reference on {name}: {error}", file=sys.stderr)
    return {name: about["html"] for name, about in rendered.items()}


def picture(route: Route) -> None:
    """Answer for a picture with one of that size; with nothing for all else."""
    if route.request.resource_type != "image":
        route.abort()
        return
    found = re.search(r"(\d+)x(\d+)", route.request.url)
    wide, high = (int(found[1]), int(found[2])) if found else (40, 40)
    image = Image.new("RGB", (wide, high), "#7fa3b8")
    ImageDraw.Draw(image).line([(0, 0), (wide, high)], fill="#203040", width=3)
    out = BytesIO()
    image.save(out, "PNG")
    route.fulfill(body=out.getvalue(), content_type="image/png")


def shot(page: Page, html: str, width: int) -> Image.Image:
    """How a page looks at a width, in its full height."""
    page.set_viewport_size({"width": width, "height": 800})
    page.set_content(html, wait_until="load")
    return Image.open(BytesIO(page.screenshot(full_page=True))).convert("RGB")


def alike(one: Image.Image, other: Image.Image) -> float:
    """The share of equal pixels of two pictures."""
    size = (max(one.width, other.width), max(one.height, other.height))
    pages = [Image.new("RGB", size, "#ff00ff") for _ in range(2)]
    for page, image in zip(pages, (one, other), strict=True):
        page.paste(image)
    differing = ImageChops.difference(*pages).convert("L").point(lambda v: 255 if v else 0).histogram()[255]
    return 1 - differing / (size[0] * size[1])


def ours(name: str, source: str) -> tuple[str, str]:
    """Our HTML, or why it is refused."""
    try:
        return render_mjml(source, Place(f"{name}.mjml")), ""
    except InputError as exc:
        return "", "; ".join(str(problem) for problem in exc.problems[:3])


def bare(source: str) -> str:
    """What mjml-python makes of it by itself; nothing where it gives up."""
    try:
        return str(mjml2html(source, fonts={}))
    except ValueError:
        return ""


def compared(folder: Path, documents: dict[str, str], out: Path | None) -> Iterator[Result]:
    """All documents at all widths."""
    wanted = reference(folder, documents)
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page()
        page.route("**/*", picture)
        for name, source in documents.items():
            html, refused = ours(name, source)
            plain = bare(source)
            for width in WIDTHS:
                expected = shot(page, wanted[name], width)
                mine = shot(page, html, width) if html else None
                if mine and alike(expected, mine) != 1.0:  # once in a while a picture is scaled otherwise
                    expected, mine = shot(page, wanted[name], width), shot(page, html, width)
                theirs = shot(page, plain, width) if plain else None
                result = Result(
                    name,
                    width,
                    alike(expected, mine) if mine else None,
                    alike(expected, theirs) if theirs else None,
                    refused,
                )
                if out and mine and result.ours != 1.0:
                    both = Image.new("RGB", (expected.width + mine.width, max(expected.height, mine.height)), "#f0f")
                    both.paste(expected, (0, 0))
                    both.paste(mine, (expected.width, 0))
                    both.save(out / f"{name}-{width}.png")
                yield result
        browser.close()


def told(share: float | None) -> str:
    """A share for people."""
    return "-" if share is None else "identical" if share == 1.0 else f"{share:.2%}"


def main() -> None:
    """Compare and print."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else "")
    options.add_argument("reference", type=Path, help="the folder where npm `mjml` is installed")
    options.add_argument("documents", type=Path, nargs="?", default=DOCUMENTS)
    options.add_argument("--out", type=Path)
    given = options.parse_args()
    documents = {file.stem: file.read_text("utf-8") for file in sorted(given.documents.glob("*.mjml"))}
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
    results = []
    for result in compared(given.reference, documents, given.out):
        results.append(result)
        about = f"refused: {result.refused}" if result.refused else told(result.ours)
        print(f"{result.name:28} {result.width:4}  ours {about:12}  mjml-python alone {told(result.bare)}", flush=True)
    drawn = [r for r in results if not r.refused]
    print(
        f"{len(documents)} documents at {len(WIDTHS)} widths: {len(drawn)} drawn, {len(results) - len(drawn)} refused; "
        f"identical: ours {sum(r.ours == 1.0 for r in drawn)} of {len(drawn)}, "
        f"mjml-python alone {sum(r.bare == 1.0 for r in results)} of {len(results)} "
        f"({sum(r.bare == 1.0 for r in drawn)} of the {len(drawn)})"
    )


if __name__ == "__main__":
    main()
