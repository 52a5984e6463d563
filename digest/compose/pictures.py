"""Pictures of an issue and of its theme: found, measured, named, and made fit for email.

Only files inside the newsletter's folder (or the theme's) are taken, links followed. A published file is at most
twice as wide as it is shown, for screens with two dots to a CSS pixel; `digest.compose.imaging` makes it.

The name is a hash over the source's bytes and what is to be done to them, so an issue compiles to the same bytes on
any machine. Another release of Pillow may write other bytes under the same name, of the same picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from digest.compose.compiled import CompiledIssue, Picture
from digest.compose.imaging import Source, UnfitError, look_at, published, state
from digest.errors import InputError, Place, Problem, nearest
from digest.newsletter import Newsletter, shipped

SHARP = 2
"""Dots of the published file to one CSS pixel, at most."""
WIDEST = 2_000  # CSS pixels an author may ask for
HEAVY = 300_000  # bytes of one published picture that are worth a word: 5 seconds on a slow phone (500 kbit/s)
HEAVY_IN_ALL = 1_000_000

TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".gif": "image/gif"}
"""Suffix → MIME type of what is published."""
_READ = (*TYPES, ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".svg")


# ---- for composing


def load_picture(written: str, folder: Path, root: Path, widest: int, width: str, alt: str, place: Place) -> Picture:
    """The picture that `written` names, beside the issue (`folder`), in the newsletter's (`root`) or ``issues/shared``.

    `widest` is the room there is, `width` what the author asked for (CSS pixels, "" for as wide as it is). A
    picture made for sharp screens is shown at the room's width. Raises `InputError`.
    """
    file = _find(written, folder, root, place)
    source = _source(file, f"the picture “{_short(written)}”", place, widest)
    shown = min(_width(width, widest, place), widest) if width else min(source.width, widest)
    return _picture(source, file.relative_to(root).as_posix(), shown, alt, place)


def load_asset(name: str, theme_folders: Sequence[Path], width: int | None, place: Place) -> Picture:
    """The picture ``assets/<name>`` of the first of a theme's folders that has it (its own, then those it extends).

    `width` are CSS pixels, half of its own by default. Raises `InputError`.
    """
    tops = [folder / "assets" for folder in theme_folders]
    for top in tops:
        file = (top / name).resolve()
        if file.is_file() and file.is_relative_to(top.resolve()):
            source = _source(file, f"the theme's picture “{name}”", place, width or 300)
            shown = width or max(1, source.width // SHARP)
            inside = file.relative_to(top.resolve()).as_posix()
            return _picture(source, f"templates/{top.parent.name}/assets/{inside}", shown, "", place)
    known = [f.relative_to(top).as_posix() for top in tops for f in top.rglob("*") if f.is_file()]
    raise _wrong(place, f"the theme has no picture “assets/{_short(name)}”", nearest(name, known))


def with_play(picture: Picture, root: Path) -> Picture:
    """The same picture with the mark of a film drawn on it; an animation, which moves already, as it is."""
    file = root / picture.file
    source = look_at(file, state(file))
    if source.animated:
        return picture
    return replace(picture, name=source.name(picture.pixels, play=True), play=True)


def _picture(source: Source, file: str, shown: int, alt: str, place: Place) -> Picture:
    pixels = source.width if source.animated else min(source.sharpest, SHARP * shown)
    height = max(1, round(shown * source.height / source.width))
    return Picture(source.name(pixels), file, shown, height, alt, place, pixels)


def _find(written: str, folder: Path, root: Path, place: Place) -> Path:
    if (scheme := urlsplit(written).scheme.lower()) in ("http", "https", "data", "cid", "file"):
        where = "is on another server" if scheme.startswith("http") else f"is a {scheme}: address, not a file"
        cure = "save it as a file beside the issue: a reader must not need another server"
        raise _wrong(place, f"the picture “{_short(written)}” {where}", cure)
    shared = root / "issues" / "shared"
    inside = False
    # Markdown percent-encodes what it reads; a file may be called that as well.
    for name in dict.fromkeys((written, unquote(written))):
        with suppress(OSError, ValueError, RuntimeError):  # no possible name; a link that leads to itself
            for file in ((base / name).resolve() for base in (folder, root, shared)):
                found = file.is_relative_to(root)
                inside = inside or found
                if found and file.is_file():
                    return file
    if not inside:
        raise _wrong(place, f"the picture “{_short(written)}” is outside the newsletter's folder")
    near = [file.name for base in (folder, shared) if base.is_dir() for file in base.iterdir()]
    cure = nearest(unquote(written), [name for name in near if name.lower().endswith(_READ)])
    raise _wrong(place, f"there is no picture “{_short(written)}”", cure)


def _width(written: str, widest: int, place: Place) -> int:
    if not (written.isascii() and written.isdigit() and len(written) <= 4 and 1 <= int(written) <= WIDEST):
        raise _wrong(place, f"width is “{_short(written)}”", f"write pixels, as width={widest}")
    return int(written)


def _source(file: Path, what: str, place: Place, shown: int) -> Source:
    try:
        return look_at(file, state(file))
    except UnfitError as exc:
        cure = exc.cure.replace("{wide}", f"{SHARP * shown:,}")
        raise _wrong(place, f"{what} {exc.message}", cure) from exc
    except OSError as exc:
        raise _wrong(place, f"{what} can't be read: {exc.strerror}") from exc


def _short(written: str) -> str:
    return written if len(written) <= 80 else f"{written[:60]}…"


def _wrong(place: Place, message: str, cure: str = "") -> InputError:
    return InputError(Problem(place, message, cure, code="picture"))


# ---- for showing, publishing and attaching


def picture_bytes(newsletter: Newsletter, picture: Picture) -> tuple[bytes, str]:
    """What is published of a picture of a compiled issue, and its MIME type.

    Kept in memory until the source changes. Raises `InputError` when the source is gone, or is another than the
    one the issue was composed with.
    """
    what = f"the picture “{picture.file}”"
    file = _source_file(newsletter.root, picture.file)
    if file is None:
        raise _wrong(picture.place, f"{what} is gone", "put it back, or compose the issue again")
    if _source(file, what, picture.place, picture.width).name(picture.pixels, play=picture.play) != picture.name:
        told = f"{what} has changed since the issue was composed"
        raise _wrong(picture.place, told, "put the earlier one back, or compose the issue again")
    try:
        data = published(file, state(file), picture.pixels, play=picture.play)
    except UnfitError as exc:
        raise _wrong(picture.place, f"{what} {exc.message}", exc.cure) from exc
    return data, TYPES[Path(picture.name).suffix]


def picture_files(newsletter: Newsletter, compiled: CompiledIssue) -> dict[str, tuple[bytes, str]]:
    """All pictures of an issue: name → (bytes, MIME type). Raises `InputError` with each that can't be had."""
    files: dict[str, tuple[bytes, str]] = {}
    problems: list[Problem] = []
    for picture in compiled.pictures:
        try:
            files[picture.name] = picture_bytes(newsletter, picture)
        except InputError as exc:
            problems += exc.problems
    if problems:
        raise InputError(problems)
    return files


def heavy_pictures(newsletter: Newsletter, compiled: CompiledIssue) -> Iterator[Problem]:
    """A warning for each picture that readers wait for, and one for all together, with what to do."""
    try:
        files = picture_files(newsletter, compiled)
    except InputError as exc:
        yield from exc.problems
        return
    for picture in compiled.pictures:
        data, kind = files[picture.name]
        if len(data) > HEAVY:
            told = f"the picture “{picture.file}” is published with {len(data):,} bytes, {picture.pixels:,} pixels wide"
            yield Problem(picture.place, told, _LIGHTER[kind], severity="warning", code="heavy-picture")
    total = sum(len(data) for data, _ in files.values())
    if total > HEAVY_IN_ALL:
        largest = sorted(compiled.pictures, key=lambda picture: -len(files[picture.name][0]))[:3]
        parts = ", ".join(f"{picture.file} {len(files[picture.name][0]):,}" for picture in largest)
        how = "travel in each message" if compiled.attaches else "are loaded by each reader who opens it"
        told = f"the {len(files)} pictures have {total:,} bytes, which {how}"
        cure = f"under {HEAVY_IN_ALL:,} is good; the largest: {parts}"
        yield Problem(largest[0].place, told, cure, severity="warning", code="heavy-pictures")


_LIGHTER = {
    "image/png": "save a photograph as JPEG, a drawing with fewer colours, or show it narrower with width=…",
    "image/jpeg": "cut it to what matters, or show it narrower with width=…",
    "image/gif": "fewer frames, fewer colours, or a still picture with a link to the film",
}


def attachments(newsletter: Newsletter, compiled: CompiledIssue) -> Mapping[str, tuple[bytes, str]]:
    """What `Merger` takes as `attachments`: the pictures that travel in the message; none when they are hosted."""
    return picture_files(newsletter, compiled) if compiled.attaches else {}


def _source_file(root: Path, file: str) -> Path | None:
    """The newsletter's own file, else for a theme's picture the one that the package carries."""
    bases = (root, shipped()) if file.startswith("templates/") else (root,)
    for base in (b.resolve() for b in bases):
        path = (base / file).resolve()
        if path.is_relative_to(base) and path.is_file():
            return path
    return None
