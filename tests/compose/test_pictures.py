"""Pictures: found where they may be, measured, made fit for email; the rest refused in words, in bounded time."""

from __future__ import annotations

import io
import random
import shutil
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageDraw

from digest.compose import imaging
from digest.compose.compiled import CompiledIssue, Picture
from digest.compose.composer import compile_issue
from digest.compose.imaging import published, state
from digest.compose.metadata import without_metadata
from digest.compose.pictures import attachments, load_asset, load_picture, picture_bytes, picture_files, with_play
from digest.errors import InputError, Place, Problem
from digest.newsletter import Newsletter

HERE = Place("issues/x.md", 7)
WIDEST = 536

Load = Callable[..., Picture]
Show = Callable[[Picture], Image.Image]


def photograph(size: tuple[int, int] = (1600, 1000), seed: int = 1) -> Image.Image:
    """A picture with a photograph's grain, smooth shapes and colours; the same each time."""
    rough = Image.frombytes("RGB", (40, 25), random.Random(seed).randbytes(3_000)).resize(
        size, Image.Resampling.BICUBIC
    )
    grain = Image.frombytes("L", (256, 256), random.Random(seed).randbytes(65_536)).resize(size)
    return Image.blend(rough, Image.merge("RGB", [grain] * 3), 0.06)


def drawing(size: tuple[int, int] = (1600, 1000), mode: str = "RGB") -> Image.Image:
    """Flat shapes and a smooth line."""
    image = Image.new(mode, size, (250, 246, 240, 0)[: len(mode)])
    draw = ImageDraw.Draw(image)
    for step in range(12):
        draw.ellipse(
            (step * 90, step * 40, step * 90 + 300, step * 40 + 260), fill=(20 * step, 90, 160, 255)[: len(mode)]
        )
    return image


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "issues" / "shared").mkdir(parents=True)
    return tmp_path.resolve()


@pytest.fixture
def load(root: Path) -> Load:
    """Save an image (or bytes) in the issues' folder and load it as an issue would."""

    def run(content: Image.Image | bytes, name: str = "a.png", width: str = "", **options: Any) -> Picture:
        file = root / "issues" / name
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            content.save(file, **options)
        return load_picture(name, root / "issues", root, WIDEST, width, "words", HERE)

    return run


@pytest.fixture
def data(root: Path) -> Callable[[Picture], bytes]:
    def run(picture: Picture) -> bytes:
        file = root / picture.file
        return published(file, state(file), picture.pixels, play=picture.play)

    return run


@pytest.fixture
def show(data: Callable[[Picture], bytes]) -> Show:
    """What a client shows of a loaded picture."""

    def run(picture: Picture) -> Image.Image:
        image = Image.open(io.BytesIO(data(picture)))
        image.load()
        return image

    return run


def refused(load: Load, content: Image.Image | bytes, name: str = "a.png", **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        load(content, name, **options)
    (problem,) = caught.value.problems
    assert problem.place == HERE
    assert name in problem.message
    return str(problem)


# ---- size


@pytest.mark.parametrize(
    ("size", "width", "shown", "pixels"),
    [
        ((1600, 1000), "", (536, 335), 1072),  # wider than the room: twice as sharp as shown
        ((800, 500), "", (536, 335), 800),  # never blown up
        ((300, 200), "", (300, 200), 300),
        ((1600, 1000), "200", (200, 125), 400),
        ((1600, 1000), "900", (536, 335), 1072),
    ],
)
def test_a_published_picture_is_at_most_twice_as_wide_as_shown(
    load: Load, show: Show, size: tuple[int, int], width: str, shown: tuple[int, int], pixels: int
) -> None:
    """Room and wish decide the width shown; the file has two dots to a CSS pixel where the source has them."""
    picture = load(photograph(size), "a.jpg", width, quality=95)
    assert (picture.width, picture.height) == shown
    assert picture.pixels == pixels
    image = show(picture)
    assert image.size == (pixels, round(pixels * size[1] / size[0]))


def test_a_large_photograph_loses_most_of_its_bytes_and_little_of_its_looks(
    load: Load, root: Path, show: Show, data: Any
) -> None:
    """A camera's JPEG comes out progressive, at a fraction of its bytes, and close to a plain resize."""
    source = photograph((3000, 2000))
    picture = load(source, "a.jpg", quality=95)
    image = show(picture)
    plain = source.resize(image.size, Image.Resampling.LANCZOS)
    apart = [abs(a - b) for a, b in zip(image.convert("L").tobytes(), plain.convert("L").tobytes(), strict=True)]
    assert sum(apart) / len(apart) < 4
    assert image.info.get("progressive")
    assert len(data(picture)) < (root / "issues/a.jpg").stat().st_size / 5


@pytest.mark.parametrize(("name", "options"), [("a.jpg", {"quality": 30}), ("b.png", {}), ("c.gif", {})])
@pytest.mark.parametrize("size", [(1200, 400), (700, 300), (90, 60)])
@pytest.mark.parametrize("make", [photograph, drawing])
def test_never_more_bytes_than_the_source(
    load: Load, root: Path, data: Any, name: str, options: Any, size: tuple[int, int], make: Any
) -> None:
    """Whatever is done to a picture, what is published is no larger than the file it came from."""
    picture = load(make(size), name, **options)
    if Path(picture.name).suffix == Path(name).suffix:
        assert len(data(picture)) <= (root / picture.file).stat().st_size


def test_a_well_made_jpeg_is_not_coded_again(load: Load, root: Path, data: Any) -> None:
    """Where there is nothing to save, the source's own bytes go out."""
    picture = load(photograph((1000, 625)), "a.jpg", quality=80, progressive=True, optimize=True)
    assert data(picture) == (root / "issues/a.jpg").read_bytes()


def test_a_turned_jpeg_takes_no_more_bytes_either(load: Load, root: Path, data: Any) -> None:
    """Its own bytes can't stay: it is coded anew, with a lower quality where the usual one would take more."""
    exif = Image.Exif()
    exif[0x0112] = 3
    picture = load(photograph((700, 400)), "a.jpg", quality=75, progressive=True, optimize=True, exif=exif)
    assert len(data(picture)) <= (root / picture.file).stat().st_size


def test_few_colours_take_a_palette_and_lose_nothing(load: Load, show: Show, root: Path) -> None:
    """A flat drawing saved with all colours is published with a palette, dot for dot the same."""
    source = drawing((1000, 600))
    image = show(load(source))
    assert image.mode == "P"
    assert image.convert("RGB").tobytes() == source.tobytes()


def test_a_photograph_saved_as_png_becomes_a_jpeg_and_a_drawing_does_not(load: Load) -> None:
    """Grain decides, where nothing shows through."""
    grainy = photograph((400, 300))
    assert load(grainy).name.endswith(".jpg")
    assert load(grainy.convert("L")).name.endswith(".jpg")
    assert load(drawing()).name.endswith(".png")
    grainy.putalpha(Image.linear_gradient("L").resize(grainy.size))
    assert load(grainy).name.endswith(".png")
    grainy.putalpha(255)
    assert load(grainy).name.endswith(".jpg")


# ---- formats


@pytest.mark.parametrize(("form", "suffix"), [("WEBP", ".webp"), ("AVIF", ".avif"), ("TIFF", ".tif"), ("BMP", ".bmp")])
def test_formats_that_clients_can_not_show_are_converted(load: Load, show: Show, form: str, suffix: str) -> None:
    """Photographs to JPEG, what is seen through to PNG; the picture stays what it was."""
    if form not in imaging_formats():
        pytest.skip(f"this Pillow reads no {form}")
    photo = show(load(photograph((600, 400)), f"a{suffix}", format=form))
    assert photo.format == "JPEG"
    assert photo.size == (600, 400)
    if form != "BMP":
        clear = show(load(drawing((400, 300), "RGBA"), f"b{suffix}", format=form))
        assert clear.format == "PNG"
        assert clear.convert("RGBA").getpixel((399, 0))[3] == 0
        assert clear.convert("RGBA").getpixel((150, 130))[3] > 250


def imaging_formats() -> set[str]:
    Image.init()
    return set(Image.OPEN)


def test_an_animation_is_published_frame_for_frame(load: Load, show: Show) -> None:
    """An animated GIF keeps its frames, times, loop and size, however small it is shown."""
    frames = [drawing((700, 400)).rotate(20 * n) for n in range(4)]
    picture = load(
        frames[0], "a.gif", "100", save_all=True, append_images=frames[1:], duration=120, loop=0, comment=b"by me"
    )
    image = show(picture)
    assert (image.n_frames, image.size, image.info["duration"], image.info["loop"]) == (4, (700, 400), 120, 0)
    assert "comment" not in image.info
    assert picture.pixels == 700


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "is a HEIC photograph"),
        (b"%PDF-1.7", "is not a picture"),
        (b"", "is not a picture"),
        (b"\x89PNG\r\n\x1a\n", "is broken"),
    ],
)
def test_what_can_not_be_shown_is_refused_with_what_to_do(load: Load, content: bytes, words: str) -> None:
    """HEIC, and what is no picture at all."""
    told = refused(load, content)
    assert words in told
    assert told.endswith(")")  # a cure


def svg(inside: str, about: str = 'width="300" height="150"') -> bytes:
    return f'<svg xmlns="http://www.w3.org/2000/svg" {about}>{inside}</svg>'.encode()


@pytest.mark.parametrize(
    ("about", "width", "shown", "pixels"),
    [
        ('width="300" height="150"', "", (300, 150), 600),
        ('viewBox="0 0 24 12"', "", (WIDEST, WIDEST // 2), 2 * WIDEST),
        ('viewBox="0 0 24 12"', "40", (40, 20), 80),
        ('width="3in" viewBox="0 0 24 12"', "", (288, 144), 576),
    ],
)
def test_an_svg_is_drawn_as_png(
    load: Load, show: Show, about: str, width: str, shown: tuple[int, int], pixels: int
) -> None:
    """As sharp as screens are, whatever the units and the size it names; what is clear stays clear."""
    picture = load(svg('<circle cx="10" cy="5" r="4" fill="#c00"/>', about), "a.svg", width)
    assert ((picture.width, picture.height), picture.pixels) == (shown, pixels)
    image = show(picture)
    assert (image.format, image.size) == ("PNG", (pixels, pixels // 2))
    assert image.convert("RGBA").getpixel((pixels - 1, 0))[3] == 0


_USE = "".join(f'<g id="a{n}">{f"""<use href="#a{n - 1}"/>""" * 10}</g>' for n in range(1, 12))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (svg("<rect"), "is a broken SVG"),
        (svg("", ""), "is an SVG without a size"),
        (svg("<g>" * 100_000 + "</g>" * 100_000), "can't be drawn"),
        (svg(f'<rect id="a0" width="1" height="1"/>{_USE}'), "can't be drawn"),
        (b'<!DOCTYPE svg [<!ENTITY a "aaaa">]>' + svg("&a;"), "declares entities"),
        (svg('<image href="/etc/passwd" width="9" height="9"/>'), "shows another file"),
        (svg('<image href="https://example.com/a.png"/>'), "shows another file"),
        (svg("<!--" + "x" * 2_000_000 + "-->"), "is an SVG of"),
        (svg("", 'width="1" height="999999"'), "impossible shape"),
    ],
)
def test_a_drawing_that_asks_too_much_is_refused(load: Load, content: bytes, words: str) -> None:
    """Broken, endless, or after other files: told with a cure, in bounded time."""
    told = refused(load, content, "a.svg")
    assert words in told
    assert told.endswith(")")


def test_the_still_of_a_film_carries_a_play_mark(load: Load, show: Show, root: Path) -> None:
    """Drawn into what is published, under a name of its own: a white triangle on a dark disc, in the middle."""
    for name, image in (("a.png", drawing((1072, 600))), ("b.jpg", photograph((1072, 600)))):
        still = load(image, name)
        film = with_play(still, root)
        assert film.name != still.name
        marked = show(film).convert("RGB")
        assert marked.size == (1072, 600)
        assert min(marked.getpixel((540, 300))) > 240
        assert max(marked.getpixel((536 - 60, 300))) < 120
        assert marked.getpixel((20, 20)) == pytest.approx(show(still).convert("RGB").getpixel((20, 20)), abs=12)


def test_a_drawing_that_takes_for_ever_is_stopped(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that draws it is ended."""
    monkeypatch.setattr("digest.compose.vector.PATIENCE", 0.5)
    noise = '<filter id="f"><feTurbulence numOctaves="99999999"/></filter><rect filter="url(#f)" width="9" height="9"/>'
    assert "takes more than 0.5 seconds" in refused(load, svg(noise), "a.svg")


def test_without_the_extra_an_svg_is_told_what_to_install(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or how wide to save it: twice the room, in pixels."""
    monkeypatch.setattr("digest.compose.vector.find_spec", lambda name: None)
    told = refused(load, svg(""), "a.svg")
    assert "pip install 'digest-newsletter[svg]'" in told
    assert "save it as PNG, 1,072 pixels wide" in told


def test_an_animated_webp_is_refused(load: Load) -> None:
    """Few clients show one, and a still of it is not what was meant."""
    frames = [drawing((100, 60)).rotate(n) for n in range(3)]
    told = refused(load, frames[0], "a.webp", save_all=True, append_images=frames[1:])
    assert "animated WEBP" in told


# ---- what a file carries along


def test_a_picture_is_turned_upright_and_says_nothing_of_where_it_was_taken(load: Load, show: Show, root: Path) -> None:
    """Exif orientation is applied, size included; position, maker, comment and time are gone."""
    source = photograph((800, 500))
    source.paste((255, 0, 0), (0, 0, 200, 100))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera Makers"
    exif.get_ifd(0x8825)[1] = "N"
    picture = load(source, "a.jpg", quality=95, exif=exif, comment="a private note")
    raw = (root / "issues/a.jpg").read_bytes()
    assert b"Camera Makers" in raw
    assert (picture.width, picture.height) == (500, 800)
    image = show(picture)
    assert image.size == (500, 800)
    red, green, _ = image.getpixel((450, 50))  # the corner moved from the left to the right
    assert red > 200
    assert green < 60
    assert not image.getexif()
    assert "comment" not in image.info


@pytest.mark.parametrize(("turn", "way"), list(enumerate(imaging._TURNS, start=2)))
def test_every_turn_gives_what_was_seen(load: Load, show: Show, turn: int, way: str) -> None:
    """A picture stored under any orientation comes out as it looked."""
    seen = photograph((120, 80))
    seen.paste((255, 0, 0), (0, 0, 60, 40))
    undo = {"ROTATE_90": "ROTATE_270", "ROTATE_270": "ROTATE_90"}.get(way, way)
    exif = Image.Exif()
    exif[0x0112] = turn
    image = show(load(seen.transpose(Image.Transpose[undo]), "a.jpg", quality=95, exif=exif))
    assert image.size == seen.size
    assert image.getpixel((20, 20))[1] < 60 < image.getpixel((100, 60))[1]


@pytest.mark.parametrize(("name", "options"), [("a.jpg", {"comment": "secret place"}), ("a.png", {}), ("a.gif", {})])
def test_kept_bytes_carry_no_metadata(load: Load, data: Any, root: Path, name: str, options: Any) -> None:
    """Also a file that is published as it is loses its words, not a dot."""
    image = drawing((300, 200)).quantize(16)
    if name == "a.jpg":
        image, options["exif"] = photograph((300, 200)), b"Exif\0\0secret place"
    elif name == "a.png":
        options["pnginfo"] = _png_words()
    else:
        options["comment"] = b"secret place"
    picture = load(image, name, **options)
    raw = (root / "issues" / name).read_bytes()
    assert b"secret place" in raw
    plain = without_metadata(raw, {".jpg": "JPEG"}.get(Path(name).suffix, Path(name).suffix[1:].upper()))
    for out in (plain, data(picture)):
        assert b"secret place" not in out
    shown = [Image.open(io.BytesIO(b)).convert("RGB").tobytes() for b in (raw, plain)]
    assert shown[0] == shown[1]


def _png_words() -> Any:
    from PIL.PngImagePlugin import PngInfo

    words = PngInfo()
    words.add_text("Location", "secret place")
    words.add_itxt("Author", "secret place")
    return words


def test_colours_of_another_profile_come_out_as_they_were_meant(load: Load, show: Show) -> None:
    """What is coded anew is converted to sRGB, and carries no profile."""
    lab = Image.new("RGB", (1600, 900), (40, 200, 40))
    # A profile that swaps nothing but is not sRGB: linear light.
    profile = _linear_profile()
    image = show(load(lab, "a.png", icc_profile=profile))
    assert "icc_profile" not in image.info
    red, green, _ = image.convert("RGB").getpixel((50, 50))
    assert red > 90  # linear 40/255 looks much lighter than sRGB 40/255
    assert green > 215


def test_a_picture_that_stays_keeps_its_profile(load: Load, show: Show) -> None:
    """Bytes that are not coded anew mean what they meant."""
    profile = _linear_profile()
    image = show(load(photograph((500, 300)), "a.jpg", quality=80, progressive=True, icc_profile=profile))
    assert image.info["icc_profile"] == profile


def _linear_profile() -> bytes:
    """sRGB's primaries with a gamma of 1, made from the built-in profile by replacing its curves."""
    raw = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for number in range(int.from_bytes(raw[128:132])):
        entry = 132 + 12 * number
        tag, start = bytes(raw[entry : entry + 4]), int.from_bytes(raw[entry + 4 : entry + 8])
        if tag in (b"rTRC", b"gTRC", b"bTRC"):
            raw[start : start + 12] = b"curv" + bytes(8)  # no entries: the identity (ICC.1, 10.6)
            raw[entry + 8 : entry + 12] = (12).to_bytes(4)
    return bytes(raw)


def test_sixteen_bits_of_grey_are_scaled(load: Load, show: Show) -> None:
    """A deep grey is a deep grey in eight bits, not white."""
    deep = Image.new("I;16", (1400, 900), 0x4000)
    assert show(load(deep)).convert("L").getpixel((9, 9)) == 0x40


def test_print_colours_become_screen_colours(load: Load, show: Show) -> None:
    """A CMYK JPEG is published as RGB."""
    for quality in (10, 95):
        assert show(load(photograph((300, 200)).convert("CMYK"), f"{quality}.jpg", quality=quality)).mode == "RGB"


# ---- broken and hostile files


def test_a_truncated_file_is_refused(load: Load, root: Path) -> None:
    """A file that ends early is named, in every format."""
    for name, options in (("a.png", {}), ("a.jpg", {}), ("a.gif", {}), ("a.webp", {}), ("a.bmp", {}), ("a.tif", {})):
        load(photograph((300, 200)), name, **options)
        raw = (root / "issues" / name).read_bytes()
        assert "is broken" in refused(load, raw[: len(raw) * 2 // 3], name)


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(load: Load) -> None:
    """A small file that would fill memory is refused at once, by its own measure, without a warning."""
    row = zlib.compress(bytes(25_001))
    begun = time.monotonic()
    for size in ((50_000, 50_000), (200_000, 2_000)):
        header = size[0].to_bytes(4) + size[1].to_bytes(4) + b"\x01\0\0\0\0"
        chunks = b"".join(_chunk(name, body) for name, body in ((b"IHDR", header), (b"IDAT", row), (b"IEND", b"")))
        assert "pixels (make it smaller" in refused(load, b"\x89PNG\r\n\x1a\n" + chunks)
    assert time.monotonic() - begun < 30


def _chunk(name: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + name + body + zlib.crc32(name + body).to_bytes(4)


def test_a_file_of_too_many_bytes_is_not_read(load: Load, root: Path) -> None:
    """Its size alone refuses it."""
    with (root / "issues" / "huge.png").open("wb") as file:
        file.truncate(imaging.LARGEST_FILE + 1)
    with pytest.raises(InputError, match="has 25,000,001 bytes"):
        load_picture("huge.png", root / "issues", root, WIDEST, "", "words", HERE)


def test_a_jpeg_of_endless_passes_is_refused(load: Load) -> None:
    """Each pass costs as much as the picture has dots, and almost no bytes."""
    out = io.BytesIO()
    photograph((64, 64)).save(out, "JPEG", progressive=True)
    raw = out.getvalue()
    scan = raw[raw.rindex(b"\xff\xda") : -2]
    assert "passes" in refused(load, raw[:-2] + scan * 101 + raw[-2:], "a.jpg")


BROKEN = {
    name: buffer.getvalue()
    for name, buffer in ((form, io.BytesIO()) for form in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"))
    if drawing((40, 30)).save(buffer, name) is None
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.sampled_from(sorted(BROKEN)), st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 255)), max_size=8))
def test_a_damaged_file_is_shown_or_refused_in_words(
    load: Load, data: Any, root: Path, form: str, damage: list[tuple[int, int]]
) -> None:
    """Any bytes give a picture or a located problem, never another exception."""
    raw = bytearray(BROKEN[form])
    for at, value in damage:
        raw[at % len(raw)] = value
    name = f"{zlib.crc32(raw)}.png"
    problems: tuple[Problem, ...] = ()
    try:
        data(load(bytes(raw), name))
    except InputError as exc:
        problems = exc.problems
    (root / "issues" / name).unlink()
    assert all(name in problem.message for problem in problems)


# ---- where pictures may be


def test_only_files_inside_the_folder_are_taken(
    load: Load, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Neither a path that climbs out, nor an absolute one, nor a link leads outside."""
    outside = tmp_path_factory.mktemp("outside") / "secret.png"
    drawing((30, 20)).save(outside)
    (root / "issues" / "link.png").symlink_to(outside)
    (root / "issues" / "dir").symlink_to(outside.parent)
    (root / "issues" / "loop.png").symlink_to("loop.png")
    climbing = f"../../{'../' * 20}{outside.relative_to('/')}"
    for written in (
        "link.png",
        "dir/secret.png",
        climbing,
        str(outside),
        f"//{outside}",
        "loop.png",
        "a\0b",
        "a" * 300,
    ):
        with pytest.raises(InputError) as caught:
            load_picture(written, root / "issues", root, WIDEST, "", "words", HERE)
        assert caught.value.problems[0].code == "picture"


def test_a_link_inside_the_folder_is_followed(load: Load, root: Path) -> None:
    """What lies in the folder may be linked from within."""
    drawing((30, 20)).save(root / "issues" / "shared" / "logo.png")
    (root / "issues" / "here.png").symlink_to(root / "issues" / "shared" / "logo.png")
    for written in ("here.png", "logo.png", "shared/logo.png", "issues/shared/logo.png"):
        picture = load_picture(written, root / "issues", root, WIDEST, "", "words", HERE)
        assert picture.file == "issues/shared/logo.png"


@pytest.mark.parametrize(
    "written", ["data:image/png;base64,AAAA", "https://e.example/a.png", "file:///a.png", "cid:a@b"]
)
def test_addresses_are_not_files(told: Any, written: str) -> None:
    """Data URIs, other servers and the rest are refused, with the cure."""
    (problem,) = told(f"![words]({written})")
    assert problem.startswith("issues/x.md:6: error: the picture")
    assert "save it as a file beside the issue" in problem


def test_names_that_markdown_encodes_are_found(load: Load, compose: Any, newsletter: Newsletter) -> None:
    """Blanks, umlauts and a percent sign in a file's name are no obstacle."""
    for name in ("my picture.png", "Frühling.png", "100%.png"):
        drawing((30, 20)).save(newsletter.root / "issues" / name)
        assert compose(f"![words](<{name}>)").pictures[0].file == f"issues/{name}"


# ---- names, and bytes that are found again


def test_the_name_says_which_source_and_what_is_done_to_it(load: Load, newsletter: Newsletter, data: Any) -> None:
    """The same source at the same size has one name; another size, or another dot, has another."""
    first = load(photograph(), "a.jpg", quality=90)
    assert load(photograph(), "b.jpg", quality=90).name == first.name
    assert load(photograph(), "c.jpg", "200", quality=90).name != first.name
    assert load(photograph(seed=2), "d.jpg", quality=90).name != first.name


def test_the_name_does_not_hang_on_the_codecs(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """Composing needs no encoder: what it would write can not change the compiled issue."""
    for part in ("_saved", "_made", "published"):
        monkeypatch.setattr(imaging, part, None)
    assert load(Image.new("RGB", (40, 30), (1, 2, 3)), "a.bmp").name == "d9660481881753a5.png"


def test_the_same_bytes_each_time(load: Load, data: Any) -> None:
    """What is published is made from nothing but the source."""
    picture = load(photograph(), "a.jpg", quality=95)
    first = data(picture)
    imaging.published.cache_clear()
    imaging.look_at.cache_clear()
    assert data(picture) == first


def test_bytes_are_those_the_issue_was_composed_with(newsletter: Newsletter, compose: Any) -> None:
    """A picture replaced since is refused, not sent in the other's place; put back, it is found."""
    file = newsletter.root / "issues" / "a.png"
    drawing((200, 100)).save(file)
    compiled = compose("![words](a.png)")
    (picture,) = compiled.pictures
    assert picture_bytes(newsletter, picture)[1] == "image/png"
    assert CompiledIssue.from_json(compiled.to_json()).pictures == (picture,)
    kept = file.read_bytes()
    drawing((200, 101)).save(file)
    with pytest.raises(InputError, match="has changed since the issue was composed"):
        picture_bytes(newsletter, picture)
    file.unlink()
    with pytest.raises(InputError, match="is gone"):
        picture_files(newsletter, compiled)
    file.write_bytes(kept)
    assert set(picture_files(newsletter, compiled)) == {picture.name}


def test_a_stored_issue_can_not_name_a_file_outside(newsletter: Newsletter, compose: Any) -> None:
    """A path that was tampered with leads nowhere."""
    drawing((200, 100)).save(newsletter.root / "issues" / "a.png")
    (picture,) = compose("![words](a.png)").pictures
    for file in ("../../../etc/passwd", "/etc/passwd", "templates/../../x"):
        with pytest.raises(InputError, match="is gone"):
            picture_bytes(newsletter, replace(picture, file=file))


def test_only_pictures_that_are_shown_are_listed(compose: Any, newsletter: Newsletter) -> None:
    """Each picture of the HTML, in the size it has there, and no other."""
    drawing((1200, 800)).save(newsletter.root / "issues" / "a.png")
    compiled = compose("::: hero\n# Title\n\n![words](a.png)\n:::\n\n![words](a.png){width=100}")
    assert len(compiled.pictures) == 2
    for picture in compiled.pictures:
        assert f"{compiled.assets_base}/{picture.name}" in compiled.html.source
    assert {p.pixels for p in compiled.pictures} > {200}


# ---- themes


@pytest.fixture
def themed(newsletter: Newsletter) -> Newsletter:
    """The newsletter with a picture in its theme, shown by its layout."""
    assets = newsletter.root / "templates" / "median" / "assets" / "icons"
    assets.mkdir(parents=True, exist_ok=True)
    drawing((48, 32)).save(assets / "mark.png")
    layout = newsletter.root / "templates" / "median" / "layout.mjml"
    image = '<img alt="" src="{{ asset("icons/mark.png", 24).src }}">'
    shown = f"<mj-section><mj-column><mj-text>{image}</mj-text></mj-column></mj-section>"
    layout.write_text(layout.read_text().replace("{{ content }}", f"{shown}{{{{ content }}}}"))
    return newsletter


def test_a_theme_brings_pictures(themed: Newsletter, compose: Any) -> None:
    """`asset(name, width)` in a template: measured, listed and published like an issue's own."""
    compiled = compose("Words.")
    (picture,) = compiled.pictures
    assert (picture.file, picture.width, picture.height) == ("templates/median/assets/icons/mark.png", 24, 16)
    assert f'src="{compiled.assets_base}/{picture.name}"' in compiled.html.source
    assert picture_bytes(themed, picture)[0]


def test_a_mistake_in_a_theme_is_told_at_its_line(themed: Newsletter, told: Any) -> None:
    """A picture the theme has not, with the nearest it has."""
    layout = themed.root / "templates" / "median" / "layout.mjml"
    layout.write_text(layout.read_text().replace("icons/mark.png", "icons/mork.png"))
    line = next(n for n, text in enumerate(layout.read_text().split("\n"), start=1) if "mork" in text)
    (problem,) = told("Words.")
    assert problem.startswith(f"templates/median/layout.mjml:{line}: error: the theme has no picture")
    assert "icons/mark.png" in problem


def test_a_theme_takes_no_file_from_elsewhere(tmp_path: Path) -> None:
    """Neither a climbing name nor a link leads out of its assets."""
    theme = tmp_path / "theme"
    (theme / "assets").mkdir(parents=True)
    drawing((30, 20)).save(tmp_path / "x.png")
    (theme / "assets" / "link.png").symlink_to(tmp_path / "x.png")
    for name in ("../../x.png", "link.png", str(tmp_path / "x.png")):
        with pytest.raises(InputError, match="has no picture"):
            load_asset(name, [theme], 20, HERE)


def test_a_picture_that_the_package_carries_is_found(newsletter: Newsletter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A theme's file that the newsletter's folder has not is taken from the shipped themes."""
    shipped = newsletter.root.parent / "shipped"
    (shipped / "templates" / "median" / "assets").mkdir(parents=True)
    drawing((30, 20)).save(shipped / "templates" / "median" / "assets" / "x.png")
    monkeypatch.setattr("digest.compose.pictures.shipped", lambda: shipped)
    picture = load_asset("x.png", [shipped / "templates" / "median"], 15, HERE)
    assert picture_bytes(newsletter, picture)[1] == "image/png"


# ---- attached


def test_the_mode_decides_how_the_html_refers_to_a_picture(newsletter: Newsletter) -> None:
    """Hosted under base_url, or carried by the message; `assets_base` overrides both."""
    drawing((200, 100)).save(newsletter.root / "issues" / "a.png")
    file = newsletter.root / "issues" / "x.md"
    file.write_text("---\nsubject: s\ndate: 2025-09-12\n---\n![words](a.png)\n")
    carrying = Newsletter.open(newsletter.root, {"assets.mode": "cid", "newsletter.domain": "news.example.com"})
    hosted, carried = compile_issue(newsletter, file), compile_issue(carrying, file)
    (picture,) = carried.pictures
    assert hosted.pictures == carried.pictures
    assert f'src="cid:{picture.name}@news.example.com"' in carried.html.source
    assert attachments(newsletter, hosted) == {}
    assert attachments(carrying, carried) == picture_files(carrying, carried)
    local = compile_issue(carrying, file, assets_base="/assets/x")
    assert f'src="/assets/x/{picture.name}"' in local.html.source
    assert not local.attaches


def test_a_copy_of_the_folder_compiles_to_the_same(newsletter: Newsletter, compose: Any, tmp_path: Path) -> None:
    """Neither the place nor the time of a file is in the compiled issue."""
    photograph().save(newsletter.root / "issues" / "a.jpg", quality=95)
    first = compose("![words](a.jpg)").to_json()
    copy = tmp_path / "elsewhere"
    shutil.copytree(newsletter.root, copy)
    assert compile_issue(Newsletter.open(copy), copy / "issues" / "x.md").to_json() == first
