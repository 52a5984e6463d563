"""The message that asks to confirm: composed from the newsletter's theme like an issue, once for each language."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from digest.audience.subscriber import Subscriber
from digest.compose.compiled import CompiledIssue
from digest.message.envelope import Message
from digest.message.merge import Merger
from digest.newsletter import Newsletter
from digest.sections import AssetsSection, UnsubscribeSection
from digest.web.addresses import ConfirmingIdentity
from digest.web.joining import Due
from digest.web.look import theme_name
from digest.web.words import Words, choose, languages

SLUG = "confirm"
_THEME = "confirmation"

Compose = Callable[[Newsletter, Path], CompiledIssue]
"""Composes an issue file of a newsletter; best in a process of its own."""

# In place of the theme's own: whoever gets this has not subscribed yet, and has nothing to leave.
_FOOTER = """\
---
help: "The end of a message to somebody who has not subscribed yet."
fields:
  body: {from: body, help: "A text of your own before it."}
---
<mj-section css-class="page" background-color="{{ theme.light.page }}" padding="{{ theme.space.l }}px 0">
  <mj-column>
    <mj-text css-class="cell muted prose footer" color="{{ theme.light.muted }}" font-size="{{ theme.sizes.small }}px">
      {% if not newsletter.postal_address.startswith(newsletter.name) %}<p>{{ newsletter.name }}</p>{% endif %}
      <p class="address">{{ newsletter.postal_address }}</p>
    </mj-text>
  </mj-column>
</mj-section>
"""


class Confirmations:
    """Makes the messages. Raises `InputError` when the theme can't be composed with."""

    def __init__(self, newsletter: Newsletter, compose: Compose) -> None:
        self._own_language = newsletter.settings.newsletter.language
        settings = newsletter.settings.model_copy(update={"unsubscribe": UnsubscribeSection()})
        identity = ConfirmingIdentity.of(settings)
        today = datetime.now(UTC).date()
        compiled = _composed(newsletter, compose)
        self._mergers = {tag: Merger(issue, identity, today=today) for tag, issue in compiled.items()}

    def message(self, wanted: Due) -> Message:
        """The message for one who asked, in their language. Raises `MergeError`."""
        merger = self._mergers[choose(wanted.language, self._own_language)]
        reader = Subscriber(0, wanted.token, wanted.email, "pending", {"email": wanted.email, "tags": ()})
        return merger.message(reader, date=datetime.now(UTC))


def _composed(newsletter: Newsletter, compose: Compose) -> Mapping[str, CompiledIssue]:
    settings = newsletter.settings
    hosted = settings.assets.base_url or f"{settings.newsletter.base_url}/assets"
    plain = settings.model_copy(
        update={"unsubscribe": UnsubscribeSection(), "assets": AssetsSection(mode="hosted", base_url=hosted)}
    )
    with tempfile.TemporaryDirectory(prefix="digest-confirmation-") as temporary:
        root = Path(temporary).resolve()
        if (newsletter.root / "templates").is_dir():
            shutil.copytree(newsletter.root / "templates", root / "templates")
        theme = root / "templates" / _THEME
        (theme / "blocks").mkdir(parents=True, exist_ok=True)
        (theme / "theme.toml").write_text(f'name = "{_THEME}"\nextends = {json.dumps(theme_name(newsletter))}\n')
        (theme / "blocks" / "footer.mjml").write_text(_FOOTER)
        (root / "issues").mkdir()
        found = {}
        for language, texts in languages().items():
            say = Words(language, texts, {"newsletter": "{{ newsletter.name }}"})
            file = root / "issues" / f"{SLUG}.md"
            file.write_text(_written(say), encoding="utf-8")
            found[language] = compose(Newsletter(root, plain), file)
        return found


def _written(say: Words) -> str:
    front = {
        "subject": say("mail.subject"),
        "preheader": say("mail.preheader"),
        "date": datetime.now(UTC).date().isoformat(),
        "language": say.language,
        "theme": _THEME,
        "status": "draft",
    }
    head = "\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in front.items())
    return (
        f"---\n{head}\n---\n\n# {say('mail.heading')}\n\n{say('mail.text')}\n\n"
        f"[{say('mail.button')}]({{{{ links.view }}}}){{.button}}\n\n{say('mail.ignore')}\n"
    )
