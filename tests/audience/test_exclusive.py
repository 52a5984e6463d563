"""Segments that exclude each other, and readers for whom nothing is left."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from digest.audience.exclusive import Exclusives
from digest.audience.readers import load_readers
from digest.errors import InputError

TODAY = date(2025, 9, 12)


@pytest.fixture
def grouped(declared: Path) -> Path:
    file = declared / "config/readers.toml"
    file.write_text(file.read_text() + '\n[exclusive]\nplan = ["free", "large"]\nkind = ["pro", "large", "free"]\n')
    return declared


def test_who_is_in_two_or_in_none(grouped: Path) -> None:
    """Each group is counted by itself, with the place of its line and somebody to look at."""
    counted = Exclusives(load_readers(grouped), TODAY)
    for email, plan, seats in (("a@example.com", "free", 1), ("b@example.com", "pro", 9), ("c@example.com", "pro", 10)):
        counted.add({"email": email, "plan": plan, "seats": seats, "tags": ()})
    counted.add({"email": "d@example.com", "tags": ()})
    assert [str(p) for p in counted.problems()] == [
        "config/readers.toml:21: warning: 2 of 4 readers are in none of “free” and “large” (such as b@example.com)",
        "config/readers.toml:22: warning: 1 of 4 readers is in “pro” and “large”, which exclude each other"
        " (such as c@example.com)",
        "config/readers.toml:22: warning: 1 of 4 readers is in none of “pro”, “large” and “free”"
        " (such as d@example.com)",
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('plan = ["free", "prro"]', "unknown segment “prro” (did you mean “pro”?)"),
        ('plan = ["free"]', "“plan” names no two segments"),
        ('plan = "free"', "“plan” names no two segments"),
    ],
)
def test_groups_are_checked(declared: Path, line: str, told: str) -> None:
    """A group that can't be counted is told at its line."""
    file = declared / "config/readers.toml"
    file.write_text(file.read_text() + f"\n[exclusive]\n{line}\n")
    with pytest.raises(InputError, match=r"config/readers.toml:21: error") as caught:
        load_readers(declared)
    assert told in str(caught.value)
