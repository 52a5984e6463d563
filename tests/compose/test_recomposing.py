"""Composing again while an author writes: quicker, and never another result than from the beginning."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from digest.compose.composer import compile_issue
from digest.errors import InputError
from digest.newsletter import Newsletter

# Compiles each file named on its input in a process of its own, which has never composed anything.
COLD = """
import os, sys
from pathlib import Path
from digest.compose import composer, inlining
from digest.errors import InputError
from digest.newsletter import Newsletter
for line in sys.stdin:
    if not (child := os.fork()):
        file = Path(line.strip())
        try:
            told = composer.compile_issue(Newsletter.open(file.parent.parent.parent), file).to_json()
        except InputError as exc:
            told = "\\n".join(map(str, exc.problems))
        sys.stdout.write(told.replace("\\n", "\\v") + "\\n")
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
"""

FRONT = {"subject": '"A subject"', "date": "2025-09-12"}
BLOCKS = [
    "Good morning{% if subscriber.first_name %}, {{ subscriber.first_name }}{% endif %}.",
    '{segments="pro"}\nWords for some, with [a link][memo].',
    "::: contents\n:::",
    "::: story {#long}\n## A title\n\nWords of a story, and [more](#one).\n\n- an item\n- another\n\n"
    "![A clock](hero.png)\n:::",
    '::: roundup {.numbered}\n## Short\n\n### One {#one segments="pro"}\nWords of one.\n\n### Two\nWords of two.\n:::',
    "::: promo\n## Learn\n\n![A clock](hero.png)\n\nWords of a promotion.\n\n"
    "[Begin](https://example.com/){.button}\n:::",
    '{% if subscriber.plan == "pro" %}\n\n::: quotation\n> Said.\n>\n> — Somebody\n:::\n\n{% endif %}',
    '::: include {file="taken.md"}\n:::',
    "| a | b |\n|---|---|\n| words | {{ subscriber.city | default('here') }} |",
    "[memo]: https://example.com/memo",
    "::: hero\n# A headline\n\n![A clock](hero.png)\n:::",
]

FILES = ["theme.css", "theme.toml", "blocks/story.mjml"]
FILES = [f"templates/median/{name}" for name in FILES]
FILES += ["config/readers.toml", "config/digest.toml", "issues/x/taken.md", "issues/x/hero.png"]

numbers = st.integers(min_value=0, max_value=99)
EDITS = st.one_of(
    st.tuples(st.just("words"), numbers, st.sampled_from(["other", "“quoted”", "a -- b", "{{ subscriber.name }}"])),
    st.tuples(st.just("lines"), numbers, st.sampled_from(["\n", "\n\n\n", "\n<!-- a -->\n", "\n[^1]: A note.\n"])),
    st.tuples(st.just("reference"), numbers, st.sampled_from(["A note.[^1]", "To [memo].", "![A](windsurf.png)"])),
    st.tuples(st.just("block"), numbers, st.sampled_from(["", *BLOCKS])),
    st.tuples(st.just("swap"), numbers, numbers),
    st.tuples(st.just("attribute"), numbers, st.sampled_from([("pro", "free"), (".numbered", ""), ("#one", "#two")])),
    st.tuples(
        st.just("front"),
        st.sampled_from(["subject", "preheader", "language", "authors", "theme", "trusted", "audience"]),
        st.sampled_from(["Words", '"To {{ subscriber.name }}"', "de", "[ada]", "letter", "true", "pro"]),
    ),
    st.tuples(
        st.just("file"),
        st.sampled_from(FILES),
        numbers,
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def cold(repository: Path) -> Iterator[subprocess.Popen[str]]:
    """Reads the names of issues and writes what each compiles to."""
    environment = os.environ | {"PYTHONPATH": str(repository)}
    command = [sys.executable, "-c", COLD]
    with subprocess.Popen(command, env=environment, stdin=-1, stdout=-1, text=True, encoding="utf-8") as process:
        yield process
        assert process.stdin
        process.stdin.close()


class Desk:
    """An issue and the files around it, as an author changes them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / "issues" / "x" / "index.md"
        shutil.copytree(root / "issues" / "2025-09-12-coopetition", self.file.parent)
        self.front, self.blocks = dict(FRONT), list(BLOCKS)
        (self.file.parent / "taken.md").write_text("Taken in.\n\n::: story\n## Taken in\nWords.\n:::\n")
        self.write()

    def write(self) -> None:
        head = "".join(f"{key}: {value}\n" for key, value in self.front.items())
        self.file.write_text(f"---\n{head}---\n\n" + "\n\n".join(self.blocks) + "\n")

    def edit(self, kind: str, where: int | str, what: object) -> None:
        """One change of an author."""
        if kind == "front":
            self.front[str(where)] = str(what)
        elif kind == "file":
            self.change(self.root / str(where), int(str(what)))
        else:
            self.edit_text(kind, int(where), what)
        self.write()

    def edit_text(self, kind: str, where: int, what: object) -> None:
        n = where % len(self.blocks)
        if kind == "words":
            self.blocks[n] = self.blocks[n].replace("Words", f"Words, {what},", 1)
        elif kind in ("lines", "reference"):
            self.blocks.insert(n, str(what))
        elif kind == "block":
            self.blocks[n] = str(what)
        elif kind == "swap":
            m = int(str(what)) % len(self.blocks)
            self.blocks[n], self.blocks[m] = self.blocks[m], self.blocks[n]
        elif isinstance(what, tuple):
            self.blocks[n] = self.blocks[n].replace(*what)

    def change(self, file: Path, number: int) -> None:
        text = "" if file.suffix == ".png" else file.read_text()
        match file.name:
            case "hero.png":
                shutil.copy(file.with_name(("windsurf.png", "milestones.png")[number % 2]), file)
            case "theme.css":
                file.write_text(f"{text}\n.prose p {{ letter-spacing: {number}px; }}\n")
            case "theme.toml":
                file.write_text(text.replace("width =", f"# {number}\nwidth =", 1))
            case "story.mjml":
                file.write_text(text.replace("{{ body }}", f"{{{{ body }}}}<p>{number}</p>", 1))
            case "readers.toml":
                segment = f'new{number} = "subscriber.seats > {number}"'
                file.write_text(text.replace("[segments]", f"[segments]\n{segment}", 1))
            case "digest.toml":
                file.write_text(text.replace("The Sample Weekly", f"The Weekly {number}", 1))
            case "taken.md":
                file.write_text(f"Taken in {number}.\n\n{text}")


def compiled(file: Path) -> str:
    """What the issue compiles to in this process, or the problems that it has."""
    try:
        return compile_issue(Newsletter.open(file.parent.parent.parent), file).to_json()
    except InputError as exc:
        return "\n".join(map(str, exc.problems))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=3, deadline=None)
@given(edits=st.lists(EDITS, min_size=2, max_size=6))
@example(edits=[("lines", 0, "\n\n\n"), ("words", 3, "other"), ("swap", 3, 4), ("file", "config/readers.toml", 1)])
@example(edits=[("file", "issues/x/hero.png", 0), ("file", FILES[0], 3), ("file", FILES[2], 3)])
@example(edits=[("front", "language", "de"), ("words", 3, "other"), ("front", "authors", "[ada]")])
@example(edits=[("reference", 1, "A note.[^1]"), ("lines", 9, "\n[^1]: A note.\n"), ("front", "theme", "letter")])
def test_a_changed_issue_compiles_as_in_a_new_process(repository, tmp_path_factory, cold, edits) -> None:
    """Byte for byte, after each of any changes to its text, its front matter, its theme, its pictures, the settings."""
    root = tmp_path_factory.mktemp("news") / "n"
    for name in ("config", "templates", "issues"):
        shutil.copytree(repository / name, root / name)
    desk = Desk(root)
    compiled(desk.file)
    for edit in edits:
        desk.edit(*edit)
        warm = compiled(desk.file)
        cold.stdin.write(f"{desk.file}\n")
        cold.stdin.flush()
        assert warm == cold.stdout.readline().rstrip("\n").replace("\v", "\n"), edit
    shutil.rmtree(root.parent)
