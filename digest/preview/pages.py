"""The pages: Jinja templates with escaping on, and the answers made of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

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
