"""The plain-text part as someone reads it: what stands over items, how lines begin, where answers go."""

from __future__ import annotations

import pytest


def _text(compose, render, body: str, **values: str) -> str:
    return render(compose(body), **values).text


def test_an_items_text_stands_under_its_title(compose, render) -> None:
    """Behind the number, also behind one that is counted for each reader; a title is wrapped by its own length."""
    title = "Words that fill a line of seventy-two columns to its very end, not one too few"
    items = f'### {title}\nText.\n\n### Another {{segments="pro"}}\nText.\n'
    text = _text(compose, render, f"::: roundup {{.numbered}}\n{items}:::\n", plan="pro")
    assert "1. Words that fill a line of seventy-two columns to its very end, not\n   one too few\n   Text.\n" in text
    assert "2. Another\n   Text.\n" in text


def test_labels_and_days_are_told(compose, render) -> None:
    """What stands over an item's title in the HTML stands before it here."""
    text = _text(compose, render, "::: roundup {.dated}\n### A day {date=2025-09-02}\nText.\n:::\n")
    assert "* 2 September 2025: A day\n" in text
    text = _text(compose, render, '::: cases\n### A case {label="Energy"}\nText.\n:::\n')
    assert "* Energy: A case\n" in text


def test_answers_by_mail_share_one_short_address(compose, render) -> None:
    """A subject for each, percent-encoded, is nothing to read; an answer that is a link keeps its own."""
    text = _text(compose, render, "::: question\n## And?\n- Yes\n- [No](https://example.com/no)\n:::\n")
    assert "- Yes\n- No <https://example.com/no>\n\nReply: <mailto:editor@news.example.com>\n" in text


@pytest.mark.parametrize("end", ["::: divider\n:::\n", "---\n", "Words.\n"])
def test_one_pause_before_the_way_out(compose, render, end: str) -> None:
    """A pause that an issue ends with is not followed by another."""
    assert _text(compose, render, f"Words.\n\n{end}").count("* * *") == 1
