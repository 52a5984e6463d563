"""How the pages look: one style sheet made of the theme's own colours, fonts and measures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from digest.compose.theme import load_theme
from digest.errors import Place
from digest.newsletter import Newsletter
from digest.settings import SETTINGS_FILE

_SHEET = Path(__file__).parent / "static"
DEFAULT = "median"


@dataclass(frozen=True, slots=True)
class Look:
    """The style sheet and the icon (SVG), each with its name: a hash over it, so that it can be kept for ever.

    `light` and `dark` are the grounds of the page, for a browser's own bars.
    """

    css: str
    name: str
    icon: str
    icon_name: str
    light: str
    dark: str


def load_look(newsletter: Newsletter) -> Look:
    """The look of ``[web] theme``; without one, of the only theme in the folder, else of the one that issues have.

    Raises `InputError` with what is wrong with the theme.
    """
    theme = load_theme(newsletter, theme_name(newsletter), Place(SETTINGS_FILE))
    environment = Environment(loader=FileSystemLoader(_SHEET), autoescape=False, undefined=StrictUndefined)  # noqa: S701 - CSS
    css = environment.get_template("pages.css").render(theme=_harmless(theme.tokens))
    light, dark = theme.tokens["light"], theme.tokens["dark"]
    letter = next((c for c in newsletter.settings.newsletter.name.removeprefix("The ") if c.isalnum()), "")
    icon = _ICON.format(cover=light["cover"], ink=light["cover_ink"], letter=letter.upper()[:1])
    return Look(css, _named(css, "css"), icon, _named(icon, "svg"), light["page"], dark["page"])


# The first letter of the newsletter's name on its cover's colour.
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="{cover}"/>'
    '<text x="16" y="23" font-family="sans-serif" font-weight="700" font-size="20" text-anchor="middle" fill="{ink}">'
    "{letter}</text></svg>"
)


def _named(content: str, suffix: str) -> str:
    return f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.{suffix}"


def theme_name(newsletter: Newsletter) -> str:
    """The theme of the pages: see `load_look`."""
    if newsletter.settings.web.theme:
        return newsletter.settings.web.theme
    names = [file.parent.name for file in (newsletter.root / "templates").glob("*/theme.toml")]
    return names[0] if len(names) == 1 else DEFAULT


def _harmless(tokens: Mapping[str, Any]) -> dict[str, Any]:
    """The tokens without what would end a declaration: a theme's value is one value."""
    return {
        key: _harmless(value)
        if isinstance(value, Mapping)
        else value.translate({ord(c): None for c in "{};<>"})
        if isinstance(value, str)
        else value
        for key, value in tokens.items()
    }
