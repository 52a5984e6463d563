"""The theme in a real browser: the sample issue, and an issue with every kind of block, measured and pictured.

Screenshots of each issue, width and colour scheme go to the folder named in ``EMAIL_PICTURES``, else to a
temporary one.
"""

import os
import re
import shutil
import tomllib
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from digest.audience.subscriber import Subscriber
from digest.compose.composer import compile_issue
from digest.message.identity import Identity
from digest.message.merge import Merger
from digest.newsletter import Newsletter

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

SCHEMES = ("light", "dark")
WIDTHS = (320, 375, 600, 1280)
ISSUES = ("2025-09-12-coopetition", "2025-01-03-everything")

READER = Subscriber(
    id=0,
    token="t",
    email="ada@example.com",
    values={
        "email": "ada@example.com",
        "name": "Ada Example",
        "first_name": "Ada",
        "tags": ("beta",),
        "plan": "enterprise",
        "country": "DE",
        "city": "Wolfratshausen",
        "company": "Example Works",
        "seats": 60,
        "desk_url": "https://desk.example.com/ada",
        "signed_up": date(2025, 9, 1),
    },
)

EVERYTHING = """\
---
subject: Everything a block can hold
preheader: One of each, with all its fields
date: 2025-01-03
authors: [ada]
status: draft
---

::: hero {#top}
# Donaudampfschifffahrtsgesellschaft

> A standfirst in another voice.

— Somebody, somewhere

Words on the cover, with [a link](https://example.com/) and `code`.

[Read on](https://example.com/read){.button}

![A chess clock](hero.png "A caption under the cover")
:::

Plain words outside any block, with **strong**, *emphasis*, ~~regret~~ and `code`.

![A chess clock, alone](hero.png "A picture between blocks")

::: intro {#intro}
## A heading of its own
The welcome.
:::

::: contents {#contents}
:::

::: contents
## What is inside
A text of its own, [with a link](#one).
:::

::: roundup {#rounds .numbered}
## Numbered
Before the items.

### [Linked](https://example.com/1) {#one}
One.

![A chess clock, small](hero.png)

- a list
- in an item

### Not linked
Two.
:::

::: roundup {.dated}
## Dated

### [A day](https://example.com/2) {date="2025-01-02"}
Its text.
:::

::: roundup
## Neither numbered nor dated

### An item
Its text.
:::

::: story {#story by="ada"}
## A story
### With sub-headings
A paragraph.

> Somebody else's words.

{.pull}
> Words pulled out of the text.

1. first
2. second

| Left | Right | A much longer heading |
|:-----|------:|:---------------------:|
| a    | 1     | centred               |
| Versicherungsgesellschaft | 1,000,000 | unbreakable_identifier_here |
| Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaften | 2 | `a_long_name_in_code_here` |

```
a line of code that is far too long for a telephone and has to be broken somewhere before its end
```

---

#### A smaller heading

{.small}
Small print.

{.lead}
A larger paragraph.

[One button](https://example.com/a){.button} [And one more, rather long](https://example.com/b){.button}
:::

::: figure {#figure}
![A chess clock, as a block](hero.png "Its caption")
:::

::: question {#question}
## A question?
Words before the answers.

- Words that become a reply
- [A link](https://example.com/yes)
:::

::: cases {#cases}
## Cases
Before the cases.

### [A case](https://example.com/case)
Its text.

![A chess clock, in a case](hero.png)
:::

::: promo {#promo}
## An offer
![A chess clock, on offer](hero.png)

Words, [a link](https://example.com/), `code`.

[Take it](https://example.com/take){.button}
:::

::: sponsor {#sponsor by="Tidewater"}
## A sponsor's heading
The message, [with a link](https://example.com/s).

[Have a look](https://example.com/s){.button}
:::

::: divider
:::

::: quotation {#quotation}
## A label
> Words of the week.

— Their author, [of a place](https://example.com/place)

More on it [here](https://example.com/more).
:::

::: feedback {#feedback}
## And?
Words before the links.

[Good](https://example.com/good){.button} [Bad](https://example.com/bad){.button}

- [Pass it on](https://example.com/share)
:::

::: footer
Words of our own, [with a link](https://example.com/imprint).
:::
"""

# Reads back what the browser paints: the contrast of each text, and each colour of each box.
PAINT = """() => {
  const parse = c => { const m = c.match(/[\\d.]+/g).map(Number); return m.length > 3 ? m : [...m, 1] };
  const hex = c => '#' + c.slice(0, 3).map(v => v.toString(16).padStart(2, '0')).join('').toUpperCase();
  const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
                       return .2126 * r + .7152 * g + .0722 * b };
  const behind = e => { for (; e; e = e.parentElement) {
                          const c = parse(getComputedStyle(e).backgroundColor); if (c[3] === 1) return c }
                        return [255, 255, 255, 1] };
  const shown = e => e.getClientRects().length && getComputedStyle(e).fontSize !== '1px';
  const texts = [], colours = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const words = walk.currentNode.textContent.trim(), e = walk.currentNode.parentElement;
    if (!words || !shown(e)) continue;
    const ink = parse(getComputedStyle(e).color), ground = behind(e);
    const [high, low] = [light(ink), light(ground)].sort((a, b) => b - a);
    texts.push([(high + .05) / (low + .05), `${hex(ink)} on ${hex(ground)}: ${words.slice(0, 40)}`]);
    colours.add('text ' + hex(ink));
  }
  for (const e of document.querySelectorAll('body, body *')) {
    const s = getComputedStyle(e), name = ` ${e.tagName}.${e.className}`;
    if (!e.getClientRects().length) continue;
    if (parse(s.backgroundColor)[3]) colours.add('fill ' + hex(parse(s.backgroundColor)) + name);
    for (const side of ['Top', 'Right', 'Bottom', 'Left']) {
      const c = parse(s[`border${side}Color`]);
      if (parseFloat(s[`border${side}Width`]) && c[3]) colours.add('border ' + hex(c) + name);
    }
    if (s.textDecorationLine === 'underline') colours.add('line ' + hex(parse(s.textDecorationColor)) + name);
    if (e.tagName === 'IMG') colours.add('alt ' + hex(parse(s.color)) + name);
  }
  return [texts, [...colours]];
}"""


@pytest.fixture(scope="module")
def newsletter(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Newsletter:
    root = tmp_path_factory.mktemp("theme")
    for name in ("config", "templates", "issues"):
        shutil.copytree(repository / name, root / name)
    everything = root / "issues" / ISSUES[1]
    everything.mkdir()
    (everything / "index.md").write_text(EVERYTHING, "utf-8")
    shutil.copy(root / "issues" / ISSUES[0] / "hero.png", everything)
    return Newsletter.open(root)


@pytest.fixture(scope="module")
def tokens(newsletter: Newsletter) -> dict[str, Any]:
    return tomllib.loads((newsletter.root / "templates/median/theme.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def mails(newsletter: Newsletter) -> dict[str, str]:
    """The issues' HTML as one reader of the largest variant gets it, with pictures from local files."""
    assets = newsletter.root / "assets"
    assets.mkdir()
    made = {}
    for slug in ISSUES:
        compiled = compile_issue(newsletter, newsletter.find_issue(slug), assets_base=assets.as_uri())
        for picture in compiled.pictures:
            shutil.copy(newsletter.root / picture.file, assets / picture.name)
        merger = Merger(compiled, Identity.of(newsletter.settings), today=date(2025, 9, 12))
        made[slug] = merger.rendering(READER).html
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    flags = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield started
        started.close()


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
def reader(browser: Browser, mails: dict[str, str], newsletter: Newsletter) -> Reader:
    return Reader(browser, mails, newsletter.root)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("EMAIL_PICTURES") or tmp_path_factory.mktemp("pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


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
def test_every_text_has_contrast(reader: Reader, slug: str, scheme: str) -> None:
    """Every text stands out from what is behind it by 4.5:1 or more (WCAG 2.2, 1.4.3), light and dark."""
    page = reader.open(slug, scheme=scheme)
    texts, _ = page.evaluate(PAINT)
    assert len(texts) > 60
    assert [words for ratio, words in texts if ratio < 4.5] == []
    page.context.close()


@pytest.mark.parametrize("slug", ISSUES)
def test_every_colour_has_its_dark_twin(reader: Reader, tokens: dict[str, Any], slug: str) -> None:
    """In dark mode nothing is painted in a colour that the theme does not name for it."""
    page = reader.open(slug, scheme="dark")
    _, colours = page.evaluate(PAINT)
    assert _strangers(colours, tokens) == []
    page.context.close()


@pytest.mark.parametrize("slug", ISSUES)
def test_outlook_com_gets_the_same_dark_colours(reader: Reader, tokens: dict[str, Any], slug: str) -> None:
    """Under Outlook.com's own marks every colour is the theme's dark one, as under prefers-color-scheme."""
    page = reader.open(slug, scheme="light")
    # The page itself belongs to Outlook.com: what it marks are elements of the mail.
    page.evaluate("for (const m of ['data-ogsc', 'data-ogsb']) document.documentElement.setAttribute(m, '')")
    _, colours = page.evaluate(PAINT)
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
