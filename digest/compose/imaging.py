"""A picture file: what is to be known of it, and the bytes that are published of it. The only user of Pillow.

What is published is at most as wide as asked for, in a format every client shows, upright, in sRGB, and without
metadata. Where fewer pixels would take more bytes, or coding anew would save little, the source's own bytes stay,
less the metadata: so a picture of the same format never grows. An animation is never touched.
"""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digest.compose import vector
from digest.compose.metadata import without_metadata
from digest.compose.playmark import with_play_mark

if TYPE_CHECKING:  # loaded when the first picture is read: most processes that send never do
    from PIL.Image import Image

RECIPE = 1
"""Part of every published name; to be raised with each change of what is published of the same source."""

SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "GIF": ".gif"}
"""Format → suffix of what is published."""
READ = ("PNG", "JPEG", "MPO", "GIF", "WEBP", "AVIF", "TIFF", "BMP")
"""Formats that Pillow reads, by its names; `vector` reads SVG. MPO is a JPEG of a phone, with more behind the first."""

LARGEST_FILE = 25_000_000  # bytes
LARGEST_ANIMATION = 5_000_000  # bytes: it is sent as it is
MOST_PIXELS = 25_000_000  # 100 MB when decoded
MOST_PIXELS_JPEG = 50_000_000  # decoded at a fraction of its size
MOST_SCANS = 100  # of a progressive JPEG: each costs a pass over the whole picture

QUALITY = (82, 70)  # of JPEG; the second only where the first takes more bytes than a source that can't stay
WORTH = 0.9  # a JPEG is coded anew to save a tenth of its bytes, not for less: each coding loses a little
GRAIN = 0.4  # of neighbouring dots are alike: photographs have fewer, drawings and screenshots more

_ORIENTATION = 0x0112  # Exif 2.32, section 4.6.4
_TURNS = ("FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90")
_AGAIN = "save or download it again"


class UnfitError(Exception):
    """Why a file can't be used (`message`, to follow its name), and the cure; ``{wide}`` stands for a good width."""

    def __init__(self, message: str, cure: str) -> None:
        self.message, self.cure = message, cure
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of a file: width and height of the upright picture, and all that decides what becomes of it."""

    kind: str
    width: int
    height: int
    digest: str
    turn: int
    alpha: bool
    grainy: bool
    animated: bool

    @property
    def sharpest(self) -> int:
        """The most dots across that there are to publish: a drawing has any number."""
        return 2 * vector.UNSIZED if self.kind == "SVG" else self.width

    def form(self, pixels: int, *, play: bool = False) -> str:
        """The format it is published in, `pixels` wide."""
        if self.kind == "JPEG" or (self.kind == "GIF" and pixels == self.width and not play):
            return self.kind
        return "JPEG" if self.grainy and not self.alpha else "PNG"

    def name(self, pixels: int, *, play: bool = False) -> str:
        """What it is published as, `pixels` wide: the same on any machine, whatever its codecs."""
        form = self.form(pixels, play=play)
        what = f"{RECIPE} {form} {pixels} {self.digest}{' play' if play else ''}"
        return hashlib.sha256(what.encode()).hexdigest()[:16] + SUFFIXES[form]


def state(file: Path) -> tuple[int, ...]:
    """What changes when a file does: part of the key under which things are kept in memory."""
    stat = file.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


# ---- looking


@lru_cache(maxsize=1024)
def look_at(file: Path, at: tuple[int, ...]) -> Source:
    """Measure a file whose `state` is `at`, and decode it once, so that a broken one is found.

    Raises `UnfitError` and `OSError`. Time and memory are bounded by the limits above.
    """
    if at[1] > LARGEST_FILE:
        raise UnfitError(f"has {at[1]:,} bytes", f"at most {LARGEST_FILE:,}")
    raw = file.read_bytes()
    if vector.is_vector(raw):
        return _look_at_vector(raw)
    image = _opened(raw)
    kind = "JPEG" if image.format == "MPO" else image.format or ""
    animated = kind not in ("JPEG", "TIFF") and _moves(image)
    if animated and kind not in ("GIF", "PNG"):
        told = f"is an animated {kind}, which many clients can't show"
        raise UnfitError(told, "save it as GIF, or as a still picture")
    if animated and at[1] > LARGEST_ANIMATION:
        told = f"is an animation of {at[1]:,} bytes, all of which every reader would load"
        raise UnfitError(told, f"at most {LARGEST_ANIMATION:,}: fewer frames, or a smaller picture")
    width, height = image.size
    alpha, grainy = _decoded(image, kind)
    turn = _turn(image)
    if turn >= 5:  # it lies on its side
        width, height = height, width
    if SUFFIXES.get(kind):
        _plain(raw, kind)
    return Source(kind, width, height, hashlib.sha256(raw).hexdigest(), turn, alpha, grainy, animated)


def _look_at_vector(raw: bytes) -> Source:
    try:
        width, height = vector.measured(raw)
        vector.drawn(raw, min(width, 100))
    except vector.VectorError as exc:
        raise UnfitError(exc.message, exc.cure) from exc
    digest = hashlib.sha256(raw).hexdigest()
    return Source("SVG", width, height, digest, 1, alpha=True, grainy=False, animated=False)


def _opened(raw: bytes) -> Image:
    """The picture, measured but not decoded; refused when it is none, or too large to decode."""
    from PIL import Image

    Image.init()
    Image.MAX_IMAGE_PIXELS = None  # our limits are narrower, and come without a warning on the way
    try:
        image = Image.open(io.BytesIO(raw), formats=[kind for kind in READ if kind in Image.OPEN])
    except Exception as exc:  # a decoder fed with a broken file may raise anything
        raise UnfitError(*_foreign(raw)) from exc
    jpeg = image.format in ("JPEG", "MPO")
    most = MOST_PIXELS_JPEG if jpeg else MOST_PIXELS
    if image.width * image.height > most:
        raise UnfitError(f"has {image.width:,} × {image.height:,} pixels", f"make it smaller: at most {most:,} in all")
    if jpeg and raw.count(b"\xff\xda") > MOST_SCANS:
        raise UnfitError("is a JPEG in more passes than any camera writes", "save it again as an ordinary JPEG")
    return image


def _foreign(raw: bytes) -> tuple[str, str]:
    """What a file is that can't be opened, and what to do."""
    brand = raw[8:12] if raw[4:8] == b"ftyp" else b""
    if brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"):
        return "is a HEIC photograph, which only some clients show", "save it as JPEG"
    if brand in (b"avif", b"avis") or (raw[:4], raw[8:12]) == (b"RIFF", b"WEBP"):
        return "is broken, or of a format the Pillow of this machine can't read", "save it as PNG or JPEG"
    if raw.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")):
        return "is broken, or of a rare kind that can't be read", _AGAIN
    return "is not a picture", "PNG, JPEG, GIF, WebP, AVIF, TIFF, BMP and SVG can be read"


def _moves(image: Image) -> bool:
    with suppress(Exception):  # what follows the first frame may be broken in any way; it is then looked at below
        return bool(getattr(image, "is_animated", False))
    return False


def _turn(image: Image) -> int:
    """The Exif orientation, 1 (upright) to 8."""
    with suppress(Exception):  # Exif may be broken in any way; the picture is then taken as it lies
        turn = image.getexif().get(_ORIENTATION, 1)
        return turn if turn in range(1, 9) else 1
    return 1


def _decoded(image: Image, kind: str) -> tuple[bool, bool]:
    """Whether anything shows through the picture, and whether it has the grain of a photograph."""
    _load(image, (1, 1))  # a JPEG is read to its end, at an eighth of its size
    if kind in ("JPEG", "GIF") or image.mode in ("1", "P"):
        return False, False
    alpha = image.has_transparency_data and sum(image.convert("RGBA").getchannel("A").histogram()[:255]) > 0
    # Decoders of AVIF differ in the last bit from build to build; what a picture is called must not.
    return alpha, not alpha and (kind == "AVIF" or _grainy(_eight_bits(image)))


def _load(image: Image, least: tuple[int, int]) -> None:
    """Decode; what can be decoded at a fraction of its size no larger than needed for `least` dots."""
    image.draft(None, least)
    try:
        image.load()
    except Exception as exc:  # a decoder fed with a broken file may raise anything
        raise UnfitError("is broken, or ends early", _AGAIN) from exc


def _grainy(image: Image) -> bool:
    from PIL import ImageChops

    width, height = min(image.width, 1500), min(image.height, 1500)
    if width * height < 2_500:
        return False
    left, top = (image.width - width) // 2, (image.height - height) // 2
    first = image.crop((left, top, left + width - 1, top + height))
    second = image.crop((left + 1, top, left + width, top + height))
    red, *others = ImageChops.difference(first, second).convert("RGB").split()
    for band in others:
        red = ImageChops.lighter(red, band)
    return red.histogram()[0] < GRAIN * (width - 1) * height


# ---- making


@lru_cache(maxsize=64)
def published(file: Path, at: tuple[int, ...], pixels: int, *, play: bool = False) -> bytes:
    """What is published of a file, `pixels` wide, with the mark of a film if it is the still of one (`play`).

    Raises `UnfitError` and `OSError`.
    """
    source = look_at(file, at)
    raw = file.read_bytes()
    form = source.form(pixels, play=play)
    if source.kind == "SVG":
        made = _vector_image(raw, pixels)
        return _png(with_play_mark(made) if play else made, few=False)
    image = _opened(raw)
    if play:
        made = with_play_mark(_made(image, source, pixels))
        return _jpeg(made, most=0) if form == "JPEG" else _png(made, few=image.mode == "P")
    stays = form == source.kind and source.turn == 1 and image.mode != "CMYK"
    plain = _plain(raw, form) if stays else b""
    if source.animated or form == "GIF":
        return plain
    if plain and image.mode == "P" and pixels == source.width:
        data = _saved(image, "PNG")
    elif form == "JPEG":
        data = _jpeg(_made(image, source, pixels), most=0 if plain else len(raw))
    else:
        data = _png(_made(image, source, pixels), few=image.mode == "P")
    worth = WORTH if form == "JPEG" and pixels == source.width else 1
    return plain if plain and len(data) >= len(plain) * worth else data


def _vector_image(raw: bytes, pixels: int) -> Image:
    try:
        image = _opened(vector.drawn(raw, pixels)).convert("RGBA")
    except vector.VectorError as exc:
        raise UnfitError(exc.message, exc.cure) from exc
    return image if sum(image.getchannel("A").histogram()[:255]) else image.convert("RGB")


def _plain(raw: bytes, kind: str) -> bytes:
    try:
        return without_metadata(raw, kind)
    except ValueError as exc:
        raise UnfitError("is broken, or ends early", _AGAIN) from exc


def _made(image: Image, source: Source, pixels: int) -> Image:
    """Upright, `pixels` wide, in sRGB, of mode L, RGB or RGBA, and nothing but the picture."""
    from PIL.Image import Resampling, Transpose

    size = (pixels, max(1, round(pixels * source.height / source.width)))
    lying = size if source.turn < 5 else size[::-1]
    _load(image, (2 * lying[0], 2 * lying[1]))
    profile = image.info.get("icc_profile")
    seen_through = source.alpha or (image.mode == "P" and image.has_transparency_data)
    made = image.convert("RGBA") if seen_through else _eight_bits(image)
    if made.size != lying:
        made = made.resize(lying, Resampling.LANCZOS, reducing_gap=3.0)
    if source.turn > 1:
        made = made.transpose(Transpose[_TURNS[source.turn - 2]])
    if profile:
        made = _in_srgb(made, profile)
    made = made if made.mode in ("L", "RGB", "RGBA") else made.convert("RGB")
    made.info.clear()
    return made


def _eight_bits(image: Image) -> Image:
    """An opaque picture as L, RGB or CMYK."""
    if image.mode[0] in "IF":  # a bare conversion would cut 16 bits off, not scale them
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in ("1", "L", "LA"):
        return image.convert("L")
    return image if image.mode == "CMYK" else image.convert("RGB")


def _in_srgb(image: Image, profile: bytes) -> Image:
    """Colours as every client understands them; as they are where the profile is useless."""
    from PIL import ImageCms

    with suppress(ImageCms.PyCMSError, OSError, ValueError):
        theirs = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        return ImageCms.profileToProfile(image, theirs, ImageCms.createProfile("sRGB"), outputMode=mode) or image
    return image


def _jpeg(image: Image, *, most: int) -> bytes:
    """Coded with the first quality, else with the second where that takes more than `most` bytes (0: any number)."""
    first, second = QUALITY
    data = _saved(image, "JPEG", quality=first, progressive=True)
    return _saved(image, "JPEG", quality=second, progressive=True) if most and len(data) > most else data


def _png(image: Image, *, few: bool) -> bytes:
    """The smaller of two: as it is, or with a palette, where that loses nothing or the source had one (`few`)."""
    from PIL.Image import Dither, Quantize

    data = _saved(image, "PNG")
    if few or image.getcolors(256):
        method = Quantize.FASTOCTREE if image.mode == "RGBA" else Quantize.MEDIANCUT
        reduced = image.quantize(256, method=method, dither=Dither.NONE)
        if few or reduced.convert(image.mode).tobytes() == image.tobytes():
            data = min(data, _saved(reduced, "PNG"), key=len)
    return data


def _saved(image: Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, optimize=True, **options)
    return out.getvalue()
