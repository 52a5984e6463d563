"""Whatever is written, parsing ends in an issue or in located problems, never in an exception."""

from __future__ import annotations

import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PIECES = st.sampled_from(
    ["::: story", ":::", "::: only {segments=\"pro\"}", "{% if subscriber.plan %}", "{% endif %}", "{% else %}",
     "{{ subscriber.city }}", "{{", "}}", "{%", "# Title", "### Item {#id}", "- item", "> said", "```", "`code`",
     "| a | b |\n|---|---|\n| 1 | 2 |", "![alt](x.png)", "[a](https://e.com){.button}", "{.pull}", "{a=", "<b>x</b>",
     "<!-- c -->", "text with “quotes” and 'more'", "[memo]", "[memo]: https://example.com", "    indented", "\\{{"]
)  # fmt: skip
LINES = st.lists(st.one_of(PIECES, st.text(st.characters(codec="utf-8", categories=("L", "P", "Z", "S")))), max_size=24)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(lines=LINES, indent=st.sampled_from(["", "  ", "    ", "> ", "- "]))
def test_any_text_parses_or_is_told(parse, lines: list[str], indent: str) -> None:
    """Every problem has a line inside the file."""
    body = "\n".join(indent + line if n % 3 == 1 else line for n, line in enumerate(lines))
    issue = parse(body)
    length = body.count("\n") + 6
    for problem in issue.problems:
        assert problem.place is not None
        assert 1 <= problem.place.line <= length


WORDS = st.lists(st.from_regex(r"[a-z]{3,9}", fullmatch=True), min_size=1, max_size=20, unique=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=WORDS)
def test_no_word_is_lost(parse, words: list[str]) -> None:
    """Each word of a text is in the tree, whatever it stands in."""
    forms = ("# {}", "- {}", "> {}", "{}", "**{}**", "::: story\n{}\n:::", "[{}](https://example.com)", "`{}`")
    issue = parse("\n\n".join(forms[n % len(forms)].format(word) for n, word in enumerate(words)))
    assert not issue.problems
    found = " ".join(node.plain for node in issue.body)
    assert set(words) <= set(re.findall(r"[a-z]+", found))


def test_a_bomb_of_quotations_is_refused(parse) -> None:
    """Depth that the Markdown parser would cut off silently is a problem with a line."""
    issue = parse(">" * 5_000 + " deep")
    assert issue.problems[0].code == "depth"


def test_a_file_of_ten_megabytes_is_refused(parse) -> None:
    """Size is told before anything is parsed."""
    assert parse(b"- " * 5_000_000).problems[0].code == "size"


def test_too_much_is_told_where_it_becomes_so(parse) -> None:
    """At the line that is one too many."""
    (problem,) = parse("a\n" * 11_000).problems
    assert str(problem).startswith("issues/x.md:10005: error: more than 10,000 lines")


def test_bytes_that_are_no_text(parse) -> None:
    """A byte that is not UTF-8 is named with its line."""
    problem = parse(b"---\nsubject: Caf\xe9\n---\ntext").problems[0]
    assert str(problem).startswith("issues/x.md:2: error: not UTF-8: the byte 0xe9")


def test_windows_line_ends_and_a_byte_order_mark(parse) -> None:
    """A file from Windows is as good as any."""
    issue = parse(b"\xef\xbb\xbf---\r\nsubject: s\r\n---\r\n::: story\r\na\r\n:::\r\n")
    assert not issue.problems
    assert issue.body[0].text == "story"
