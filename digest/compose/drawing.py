"""The theme's templates and their MJML, drawn once for as long as what they are drawn from stays the same.

Words of an issue are held back from both (`Workspace.hold`), so they need no drawing again when a word changes.
A picture of the theme's own is asked for again each time: one that has changed is seen, and all are noted.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

from markupsafe import Markup

from digest.compose.mjml import render
from digest.compose.mjml.render import Drawn
from digest.compose.theme import Theme
from digest.errors import Place
from digest.memo import Memo, frozen

Asset = Callable[..., dict[str, Any]]
Asked = dict[tuple[tuple[Any, ...], tuple[tuple[str, Any], ...]], Any]
"""What was asked for while something was drawn, with the answers."""
Result = TypeVar("Result")

_PAGES: Memo[tuple[Drawn, Asked]] = Memo(limit=8_000_000)


class Templates:
    """Draws the templates of `theme` for one issue.

    `context` is what all of them know; `asset` finds the theme's pictures, a function of that name for them.
    """

    def __init__(self, theme: Theme, context: Mapping[str, Any], asset: Asset) -> None:
        self._theme = theme
        self._context = context
        self._asset = asset
        self._key = frozen(context)

    def draw(self, name: str, values: Mapping[str, Any]) -> Markup:
        """The template with `values`. Raises `InputError` at its own line."""
        try:
            key = (name, self._key, frozen(values))
        except TypeError:  # a picture that the template fits to its room
            return self._theme.render(name, {**self._context, **values, "asset": self._asset})
        known: Markup | None = _known(self._theme.drawn, key, self._asset)
        if known is not None:
            return known
        asset, asked = _noting(self._asset)
        drawn = self._theme.render(name, {**self._context, **values, "asset": asset})
        self._theme.drawn.keep(key, (drawn, asked), 2 * len(drawn) + 2_000)
        return drawn


def draw_mjml(source: str, place: Place, files: Sequence[str] = (), icon: Callable[[str], str] | None = None) -> Drawn:
    """As `digest.compose.mjml.render.draw_mjml`."""
    key = (str(source), place, tuple(files), icon is not None)
    known = _known(_PAGES, key, icon)
    if known is not None:
        return known
    noting, asked = _noting(icon) if icon else (None, {})
    drawn = render.draw_mjml(source, place, files, icon=noting)
    _PAGES.keep(key, (drawn, asked), len(source) + len(drawn.html))
    return drawn


def _noting(ask: Callable[..., Any]) -> tuple[Callable[..., Any], Asked]:
    asked: Asked = {}

    def asking(*given: Any, **named: Any) -> Any:
        answer = asked[given, tuple(named.items())] = ask(*given, **named)
        return answer

    return asking, asked


def _known(memo: Memo[tuple[Result, Asked]], key: Hashable, ask: Callable[..., Any] | None) -> Result | None:
    """What was drawn before, where all that was asked for then has the same answer now."""
    found = memo.get(key)
    if found is None:
        return None
    drawn, asked = found
    try:
        same = all(ask and ask(*given, **dict(named)) == answer for (given, named), answer in asked.items())
    except LookupError:  # a picture that is gone: drawing tells where it is asked for
        return None
    return drawn if same else None
