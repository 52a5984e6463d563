"""Pictures of an issue: found inside the newsletter's folder, measured, and named by their content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from digest.compose.compiled import Picture
from digest.errors import InputError, Place, Problem, nearest

SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "GIF": ".gif"}
"""What every client shows (WebP, AVIF and SVG are not among them)."""
LARGEST_FILE = 5_000_000  # bytes


def load_picture(
    written: str, folder: Path, root: Path, widest: int, width: str, alt: str, place: Place
) -> tuple[Picture, Path]:
    """The picture that `written` names, beside the issue (`folder`) or in ``issues/shared``.

    `widest` is the room there is, `width` what the author asked for (CSS pixels, "" for as wide as it is). A
    picture made for sharp screens is shown at the room's width. Raises `InputError`.
    """
    file = _find(written, folder, root, place)
    raw = file.read_bytes()
    if len(raw) > LARGEST_FILE:
        raise _problem(place, f"the picture “{written}” has {len(raw):,} bytes", f"at most {LARGEST_FILE:,}")
    try:
        with Image.open(file) as image:
            size, kind = image.size, image.format or ""
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as exc:
        raise _problem(place, f"“{written}” is not a picture", "PNG, JPEG and GIF are shown everywhere") from exc
    if kind not in SUFFIXES:
        raise _problem(place, f"“{written}” is a {kind}, which many clients can't show", "save it as PNG or JPEG")
    shown = min(_width(width, widest, place), widest) if width else min(size[0], widest)
    height = max(1, round(shown * size[1] / size[0]))
    name = f"{hashlib.sha256(raw).hexdigest()[:16]}{SUFFIXES[kind]}"
    return Picture(name, file.relative_to(root).as_posix(), shown, height, alt, place), file


def _find(written: str, folder: Path, root: Path, place: Place) -> Path:
    candidates = [base / written for base in (folder, root, root / "issues" / "shared")]
    inside = [c.resolve() for c in candidates if c.resolve().is_relative_to(root)]
    if not inside:
        raise _problem(place, f"the picture “{written}” is outside the newsletter's folder")
    found = next((c for c in inside if c.is_file()), None)
    if found is None:
        beside = [f.name for f in folder.iterdir() if f.suffix.lower() in (".png", ".jpg", ".jpeg", ".gif")]
        raise _problem(place, f"there is no picture “{written}”", nearest(written, beside))
    return found


def _width(written: str, widest: int, place: Place) -> int:
    if not written.isdigit() or not 1 <= int(written) <= 2_000:
        raise _problem(place, f"width is “{written}”", f"write pixels, as width={widest}")
    return int(written)


def _problem(place: Place, message: str, cure: str = "") -> InputError:
    return InputError(Problem(place, message, cure, code="picture"))
