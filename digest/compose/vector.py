"""An SVG as dots. The only user of resvg-py (the extra ``svg``).

A drawing is a program: a few lines of it can ask for hours of work or for gigabytes. So its size is read here, by
the standard library's parser, and it is drawn by a process of its own, which may take so much time and memory and
no more, and sees neither files nor the network. Words are drawn in the fonts of the machine that composes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from xml.parsers import expat

EXTRA = "pip install 'digest-newsletter[svg]'"
LARGEST = 2_000_000  # bytes of a drawing
PATIENCE = 5  # seconds for one drawing
MEMORY = 1_500_000_000  # bytes of address space for one drawing
UNSIZED = 2_000  # CSS pixels of a drawing that names no width: as wide as there is room

_PIXELS = {"": 1.0, "px": 1.0, "pt": 96 / 72, "pc": 16.0, "in": 96.0, "cm": 96 / 2.54, "mm": 96 / 25.4}
_LENGTH = re.compile(r"\s*(\d*\.?\d+)\s*([a-z]*)\s*")

_DRAW = """
import sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, ValueError, OSError):  # a system without limits
    pass
from resvg_py import svg_to_bytes
svg, width = sys.stdin.buffer.read().decode(), int(sys.argv[1])
try:
    drawn = bytes(svg_to_bytes(svg_string=svg, width=width, dpi=96.0))
    if "<text" in svg and drawn == bytes(svg_to_bytes(svg_string=svg, width=width, dpi=96.0, skip_system_fonts=True)):
        sys.exit(3)
except ValueError as exc:
    sys.exit(str(exc))
sys.stdout.buffer.write(drawn)
"""


class VectorError(Exception):
    """Why a drawing can't be used (`message`, to follow its name), and the cure."""

    def __init__(self, message: str, cure: str) -> None:
        self.message, self.cure = message, cure
        super().__init__(message)


def is_vector(raw: bytes) -> bool:
    """Whether a file is an SVG."""
    return b"<svg" in raw[:4096]


def measured(raw: bytes) -> tuple[int, int]:
    """Width and height of an SVG, CSS pixels. Raises `VectorError`."""
    if len(raw) > LARGEST:
        raise VectorError(f"is an SVG of {len(raw):,} bytes", f"at most {LARGEST:,}, or save it as PNG")
    root = _root(raw)
    box = [float(n) for n in re.findall(r"-?\d*\.?\d+(?:[eE][-+]?\d+)?", root.get("viewBox", ""))]
    width, height = _length(root.get("width", "")), _length(root.get("height", ""))
    ratio = height / width if width and height else box[3] / box[2] if len(box) == 4 and box[2] > 0 else 0
    if not ratio:
        raise VectorError("is an SVG without a size", "give it width and height, or a viewBox")
    wide = min(width or (height / ratio if height else UNSIZED), UNSIZED)
    if not 1 <= wide * ratio <= 10 * UNSIZED or wide < 1:
        raise VectorError("is an SVG of an impossible shape", "look at its width, height and viewBox")
    return round(wide), max(1, round(wide * ratio))


def drawn(raw: bytes, pixels: int) -> bytes:
    """An SVG as PNG, `pixels` wide. Raises `VectorError`."""
    if find_spec("resvg_py") is None:
        told = "is an SVG, which most mail clients do not show"
        raise VectorError(told, f"install what converts it, {EXTRA}, or save it as PNG, {{wide}} pixels wide")
    command = [sys.executable, "-I", "-c", _DRAW, str(pixels), str(MEMORY)]
    try:
        done = subprocess.run(command, input=raw, capture_output=True, timeout=PATIENCE, check=False)  # noqa: S603 - ours
    except subprocess.TimeoutExpired as exc:
        told = f"is an SVG that takes more than {PATIENCE} seconds to draw"
        raise VectorError(told, "make it simpler, or save it as PNG") from exc
    if done.returncode == 3:
        told = "is an SVG with words, and this machine has no fonts to draw them with"
        raise VectorError(told, "turn its words into paths, or save it as PNG")
    if done.returncode < 0 or (not done.stdout and not done.stderr) or b"MemoryError" in done.stderr:
        raise VectorError("is an SVG that can't be drawn within bounds", "make it simpler, or save it as PNG")
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1]
        raise VectorError(f"is an SVG that can't be drawn: {last[:200]}", "save it again, or as PNG")
    return done.stdout


def _length(written: str) -> float:
    """A length in CSS pixels; 0 for one that depends on what is around (``100%``, ``2em``)."""
    found = _LENGTH.fullmatch(written)
    return float(found[1]) * _PIXELS.get(found[2], 0) if found else 0


def _root(raw: bytes) -> dict[str, str]:
    """The attributes of the first element, of a document that is well formed to its end."""
    parser = expat.ParserCreate()
    root: dict[str, str] | None = None

    def begin(name: str, given: dict[str, str]) -> None:
        nonlocal root
        root = given if root is None else root
        if name.rpartition(":")[2].lower() in ("image", "feimage"):
            _check_picture(given)

    def declares(*_: object) -> None:
        raise VectorError("is an SVG that declares entities", "save it again as plain SVG")

    parser.StartElementHandler = begin
    parser.EntityDeclHandler = declares
    try:
        parser.Parse(raw, True)
    except expat.ExpatError as exc:
        raise VectorError(f"is a broken SVG: {exc}", "save it again") from exc
    return root or {}


def _check_picture(attributes: dict[str, str]) -> None:
    """A picture within the drawing: only one that it carries, since a path could name any file of this machine."""
    address = attributes.get("href", attributes.get("xlink:href", "")).strip()
    if not re.match(r"data:image/(?:png|jpe?g|gif|webp)[;,]", address, re.IGNORECASE):
        raise VectorError("is an SVG that shows another file", "embed that picture, or save the whole as PNG")
