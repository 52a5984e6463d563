"""The themes that extend median, and the further kinds of block in all three, measured in a real browser.

Screenshots of the sample in each theme, width and colour scheme (of every issue, when ``EMAIL_PICTURES`` names a
folder) go to that folder, else to a temporary one.
"""

import os
import re
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from digest.audience.subscriber import Subscriber
from digest.compose.composer import compile_issue
from digest.compose.pictures import picture_bytes
from digest.message.identity import Identity
from digest.message.merge import Merger
from digest.newsletter import Newsletter

THEMES = ("median", "letter", "bulletin")
SCHEMES = ("light", "dark")
WIDTHS = (320, 375, 600, 1280)
SAMPLE = "2025-09-12-coopetition"
ISSUES = ("sample", "everything", "further")
CASES = [(theme, issue) for theme in THEMES for issue in ISSUES if theme != "median" or issue == "further"]
Case = tuple[str, str]


@pytest.fixture(scope="module")
def newsletter(tmp_path_factory: pytest.TempPathFactory, repository: Path, of_each_kind: dict[str, str]) -> Newsletter:
    """A copy of the repository's newsletter with each issue once in each theme, as ``<theme>-<issue>``."""
    root = tmp_path_factory.mktemp("themes")
    for name in ("config", "templates", "issues"):
        shutil.copytree(repository / name, root / name)
    sample = root / "issues" / SAMPLE
    texts = {"sample": (sample / "index.md").read_text("utf-8"), **of_each_kind}
    for theme, issue in CASES:
        folder = root / "issues" / f"{theme}-{issue}"
        folder.mkdir()
        (folder / "index.md").write_text(texts[issue].replace("\ndate:", f"\ntheme: {theme}\ndate:", 1), "utf-8")
        for picture in sample.glob("*.png"):
            shutil.copy(picture, folder)
        _portrait(folder / "hero.png", folder / "portrait.png")
    return Newsletter.open(root)


def _portrait(picture: Path, square: Path) -> None:
    from PIL import Image

    with Image.open(picture) as image:
        image.crop((0, 0, image.height, image.height)).save(square)


@pytest.fixture(scope="module")
def mergers(newsletter: Newsletter) -> dict[Case, Merger]:
    """Every issue composed, its pictures in a local folder."""
    assets = newsletter.root / "assets"
    assets.mkdir()
    made = {}
    for theme, issue in CASES:
        file = newsletter.find_issue(f"{theme}-{issue}")
        compiled = compile_issue(newsletter, file, assets_base=assets.as_uri())
        for picture in compiled.pictures:
            source = newsletter.root / picture.file  # quicker than what is published of it
            data = picture_bytes(newsletter, picture)[0] if picture.play else source.read_bytes()
            (assets / picture.name).write_bytes(data)
        made[theme, issue] = Merger(compiled, Identity.of(newsletter.settings), today=date(2025, 9, 12))
    return made


@pytest.fixture(scope="module")
def mails(mergers: dict[Case, Merger], ada: Subscriber) -> dict[Case, str]:
    """The HTML that a reader in every segment gets."""
    return {case: merger.rendering(ada).html for case, merger in mergers.items()}


@pytest.fixture(scope="module")
def tokens(newsletter: Newsletter) -> dict[str, dict[str, Any]]:
    """Each theme's own tokens, by its name."""
    folder = newsletter.root / "templates"
    return {t: tomllib.loads((folder / t / "theme.toml").read_text("utf-8")) for t in THEMES}


Show = Callable[..., Page]


@pytest.fixture(scope="module")
def show(chromium: Browser, newsletter: Newsletter) -> Show:
    """Open HTML in the window, at some width and in some colour scheme."""
    page = chromium.new_page()
    file = newsletter.root / "mail.html"

    def run(html: str, width: int = 375, scheme: Any = "light") -> Page:
        file.write_text(html, "utf-8")
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.goto(file.as_uri())
        return page

    return run


every_case = pytest.mark.parametrize("case", CASES, ids="-".join)
every_theme = pytest.mark.parametrize("theme", THEMES)


# ---- what every mail must be


@pytest.mark.parametrize("scheme", SCHEMES)
@every_case
def test_nothing_is_wider_than_the_window(
    show: Show, mails: dict[Case, str], pictures: Path, case: Case, scheme: Any
) -> None:
    """No width from 320 px on needs a horizontal scroll, and a picture is never stretched or squeezed."""
    page = show(mails[case], scheme=scheme)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        if case[1] == "sample" or "EMAIL_PICTURES" in os.environ:
            page.screenshot(path=pictures / f"{'-'.join(case)}-{width}-{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        shapes = page.evaluate(
            "[...document.images].map(i => [i.alt, i.naturalWidth,"
            " i.width / i.height / (i.naturalWidth / i.naturalHeight)])"
        )
        assert shapes
        assert [s for s in shapes if not s[1] or abs(s[2] - 1) > 0.02] == []


@pytest.mark.parametrize("scheme", SCHEMES)
@every_case
def test_every_text_has_contrast(show: Show, paint: str, mails: dict[Case, str], case: Case, scheme: Any) -> None:
    """Every text stands out from what is behind it by 4.5:1 or more (WCAG 2.2, 1.4.3), light and dark."""
    texts, _ = show(mails[case], scheme=scheme).evaluate(paint)
    assert len(texts) > 50
    assert [words for ratio, words in texts if ratio < 4.5] == []


@every_case
def test_every_colour_has_its_dark_twin(
    show: Show, paint: str, mails: dict[Case, str], tokens: dict[str, dict[str, Any]], case: Case
) -> None:
    """In dark mode nothing is painted in a colour that the theme does not name for it, in Outlook.com neither."""
    known = {value.upper() for value in tokens[case[0]]["colors"]["dark"].values()}
    _, colours = show(mails[case], scheme="dark").evaluate(paint)
    assert sorted(c for c in colours if c.split()[1] not in known) == []
    page = show(mails[case], scheme="light")
    # The page itself belongs to Outlook.com: what it marks are elements of the mail.
    page.evaluate("for (const m of ['data-ogsc', 'data-ogsb']) document.documentElement.setAttribute(m, '')")
    _, colours = page.evaluate(paint)
    assert sorted(c for c in colours if c.split()[1] not in known and not c.startswith("line")) == []


@every_case
def test_a_finger_can_hit_what_is_to_be_tapped(show: Show, mails: dict[Case, str], case: Case) -> None:
    """Buttons, answers, entries, pills and play bars are at least 44 px high on a phone; text is 16 px or more."""
    page = show(mails[case])
    low = page.evaluate(
        "[...document.links].filter(a => getComputedStyle(a).display !== 'inline' && !a.querySelector('img')"
        " && a.getBoundingClientRect().height < 44).map(a => a.textContent)"
    )
    assert low == []
    assert page.locator("a.button, a.answer, a.entry-link, a.pill, a.play").count() > 5
    sizes = page.evaluate(
        "[...document.querySelectorAll('.ink p:not([class]), .on-cover p:not([class]), .ink li, .ink dd')]"
        ".map(p => parseFloat(getComputedStyle(p).fontSize))"
    )
    assert min(sizes) >= 16


@every_case
def test_a_screen_reader_finds_its_way(show: Show, mails: dict[Case, str], case: Case) -> None:
    """One h1, no heading level left out, a name for each picture, layout tables marked as such, links that lead."""
    page = show(mails[case])
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => +h.tagName[1])")
    assert levels.count(1) == 1
    if case[1] != "everything":  # where a block without a title follows the headline on purpose
        assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.evaluate("[...document.images].filter(i => !i.alt).length") == 0
    bare = page.locator('table:not([role="presentation"]):not(.data)')
    assert bare.evaluate_all("all => all.map(t => t.outerHTML.slice(0, 200))") == []
    lost = page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href'))"
        ".filter(h => !document.getElementById(h.slice(1)))"
    )
    assert lost == []


@every_theme
def test_text_may_be_twice_as_large(show: Show, mails: dict[Case, str], theme: str) -> None:
    """With all text at 200 % (WCAG 2.2, 1.4.4) a phone still needs no horizontal scroll."""
    page = show(mails[theme, "further" if theme == "median" else "sample"])
    page.evaluate(
        "const all = [...document.querySelectorAll('body *')].map(e => [e, parseFloat(getComputedStyle(e).fontSize)]);"
        "for (const [e, size] of all) if (size > 4) e.style.setProperty('font-size', `${size * 2}px`, 'important')"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


@every_case
def test_gmail_and_outlook_keep_all_of_it(mails: dict[Case, str], case: Case) -> None:
    """A mail is under 90 KB (the sample 75), its sheets under 16 KB without nested at-rules, its colours six digits."""
    html = mails[case]
    assert len(html.encode()) < (75_000 if case[1] == "sample" else 90_000)
    sheets = re.findall(r"<style[^>]*>(.*?)</style>", html, re.DOTALL)
    assert sum(len(sheet.encode()) for sheet in sheets) < 16_000
    assert not any(re.search(r"@[^{}]*\{[^{}]*(\{[^{}]*\}[^{}]*)*@", sheet) for sheet in sheets)
    assert re.findall(r"(?:color|background|border[a-z-]*):[^;\"}]*#(?![0-9A-Fa-f]{6}\b)\w+", html) == []


@pytest.mark.parametrize("theme", THEMES[1:])
def test_a_theme_has_colours_of_its_own(tokens: dict[str, dict[str, Any]], theme: str) -> None:
    """Each colour that median names has a value of the theme's own, light and dark; only white may be the same."""
    for scheme in SCHEMES:
        base, own = tokens["median"]["colors"][scheme], tokens[theme]["colors"][scheme]
        assert base.keys() <= own.keys()
        assert {*base.values()} & {*own.values()} <= {"#FFFFFF"}


GROUNDS = ("page", "card", "tint", "mark", "bloom", "cover", "cover_soft", "button")


@every_theme
def test_forced_inversion_takes_ground_and_text_alike(tokens: dict[str, dict[str, Any]], theme: str) -> None:
    """Clients that darken by force lighten dark text, but darken only grounds of a brightness above 205 of 255.

    A ground between the two thresholds (150 and 205, Chromium's and so Android's) would keep its colour under text
    that has become white.
    """
    for name in GROUNDS:
        value = tokens[theme]["colors"]["light"][name]
        red, green, blue = (int(value[at : at + 2], 16) for at in (1, 3, 5))
        assert not 150 <= (299 * red + 587 * green + 114 * blue) / 1000 <= 205, name


# ---- the further kinds


@every_theme
def test_columns_stand_abreast_and_stack_on_phones(show: Show, mails: dict[Case, str], theme: str) -> None:
    """On a wide window items stand two or three to a row; on a phone each takes the whole width."""
    rows = "[...document.querySelectorAll('{}')].map(e => Math.round(e.getBoundingClientRect().top))"
    wide = show(mails[theme, "further"], 600)
    assert len(set(wide.evaluate(rows.format(".statistics .abreast-3")))) == 1
    assert len(set(wide.evaluate(rows.format(".columns .abreast-2")))) == 2  # three items
    assert len(set(wide.evaluate(rows.format(".tiles .abreast-2")))) == 2
    heights = "[...document.querySelectorAll('.tiles .tile')].slice(0, 2).map(e => e.getBoundingClientRect().height)"
    left, right = wide.evaluate(heights)
    assert abs(left - right) < 1  # a pair of cards ends on one line
    phone = show(mails[theme, "further"], 375)
    for kind in (".statistics", ".columns", ".tiles"):
        tops = phone.evaluate(rows.format(f"{kind} .abreast"))
        assert tops == sorted(set(tops))
        widths = phone.evaluate(
            f"[...document.querySelectorAll('{kind} .abreast')].map(e => e.offsetWidth / e.parentElement.clientWidth)"
        )
        assert set(widths) == {1}


@every_theme
def test_an_item_left_out_leaves_the_layout_whole(
    show: Show, mergers: dict[Case, Merger], ada: Subscriber, theme: str
) -> None:
    """For a reader who does not get some items the next ones move up, and every tag still has its end."""
    merger = mergers[theme, "further"]
    # As she is, but not in the segment beta.
    html = merger.rendering(replace(ada, values={**ada.values, "tags": ()})).html
    for each in (html, merger.rendering(ada).html):
        assert _unbalanced(_as_browsers(each)) == []
        assert _unbalanced(_as_outlook(each)) == []
    page = show(html, 600)
    tops = "[...document.querySelectorAll('.columns .abreast-2')].map(e => Math.round(e.getBoundingClientRect().top))"
    first, second = page.evaluate(tops)
    assert first == second
    assert page.locator(".statistics .abreast").count() == 4
    assert page.locator(".tile").count() == 4
    assert page.evaluate("document.documentElement.scrollWidth") <= 600


@every_theme
def test_a_table_of_class_stack_is_cards_on_phones(show: Show, mails: dict[Case, str], theme: str) -> None:
    """Each row a card whose cells carry their column's title; on a wide window a table like any other."""
    tops = "[...document.querySelectorAll('.stack tbody tr:first-child td')].map(e => e.getBoundingClientRect().top)"
    labels = "[...document.querySelectorAll('.stack tbody tr:first-child .cell-label')].map(e => e.offsetHeight > 0)"
    wide = show(mails[theme, "further"], 600)
    assert len(set(wide.evaluate(tops))) == 1
    assert set(wide.evaluate(labels)) == {False}
    phone = show(mails[theme, "further"], 375)
    assert len(set(phone.evaluate(tops))) == 3
    assert set(phone.evaluate(labels)) == {True}
    assert not phone.locator(".stack thead").is_visible()
    assert phone.evaluate("(t => t.scrollWidth <= t.clientWidth)(document.querySelector('.stack'))")


@every_theme
def test_a_film_is_a_link_that_says_so(show: Show, mails: dict[Case, str], theme: str) -> None:
    """The still and the bar below it lead to the film; the play mark is not read out."""
    page = show(mails[theme, "further"])
    links = page.locator('.video a[href="https://example.com/watch"]')
    assert links.count() == 4
    assert page.locator("a.play").all_inner_texts() == ["▶︎\xa0\xa0Explained in 24 minutes", "▶︎\xa0\xa0Watch"]
    assert page.locator(".play-mark:not([aria-hidden])").count() == 0


@every_theme
def test_a_square_portrait_is_round(show: Show, mails: dict[Case, str], theme: str) -> None:
    """A square portrait is shown round, beside the name also on a phone."""
    page = show(mails[theme, "further"], 320)
    corner = page.locator(".portrait-cell img").evaluate("e => getComputedStyle(e).borderTopLeftRadius")
    assert corner == "50%"
    portrait, words = page.locator(".portrait-cell").bounding_box(), page.locator(".signature-cell").bounding_box()
    assert portrait is not None
    assert words is not None
    assert abs(portrait["y"] - words["y"]) < 1


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ("::: columns {count=4}\n### A\nText.\n:::", "columns: count can't be “4”"),
        ("::: cards {count=3}\n### A\nText.\n:::", "cards: count can't be “3”"),
        ("::: spacer {size=huge}\n:::", "spacer: size can't be “huge”"),
        ("::: statistics\nNo number.\n:::", "statistics needs its items"),
        ("::: video\n## No picture\n:::", "video needs its picture"),
        ("::: video\n![A clock](issues/2025-09-12-coopetition/hero.png)\n:::", "the picture of video is no link"),
        ("::: signature\nNo name.\n:::", "signature needs its name"),
        ("::: social\nNo links.\n:::", "social needs its accounts"),
        ("::: callout\n## No words\n:::", "callout needs its body"),
    ],
)
def test_a_kind_says_what_it_needs(told: Callable[..., list[str]], written: str, wrong: str) -> None:
    """A value that a kind does not know, or a part that it needs and lacks, is told with its line."""
    problems = told(f"{written}\n")
    assert len(problems) == 1
    assert problems[0].startswith("issues/x.md:6")
    assert wrong in problems[0]


# ---- HTML as it is read by browsers, and by Outlook


def _as_browsers(html: str) -> str:
    return re.sub(r"<!--.*?-->", "", html, flags=re.DOTALL)


def _as_outlook(html: str) -> str:
    html = re.sub(r"<!--\[if !mso[^\]]*\]><!-->.*?<!--<!\[endif\]-->", "", html, flags=re.DOTALL)
    html = re.sub(r"<!--\[if [^\]]*mso[^\]]*\]>(.*?)<!\[endif\]-->", r"\1", html, flags=re.DOTALL)
    return _as_browsers(html)


def _unbalanced(html: str) -> list[str]:
    """What is closed without being open, or left open at the end."""
    tags = _Tags()
    tags.feed(html)
    return tags.wrong + tags.open


class _Tags(HTMLParser):
    VOID = frozenset({"br", "hr", "img", "meta", "link", "input", "o:allowpng", "o:pixelsperinch"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID:
            return
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.wrong.append(f"</{tag}> in {self.open[-3:]} at {self.getpos()}")
