"""The theme in a real browser: the sample issue, and an issue with every kind of block, measured and pictured.

Screenshots of each issue, width and colour scheme go to the folder named in ``EMAIL_PICTURES``, else to a
temporary one.
"""

import re
import shutil
import tomllib
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from digest.audience.subscriber import Subscriber
from digest.compose.composer import compile_issue
from digest.message.identity import Identity
from digest.message.merge import Merger
from digest.newsletter import Newsletter

SCHEMES = ("light", "dark")
WIDTHS = (320, 375, 600, 1280)
ISSUES = ("2025-09-12-coopetition", "2025-01-03-everything")


@pytest.fixture(scope="module")
def newsletter(tmp_path_factory: pytest.TempPathFactory, repository: Path, of_each_kind: dict[str, str]) -> Newsletter:
    root = tmp_path_factory.mktemp("theme")
    for name in ("config", "templates", "issues"):
        shutil.copytree(repository / name, root / name)
    everything = root / "issues" / ISSUES[1]
    everything.mkdir()
    (everything / "index.md").write_text(of_each_kind["everything"], "utf-8")
    shutil.copy(root / "issues" / ISSUES[0] / "hero.png", everything)
    return Newsletter.open(root)


@pytest.fixture(scope="module")
def tokens(newsletter: Newsletter) -> dict[str, Any]:
    return tomllib.loads((newsletter.root / "templates/median/theme.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def mails(newsletter: Newsletter, ada: Subscriber) -> dict[str, str]:
    """The issues' HTML as one reader of the largest variant gets it, with pictures from local files."""
    assets = newsletter.root / "assets"
    assets.mkdir()
    made = {}
    for slug in ISSUES:
        compiled = compile_issue(newsletter, newsletter.find_issue(slug), assets_base=assets.as_uri())
        for picture in compiled.pictures:
            shutil.copy(newsletter.root / picture.file, assets / picture.name)
        merger = Merger(compiled, Identity.of(newsletter.settings), today=date(2025, 9, 12))
        made[slug] = merger.rendering(ada).html
    return made


class Reader:
    """Opens the issues in a window of some width and colour scheme."""

    def __init__(self, browser: Browser, mails: dict[str, str], folder: Path) -> None:
        self._browser, self._folder = browser, folder
        for slug, html in mails.items():
            (folder / f"{slug}.html").write_text(html, "utf-8")

    def open(self, slug: str, width: int = 375, scheme: str = "light") -> Page:
        context = self._browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]  # one of SCHEMES
        page = context.new_page()
        page.goto((self._folder / f"{slug}.html").as_uri())
        return page


@pytest.fixture(scope="module")
def reader(chromium: Browser, mails: dict[str, str], newsletter: Newsletter) -> Reader:
    return Reader(chromium, mails, newsletter.root)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("slug", ISSUES)
def test_nothing_is_wider_than_the_window(reader: Reader, pictures: Path, slug: str, width: int, scheme: str) -> None:
    """No width from 320 px on needs a horizontal scroll, and a picture is never stretched or squeezed."""
    page = reader.open(slug, width, scheme)
    page.screenshot(path=pictures / f"{slug}-{width}-{scheme}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shapes = page.evaluate(
        "[...document.images].map(i => [i.naturalWidth, i.width / i.height / (i.naturalWidth / i.naturalHeight)])"
    )
    assert shapes
    assert all(natural and abs(shape - 1) < 0.02 for natural, shape in shapes)
    page.context.close()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("slug", ISSUES)
def test_every_text_has_contrast(reader: Reader, paint: str, slug: str, scheme: str) -> None:
    """Every text stands out from what is behind it by 4.5:1 or more (WCAG 2.2, 1.4.3), light and dark."""
    page = reader.open(slug, scheme=scheme)
    texts, _ = page.evaluate(paint)
    assert len(texts) > 60
    assert [words for ratio, words in texts if ratio < 4.5] == []
    page.context.close()


@pytest.mark.parametrize("slug", ISSUES)
def test_every_colour_has_its_dark_twin(reader: Reader, paint: str, tokens: dict[str, Any], slug: str) -> None:
    """In dark mode nothing is painted in a colour that the theme does not name for it."""
    page = reader.open(slug, scheme="dark")
    _, colours = page.evaluate(paint)
    assert _strangers(colours, tokens) == []
    page.context.close()


@pytest.mark.parametrize("slug", ISSUES)
def test_outlook_com_gets_the_same_dark_colours(reader: Reader, paint: str, tokens: dict[str, Any], slug: str) -> None:
    """Under Outlook.com's own marks every colour is the theme's dark one, as under prefers-color-scheme."""
    page = reader.open(slug, scheme="light")
    # The page itself belongs to Outlook.com: what it marks are elements of the mail.
    page.evaluate("for (const m of ['data-ogsc', 'data-ogsb']) document.documentElement.setAttribute(m, '')")
    _, colours = page.evaluate(paint)
    assert _strangers([c for c in colours if not c.startswith("line")], tokens) == []
    page.context.close()


def _strangers(colours: list[str], tokens: dict[str, Any]) -> list[str]:
    known = {value.upper() for value in tokens["colors"]["dark"].values()}
    return sorted(c for c in colours if c.split()[1] not in known)


@pytest.mark.parametrize("slug", ISSUES)
def test_a_finger_can_hit_what_is_to_be_tapped(reader: Reader, slug: str) -> None:
    """Buttons, answers and entries are at least 44 px high on a phone, and body text at least 16 px."""
    page = reader.open(slug)
    low = page.evaluate(
        "[...document.links].filter(a => getComputedStyle(a).display !== 'inline' && a.getBoundingClientRect()"
        ".height < 44).map(a => a.textContent)"
    )
    assert low == []
    assert page.locator("a.button, a.answer, a.entry-link, a.pill").count() > 5
    sizes = page.evaluate(
        "[...document.querySelectorAll('.ink p')].filter(p => !p.closest('blockquote'))"
        ".map(p => [p.className, getComputedStyle(p).fontSize])"
    )
    assert {size for name, size in sizes if not name} <= {"17px", "18px"}
    page.context.close()


@pytest.mark.parametrize("slug", ISSUES)
def test_a_screen_reader_finds_its_way(reader: Reader, slug: str) -> None:
    """One h1, no heading level left out, a language, a name for each picture, and layout tables marked as such."""
    page = reader.open(slug)
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => +h.tagName[1])")
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("[...document.images].filter(i => !i.alt).length") == 0
    bare = page.locator('table:not([role="presentation"]):not(.data)')
    assert bare.evaluate_all("all => all.map(t => t.outerHTML.slice(0, 200))") == []
    page.context.close()


@pytest.mark.parametrize("slug", ISSUES)
def test_links_within_the_issue_lead_somewhere(reader: Reader, slug: str) -> None:
    """Each link to a part of the issue has that part."""
    page = reader.open(slug)
    lost = page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href'))"
        ".filter(h => !document.getElementById(h.slice(1)))"
    )
    assert lost == []
    assert page.locator('a[href^="#"]').count() > 0
    page.context.close()


def test_text_may_be_twice_as_large(reader: Reader) -> None:
    """With all text at 200 % (WCAG 2.2, 1.4.4) a phone still needs no horizontal scroll."""
    page = reader.open(ISSUES[0])
    page.evaluate(
        "const all = [...document.querySelectorAll('body *')].map(e => [e, parseFloat(getComputedStyle(e).fontSize)]);"
        "for (const [e, size] of all) if (size > 4) e.style.setProperty('font-size', `${size * 2}px`, 'important')"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.context.close()


def test_gmail_keeps_all_of_it(mails: dict[str, str]) -> None:
    """The sample is under 75 KB; each style sheet in the head is under 16 KB and nests no at-rule in another."""
    assert len(mails[ISSUES[0]].encode()) < 75_000
    for html in mails.values():
        sheets = re.findall(r"<style[^>]*>(.*?)</style>", html, re.DOTALL)
        assert sum(len(sheet.encode()) for sheet in sheets) < 16_000
        assert not any(re.search(r"@[^{}]*\{[^{}]*(\{[^{}]*\}[^{}]*)*@", sheet) for sheet in sheets)


def test_outlook_finds_its_colours(mails: dict[str, str]) -> None:
    """Every colour in the mail is written with six digits, the only form that Outlook reads."""
    for html in mails.values():
        assert re.findall(r"(?:color|background|border[a-z-]*):[^;\"}]*#(?![0-9A-Fa-f]{6}\b)\w+", html) == []
