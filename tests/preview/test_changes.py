"""What changed between two texts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from digest.preview.changes import changes

paragraph = st.lists(st.sampled_from(["one", "two", "three", "-", "four."]), min_size=1, max_size=8).map(" ".join)
text = st.lists(paragraph, max_size=8).map("\n\n".join)


def _side(found: list, kind: str) -> str:
    return " ".join("".join(piece for what, piece in c.pieces if what in ("same", kind)) for c in found).split()


@given(text)
def test_the_same_is_no_change(one: str) -> None:
    """A text has not changed from itself, however its lines are broken."""
    assert changes(one, one) == []


@given(text, text)
def test_nothing_is_lost(old: str, new: str) -> None:
    """With enough around, what went and what stayed is the old text, what came and what stayed the new one."""
    found = changes(old, new, around=99)
    if found:
        assert _side(found, "old") == old.split()
        assert _side(found, "new") == new.split()


def test_lines_broken_anew_are_no_change() -> None:
    """A paragraph is the same with other line ends; an item of a list is a paragraph of its own."""
    assert changes("one two\nthree\n\n- a\n- b", "one\ntwo three\n\n- a\n\n- b") == []


def test_far_paragraphs_are_left_out() -> None:
    """Only what changed and its neighbours are shown; a gap stands for the rest."""
    old = "\n\n".join(f"Paragraph number {n}." for n in range(20))
    found = changes(old, old.replace("number 9", "number nine"))
    assert [c.kind for c in found] == ["gap", "same", "changed", "same", "gap"] or [c.kind for c in found] == [
        "same",
        "changed",
        "same",
        "gap",
    ]
