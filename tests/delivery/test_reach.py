"""The reach of each part of an issue: what the report counts is what rendering each reader shows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from digest.audience.readers import load_readers
from digest.audience.samples import made_up_readers
from digest.audience.subscriber import Subscriber
from digest.compose.compiled import CompiledIssue
from digest.compose.composer import compile_issue, compose_issue
from digest.delivery.reach import Reach, parts, reach
from digest.message.audit import variant_name
from digest.message.merge import Identity, Merger
from digest.newsletter import Newsletter

TODAY = date(2025, 9, 12)
HEAD = '---\nsubject: S\npreheader: "P{% if subscriber.first_name %}p{% endif %}"\ndate: 2025-09-12\n---\n'


@pytest.fixture
def newsletter(folder: Path) -> Newsletter:
    """A copy of the repository's newsletter."""
    return Newsletter.open(folder)


@pytest.fixture
def compose(newsletter: Newsletter) -> Callable[[str], CompiledIssue]:
    """Compose a body, whose first line is line 6."""

    def run(body: str) -> CompiledIssue:
        file = newsletter.root / "issues" / "x.md"
        file.write_text(HEAD + body)
        return compile_issue(newsletter, file)

    return run


def readers_of(newsletter: Newsletter, issue: CompiledIssue) -> Iterator[tuple[Subscriber, str]]:
    """Made-up readers of the issue, and what each is shown."""
    merger = Merger(issue, Identity.of(newsletter.settings), today=TODAY)
    for reader in made_up_readers(load_readers(newsletter.root), issue, TODAY):
        if merger.gets(reader):
            yield reader, merger.rendering(reader).html


def reached(newsletter: Newsletter, issue: CompiledIssue) -> list[Reach]:
    merger = Merger(issue, Identity.of(newsletter.settings), today=TODAY)
    return reach(issue, Counter(variant_name(merger.variant(reader)) for reader, _ in readers_of(newsletter, issue)))


NESTED = """
::: hero
# WORDHERO
:::

::: only {segments="pro, enterprise"}
::: story
## WORDFIRST

Text.
:::

::: only {segments="enterprise"}
::: story
## WORDSECOND

Text{% if subscriber.company %} WORDCOMPANY{% endif %}.
:::
:::
:::

{% if segment.free %}

::: story
## WORDTHIRD

Text.
:::

{% elif subscriber.company %}

::: story {segments="pro"}
## WORDFOURTH

Text.
:::

{% else %}

::: story
## WORDFIFTH

{% if subscriber.seats %}WORDSEATS{% else %}WORDNONE{% endif %}
:::

{% endif %}

{segments="pro"}
WORDPARAGRAPH

And more.

{% for interest in subscriber.interests %}

::: story
## WORDLOOP

Text.
:::

{% endfor %}
"""


def test_every_block_and_branch(newsletter: Newsletter, compose: Callable[[str], CompiledIssue]) -> None:
    """Inside `only` in `only`, behind `elif` and `else`, within a line: as many as the rendered copies show it."""
    issue = compose(NESTED)
    shown = Counter(word for _, html in readers_of(newsletter, issue) for word in set(re.findall(r"WORD[A-Z]+", html)))
    lines = (HEAD + NESTED).splitlines()
    found = reached(newsletter, issue)
    compared = {}
    for told in found:
        place = told.part.place
        # A block's word stands in its title, two lines down at most; that of a branch behind its tag.
        rest = "\n".join([lines[place.line - 1][max(0, place.column - 1) :], *lines[place.line : place.line + 2]])
        if (word := re.search(r"WORD[A-Z]+", rest)) and told.exact:
            compared[word[0]] = told.readers
    assert compared == {word: shown[word] for word in compared}
    assert set(compared) >= set(shown) - {"WORDLOOP"}
    assert len(set(compared.values())) > 4
    (loop,) = [r for r in found if not r.exact]
    assert loop.part.kind == "story"
    assert loop.readers >= shown["WORDLOOP"]


def test_the_sample_issue(newsletter: Newsletter) -> None:
    """Each block of the sample, looked for in the copy of each made-up reader by the marks of the preview's twin."""
    (file,) = newsletter.issue_files().values()
    issue = compile_issue(newsletter, file)
    twin = compose_issue(newsletter, file, marks=True).compiled
    lines = {size.place.line: size.kind for size in issue.sizes if size.kind != "frame"}
    shown: Counter[int] = Counter()
    total = 0
    for _, html in readers_of(newsletter, twin):
        total += 1
        kinds = re.findall(r'data-kind="(\w+)"', html)
        written = {int(line) for line in re.findall(r'data-src="[^"]*index\.md:(\d+)"', html)}
        for line, kind in lines.items():
            end = min((later for later in lines if later > line), default=line + 99)
            seen = kind in kinds if list(lines.values()).count(kind) == 1 else written & set(range(line, end))
            shown[line] += bool(seen)
    found = {r.part.place.line: r.readers for r in reached(newsletter, issue) if r.part.kind}
    assert found == {line: shown[line] for line in lines}
    assert 0 < min(found.values()) < total


def test_a_name_that_the_issue_sets(newsletter: Newsletter, compose: Callable[[str], CompiledIssue]) -> None:
    """What hangs on one can't be counted afterwards: a block is told as “at most”, a part is left out."""
    story_if = "{% if many %}\n\n::: story\n## A\n\nB.\n:::\n\n{% endif %}\n"
    issue = compose("{% set many = subscriber.seats | default(0) > 5 %}\n\n" + story_if)
    (story,) = [r for r in reached(newsletter, issue) if r.part.kind == "story"]
    assert not story.exact
    assert [part.kind for part in parts(issue) if not part.kind] == []
    assert parts(replace(issue, sizes=())) == []
