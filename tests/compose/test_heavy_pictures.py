"""What is said of pictures that readers wait for."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from PIL import Image

from digest.compose.pictures import HEAVY, heavy_pictures


def _noise(file: Path, share: float, width: int = 1072) -> None:
    """A picture of which a share can't be compressed; clear at one dot, so that it stays a PNG."""
    image = Image.new("RGBA", (width, 700), "#ffffff")
    rows = round(700 * share)
    if rows:
        image.paste(Image.frombytes("RGB", (width, rows), random.Random(1).randbytes(3 * width * rows)))
    image.putpixel((0, 699), (0, 0, 0, 0))
    image.save(file)


@pytest.mark.parametrize(
    ("shares", "codes"),
    [
        ((0, 0, 0), []),
        ((0.25,), ["heavy-picture"]),
        ((0.1, 0.1, 0.1, 0.1, 0.1), ["heavy-pictures"]),
        ((1.0, 0), ["heavy-picture", "heavy-pictures"]),
    ],
)
def test_heavy_pictures_are_told_with_what_to_do(
    newsletter, compose, shares: tuple[float, ...], codes: list[str]
) -> None:
    """Each one above the limit, and their sum, as warnings with bytes, at the picture's line."""
    for number, share in enumerate(shares):
        _noise(newsletter.root / "issues" / f"{number}.png", share, 1072 - number)
    compiled = compose("\n\n".join(f"![Noise](../issues/{n}.png)" for n in range(len(shares))))
    told = list(heavy_pictures(newsletter, compiled))
    assert [problem.code for problem in told] == codes
    assert all(problem.severity == "warning" and problem.cure for problem in told)
    if codes and codes[0] == "heavy-picture":
        assert str(told[0]).startswith("issues/x.md:6")
        assert "issues/0.png" in told[0].message
        assert int(told[0].message.split(" bytes")[0].split()[-1].replace(",", "")) > HEAVY
