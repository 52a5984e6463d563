"""MJML to HTML through MRML (mjml-python). The only user of `mjml`.

::

    read and check (lint) → defaults written out, HTML held (cures) → MRML → what it left out → HTML

What MRML gets wrong is cured on the way or refused; see `cures` and `lint`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mjml import mjml2html

from digest.compose.mjml.cures import Cures
from digest.compose.mjml.defaults import write_defaults
from digest.compose.mjml.lint import ICONS, NO_ICON, read_mjml
from digest.compose.mjml.tree import Element
from digest.compose.slim import join_seams
from digest.errors import InputError, Place, Problem


@dataclass(frozen=True, slots=True)
class Drawn:
    """A page, the rules of ``<mj-style inline="inline">`` for what is put into it later, and what has no effect."""

    html: str
    css: str
    warnings: tuple[Problem, ...] = ()


def draw_mjml(
    source: str, place: Place, files: Sequence[str] = (), *, icon: Callable[[str], str] | None = None
) -> Drawn:
    """The HTML of an MJML document, with a doctype. Its style sheet is inlined where there are no tokens in the way.

    `place` names the file that lines belong to, `files` those of stamped tags (`tree.stamp`). `icon` gives the
    address of a picture for those networks that MJML has none for. Raises `InputError` with every problem of the
    document.
    """
    source = str(source)  # slicing a Markup is slow
    root, problems = read_mjml(source, place, files, icons=ICONS | NO_ICON if icon else ICONS)
    if root is None or any(problem.severity == "error" for problem in problems):
        raise InputError(problems)
    cures = Cures(_unused_word(source))
    write_defaults(root)
    if icon:
        _give_icons(root, icon)
    cures.before(root)
    try:
        # No `fonts`: the default ones add a link to a font server, and nothing is fetched from the network.
        html = mjml2html(root.written(), fonts={})
    except ValueError as exc:
        raise InputError(Problem(place, f"not MJML: {exc}", code="mjml")) from exc
    # premailer drops a lower-case doctype, and without one clients fall back to quirks mode.
    html = re.sub(r"^\s*<!doctype html>", "<!DOCTYPE html>", html, count=1, flags=re.IGNORECASE)
    return Drawn(join_seams(cures.after(html)), cures.css, tuple(problems))


def _give_icons(root: Element, icon: Callable[[str], str]) -> None:
    for element in root.walk():
        network = element.attributes.get("name", "").removesuffix("-noshare")
        if element.tag == "mj-social-element" and network in NO_ICON:
            element.attributes.setdefault("src", icon(network))


def render_mjml(source: str, place: Place, files: Sequence[str] = ()) -> str:
    """The HTML alone of `draw_mjml`."""
    return draw_mjml(source, place, files).html


def _unused_word(source: str) -> str:
    """Letters that stand nowhere in the source."""
    word = "zh"
    while word in source:
        word += "h"
    return word
