"""MJML to HTML through MRML (mjml-python). The only user of `mjml`.

What MRML gets wrong is cured here before and after it; see the comments. Article HTML never passes through it.
"""

from __future__ import annotations

import re

from mjml import mjml2html

from digest.errors import InputError, Place, Problem

_TAG = re.compile(r"<[A-Za-z][^\s/>]*(?:\s+[^\s=>/]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'))?)*\s*/?>")
_VALUE = re.compile(r"(=\s*)(\"[^\"]*\"|'[^']*')")
_GAP = re.compile(r"(</?mj-[^>]*>)[ \t]+(?=</?mj-)")
_MSO_SEAM = re.compile(r"<!\[endif\]-->\s*<!--\[if mso \| IE\]>")


def render_mjml(source: str, place: Place) -> str:
    """The HTML of an MJML document. `place` is the layout's, for what MRML reports.

    Raises `InputError` in MRML's own words: it knows no files and gives byte offsets.
    """
    try:
        # No `fonts`: the default ones add a link to a font server, and nothing is fetched from the network.
        html = mjml2html(_cured(source), fonts={})
    except ValueError as exc:
        raise InputError(Problem(place, f"not MJML: {exc}", code="mjml")) from exc
    # premailer drops a lower-case doctype, and without one clients fall back to quirks mode.
    html = re.sub(r"^\s*<!doctype html>", "<!DOCTYPE html>", html, count=1, flags=re.IGNORECASE)
    return _MSO_SEAM.sub("", html)


def _cured(source: str) -> str:
    # MRML prints attribute values in Rust's debug format: keep them plain ASCII on one line.
    cured = _TAG.sub(lambda tag: _VALUE.sub(_cured_value, tag[0]), source)
    # A space without a newline between children of mj-head and the like is an error.
    return _GAP.sub(r"\1", cured)


def _cured_value(value: re.Match[str]) -> str:
    quote, inside = value[2][0], " ".join(value[2][1:-1].split())
    plain = "".join(c if " " <= c <= "~" and c not in '\\"' else f"&#{ord(c)};" for c in inside)
    return f"{value[1]}{quote}{plain}{quote}"
