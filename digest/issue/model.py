"""A written issue as values: front matter, a tree of nodes, and the Jinja tags found in it.

In texts and attribute values Jinja stands as *tokens*, opaque ASCII words such as ``Zq4f9a1cE0001qZ`` that no
later stage reads or breaks; `Issue.tags` says what each one stands for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from digest.errors import Place, Problem

TagKind = Literal["print", "if", "elif", "else", "endif", "for", "endfor", "set"]


@dataclass(frozen=True, slots=True)
class Tag:
    """One Jinja tag of the author.

    `source` is what stands between the braces (``subscriber.name`` or ``if subscriber.plan == "pro"``), `raw`
    the tag as written, braces included.
    """

    token: str
    kind: TagKind
    source: str
    raw: str
    place: Place


@dataclass(frozen=True, slots=True)
class Node:
    """One piece of the issue.

    Kinds. Structure: ``block`` (`text` is its kind), ``statement`` (`text` is one or more tokens that condition
    the nodes after it). Blocks of Markdown: ``paragraph heading list item quote code table row cell rule html
    definitions term definition notes note``. Inline: ``text strong em strike code_span link image break softbreak
    html note_ref``. `attrs` hold what the author put in braces, and what the kind itself needs (``href``, ``src``,
    ``title``, ``level``, ``ordered``, ``start``, ``align``, ``info``, ``task``, ``number``).
    """

    kind: str
    place: Place
    text: str = ""
    attrs: Mapping[str, str] = field(default_factory=dict)
    children: tuple[Node, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The words of the ``class`` attribute."""
        return tuple(self.attrs.get("class", "").split())

    def walk(self) -> Iterator[Node]:
        """This node and all below it, in reading order."""
        left = [self]
        while left:
            node = left.pop()
            yield node
            left.extend(reversed(node.children))

    @property
    def plain(self) -> str:
        """The words in it (tokens included), without markup; one line."""
        words = (n.text if n.kind in ("text", "code_span") else " " for n in self.walk() if n.kind in _WORDS)
        return " ".join("".join(words).split())


_WORDS = ("text", "code_span", "softbreak", "break")


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """What stands above the text, typed. Texts may hold tokens. `places` gives each key's line."""

    subject: str
    subject_for: Mapping[str, str] = field(default_factory=dict)
    preheader: str = ""
    title: str = ""
    date: date = date.min
    authors: tuple[str, ...] = ()
    audience: str = "all"
    status: Literal["draft", "ready"] = "draft"
    send_at: datetime | None = None
    timezone: str = ""
    theme: str = "median"
    language: str = ""
    trusted: bool = False
    arms: tuple[tuple[str, int], ...] = ()
    places: Mapping[str, Place] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Issue:
    """A parsed issue. `problems` is empty when it may be composed; the tree is then complete.

    `nonce` is in every token of this issue and nowhere in its text.
    """

    slug: str
    path: Path
    file: str
    front: FrontMatter
    body: tuple[Node, ...]
    tags: Mapping[str, Tag]
    nonce: str = "000000"
    problems: tuple[Problem, ...] = ()
