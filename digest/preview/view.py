"""What an issue's page shows, as its address says: every state of the page can be reloaded, kept and sent on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast, get_args
from urllib.parse import quote, urlencode

from digest.preview.colours import Scheme

Show = Literal["html", "text", "row", "source", "message", "links", "sizes", "variants", "run"]
Beside = Literal["", "colours", "devices"]
State = Literal[
    "", "accepted", "waiting", "deferred", "unknown", "bounced", "rejected", "expired", "dropped", "withdrawn"
]
"""Where a run's readers can be, as `digest status` names it; empty: those of whom something is to be told."""

PHONE, TABLET, NARROWEST, WIDEST = 375, 600, 280, 1600
DESKTOP = 760
"""A mail program's reading pane on a desktop, where it stands beside a phone."""

SHOWN: tuple[tuple[Show, str], ...] = (
    ("html", "Email"),
    ("text", "Plain text"),
    ("row", "Inbox row"),
    ("source", "Source"),
    ("message", "Message"),
    ("links", "Links"),
    ("sizes", "Sizes"),
    ("variants", "Variants"),
    ("run", "Run"),
)

SCHEMES: tuple[tuple[Scheme, str, str], ...] = (
    ("light", "Light", "The colours as designed."),
    ("dark", "Dark", "The email's own dark colours, as Apple Mail shows them (prefers-color-scheme)."),
    (
        "gmail",
        "Gmail dark",
        "A simulation of Gmail's app on an iPhone: it does not know the email's dark colours and inverts the"
        " lightness of every colour, dark to light as well. Pictures and gradients stay. The real one differs in"
        " shades.",
    ),
    (
        "outlook",
        "Outlook dark",
        "A simulation of Outlook.com: light backgrounds become dark and dark text becomes light, what is dark"
        " already stays. What it changed carries data-ogsc and data-ogsb, and the email's own rules for these apply.",
    ),
)


@dataclass(frozen=True, slots=True)
class Pane:
    """One frame with the email: its width in CSS pixels (0: all there is) and colours."""

    key: str
    label: str
    width: int
    scheme: Scheme


@dataclass(frozen=True, slots=True)
class View:
    """What the page's address asks for; anything unknown is the default. `width` 0: all there is.

    `state`, `find` and `after` are the run's: its readers in that state, with that text in name or address, from the
    one behind that number on.
    """

    reader: str = ""
    width: int = TABLET
    scheme: Scheme = "light"
    show: Show = "html"
    beside: Beside = ""
    images: bool = True
    zoom: Literal[100, 200] = 100
    q: str = ""
    state: State = ""
    find: str = ""
    after: int = 0

    @classmethod
    def of(cls, query: Mapping[str, str]) -> View:
        """Read the query of a request.

        >>> view = View.of({"width": "433", "scheme": "dark", "show": "???"})
        >>> view.width, view.scheme, view.show
        (433, 'dark', 'html')
        """
        return cls(
            reader=query.get("reader", "")[:100],
            width=_width(query.get("width", "")),
            scheme=cast("Scheme", _one_of(Scheme, query.get("scheme", ""), "light")),
            show=cast("Show", _one_of(Show, query.get("show", ""), "html")),
            beside=cast("Beside", _one_of(Beside, query.get("beside", ""), "")),
            images=query.get("images") != "off",
            zoom=200 if query.get("zoom") == "200" else 100,
            q=query.get("q", "")[:200],
            state=cast("State", _one_of(State, query.get("state", ""), "")),
            find=query.get("find", "").strip()[:200],
            after=_number(query.get("after", "")),
        )

    @property
    def query(self) -> dict[str, str]:
        """As a query; what is the default is left out.

        >>> View(width=0, images=False).query
        {'width': 'full', 'images': 'off'}
        """
        asked = {
            "reader": self.reader,
            "width": "" if self.width == TABLET else str(self.width or "full"),
            "scheme": "" if self.scheme == "light" else self.scheme,
            "show": "" if self.show == "html" else self.show,
            "beside": self.beside,
            "images": "" if self.images else "off",
            "zoom": "" if self.zoom == 100 else str(self.zoom),
            "q": self.q,
            "state": self.state,
            "find": self.find,
            "after": str(self.after or ""),
        }
        return {name: value for name, value in asked.items() if value}

    def at(self, slug: str, **changes: object) -> str:
        """The address of an issue's page with this view, some of it changed.

        >>> View(scheme="dark").at("x", show="text")
        '/issues/x?scheme=dark&show=text'
        """
        query = urlencode(replace(self, **changes).query)  # type: ignore[arg-type] # names of our own fields
        return f"/issues/{quote(slug)}" + (f"?{query}" if query else "")

    @property
    def panes(self) -> list[Pane]:
        """The frames to show: one, or several side by side."""
        match self.beside:
            case "colours":
                return [Pane(key, label, self.width or TABLET, key) for key, label, _ in SCHEMES]
            case "devices":
                return [
                    Pane("phone", f"Phone {PHONE}", PHONE, self.scheme),
                    Pane("desktop", f"Desktop {DESKTOP}", DESKTOP, self.scheme),
                ]
            case _:
                return [Pane("one", "", self.width, self.scheme)]


def _one_of(kind: object, word: str, default: str) -> str:
    return word if word in get_args(kind) else default


def _width(text: str) -> int:
    if text == "full":
        return 0
    return min(max(_number(text), NARROWEST), WIDEST) if _number(text) else TABLET


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
