"""Forced dark mode: colours turn, words never do."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.preview.forced import force_dark


def _words(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", " ", html))


def test_gmail_turns_both_ways() -> None:
    """Gmail's inversion makes white dark and, what surprises people, dark light."""
    html = '<td bgcolor="#ffffff" style="background:#ffffff;color:#000000"></td><td style="background-color:#112233">'
    dark = force_dark(html, "gmail")
    assert 'bgcolor="#171717"' in dark
    assert "background:#171717;color:#ededed" in dark
    light = re.search(r"background-color:#(..)", dark)
    assert light is not None
    assert int(light[1], 16) > 0xA0


def test_outlook_turns_one_way_and_marks() -> None:
    """Outlook.com leaves dark backgrounds and light text, and marks the colours it changed."""
    html = '<body><td style="background:#112233;color:#ffffff"></td><p style="color:#222222">a</p></body>'
    dark = force_dark(html, "outlook")
    assert '<td style="background:#112233;color:#ffffff">' in dark
    assert 'data-ogsc="#222222"' in dark
    assert '<body data-ogsc="" data-ogsb="">' in dark


def test_the_email_s_own_answer_stays() -> None:
    """Rules for Outlook.com's marks are the author's, and are not turned again."""
    css = "<style>.a{color:#000000}[data-ogsc] .a{color:#000000 !important}</style>"
    dark = force_dark(css, "outlook")
    assert ".a{color:#ededed}[data-ogsc] .a{color:#000000 !important}" in dark


@pytest.mark.parametrize("value", ["url(a.png) #ffffff", "linear-gradient(#ffffff, #eeeeee)", "transparent", "inherit"])
def test_pictures_and_gradients_stay(value: str) -> None:
    """What is no plain colour is left as it is."""
    html = f'<td style="background:{value}">'
    assert force_dark(html, "gmail") == html


@given(
    st.lists(
        st.sampled_from(
            [
                '<p style="color:#000">',
                "</p>",
                "color:#ffffff",
                'bgcolor="white"',
                "<!--x-->",
                "<b",
                ">",
                "é\n",
                "<br/>",
            ]
        )
    )
)
def test_words_are_never_touched(pieces: list[str]) -> None:
    """Whatever stands in the email, its words come out as they were."""
    html = "".join(pieces)
    for how in ("gmail", "outlook"):
        assert _words(force_dark(html, how)) == _words(html)
