"""What composing makes of an issue, and all that sending needs: written down once, merged many times.

A `CompiledIssue` holds four Jinja templates (subject, preheader, HTML, plain text). Their static text is
final: MJML, inlining and plain-text layout are done. What is left in them are the author's own
expressions, ``{% if %}`` and ``{% for %}``, and segment conditions as ``{% if segment["pro"] %}``. In the
HTML an expression that stands in a link carries ``| link`` (the whole address) or ``| urlpart`` (a part
of one). It is stored as JSON, never pickled, and read back by a process that has no theme, no MJML and
no premailer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from digest.errors import Place

FORMAT = 1
CLIPPED = 102_400  # bytes of HTML; Gmail shows no more and hides the way to unsubscribe behind a link


@dataclass(frozen=True, slots=True)
class Template:
    """A merge template: Jinja source, and for its k-th Jinja tag the place in the issue it came from."""

    source: str
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """A value the issue asks of its reader: where, and whether it is printed without a fallback."""

    attribute: str
    place: Place
    bare: bool


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on the reader: a Jinja expression over `subscriber` and `segment`, and what it governs."""

    expression: str
    place: Place


@dataclass(frozen=True, slots=True)
class Link:
    """A link of the issue: its address (Jinja source where it holds values), its words, its place."""

    url: str
    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class Size:
    """The bytes of HTML that one block takes (all variants together), or the ``frame`` around them.

    `conditions` are those it stands under, from the outermost, each with the outcome that shows it; a loop's
    expression is ``for``.
    """

    kind: str
    bytes: int
    place: Place
    conditions: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture the HTML shows.

    `name` is what it is published as: a hash over the source's bytes and what is done to them, and a suffix.
    `file` is the path relative to the newsletter's folder, or, for a theme's, to what the package carries.
    `width` and `height` are its size in CSS pixels as shown, `pixels` the width of the published file; `play`: with
    the mark of a film drawn on it.
    """

    name: str
    file: str
    width: int
    height: int
    alt: str
    place: Place
    pixels: int = 0
    play: bool = False


ATTACHED = "cid:"
"""An `assets_base` of this and a domain: the pictures travel in the message."""


def picture_address(base: str, name: str) -> str:
    """Where the HTML finds a picture: published under `base`, or attached (RFC 2392).

    >>> picture_address("https://news.example.com/assets", "a1.png"), picture_address("cid:news.example.com", "a1.png")
    ('https://news.example.com/assets/a1.png', 'cid:a1.png@news.example.com')
    """
    return f"{ATTACHED}{name}@{base.removeprefix(ATTACHED)}" if base.startswith(ATTACHED) else f"{base}/{name}"


@dataclass(frozen=True, slots=True)
class CompiledIssue:
    """An issue ready to be merged with any number of subscribers.

    `segments` holds every segment the issue needs, directly or through another, by name, as expressions.
    `constants` are the values of `newsletter` and `issue` in the templates. `audience` is the expression
    of who gets it (``true`` for everyone). `assets_base` is what picture addresses are made of in `html`
    (`picture_address`). `arms` are those of an A/B test with their parts (`digest.audience.arms`), none where
    there is no test. `received` are the issues that some condition asks the ledger for. `content` is the
    condition of who gets anything besides the frame.
    """

    slug: str
    title: str
    language: str
    date: str
    sender: str
    reply_to: str
    audience: str
    subject: Template
    preheader: Template
    html: Template
    text: Template
    segments: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    asks: tuple[Ask, ...] = ()
    links: tuple[Link, ...] = ()
    pictures: tuple[Picture, ...] = ()
    assets_base: str = ""
    sizes: tuple[Size, ...] = ()
    arms: tuple[tuple[str, int], ...] = ()
    received: tuple[str, ...] = ()
    content: str = "true"

    @property
    def attaches(self) -> bool:
        """Whether the pictures travel in the message (``assets.mode = "cid"``)."""
        return self.assets_base.startswith(ATTACHED)

    def arm_in(self, variant: str) -> str:
        """The arm that the readers of a variant (digits, as the ledger keeps it) are in; empty without an A/B test."""
        held = {c.expression for c, digit in zip(self.conditions, variant, strict=False) if digit == "1"}
        return next((name for name, _ in self.arms if f'arm == "{name}"' in held), "")

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over the whole content: two issues that read the same have the same one.

        Places and the slug are left out: moving a paragraph's line or renaming the file changes nothing
        that a reader gets.
        """
        content = self.to_dict()
        for key in ("slug", "conditions", "asks", "links", "sizes", "received", "content"):
            del content[key]
        if not self.arms:
            del content["arms"]
        content = _without_places(content)
        canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, ready for `json.dumps`."""
        return {"format": FORMAT} | asdict(self)

    def to_json(self) -> str:
        """The stored form."""
        return json.dumps(self.to_dict(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> CompiledIssue:
        """Read back what `to_json` wrote. Raises `ValueError` for another format or broken JSON."""
        raw: dict[str, Any] = json.loads(text)
        if raw.pop("format", None) != FORMAT:
            raise ValueError("stored by another version of digest")
        for name in ("subject", "preheader", "html", "text"):
            raw[name] = Template(raw[name]["source"], tuple(Place(**p) for p in raw[name]["places"]))
        for name, kind in (
            ("conditions", Condition),
            ("asks", Ask),
            ("links", Link),
            ("pictures", Picture),
            ("sizes", Size),
        ):
            raw[name] = tuple(kind(**{**v, "place": Place(**v["place"])}) for v in raw[name])
        raw["sizes"] = tuple(
            replace(size, conditions=tuple((c, o) for c, o in size.conditions)) for size in raw["sizes"]
        )
        raw["arms"] = tuple((name, part) for name, part in raw.get("arms", ()))
        raw["received"] = tuple(raw.get("received", ()))
        return cls(**raw)


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_places(v) for k, v in value.items() if k not in ("place", "places")}
    if isinstance(value, list | tuple):
        return [_without_places(v) for v in value]
    return value
