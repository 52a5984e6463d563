"""Composing happens once per issue, however many readers there are."""

from __future__ import annotations

import threading

from digest.compose import composer
from digest.preview.demo import demo


def test_mjml_and_inlining_run_once_in_a_send(monkeypatch) -> None:
    """The whole path, over real SMTP, to thirty readers and three testers: one call of each."""
    calls: list[str] = []

    def count(name: str) -> None:
        real = getattr(composer, name)

        def run(*arguments):
            if threading.current_thread() is threading.main_thread():  # the preview beside it looks in its own
                calls.append(name)
            return real(*arguments)

        monkeypatch.setattr(composer, name, run)

    count("draw_mjml")
    count("inline_css")
    with demo() as running:
        compiled, _ = running.compose()
        sent = running.send(compiled)
    assert sent.accounts.accepted == 30
    assert sent.matched
    assert calls == ["draw_mjml", "inline_css"]
