"""Accessibility by axe-core, in a real browser: the sample issue in every theme, light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from digest.compose.composer import compile_issue
from digest.newsletter import Newsletter

THEMES = sorted(f.parent.name for f in (Path(__file__).parents[2] / "templates").glob("*/theme.toml"))
SLUG = "2025-09-12-coopetition"
# A message is one article inside a mail program's page, whose landmarks these two rules ask for.
OF_THE_MAIL_PROGRAM = ("region", "landmark-one-main")
READER = {"plan": "enterprise", "first_name": "Ada", "desk_url": "https://desk.example.com/", "city": "Köln"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("theme", THEMES)
def test_no_violations(chromium, newsletter, render, tmp_path, theme: str, scheme: str) -> None:
    """No rule of axe-core is broken, colour contrast among them."""
    file = newsletter.find_issue(SLUG)
    file.write_text(file.read_text().replace("authors: [ada]", f"authors: [ada]\ntheme: {theme}"))
    compiled = compile_issue(Newsletter.open(newsletter.root), file, assets_base=(file.parent).as_uri())
    page_file = tmp_path / "page.html"
    page_file.write_text(render(compiled, **READER).html)
    page = chromium.new_page(viewport={"width": 600, "height": 900}, color_scheme=scheme)
    page.goto(page_file.as_uri())
    results = Axe().run(page, options={"rules": {rule: {"enabled": False} for rule in OF_THE_MAIL_PROGRAM}})
    page.close()
    assert results.violations_count == 0, results.generate_report()
