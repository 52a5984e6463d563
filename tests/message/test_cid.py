"""Pictures that travel in the message."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from email.message import EmailMessage
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

from digest.compose.compiled import CompiledIssue, Picture
from digest.compose.composer import compile_issue
from digest.compose.pictures import attachments
from digest.errors import InputError, Place
from digest.message.merge import Identity, Merger
from digest.newsletter import Newsletter

HERE = Place("issues/x.md", 3)
NAMES = ("00000000000000aa.png", "00000000000000bb.jpg", "00000000000000cc.gif")
FILES = {
    name: (Random(name).randbytes(5_000), f"image/{kind}")
    for name, kind in zip(NAMES, ("png", "jpeg", "gif"), strict=True)
}
HTML = (
    '<!DOCTYPE html><p>Hello</p><img src="cid:00000000000000aa.png@news.example.com" alt="">\n'
    '{% if segment["pro"] %}<p>For you</p><img src="cid:00000000000000bb.jpg@news.example.com" alt="">{% endif %}\n'
    '{% for tag in subscriber.tags %}<img src="cid:00000000000000cc.gif@news.example.com" alt="">{% endfor %}\n'
)

Make = Callable[..., Merger]


@pytest.fixture
def make(workshop: Any) -> Make:
    """A merger of an issue that carries three pictures."""

    def run(files: Mapping[str, tuple[bytes, str]] | None = FILES, html: str = HTML, **fields: Any) -> Merger:
        pictures = tuple(Picture(name, f"issues/{name}", 10, 10, "", HERE, 20) for name in NAMES)
        fields = {"assets_base": "cid:news.example.com", "pictures": pictures, **fields}
        plain = workshop.merger(html=html, **fields)
        return Merger(plain.compiled, plain._identity, today=date(2025, 9, 12), attachments=files)

    return run


def parts(parsed: EmailMessage) -> dict[str, EmailMessage]:
    """The attached pictures by their Content-ID, without its brackets."""
    return {p["Content-ID"].strip("<>"): p for p in parsed.walk() if p.get_content_maintype() == "image"}


def referred(html: str) -> list[str]:
    return re.findall(r'src="cid:([^"]+)"', html)


def test_a_message_holds_text_beside_html_with_its_pictures(make: Make, workshop: Any) -> None:
    """multipart/alternative of the text and a multipart/related, which begins with the HTML and names it."""
    parsed = workshop.parsed(make().message(workshop.reader(plan="pro", tags=("a",)), date=workshop.now))
    assert parsed.get_content_type() == "multipart/alternative"
    text, related = parsed.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert (related.get_content_type(), related.get_param("type")) == ("multipart/related", "text/html")
    assert [p.get_content_type() for p in related.iter_parts()] == ["text/html", "image/png", "image/jpeg", "image/gif"]


def test_every_reference_finds_its_bytes(make: Make, workshop: Any) -> None:
    """Each cid: address of the HTML is a part's Content-ID, and that part is the file, byte for byte, inline."""
    parsed = workshop.parsed(make().message(workshop.reader(plan="pro", tags=("a", "b")), date=workshop.now))
    found = parts(parsed)
    assert set(referred(workshop.body(parsed, "html"))) == set(found)
    for cid, part in found.items():
        name = cid.partition("@")[0]
        assert part.get_content() == FILES[name][0]
        assert part.get_content_disposition() == "inline"


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"plan": "free"}, NAMES[:1]),
        ({"plan": "pro"}, NAMES[:2]),
        ({"plan": "free", "tags": ("x",)}, (NAMES[0], NAMES[2])),
    ],
)
def test_a_reader_gets_only_the_pictures_of_their_own_html(
    make: Make, workshop: Any, values: dict[str, Any], names: tuple[str, ...]
) -> None:
    """What stands in a block for others is not attached."""
    parsed = workshop.parsed(make().message(workshop.reader(**values), date=workshop.now))
    assert [cid.partition("@")[0] for cid in parts(parsed)] == list(names)


def test_a_reference_is_found_wherever_lines_are_cut(make: Make, workshop: Any) -> None:
    """Quoted-printable cuts a line anywhere in the address; the picture is attached all the same."""
    for indent in range(80):
        html = f'{"x" * indent}<img src="cid:00000000000000aa.png@news.example.com">'
        parsed = workshop.parsed(make(html=html).message(workshop.reader(), date=workshop.now))
        assert len(parts(parsed)) == 1
        assert workshop.body(parsed, "html") == html


def test_a_carrying_message_keeps_to_the_wire(make: Make, workshop: Any) -> None:
    """ASCII, CRLF, lines of 76 at most, boundaries that no content holds."""
    data = make().message(workshop.reader(plan="pro", tags=("a",)), date=workshop.now).data
    lines = data.decode("ascii").split("\r\n")
    assert max(map(len, lines[lines.index("") :])) <= 76
    assert b"\n" not in data.replace(b"\r\n", b"")
    boundaries = re.findall(r'boundary="([^"]+)"', data.decode())
    assert len(set(boundaries)) == 2
    assert [sum(line.startswith(f"--{b}") for line in lines) for b in boundaries] == [3, 5]


class Counted(Mapping[str, tuple[bytes, str]]):
    """Files, and how often they are read."""

    def __init__(self) -> None:
        self.reads = 0

    def __getitem__(self, name: str) -> tuple[bytes, str]:
        self.reads += 1
        return FILES[name]

    def __iter__(self) -> Iterator[str]:
        return iter(FILES)

    def __len__(self) -> int:
        return len(FILES)


def test_pictures_are_encoded_once_for_all_readers(make: Make, workshop: Any) -> None:
    """However many messages are made, no picture is read again; and the second costs far less than an encoding."""
    files = Counted()
    merger = make(files)
    reads = files.reads
    messages = {merger.message(workshop.reader(f"r{n}@example.com"), date=workshop.now).data for n in range(50)}
    assert len(messages) == 50
    assert files.reads == reads


def test_pictures_that_are_not_at_hand_stop_the_message(make: Make, workshop: Any) -> None:
    """No message goes out with holes in it; what is shown on a page does without."""
    merger = make({NAMES[0]: FILES[NAMES[0]]})
    assert "Hello" in merger.rendering(workshop.reader()).html
    with pytest.raises(InputError) as caught:
        merger.message(workshop.reader(), date=workshop.now)
    assert [p.place for p in caught.value.problems] == [HERE, HERE]


def test_hosted_pictures_are_not_attached(make: Make, workshop: Any) -> None:
    """A hosted issue, and one without pictures, are the two parts they were."""
    for fields in ({"assets_base": "https://news.example.com/assets"}, {"pictures": ()}):
        parsed = workshop.parsed(make(html="<p>Hello</p>", **fields).message(workshop.reader(), date=workshop.now))
        assert [p.get_content_type() for p in parsed.iter_parts()] == ["text/plain", "text/html"]


@pytest.fixture
def carrying(folder: Path) -> Newsletter:
    """The sample newsletter, with a picture for some readers, and all pictures attached."""
    Image.linear_gradient("L").save(folder / "issues" / "a.png")
    Image.radial_gradient("L").save(folder / "issues" / "b.jpg")
    body = '![For all](a.png)\n\n{segments="pro"}\n![For some](b.jpg)\n'
    (folder / "issues" / "x.md").write_text(f'---\nsubject: "s"\ndate: 2025-09-12\n---\n{body}')
    return Newsletter.open(folder, {"assets.mode": "cid"})


def test_from_the_file_to_the_reader(carrying: Newsletter, workshop: Any) -> None:
    """What is composed, stored, read back and merged carries exactly what is published of each picture."""
    issue = compile_issue(carrying, carrying.root / "issues" / "x.md")
    stored = CompiledIssue.from_json(issue.to_json())
    files = attachments(carrying, stored)
    merger = Merger(stored, Identity.of(carrying.settings), today=date(2025, 9, 12), attachments=files)
    when = datetime(2025, 9, 12, tzinfo=UTC)
    for values, count in (({"plan": "pro"}, 2), ({"plan": "free"}, 1)):
        message = merger.message(workshop.reader(**values), date=when)
        parsed = workshop.parsed(message)
        found = parts(parsed)
        assert len(found) == count
        assert set(referred(workshop.body(parsed, "html"))) == set(found)
        for cid, part in found.items():
            assert (part.get_content(), part.get_content_type()) == files[cid.partition("@")[0]]
        assert message.data == merger.message(workshop.reader(**values), date=when).data
