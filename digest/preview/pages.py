"""The pages: Jinja templates with escaping on, and the answers made of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from digest.compose.compiled import CompiledIssue, picture_address
from digest.preview.security import email_policy

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER / "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(name: str, context: Mapping[str, object]) -> str:
    """One of our own pages as text, from the template `name` and what it shows."""
    return _environment().get_template(name).render(dict(context))


def page(name: str, context: Mapping[str, object], status: int = 200) -> HTMLResponse:
    """One of our own pages, from the template `name` and what it shows."""
    return HTMLResponse(render(name, context), status_code=status)


def email_document(html: str, port: int, *, images: bool = True) -> Response:
    """An email's HTML as a document that may run nothing and fetch nothing but local pictures, if `images`.

    The policy is a header, and holds whatever the email says in a ``<meta>`` of its own (policies only add up).
    """
    return HTMLResponse(html, headers={"Content-Security-Policy": email_policy(port, images=images)})


def pictures_from(folder: str, html: str, compiled: CompiledIssue) -> str:
    """An email's HTML with the issue's pictures taken from `folder`, not from where they will be published."""
    for picture in compiled.pictures:
        html = html.replace(picture_address(compiled.assets_base, picture.name), f"{folder}{picture.name}")
    return html


def saved_as(name: str) -> str:
    """The Content-Disposition of a file to keep, under a name that is no path and hides nothing (RFC 6266, RFC 8187).

    >>> print(saved_as("../Übersicht.pdf"))
    attachment; filename="-bersicht.pdf"; filename*=UTF-8''%C3%9Cbersicht.pdf
    >>> print(saved_as("a.eml"))
    attachment; filename="a.eml"
    """
    last = re.split(r"[/\\]", name)[-1]
    # Category C: controls, and what turns the direction of a name so that its end looks like another.
    whole = "".join(c for c in last if unicodedata.category(c)[0] != "C").strip(". ")[:200] or "file"
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_. ") else "-" for c in whole)
    said = f'attachment; filename="{plain}"'
    return said if plain == whole else f"{said}; filename*=UTF-8''{quote(whole, safe='')}"
