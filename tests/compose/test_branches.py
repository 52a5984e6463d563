"""Who gets anything of an issue besides its frame: the condition that the audit asks of every reader."""

from __future__ import annotations

import pytest

STORY = "::: story\n## A\n\nB.\n:::\n"


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (STORY, "true"),
        ('::: only {segments="pro"}\n' + STORY + ":::\n", '(segment["pro"])'),
        (
            '::: only {segments="pro"}\n{% if subscriber.seats %}\n\n' + STORY + "\n{% endif %}\n:::\n",
            '(segment["pro"]) and (subscriber.seats)',
        ),
        (
            '::: only {segments="pro"}\n::: only {segments="!free"}\nText.\n:::\n:::\n\n{segments="free"}\nText.\n',
            '(segment["pro"]) and (not segment["free"]) or (segment["free"])',
        ),
        ('::: only {segments="pro"}\n::: divider\n:::\n:::\n\n{segments="free"}\nText.\n', '(segment["free"])'),
        ('::: only {segments="pro"}\n{% for x in [1] %}\n\nText.\n\n{% endfor %}\n:::\n', "true"),
    ],
)
def test_who_gets_anything(compose, body: str, content: str) -> None:
    """Conditions of blocks and texts, also of those within `only`; a divider alone is nothing."""
    assert compose(body).content == content
