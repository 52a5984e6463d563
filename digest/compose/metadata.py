"""What a picture file says besides its picture (where and when it was taken, by whom) is cut out of its bytes.

Not a pixel changes, and the result is the same on every machine: nothing is decoded. What stays is what a client
needs to show the picture right: its data, palette, transparency, colour profile, animation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

# PNG, third edition, section 11, and animation (acTL, fcTL, fdAT). Text, time, Exif and private chunks go.
_PNG_KEPT = frozenset(
    {
        *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT"),
        *(b"cHRM", b"cICP", b"gAMA", b"iCCP", b"sBIT", b"sRGB"),
    }
)
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"

_SOS, _EOI = 0xDA, 0xD9
# In coded data 0xFF is followed by 0x00, or by a restart marker D0–D7 (ITU-T T.81, B.1.1.2 and B.1.1.5).
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")

_GIF_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_GIF_APPLICATION, _GIF_COMMENT = 0xFF, 0xFE


def without_metadata(data: bytes, kind: str) -> bytes:
    """`data` of a ``PNG``, ``JPEG`` or ``GIF`` file without metadata and without anything behind its end.

    Raises `ValueError` when the file is broken or ends early.

    >>> without_metadata(b"GIF89a" + bytes(6), "GIF")
    Traceback (most recent call last):
    ValueError: it ends early
    """
    parts: dict[str, Callable[[bytes], Iterator[bytes]]] = {"PNG": _png, "JPEG": _jpeg, "GIF": _gif}
    try:
        return b"".join(parts[kind](data))
    except IndexError as exc:
        raise ValueError("it ends early") from exc


def _png(data: bytes) -> Iterator[bytes]:
    if not data.startswith(_PNG_HEAD):
        raise ValueError("it is no PNG")
    yield _PNG_HEAD
    start, name = len(_PNG_HEAD), b""
    while name != b"IEND":
        name = data[start + 4 : start + 8]
        end = start + 12 + int.from_bytes(data[start : start + 4])
        if end > len(data) or len(name) < 4:
            raise ValueError("it ends early")
        if name in _PNG_KEPT:
            yield data[start:end]
        start = end


def _jpeg(data: bytes) -> Iterator[bytes]:
    if not data.startswith(b"\xff\xd8"):
        raise ValueError("it is no JPEG")
    yield data[:2]
    start = 2
    while True:
        while data[start] == data[start + 1] == 0xFF:  # fill bytes (B.1.1.2)
            start += 1
        if data[start] != 0xFF:
            raise ValueError("it is broken")
        if (marker := data[start + 1]) == _EOI:  # further pictures of a phone's file stand behind this one
            yield data[start : start + 2]
            return
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4])
        if marker == _SOS:
            found = _JPEG_MARKER.search(data, end)
            if found is None:
                raise ValueError("it ends early")
            end = found.start()
        if _jpeg_kept(marker, data[start + 4 : start + 16]):
            yield data[start:end]
        start = end


def _jpeg_kept(marker: int, head: bytes) -> bool:
    """JFIF, the colour profile and Adobe's colour transform stay; all other APPn segments and comments go."""
    if marker == 0xE2:
        return head == b"ICC_PROFILE\0"
    return marker in (0xE0, 0xEE) or not (0xE0 <= marker <= 0xEF or marker == 0xFE)


def _gif(data: bytes) -> Iterator[bytes]:
    if not data.startswith((b"GIF87a", b"GIF89a")):
        raise ValueError("it is no GIF")
    start = 13 + _gif_table(data[10])
    yield data[:start]
    while (kind := data[start]) != 0x3B:
        if kind == 0x2C:
            body = start + 10 + _gif_table(data[start + 9]) + 1
        elif kind == 0x21:
            body = start + 2
        else:
            raise ValueError("it is broken")
        end = _gif_end(data, body)
        if kind == 0x2C or _gif_kept(data[start + 1], data[body + 1 : body + 12]):
            yield data[start:end]
        start = end
    yield b"\x3b"


def _gif_table(packed: int) -> int:
    """Bytes of the colour table that follows such a field."""
    return 3 * 2 ** ((packed & 7) + 1) if packed & 0x80 else 0


def _gif_end(data: bytes, start: int) -> int:
    """Behind a chain of sub-blocks, each led by its length."""
    while length := data[start]:
        start += 1 + length
    return start + 1


def _gif_kept(label: int, application: bytes) -> bool:
    return application in _GIF_LOOPS if label == _GIF_APPLICATION else label != _GIF_COMMENT
