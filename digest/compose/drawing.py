"""The theme's templates and their MJML, drawn once for as long as what they are drawn from stays the same.

Words of an issue are held back from both (`Workspace.hold`), so they need no drawing again when a word changes.
A picture, the theme's or the issue's, is asked for again each time: one that has changed is seen, and all are noted.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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

_PAGES: Memo[tuple[Drawn, Sequence[Asked]]] = Memo(limit=8_000_000)


@dataclass(frozen=True, slots=True)
class Fit:
    """``picture.fit(room)`` in a theme: the picture's value where it has `room` CSS pixels, with `play` a film's.

    `shown` makes the value; what was asked of it while a template was drawn is noted.
    """

    shown: Callable[[int, bool], dict[str, Any] | None] = field(compare=False)
    play: bool = False
    asked: Asked = field(default_factory=dict, compare=False)

    def __call__(self, room: float, play: bool = False) -> dict[str, Any] | None:
        """The value, which can be fitted again; None for a picture that is no good (told elsewhere)."""
        question = (int(room), self.play or play)
        value = self.shown(*question)
        self.asked[question, ()] = value
        return value and {**value, "fit": replace(self, play=question[1])}


class Templates:
    """Draws the templates of `theme` for one issue.

    `context` is what all of them know; `asset` finds the theme's pictures, a function of that name for them.
    """

    def __init__(self, theme: Theme, context: Mapping[str, Any], asset: Asset) -> None:
        self._theme = theme
        self._context = context
        self._asset = asset
        self._key = frozen(context)

    def draw(self, name: str, values: Mapping[str, Any], fits: Sequence[Fit] = ()) -> Markup:
        """The template with `values`, `fits` being those of the pictures in them.

        Raises `InputError` at the template's own line.
        """
        key = (name, self._key, frozen(values))
        asks = [self._asset, *(fit.shown for fit in fits)]
        known: Markup | None = _known(self._theme.drawn, key, asks)
        if known is not None:
            return known
        asset, asked = _noting(self._asset)
        drawn = self._theme.render(name, {**self._context, **values, "asset": asset})
        answers = [asked, *(fit.asked for fit in fits)]
        self._theme.drawn.keep(key, (drawn, answers), 2 * len(drawn) + 2_000)
        return drawn


def draw_mjml(source: str, place: Place, files: Sequence[str] = (), icon: Callable[[str], str] | None = None) -> Drawn:
    """As `digest.compose.mjml.render.draw_mjml`."""
    key = (str(source), place, tuple(files), icon is not None)
    asks = [icon] if icon else []
    known = _known(_PAGES, key, asks)
    if known is not None:
        return known
    noting, asked = _noting(icon) if icon else (None, {})
    drawn = render.draw_mjml(source, place, files, icon=noting)
    _PAGES.keep(key, (drawn, [asked]), len(source) + len(drawn.html))
    return drawn


def _noting(ask: Callable[..., Any]) -> tuple[Callable[..., Any], Asked]:
    asked: Asked = {}

    def asking(*given: Any, **named: Any) -> Any:
        answer = asked[given, tuple(named.items())] = ask(*given, **named)
        return answer

    return asking, asked


def _known(
    memo: Memo[tuple[Result, Sequence[Asked]]], key: Hashable, asks: Sequence[Callable[..., Any]]
) -> Result | None:
    """What was drawn before, where each of `asks` now gives the answers it gave then."""
    found = memo.get(key)
    if found is None:
        return None
    drawn, answered = found
    asked = [
        (ask, question, answer)
        for ask, answers in zip(asks, answered, strict=False)
        for question, answer in answers.items()
    ]
    try:
        same = all(ask(*given, **dict(named)) == answer for ask, (given, named), answer in asked)
    except LookupError:  # a picture that is gone: drawing tells where it is asked for
        return None
    return drawn if same else None
