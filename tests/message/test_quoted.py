"""Pieces of quoted-printable, joined."""

from __future__ import annotations

import email
import email.policy
import quopri

from hypothesis import given
from hypothesis import strategies as st

from digest.message import quoted

# Whole texts, and texts in which the awkward characters are frequent.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=400) | st.text(
    st.sampled_from("aF.-= \t\néß中🎉\u200d<>From "), max_size=400
)
LINES = TEXTS.map(lambda text: text.replace("\n", " "))


def joined(pieces: list[tuple[bool, str]]) -> str:
    """Static and value pieces, encoded apart, joined and closed."""
    done = [quoted.encoded(text) if static else quoted.encoded_line(text) for static, text in pieces]
    quoted.closed(done)
    return "".join(done)


PIECES = st.lists(st.tuples(st.just(True), TEXTS) | st.tuples(st.just(False), LINES), max_size=8)


@given(PIECES)
def test_pieces_decode_to_their_texts(pieces: list[tuple[bool, str]]) -> None:
    """Whatever the pieces, `quopri` decodes their concatenation to the concatenated texts."""
    decoded = quopri.decodestring(joined(pieces).encode("ascii")).decode()
    assert decoded.replace("\r\n", "\n") == "".join(text for _, text in pieces)


@given(PIECES)
def test_email_decodes_the_same_inside_a_multipart(pieces: list[tuple[bool, str]]) -> None:
    """Between boundaries, Python's `email` decodes the same, to the last character."""
    source = (
        'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="=_b"\r\n\r\n--=_b\r\n'
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        f"{joined(pieces)}\r\n--=_b--\r\n"
    )
    message = email.message_from_bytes(source.encode("ascii"), policy=email.policy.default)
    [part] = message.iter_parts()
    assert part.get_content().replace("\r\n", "\n") == "".join(text for _, text in pieces)


@given(PIECES)
def test_lines_are_safe(pieces: list[tuple[bool, str]]) -> None:
    """Lines have at most 76 characters, never begin like a dot, a boundary or mbox, never end in space."""
    for line in joined(pieces).split("\r\n"):
        assert len(line) <= 76
        assert not line.startswith((".", "-", "From "))
        assert not line.endswith((" ", "\t"))
        assert "\r" not in line
        assert "\n" not in line


@given(PIECES)
def test_no_character_is_split(pieces: list[tuple[bool, str]]) -> None:
    """Each line decodes to whole UTF-8 characters by itself."""
    for line in joined(pieces).split("\r\n"):
        quopri.decodestring(line.removesuffix("=").encode("ascii")).decode("utf-8", "strict")


def test_body_never_ends_in_a_soft_break() -> None:
    """An encoded text does not end with `=` (RFC 2045 section 6.7)."""
    assert joined([(True, "a\nb"), (False, "c ")]) == "a\r\nb=\r\nc=20"


def test_a_value_that_needs_no_encoding_may_not_begin_a_mailbox() -> None:
    """`From ` at a line's start is escaped in a short plain value too (mbox)."""
    assert joined([(True, "a"), (False, "From me")]) == "a=\r\n=46rom me"
    assert joined([(False, "Fro"), (False, "m me")]) == "Fro=\r\nm me"
