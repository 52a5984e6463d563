"""What of an issue is for whom: arms of a test, readers of earlier issues, and who is left with nothing."""

from __future__ import annotations

import pytest

from digest.audience.readers import load_readers
from digest.audience.samples import made_up_readers
from digest.compose.compiled import CompiledIssue
from digest.compose.composer import compose_issue

HEAD = (
    '---\nsubject: "S"\nsubject_for: {arm.long: "L"}\npreheader: p\ndate: 2025-09-12\n'
    "arms: {short: 80, long: 20}\n---\n"
)


def test_arms_are_declared_and_named(compose) -> None:
    """In the front matter with parts; in subject_for and segments as arm.name; the stored issue keeps them."""
    compiled = compose('{segments="!arm.short"}\nFor the long ones.\n\nAll.', head=HEAD)
    assert compiled.arms == (("short", 80), ("long", 20))
    assert [c.expression for c in compiled.conditions][:2] == ['arm == "short"', 'arm == "long"']
    assert CompiledIssue.from_json(compiled.to_json()) == compiled
    assert '{% if arm == "long" %}L{% else %}S{% endif %}' in compiled.subject.source


def test_two_arms_are_there_unless_told(compose, newsletter) -> None:
    """`arm` alone is an even split; an issue that asks for none has none, and the same fingerprint as ever."""
    split, whole = compose("{% if arm == 'b' %}B{% endif %} all"), compose("all")
    assert (split.arms, whole.arms) == ((("a", 1), ("b", 1)), ())
    assert '"arms"' in whole.to_json()
    made = made_up_readers(load_readers(newsletter.root), split)
    assert len(made) == 3  # the public one, and one of each arm


@pytest.mark.parametrize(
    ("arms", "told_"),
    [
        ("1", "from 2 to 26 arms"),
        ("[a, a]", "each once"),
        ("{a: 0, b: 1}", "no whole number above nothing"),
        ("[a b, c]", "is no name of an arm"),
        ("many", "is no number of arms"),
    ],
)
def test_arms_that_make_no_sense(told, arms: str, told_: str) -> None:
    """Each is answered at its line."""
    (line,) = told("All.", head=f'---\nsubject: "S"\npreheader: p\ndate: 2025-09-12\narms: {arms}\n---\n')
    assert line.startswith("issues/x.md:5:1: error: arms: ")
    assert told_ in line


def test_unknown_arms_have_a_nearest(told) -> None:
    """In an expression, in segments and in a subject."""
    head = HEAD.replace("arm.long", "arm.lon")
    lines = told('{% if arm == "shrt" %}x{% endif %}\n\n{segments="arm.x"}\nAll.', head=head)
    assert [line.split(": error: ")[1] for line in lines] == [
        "unknown arm “lon” (did you mean “long”?)",
        "unknown arm “shrt” (did you mean “short”?)",
        "unknown arm “x” (one of: long, short)",
    ]


def test_received_is_noted_and_looked_for(newsletter) -> None:
    """Whoever needs it knows which issues are asked for; one that isn't there is worth a word."""
    file = newsletter.root / "issues" / "x.md"
    head = '---\nsubject: "S"\npreheader: p\ndate: 2025-09-12\naudience: not received("2025-09-12-coopetition")\n---\n'
    file.write_text(head + "{% if received('2025-09-12-coopetitio') %}Again{% endif %} hello")
    composition = compose_issue(newsletter, file)
    assert composition.compiled.received == ("2025-09-12-coopetitio", "2025-09-12-coopetition")
    (warning,) = composition.warnings
    assert str(warning) == (
        "issues/x.md:7:1: warning: there is no issue “2025-09-12-coopetitio” (did you mean “2025-09-12-coopetition”?)"
    )


@pytest.mark.parametrize(
    ("body", "content"),
    [
        ("All.", "true"),
        ('{segments="pro"}\nP.', '(segment["pro"])'),
        ('{segments="pro"}\nP.\n\n::: only {segments="free"}\nF.\n:::', '(segment["pro"]) or (segment["free"])'),
        (
            '{% if subscriber.city %}\n\nA.\n\n{% else %}\n\n{segments="pro"}\nB.\n\n{% endif %}',
            '(subscriber.city) or (not (subscriber.city)) and (segment["pro"])',
        ),
        ("{% for x in subscriber.tags %}\n\nA.\n\n{% endfor %}", "true"),
        ("{% set n = 1 %}\n\n{% if n == 1 %}\n\nA.\n\n{% endif %}", "true"),
        ('{segments="pro"}\nP.\n\n---\n', '(segment["pro"])'),
    ],
)
def test_who_gets_anything(compose, body: str, content: str) -> None:
    """The condition of whoever gets a block: a rule and the footer are none."""
    assert compose(body).content.replace(" and ", " and ") == content
