"""The theme's style sheet moved into `style` attributes. The only user of `premailer`.

Only the rules for the words of an issue are inlined; what MJML wrote into the head (media queries, dark mode,
Outlook's blocks) stays where it is. The settings are those that keep MJML's output whole.

Each block is inlined by itself, within copies of the tags that are open around it: the same rules meet its elements
there, unless a selector looks at neighbours. So a block that stays as it was comes from memory.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

# Its cache of parsed rules holds 128 entries, fewer than one theme has: each call would parse all of them again.
os.environ.setdefault("PREMAILER_CACHE_MAXSIZE", "2000")

import cssutils
from premailer import Premailer

from digest.compose.mjml.tree import VOID
from digest.compose.slim import classes_of, needed_classes, packed
from digest.memo import Memo

cssutils.ser.prefs.minimizeColorHash = False  # Outlook reads colours of six digits only

_STYLE = re.compile(r"<style\b")
_TAG = re.compile(
    r"(<!--.*?-->)|<(style|title)\b.*?</\2>|<(/?)([A-Za-z][^\s/>]*)(?:\"[^\"]*\"|'[^']*'|[^'\">])*>", re.DOTALL
)
_START = re.compile(r"<([a-z][a-z0-9]*)")
_NAME = re.compile(r"(?:^|[\s>])([a-z][a-z0-9]*)")
"""The names of elements in a selector."""
_NEIGHBOURS = re.compile(r"[+~:]")
_CUT = "<!--cut-->"
_INLINED: Memo[str] = Memo(limit=8_000_000)
_AROUND: Memo[dict[str, str]] = Memo(limit=2_000_000)

Rule = tuple[tuple[int, ...], str, str]
"""As premailer wants it: specificity, selector, declarations."""


@lru_cache(maxsize=16)
def _parsed(css: str, index: int) -> tuple[list[tuple[frozenset[str], frozenset[str], Rule]], list[Any]]:
    """The rules of a sheet, each with the classes and the tags it needs, and what can't be inlined.

    Parsing them takes half of premailer's time, and they seldom change.
    """
    reader = Premailer(
        "<p></p>", disable_validation=True, strip_important=False, cssutils_logging_level=logging.CRITICAL
    )
    rules, leftover = reader._parse_style_rules(css, index)
    return [(needed_classes(rule[1]), frozenset(_NAME.findall(rule[1])), rule) for rule in rules], leftover


class _Inliner(Premailer):  # type: ignore[misc] # premailer has no types
    """With those rules alone that can meet an element of the page."""

    def _parse_style_rules(self, css_body: str, ruleset_index: int) -> tuple[list[Rule], list[Any]]:
        rules, leftover = _parsed(css_body, ruleset_index)
        classes, tags = classes_of(self.html), frozenset(_START.findall(self.html))
        return [rule for some, names, rule in rules if some <= classes and names <= tags], list(leftover)


def inline_css(html: str, css: str, blocks: Mapping[str, str]) -> str:
    """`html`, packed, with the rules of `css` as inline styles. Both must be free of Jinja: tokens only.

    `blocks` are the comments that stand before and behind each block of the page.
    """
    blocks = {} if any(_NEIGHBOURS.search(rule[1]) for _, _, rule in _parsed(css, 0)[0]) else blocks
    frame, parts = _taken_apart(html, blocks)
    around = _AROUND.of_text(tuple(blocks), frame, lambda: _tags_around(frame, blocks))
    page = _INLINED.of_text((css,), frame, lambda: packed(_inlined(frame, css)))
    out = []
    for begin, part in parts.items():
        before, page = page.split(begin, 1)
        out += [before, begin, _part(part, around[begin], css)]
    return "".join([*out, page])


def _part(part: str, around: str, css: str) -> str:
    return _INLINED.of_text((around, css), part, lambda: _inlined_part(part, around, css))


def _taken_apart(html: str, blocks: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The page without what stands in its blocks, and that for each block by the comment before it."""
    parts: dict[str, str] = {}
    frame: list[str] = []
    position = 0
    for begin, end in blocks.items():
        start = html.find(begin, position)
        stop = html.find(end, start) if start >= 0 else -1
        if stop >= 0:
            start += len(begin)
            frame.append(html[position:start])
            parts[begin] = html[start:stop]
            position = stop
    return "".join([*frame, html[position:]]), parts


def _tags_around(frame: str, blocks: Mapping[str, str]) -> dict[str, str]:
    """The start tags of the elements that are open at each block."""
    around: dict[str, str] = {}
    stack: list[tuple[str, str]] = []
    for found in _TAG.finditer(frame):
        name = (found[4] or "").lower()
        if found[1] in blocks:
            around[found[1]] = "".join(tag for _, tag in stack)
        elif found[3]:
            depth = next((n for n in range(len(stack) - 1, -1, -1) if stack[n][0] == name), len(stack))
            del stack[depth:]
        elif name and name not in VOID:
            stack.append((name, found[0]))
    return around


def _inlined_part(part: str, around: str, css: str) -> str:
    """What stands in one block, inlined."""
    page = _inlined(f"{around}{_CUT}{part}{_CUT}", css, head=False)
    return packed(page[page.index(_CUT) + len(_CUT) : page.rindex(_CUT)])


def _inlined(html: str, css: str, *, head: bool = True) -> str:
    """`html` with the rules as inline styles, with `head` those that can't be inlined in it."""
    marked = _STYLE.sub('<style data-premailer="ignore"', html)
    inlined = _Inliner(
        marked,
        css_text=[css],
        keep_style_tags=False,
        disable_leftover_css=not head,
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
