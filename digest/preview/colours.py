"""An email in light, in its own dark colours, or with dark mode forced on it, shown on request.

A page can't set ``prefers-color-scheme`` for a frame, so the email's own queries are answered here: in its
styles and in ``media`` attributes each test of the preference becomes one that always, or never, holds.
"""

from __future__ import annotations

import re
from typing import Literal

from digest.preview.forced import force_dark

Scheme = Literal["light", "dark", "gmail", "outlook"]

_HOLDS = "(min-width:0px)"
_FAILS = "(max-width:0px)"
_PREFERENCE = re.compile(r"\(\s*prefers-color-scheme\s*(?::\s*(light|dark|no-preference)\s*)?\)", re.IGNORECASE)
_STYLED = re.compile(r"<style\b[^>]*>.*?</style\s*>|\bmedia\s*=\s*(\"[^\"]*\"|'[^']*')", re.IGNORECASE | re.DOTALL)
_HEAD_END = re.compile(r"</head\s*>", re.IGNORECASE)


def as_scheme(html: str, scheme: Scheme) -> str:
    """`html` as a program in that mode shows it; see `force_dark` for ``gmail`` and ``outlook``.

    The words of the email are never touched.

    >>> as_scheme("<style>@media (prefers-color-scheme: dark) {p{color:red}}</style>", "dark")
    '<style>@media (min-width:0px) {p{color:red}}</style>'
    >>> as_scheme("<p>(prefers-color-scheme: dark)</p>", "dark")
    '<p>(prefers-color-scheme: dark)</p>'
    """

    if scheme == "gmail" or scheme == "outlook":  # neither knows the preference
        return force_dark(_answered(html, "light"), scheme)
    # The canvas and form controls follow this, not the machine's own setting.
    html = _answered(html, scheme)
    return _HEAD_END.sub(f"<style>:root{{color-scheme:{scheme} !important}}</style></head>", html, count=1)


def _answered(html: str, scheme: Literal["light", "dark"]) -> str:
    """`html` with its questions for the preference answered."""

    def answer(match: re.Match[str]) -> str:
        return _HOLDS if match[1] is None or match[1].lower() == scheme else _FAILS

    return _STYLED.sub(lambda styled: _PREFERENCE.sub(answer, styled[0]), html)
