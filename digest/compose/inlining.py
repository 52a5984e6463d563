"""The theme's style sheet moved into `style` attributes. The only user of `premailer`.

Only the rules for the words of an issue are inlined; what MJML wrote into the head (media queries, dark mode,
Outlook's blocks) stays where it is. The settings are those that keep MJML's output whole.
"""

from __future__ import annotations

import logging
import os
import re
from functools import lru_cache
from typing import Any

# Its cache of parsed rules holds 128 entries, fewer than one theme has: each call would parse all of them again.
os.environ.setdefault("PREMAILER_CACHE_MAXSIZE", "2000")

import cssutils
from premailer import Premailer

from digest.compose.slim import used_rules

cssutils.ser.prefs.minimizeColorHash = False  # Outlook reads colours of six digits only

_STYLE = re.compile(r"<style\b")


@lru_cache(maxsize=16)
def _parsed(css: str, index: int) -> tuple[list[Any], list[Any]]:
    """The rules of a sheet as premailer wants them: parsing them takes half of its time, and they seldom change."""
    reader = Premailer(
        "<p></p>", disable_validation=True, strip_important=False, cssutils_logging_level=logging.CRITICAL
    )
    rules, leftover = reader._parse_style_rules(css, index)
    return rules, leftover


class _Inliner(Premailer):  # type: ignore[misc] # premailer has no types
    def _parse_style_rules(self, css_body: str, ruleset_index: int) -> tuple[list[Any], list[Any]]:
        rules, leftover = _parsed(css_body, ruleset_index)
        return list(rules), list(leftover)


def inline_css(html: str, css: str) -> str:
    """`html` with the rules of `css` as inline styles. Both must be free of Jinja: tokens only."""
    marked = _STYLE.sub('<style data-premailer="ignore"', html)
    inlined = _Inliner(
        marked,
        css_text=[used_rules(css, html)],
        keep_style_tags=False,
        strip_important=False,
        remove_classes=False,
        disable_validation=True,
        disable_basic_attributes=["width", "height", "align", "valign", "bgcolor"],
        align_floating_images=False,
        allow_network=False,
        disable_link_rewrites=True,
        cssutils_logging_level=logging.CRITICAL,
    ).transform(pretty_print=False)
    return str(inlined).replace(' data-premailer="ignore"', "")
