"""The views of an issue beside the email itself: what each one's template shows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_bytes, policy
from functools import lru_cache
from typing import Any, get_args

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import HtmlLexer

from digest.compose.compiled import CLIPPED
from digest.delivery.ledger import Entry
from digest.delivery.providers import PROVIDERS
from digest.delivery.signing import signing
from digest.errors import DigestError, InputError
from digest.message.envelope import Message
from digest.message.merge import MergeError, Rendering
from digest.preview.headers import explained
from digest.preview.links import links_of
from digest.preview.readers import Choice
from digest.preview.rows import rows
from digest.preview.shell import Shell
from digest.preview.standing import readers_in, standings
from digest.preview.variants import Counting
from digest.preview.view import State, View
from digest.preview.workbench import Look

log = logging.getLogger(__name__)


class Views:
    """Makes the context of a view: ``{}`` where there is nothing more to know."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def of(
        self, view: View, look: Look, chosen: Choice, rendering: Rendering | None, marked: Rendering | None
    ) -> dict[str, Any]:
        """What the view that is asked for needs of an issue as this reader gets it."""
        if view.show == "run":
            return self._run(look, view)
        compiled = look.compiled
        if rendering is None or marked is None or compiled is None:
            return {}
        made: dict[str, Callable[[], dict[str, Any]]] = {
            "row": lambda: {"rows": rows(rendering, self._shell.sender_name(compiled.sender))},
            "source": lambda: {"lines": coloured(rendering.html)},
            "message": lambda: self._message(look, chosen),
            "links": lambda: {"links": links_of(marked.html, compiled.links)},
            "sizes": lambda: self._sizes(look, rendering),
            "variants": lambda: self._variants(look),
        }
        return made[view.show]() if view.show in made else {}

    def message_of(self, look: Look, chosen: Choice) -> Message | None:
        """The whole message with inert links, signed where there are keys; None for a reader who can't have one."""
        newsletter = self._shell.workbench.newsletter
        try:
            merger = self._shell.workbench.merger(look)
            if merger is None or chosen.subscriber is None:
                return None
            message = merger.message(chosen.subscriber, date=datetime.now(UTC), purpose="dry")
        except (MergeError, InputError):
            return None
        try:
            unsigned = PROVIDERS[newsletter.settings.smtp.provider].unsigned
            sign = signing(newsletter.settings, newsletter.root, unsigned)
        except DigestError as exc:  # a preview does without; a send names it
            log.info("not signed: %s", exc)
            return message
        return sign(message) if sign else message

    def _message(self, look: Look, chosen: Choice) -> dict[str, Any]:
        message = self.message_of(look, chosen)
        if message is None:
            return {"fields": [], "parts": [], "bytes": 0}
        parsed = message_from_bytes(message.data, policy=policy.default)
        parts = []
        for part in parsed.walk():
            inside = part.get_payload(decode=True)
            size = len(inside) if isinstance(inside, bytes) else 0
            parts.append((part.get_content_type(), part.get_filename() or "", size))
        return {"fields": explained(message), "parts": parts, "bytes": len(message.data)}

    def _sizes(self, look: Look, rendering: Rendering) -> dict[str, Any]:
        sizes = sorted(self._shell.workbench.sizes(look), key=lambda size: -size.bytes)
        total = sum(size.bytes for size in sizes)
        return {
            "sizes": sizes,
            "total": total,
            "largest": max((size.bytes for size in sizes), default=1),
            "mine": len(rendering.html.encode()),
            "text": len(rendering.text.encode()),
            "clipped": CLIPPED,
            "pictures": look.compiled.pictures if look.compiled else (),
        }

    def _variants(self, look: Look) -> dict[str, Any]:
        workbench = self._shell.workbench
        found = workbench.variants.of(workbench.newsletter, look.twin) if look.twin else None
        counting = isinstance(found, Counting)
        return {"matrix": None if counting else found, "counting": found if counting else None}

    def _run(self, look: Look, view: View) -> dict[str, Any]:
        newsletter = self._shell.workbench.newsletter
        standing = standings(newsletter, {look.slug: look.front})[look.slug]
        if standing.run is None or standing.accounts is None:
            return {"standing": standing, "states": [], "lists": []}
        states = [(state, standing.accounts.number(state)) for state in get_args(State) if state]
        # Names are wanted where something is to be done or understood; of those who have it when asked for.
        told = [(s, number) for s, number in states if number and s not in ("accepted", "waiting")]
        asked = [(view.state, standing.accounts.number(view.state))] if view.state else told
        lists = []
        for state, number in asked:
            entries, more = readers_in(newsletter, standing.run, state, find=view.find, after=view.after)
            lists.append((state, number, [(entry, _moment(entry)) for entry in entries], more))
        return {"standing": standing, "states": states, "lists": lists}


def _moment(entry: Entry) -> str:
    """When a reader's place in the run last changed, in this machine's time."""
    return datetime.fromtimestamp(entry.updated_at / 1_000_000).astimezone().strftime("%-d %b, %H:%M:%S")


@lru_cache(maxsize=8)
def coloured(html: str) -> list[str]:
    """Lines of HTML with the kinds of their words as classes, escaped.

    >>> coloured("<p>")
    ['<span class="p">&lt;</span><span class="nt">p</span><span class="p">&gt;</span>']
    """
    shown = highlight(html, HtmlLexer(stripnl=False, ensurenl=False), HtmlFormatter(nowrap=True))
    return shown.removesuffix("\n").split("\n")
