"""A text is read in pieces; nothing tells that from reading it at once."""

from __future__ import annotations

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from digest.errors import Place
from digest.issue.directives import match_directives
from digest.issue.model import Issue
from digest.issue.pieces import pieces

LINES = ["words", "", "- item", "  more", "> said", "```", "~~~", "    code", "<div>", "</div>", "<!-- x", "-->", "***"]
LINES += ["::: story", "::: only", " ::: story", ":::", "## T", "T\n===", "| a |\n|---|\n| b |", "term\n: text"]
LINES += [
    "{.pull}",
    '{segments="pro"}',
    "[a]: https://example.com/",
    "[a]",
    "[a][b]",
    "[b]: /b 'title'",
    "[^n]",
    "[^n]: N",
]
LINES += ["{% if subscriber.plan %}", "{% else %}", "{% endif %}", "{{ subscriber.city }}", "“a” -- 'b'", ":rocket:"]

NOTE = "<!-- HTML of its own: a text that begins with it is not taken apart -->"
TAME = [line for line in LINES if line[:1] not in ("`", "~", "<", "{", " ") and "^" not in line]
"""Without what reaches over: more of a text is taken apart."""


def texts_of(lines: list[str]) -> st.SearchStrategy[str]:
    """Texts of such lines, with an empty line here and there, and blocks that are closed."""
    return st.lists(st.sampled_from([*lines, "", "", "::: story", ":::"]), max_size=24).map("\n".join)


CONDITIONAL = "- item\n\n{% if subscriber.plan %}\n- item\n\n{% endif %}\n\n- item"
tame = st.lists(st.sampled_from([*TAME, "{.pull}", CONDITIONAL]), max_size=12)
blocks = tame.map("\n\n".join).map("::: story\n{}\n:::".format)
texts = texts_of(LINES) | texts_of(TAME) | blocks


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(texts)
@example("{.pull}\n\n[a]: https://example.com/\n\n::: story\n:::")
@example("{.pull}\n\n[b]: /b\n'title'\n\nwords")
def test_reading_in_pieces_gives_the_same_nodes(parse, text: str) -> None:
    """The same nodes at the same places, the same problems; and again, further down, those that were read before."""
    at_once, in_pieces = parse(f"{NOTE}\n\n{text}"), parse(f"\n\n{text}")
    if not in_pieces.body and not at_once.body:
        return  # an issue without a text is told so
    assert in_pieces.body == at_once.body
    assert in_pieces.problems == at_once.problems
    assert _down(parse(f"\n\n\n{text}")) == [(kind, line + 1, words) for kind, line, words in _down(in_pieces)]


def _down(issue: Issue) -> list[tuple[str, int, str]]:
    return [(n.kind, n.place.line, n.text) for top in issue.body for n in top.walk() if n.kind not in ("notes", "note")]


def test_blocks_at_the_margin_are_pieces() -> None:
    """And what stands between them; a block inside another belongs to it."""
    lines = ["a", "", "::: story", "::: only", "b", ":::", ":::", "", "c"]
    directives, _ = match_directives(lines, [Place("x.md")] * 10)
    assert pieces(lines, directives) == [(0, 2), (2, 7), (7, 9)]
