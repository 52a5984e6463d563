"""A/B tests: who is in which arm, and what of the issue knows it."""

from __future__ import annotations

from typing import Any

import pytest

from digest.audience.arms import EQUAL, arm_of, in_arm
from digest.message.audit import Auditor

ARMS = (("short", 80), ("long", 20))


def test_arms_have_their_parts() -> None:
    """Of ten thousand readers each arm gets its part, give or take."""
    dealt = [arm_of(ARMS, "x", f"token{n}") for n in range(10_000)]
    assert 7_800 < dealt.count("short") < 8_200
    assert dealt.count("short") + dealt.count("long") == 10_000


def test_an_arm_is_stable_and_each_issue_deals_anew() -> None:
    """The same reader and issue: the same arm, always; in another issue half of the readers are in another."""
    first = [arm_of(EQUAL, "x", f"token{n}") for n in range(1_000)]
    assert first == [arm_of(EQUAL, "x", f"token{n}") for n in range(1_000)]
    moved = sum(a != arm_of(EQUAL, "y", f"token{n}") for n, a in enumerate(first))
    assert 400 < moved < 600


def test_a_reader_can_be_put_into_an_arm(workshop: Any) -> None:
    """For a test or a preview; nothing else of the reader changes."""
    reader = workshop.reader(name="Ada")
    for arm in ("short", "long"):
        put = in_arm(reader, ARMS, "x", arm)
        assert arm_of(ARMS, "x", put.token) == arm
        assert (put.id, put.email, put.values) == (reader.id, reader.email, reader.values)
    with pytest.raises(ValueError, match="no reader is in the arm “c”"):
        in_arm(reader, ARMS, "x", "c")


def test_the_arm_is_in_subject_text_and_variant(workshop: Any) -> None:
    """`arm` decides in every template, real or dry, and the variant says which one it was."""
    text = "{% if arm == 'a' %}A{% elif arm in ['b'] %}B{% endif %} {{ arm }}\n"
    merger = workshop.merger(
        subject="{{ 'One' if arm == 'a' else 'Two' }}", text=text, conditions=["arm == 'a'"], arms=EQUAL
    )
    readers = [workshop.reader(token=f"token{n}") for n in range(8)]
    seen = set()
    for reader in readers:
        arm = arm_of(EQUAL, "sample", reader.token)
        message = workshop.parsed(merger.message(reader, date=workshop.now))
        assert workshop.body(message, "plain") == f"{arm.upper()} {arm}\n"
        assert message["Subject"] == ("One" if arm == "a" else "Two")
        assert merger.rendering(reader).text == f"{arm.upper()} {arm}\n"
        assert merger.variant(reader) == (arm == "a",)
        seen.add(arm)
    assert seen == {"a", "b"}


def test_the_audit_counts_arms(workshop: Any) -> None:
    """Both arms are variants; what only one of them lacks fails for that one."""
    text = "{% if arm == 'b' %}{{ subscriber.company }}{% endif %}"
    auditor = Auditor(workshop.merger(text=text, conditions=["arm == 'b'"], arms=EQUAL))
    for n in range(40):
        auditor.add(workshop.reader(token=f"token{n}"))
    b = sum(arm_of(EQUAL, "sample", f"token{n}") == "b" for n in range(40))
    assert {v.name: v.readers for v in auditor.variants()} == {"1": b, "0": 40 - b}
    (problem,) = auditor.problems()
    assert f"missing for {b} of 40 readers" in str(problem)
