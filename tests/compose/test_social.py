"""The social row: which icon a link gets, what it is called, and icons for networks that MJML has none for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from digest.compose.networks import NETWORKS, network_of

ICONS = Path(__file__).parents[2] / "templates" / "median" / "assets" / "icons"


def _luminance(colour: tuple[int, ...]) -> float:
    """WCAG 2.2, relative luminance."""
    linear = [c / 12.92 if (c := value / 255) <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for value in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_network_has_an_icon() -> None:
    """Twice as many dots as it is shown with, and a glyph that stands out from its chip by 6:1."""
    assert sorted(file.stem for file in ICONS.glob("*.png")) == sorted(NETWORKS)
    for file in ICONS.glob("*.png"):
        with Image.open(file) as opened:
            image = opened.convert("RGBA")
        assert image.size == (64, 64)
        assert image.getpixel((0, 0))[3] == 0
        colours = sorted(image.getcolors(4096), reverse=True)
        solid = [_luminance(colour) for count, colour in colours if colour[3] > 250 and count > 40]
        assert (max(solid) + 0.05) / (min(solid) + 0.05) > 6, file.name


@pytest.mark.parametrize(
    ("url", "words", "classes", "network"),
    [
        ("https://uk.linkedin.com/in/ada", "Ada", (), "linkedin"),
        ("https://twitter.com/weekly", "Follow", (), "x"),
        ("https://notx.com/", "Not X", (), ""),
        ("https://mastodon.example.org/@weekly", "Follow us", (), "mastodon"),
        ("https://social.example.org/@weekly", "Follow us", (), ""),
        ("https://social.example.org/@weekly", "Follow us", ("mastodon",), "mastodon"),
        ("https://example.org/feed/", "Feed", (), "rss"),
        ("https://github.com/a/b/releases.atom", "Releases", (), "github"),
        ("https://[broken", "x", (), "x"),
        ("https://[broken", "y", (), ""),
    ],
)
def test_a_link_tells_its_network(url: str, words: str, classes: tuple[str, ...], network: str) -> None:
    """By class, by words, by host; a host is matched by whole labels."""
    assert network_of(url, words, classes) == network


@pytest.mark.parametrize("theme", ["median", "letter", "bulletin"])
def test_an_icon_is_called_by_the_links_words(compose, render, theme: str) -> None:
    """The picture of a link is named by its words; a link to no known network keeps them."""
    head = f"---\nsubject: s\ndate: 2025-09-12\ntheme: {theme}\n---\n"
    body = "::: social\n- [Us on Bluesky](https://bsky.app/profile/us)\n- [Our forum](https://example.org/)\n:::\n"
    compiled = compose(body, head=head)
    html = render(compiled).html
    assert re.findall(r'<img class="icon"[^>]* alt="([^"]*)"', html) == ["Us on Bluesky"]
    assert ">Our forum</a>" in html
    (icon,) = compiled.pictures
    assert icon.file == "templates/median/assets/icons/bluesky.png"
    assert (icon.width, icon.pixels) == (32, 64)
    assert "Us on Bluesky" in render(compiled).text


def test_a_template_from_elsewhere_gets_our_icons(newsletter, compose, render) -> None:
    """`mj-social-element` of a network that MJML draws no picture for shows the theme's own."""
    own = newsletter.root / "templates" / "own"
    own.mkdir()
    (own / "theme.toml").write_text('name = "own"\nextends = "median"\n')
    (own / "layout.mjml").write_text(
        "<mjml><mj-body>{{ content }}<mj-section><mj-column><mj-social>"
        '<mj-social-element name="mastodon" href="https://example.org/@us">Us</mj-social-element>'
        "</mj-social></mj-column></mj-section></mj-body></mjml>\n"
    )
    compiled = compose("Words.", head="---\nsubject: s\ndate: 2025-09-12\ntheme: own\n---\n")
    (icon,) = compiled.pictures
    assert icon.file.endswith("icons/mastodon.png")
    assert icon.name in render(compiled).html
