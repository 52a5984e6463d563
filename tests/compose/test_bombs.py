"""Texts made to take long: each composes, or is refused with a line, in bounded time and memory.

They are composed in a process of their own, whose processor time the system limits: one that took too long would be
killed there, and no clock of a busy machine is asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from digest.errors import Place
from digest.issue.limits import BYTES, TOGETHER, Measure, signs

SECONDS = 10  # of processor time for each, several times what the worst takes
MEGABYTES = 300

CHILD = """
import json, resource, sys
from pathlib import Path
from digest.compose.composer import compile_issue
from digest.errors import InputError
from digest.newsletter import Newsletter

for line in sys.stdin:
    file = Path(json.loads(line))
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime)
    resource.setrlimit(resource.RLIMIT_CPU, (spent + %d, resource.RLIM_INFINITY))
    try:
        told = str(len(compile_issue(Newsletter.open(file.parents[1]), file).html.source))
    except InputError as exc:
        told = str(exc.problems[0])
    status = Path("/proc/self/status").read_text()  # ru_maxrss would begin at the peak of the parent
    megabytes = int(status.partition("VmHWM:")[2].split()[0]) // 1024
    print(json.dumps([file.stem, told, megabytes]), flush=True)
"""

HEAD = '---\nsubject: "A subject"\ndate: 2025-09-12\n---\n\n'

UNITS = {
    "strikes": "~ ",
    "code": "` ",
    "links": "[",
    "links with addresses": "[a](https://e.com/a) ",
    "emphasis": "**a *b _c ",
    "elements": "<b>a</b>",
    "tags half open": "<a ",
    "comments": "<!-- ",
    "braces": "{{ ",
    "statements": "{% ",
    "values": "{{ subscriber.name }} ",
    "loops": "{% for x in [1] %}a{% endfor %}",
    "notes": "^[a] ",
    "items in items": "- a\n  - b\n    - c\n",
    "tables": "| a | b |\n|---|---|\n| c |\n\n",
    "blocks": "::: story\n## A\n\na\n:::\n\n",
    "blocks left open": "::: only\n",
    "paragraphs": "a\n\n",
    "letters": "字",
}
"""What is written again and again: as often as an issue may hold it."""

ENDLESS = ("strikes", "code", "links", "elements", "braces", "items in items", "tables", "blocks")
"""Those that are also written until the file is as large as it may be."""


def fits(text: str) -> bool:
    return Measure().added(text, Place("x.md")) is None


def at_the_limit(unit: str) -> str:
    """`unit` as often as an issue may hold it, in paragraphs as full of it as they may be."""
    if not unit.endswith("\n"):
        unit = unit * (TOGETHER // signs(unit) if signs(unit) else 1000) + "\n\n"
    low, high = 1, BYTES // len(unit)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(unit * middle) else (low, middle - 1)
    return unit * low


WHOLE = {
    "a wide table": "|a" * 3_000 + "|\n" + "|-" * 3_000 + "|\n" + "x|\n" * 9_000,
    "a long list of items": "::: roundup\n" + "".join(f"### Title {n}\nWords.\n\n" for n in range(999)) + ":::\n",
    "different blocks": "".join(f"::: story\n## Title {n}\n[{n}](https://e.com/{n})\n:::\n\n" for n in range(290)),
    "a long word": "a" * 390_000,
    "deep brackets": "{{ " + "(" * 900 + "1" + ")" * 900 + " }}",
    "a long address": "[a](https://e.com/" + "a" * 390_000 + ")",
    "code": "```python\n" + "x('a', 1)\n" * 4_000 + "```\n",
}

FRONTS = {
    "brackets": "---\nsubject: s\nauthors: " + "[" * 10_000 + "\n---\n\nText\n",
    "fields": "---\nsubject: s\n" + "a: b\n" * 100_000 + "---\n\nText\n",
}


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """A newsletter with all of them as issues."""
    root = tmp_path_factory.mktemp("bombs")
    for name in ("config", "templates"):
        (root / name).symlink_to(repository / name)
    issues = root / "issues"
    issues.mkdir()
    for name, unit in UNITS.items():
        (issues / f"{name}, as many as fit.md").write_text(HEAD + at_the_limit(unit))
        if name in ENDLESS:
            (issues / f"{name}, without an end.md").write_text(HEAD + unit * (BYTES // len(unit.encode()) - 99))
    for name, text in (WHOLE | FRONTS).items():
        (issues / f"{name}.md").write_text(text if name in FRONTS else HEAD + text)
    (issues / "itself.md").write_text("Words.\n\n" + '::: include {file="other.md"}\n:::\n\n' * 40)
    (issues / "other.md").write_text("a\n\n" * 4_000)
    (issues / "much taken in.md").write_text(HEAD + '::: include {file="itself.md"}\n:::\n\n' * 40)
    return issues


def test_every_text_is_composed_or_refused_in_bounded_time_and_memory(bombs: Path, repository: Path) -> None:
    """Each of all these, at the limits of what an issue may hold and far beyond; what is refused has its line."""
    files = sorted(bombs.glob("*.md"))
    ended = subprocess.run(
        [sys.executable, "-c", CHILD % SECONDS],
        input="".join(f"{json.dumps(str(file))}\n" for file in files),
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": str(repository)},
        check=False,
    )
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(told) == len(files), f"{files[len(told)].stem}: {ended.stderr[-500:]}"
    for name, words, megabytes in told:
        assert megabytes < MEGABYTES, name
        assert words.isdigit() or words.startswith("issues/"), (name, words)
        if "without an end" in name:
            assert "more than" in words, words
