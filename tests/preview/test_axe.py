"""The workbench's own pages under axe-core, in light and dark, wide and narrow."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

import pytest

MAIN = [
    "/",
    "/issues/first",
    "/issues/first?show=row",
    "/issues/first?show=message",
    "/compare?a=first&bs=segment-pro",
    "/inbox",
]
OTHERS = [
    *(f"/issues/first?show={view}" for view in ("text", "source", "links", "sizes", "variants", "run")),
    "/issues/first?beside=colours",
    "/issues/first/problems",
    "/inbox/1",
    "/inbox/1?part=attachments",
    "/u/token",
    "/nothing",
]
# Of a source of thousands of words the first lines tell what all look like.
FEW_LINES = {"exclude": [[".code tr:nth-of-type(n+20)"]]}


@pytest.mark.parametrize(("width", "paths"), [(1440, [*MAIN, *OTHERS]), (375, MAIN)])
def test_pages_have_no_violations(chromium: Any, standing: Any, width: int, paths: list[str]) -> None:
    """No page has a violation that axe-core finds, in light or dark; none scrolls sideways."""
    from axe_playwright_python.sync_playwright import Axe

    if not len(standing.inbox):
        message = EmailMessage()
        message["Subject"] = "Hello"
        message.set_content("Words")
        message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="report.pdf")
        for _ in range(10):  # the contrast of a single figure is not judged
            standing.inbox.add("w@example.com", "a@example.com", message.as_bytes())
    context = chromium.new_context(viewport={"width": width, "height": 900}, bypass_csp=True, reduced_motion="reduce")
    page, axe = context.new_page(), Axe()
    # The emails in frames are the themes' own, and tested there. Dark differs in colours alone.
    light, dark = {"iframes": False}, {"iframes": False, "runOnly": ["color-contrast"]}
    found = []
    try:
        for path in paths:
            page.emulate_media(color_scheme="light")
            page.goto(standing.url + path)
            for scheme, options in (("light", light), ("dark", dark)):
                page.emulate_media(color_scheme=scheme)
                violations = axe.run(page, context=FEW_LINES, options=options).response["violations"]
                found += [f"{path} {scheme}: {v['id']}: {n['html'][:160]}" for v in violations for n in v["nodes"]]
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                found.append(f"{path}: scrolls sideways")
    finally:
        context.close()
    assert found == []
