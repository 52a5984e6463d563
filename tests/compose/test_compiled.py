"""The compiled issue: the same everywhere, stored and read back, with what it needs and no more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digest.compose.compiled import CompiledIssue
from digest.errors import InputError, Problem

# Composes the issues named on its command line, one after the other, and writes what the last one compiles to, with
# its twin; every token of this process has the given nonce.
SCRIPT = """
import sys
from pathlib import Path
from digest.compose.composer import compose_issue
from digest.issue import jinja
from digest.newsletter import Newsletter
root, jinja._NONCE, *slugs = sys.argv[1:]
newsletter = Newsletter.open(Path(root))
for slug in slugs:
    both = [compose_issue(newsletter, newsletter.find_issue(slug), marks=marks).compiled for marks in (True, False)]
sys.stdout.write("".join(compiled.to_json() for compiled in both))
"""


def test_the_same_bytes_on_any_machine(folder, repository) -> None:
    """Neither the order of hashes nor the locale, the time zone, the working directory, the letters of tokens or what
    was composed before changes a byte, also of the twin with marks.
    """
    sample = folder / "issues" / "2025-09-12-coopetition" / "index.md"
    others = {"before": ("\ndate:", "\ntheme: letter\ndate:"), "between": ("Good morning", "Good day")}
    for slug, changed in others.items():
        shutil.copytree(sample.parent, folder / "issues" / slug)
        (folder / "issues" / slug / "index.md").write_text(sample.read_text().replace(*changed))

    def compiled(seed: str, locale: str, zone: str, where: Path, *arguments: str) -> bytes:
        changed = {"PYTHONHASHSEED": seed, "LC_ALL": locale, "TZ": zone, "PYTHONPATH": str(repository)}
        command = [sys.executable, "-c", SCRIPT, folder, *arguments]
        return subprocess.run(command, env=os.environ | changed, cwd=where, capture_output=True, check=True).stdout

    alone = compiled("1", "C.UTF-8", "UTC", folder, "abcdefabcdef", sample.parent.name)
    after = ("before", sample.parent.name, "between", sample.parent.name)
    assert compiled("2", "POSIX", "Asia/Tokyo", Path("/"), "ffffffffffff", *after) == alone


def test_it_is_stored_and_read_back_whole(compose) -> None:
    """JSON and back gives an equal value with the same fingerprint."""
    compiled = compose(
        '{segments="pro"}\nHi {{ subscriber.name }} ![x](../2025-09-12-coopetition/hero.png) [y](https://e.com)'
    )
    again = CompiledIssue.from_json(compiled.to_json())
    assert again == compiled
    assert again.fingerprint == compiled.fingerprint


def test_the_fingerprint_follows_what_readers_get(compose) -> None:
    """Words change it; the status, the time and an empty line do not."""
    head = '---\nsubject: "s"\ndate: 2025-09-12\nstatus: {}\n---\n'
    first = compose("Words.\n\nMore.", head=head.format("draft")).fingerprint
    assert compose("\nWords.\n\n\nMore.", head=head.format("ready\nsend_at: 2025-09-12 09:00")).fingerprint == first
    assert compose("Words.\n\nMore!", head=head.format("draft")).fingerprint != first


def test_it_carries_the_segments_it_needs(compose) -> None:
    """Those named, and those they are made of; no others."""
    assert set(compose('{segments="paying"}\nWords.').segments) == {"paying", "pro", "enterprise"}
    assert set(compose("Words.", head="---\nsubject: s\naudience: dach\n---\n").segments) == {"dach"}


def test_what_it_asks_of_a_reader_is_known(compose) -> None:
    """Each attribute with its place, and whether it is printed without a fallback."""
    asks = compose('{{ subscriber.city | default("x") }}\n{{ subscriber.company }}').asks
    assert {(a.attribute, a.place.line, a.bare) for a in asks} == {("city", 6, False), ("company", 7, True)}


def test_outlooks_markup_and_the_doctype_stay(compose) -> None:
    """What inlining with other settings would break is whole."""
    html = compose("Words.").html.source
    assert html.startswith("<!DOCTYPE html>")
    assert html.count("<!--[if") == html.count("<![endif]") > 4
    assert "@media" in html
    assert "prefers-color-scheme:dark" in html
    assert "fonts.googleapis" not in html


@pytest.mark.parametrize("text", ["❤️", "a\u00a0b", 'quote "inside"', "back\\slash", "e\u0301", "👩‍👩‍👧"])
def test_words_in_attributes_come_out_as_written(compose, render, text: str) -> None:
    """The renderer's debug escapes never reach a reader: in a picture's alt, a link's title."""
    head = "---\nsubject: s\ndate: 2025-09-12\n---\n"
    body = f"::: hero\n# A\n\n![{text}](../2025-09-12-coopetition/hero.png)\n:::\n"
    html = render(compose(body, head=head)).html
    assert "\\u{" not in html
    assert "\\\\" not in html
    assert text.replace('"', "").replace("\\", "")[:2].strip() in html.replace("&#10084;&#65039;", "❤️") or "&#" in html


WORDS = st.lists(st.from_regex(r"[a-z]{4,9}", fullmatch=True), min_size=8, max_size=8, unique=True)
FORM = """
::: story
## {0}
{1} *{2}* [{3}](https://example.com/{3}?a={4})

- {4}
- **{5}**

> {6}
:::

| head | cell |
|------|------|
| {7} | x |
"""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(words=WORDS)
def test_every_word_and_link_is_in_both_parts(compose, render, words: list[str]) -> None:
    """Nothing an author writes is lost on the way."""
    seen = render(compose(FORM.format(*words)))
    for word in words:
        assert word in seen.html
        assert word in seen.text.lower()
    for part in (seen.html, seen.text):
        assert f"https://example.com/{words[3]}?a={words[4]}" in part


PIECES = ["::: story", "## T", ":::", "- a", "> q", "text", "```", "![a](x.png)", "[b](https://e.com){.button}", "***"]
PIECES += [
    "{% if subscriber.plan %}",
    "{% endif %}",
    "{{ subscriber.city }}",
    "### I {#i}",
    '{segments="pro"}',
    "| a |\n|--|",
]
PIECES += [
    "::: roundup",
    "::: contents",
    "::: question",
    "<i>",
    "1. x",
    '::: only {segments="!free"}',
    "{.pull}",
    "— me",
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(lines=st.lists(st.sampled_from(PIECES), max_size=14))
def test_any_issue_composes_or_is_told(compose, lines: list[str]) -> None:
    """Blocks in any order, closed or not: an email, or problems that each have a line."""
    problems: tuple[Problem, ...] = ()
    try:
        compose("\n\n".join(lines))
    except InputError as exc:
        problems = exc.problems
    assert all(problem.place and problem.place.line for problem in problems), problems
