"""The twin with source marks: the email itself, and beside each part of it the line it was written at."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from digest.compose.composer import Composition, compose_issue
from digest.compose.marks import without_marks
from digest.newsletter import Newsletter

HERE = Path(__file__)
SAMPLE = "2025-09-12-coopetition"
HEAD = '---\nsubject: "A subject"\ndate: 2025-09-12\n---\n'

BODY = """\
::: story
## A title

Words of
two lines.

- one
- two

| a |
|---|
| b |

![A clock](hero.png)

[Go on](https://example.com/){.button}

::: include {file="note.md"}
:::

{.pull}
> Said.
:::

::: roundup
### [An item](https://example.com/)
![A clock](hero.png)

Its text.
:::
"""


@pytest.fixture
def twin(newsletter: Newsletter) -> tuple[str, list[tuple[str, str]]]:
    """The marked HTML of `BODY`, and each marked element: its tag and where it says it was written."""
    folder = newsletter.root / "issues" / "x"
    folder.mkdir()
    (folder / "index.md").write_text(HEAD + BODY)
    (folder / "note.md").write_text("\nTaken in.\n")
    shutil.copy(newsletter.root / "issues" / SAMPLE / "hero.png", folder)
    html = compose_issue(newsletter, folder / "index.md", marks=True).compiled.html.source
    return html, re.findall(r'<(\w+) data-src="issues/x/([^"]+)"', html)


def test_each_part_names_its_line(twin) -> None:
    """Headings, paragraphs, lists, items, rows, pictures, buttons, quotations: those of a theme's making, too."""
    _, marked = twin
    expected = {
        "h2": 6, "p": 8, "ul": 11, "li": 12, "table": 14, "tr": 16, "img": 18, "td": 20, "blockquote": 26,
    }  # fmt: skip
    for tag, line in expected.items():
        assert (tag, f"index.md:{line}") in marked
    assert {line for tag, line in marked if tag == "img"} == {"index.md:18", "index.md:31"}
    assert ("a", "index.md:30") in marked  # the item's title


def test_what_was_taken_in_names_its_own_file(twin) -> None:
    """An included paragraph leads to the file it stands in."""
    assert ("p", "note.md:2") in twin[1]


def test_the_front_matter_is_named_where_it_shows(twin) -> None:
    """The subject is the page's title, the date stands in its masthead."""
    assert {("title", "index.md:2"), ("p", "index.md:3")} <= set(twin[1])


def test_each_block_names_its_kind_and_its_file(twin) -> None:
    """On the block's outermost elements, and nowhere inside it."""
    found = re.findall(r'<(\w+) data-kind="(\w+)" data-kind-file="([^"]+)"', twin[0])
    assert found == [("div", kind, f"templates/median/blocks/{kind}.mjml") for kind in ("story", "roundup", "footer")]


@pytest.mark.parametrize("theme", ["median", "letter", "bulletin"])
@pytest.mark.parametrize("text", ["sample", "everything", "further"])
def test_without_its_marks_the_twin_is_the_email(
    newsletter: Newsletter, of_each_kind: dict[str, str], theme: str, text: str
) -> None:
    """Every kind of block, in every theme, to the byte; and all else of the twin is the email's own."""
    sample = newsletter.root / "issues" / SAMPLE
    texts = {"sample": (sample / "index.md").read_text(), **of_each_kind}
    file = sample.with_name("y") / "index.md"
    shutil.copytree(sample, file.parent)
    shutil.copy(file.with_name("hero.png"), file.with_name("portrait.png"))
    file.write_text(texts[text].replace("\ndate:", f"\ntheme: {theme}\ndate:", 1))

    email, twin = (compose_issue(newsletter, file, marks=marks) for marks in (False, True))
    assert without_marks(twin.compiled.html.source) == email.compiled.html.source
    assert twin.compiled.html.source.count(" data-src=") > 20
    assert _all_but_html(twin) == _all_but_html(email)


def _all_but_html(composition: Composition) -> object:
    return composition.compiled.to_dict() | {"html": composition.compiled.html.places}, composition.warnings
