"""The light or the dark half of an email, shown on request.

A page can't set ``prefers-color-scheme`` for a frame, so the email's own queries are answered here: in its
styles and in ``media`` attributes each test of the preference becomes one that always, or never, holds.
"""

from __future__ import annotations

import re
from typing import Literal

Scheme = Literal["light", "dark"]

_HOLDS = "(min-width:0px)"
_FAILS = "(max-width:0px)"
_PREFERENCE = re.compile(r"\(\s*prefers-color-scheme\s*(?::\s*(light|dark|no-preference)\s*)?\)", re.IGNORECASE)
_STYLED = re.compile(r"<style\b[^>]*>.*?</style\s*>|\bmedia\s*=\s*(\"[^\"]*\"|'[^']*')", re.IGNORECASE | re.DOTALL)
_HEAD_END = re.compile(r"</head\s*>", re.IGNORECASE)


def as_scheme(html: str, scheme: Scheme) -> str:
    """`html` as a program in light or dark mode shows it. The words of the email are never touched.

    >>> as_scheme("<style>@media (prefers-color-scheme: dark) {p{color:red}}</style>", "dark")
    '<style>@media (min-width:0px) {p{color:red}}</style>'
    >>> as_scheme("<p>(prefers-color-scheme: dark)</p>", "dark")
    '<p>(prefers-color-scheme: dark)</p>'
    """

    def answer(match: re.Match[str]) -> str:
        return _HOLDS if match[1] is None or match[1].lower() == scheme else _FAILS

    html = _STYLED.sub(lambda styled: _PREFERENCE.sub(answer, styled[0]), html)
    # The canvas and form controls follow this, not the machine's own setting.
    return _HEAD_END.sub(f"<style>:root{{color-scheme:{scheme} !important}}</style></head>", html, count=1)
