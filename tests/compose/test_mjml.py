"""The MJML stage: every component and attribute of MJML 5 is drawn as the reference renderer draws it, or refused.

How the documents in ``mjml/`` look was compared with the reference renderer in a browser
(``tests/bench/mjml_reference``); here it is checked without it that what made them look so is still there.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digest.compose.mjml.lint import SCHEMA, attributes_of, children_of, lint_mjml
from digest.compose.mjml.render import draw_mjml, render_mjml
from digest.compose.mjml.tree import ENDING, WORDLESS, Element, parse_mjml
from digest.errors import InputError, Place

DOCUMENTS = {file.stem: file.read_text("utf-8") for file in sorted((Path(__file__).parent / "mjml").glob("*.mjml"))}
DRAWN = sorted(name for name in DOCUMENTS if not name.startswith("refused-"))
REFUSED = sorted(name for name in DOCUMENTS if name.startswith("refused-"))


def html(inside: str, head: str = "", root: str = "") -> str:
    """The page with `inside` in its body."""
    return render_mjml(f"<mjml{root}><mj-head>{head}</mj-head><mj-body>{inside}</mj-body></mjml>", Place("x.mjml"))


def column(inside: str, head: str = "") -> str:
    """The page with `inside` in a column."""
    return html(f"<mj-section><mj-column>{inside}</mj-column></mj-section>", head)


def tags(page: str, name: str) -> list[str]:
    """All start tags of a name."""
    return re.findall(rf"<{name}\b[^>]*>", page)


class Balance(HTMLParser):
    """Counts open tags, those in Outlook's comments apart."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "link", "img", "input", "br", "hr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_the_documents_use_every_component_and_attribute() -> None:
    """At least 40 documents, and nothing of the schema is left out."""
    used = set()
    for source in DOCUMENTS.values():
        _, roots, _ = parse_mjml(source, Place("x"))
        used |= {(e.tag, name) for root in roots for e in root.walk() for name in ("", *e.attributes)}
    wanted = {(tag, name) for tag, about in SCHEMA.items() for name in ("", *about["attributes"])}
    assert wanted - used == set()
    assert len(DOCUMENTS) >= 40


@pytest.mark.parametrize("name", DRAWN)
def test_each_document_is_drawn_whole(name: str) -> None:
    """A page comes out, the same every time, with nothing of ours left in it, balanced where its source is."""
    page = render_mjml(DOCUMENTS[name], Place(f"{name}.mjml"))
    assert page == render_mjml(DOCUMENTS[name], Place(f"{name}.mjml"))
    assert page.startswith("<!DOCTYPE html>")
    assert page.rstrip().endswith("</html>")
    assert not re.search(r"zh+[hm]\d+z|<mj-|</mj-|data-n=|class=\"\"(?! style=\"(?:vertical|width))", page)
    if name not in ("text-html", "sloppy"):
        balance = Balance()
        balance.feed(page)
        assert (balance.wrong, balance.open) == ([], [])


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_drawn_right_is_refused_with_a_cure(name: str) -> None:
    """Every refusal names file, line and what to do."""
    with pytest.raises(InputError) as caught:
        render_mjml(DOCUMENTS[name], Place(f"{name}.mjml"))
    (problem,) = caught.value.problems
    assert problem.place
    assert (problem.place.file, problem.place.line > 1, bool(problem.cure)) == (f"{name}.mjml", True, True)


# ---- the cures


def test_html_in_ending_tags_is_left_alone() -> None:
    """Blanks between inline tags, emoji, entities and code come out as they were written."""
    inside = '<b>a</b>\n<i title="❤️ “x” \\">b</i> &amp; <pre>1\n  2</pre><br>'
    page = column(f"<mj-text>{inside}</mj-text><mj-table><tr><td>{inside}</td></tr></mj-table>")
    assert page.count(inside) == 2


def test_attribute_values_keep_their_characters() -> None:
    """Quotes, emoji, backslashes and line ends in attributes are no escapes of another language."""
    page = column('<mj-image src="a.png" alt="Café ❤️ \\ &quot;x&quot;\n  y" />')
    parsed: list[str | None] = []

    class Alt(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "img":
                parsed.append(dict(attrs)["alt"])

        handle_startendtag = handle_starttag

    Alt().feed(page)
    assert parsed == ['Café ❤️ \\ "x" y']


def test_colours_get_six_digits() -> None:
    """Outlook reads no short colours."""
    page = column('<mj-text color="#abc">a</mj-text><mj-divider border-color="#0f0" />')
    assert "#aabbcc" in page
    assert "#00ff00" in page
    assert not re.search(r"#abc\b|#0f0\b", page)


def test_every_picture_has_alt() -> None:
    """A picture without a description is announced as decoration, in every component."""
    inside = (
        '<mj-image src="a" /><mj-social><mj-social-element name="web" /></mj-social>'
        '<mj-carousel><mj-carousel-image src="a" /></mj-carousel>'
    )
    found = tags(column(inside), "img")
    assert len(found) >= 4
    assert all(" alt=" in tag for tag in found)


def test_a_picture_is_no_wider_than_its_column() -> None:
    """The width attribute, which Outlook obeys, fits the room that borders and paddings leave."""
    box = '<mj-section padding="0 20px"><mj-column border="5px solid #000000" padding="0 15px" width="50%">'
    page = html(f'{box}<mj-image src="a" width="900px" padding="0 10px" /></mj-column></mj-section>')
    assert ' width="220"' in tags(page, "img")[0]  # (600 - 40) / 2 - 10 - 30 - 20


def test_classes_give_defaults_to_what_they_hold() -> None:
    """mj-class with children, in MJML's own order: tag, class, class above, own."""
    head = (
        '<mj-attributes><mj-text color="#111111" font-size="10px" align="right" />'
        '<mj-class name="a" background-color="#eeeeee"><mj-text color="#222222" font-size="20px" /></mj-class>'
        '<mj-class name="b" font-size="30px" css-class="x" /></mj-attributes>'
    )
    page = html(
        '<mj-section mj-class="a"><mj-column><mj-text>1</mj-text><mj-text mj-class="b">2</mj-text>'
        '<mj-text font-size="40px">3</mj-text></mj-column></mj-section>',
        head,
    )
    assert "background-color:#eeeeee" in page
    assert re.findall(r"font-size:(\d0px);[^>]*color:(#\d+)", page) == [
        ("20px", "#222222"),
        ("20px", "#222222"),
        ("40px", "#222222"),
    ]


def test_components_have_ids_of_their_own() -> None:
    """Two carousels or two menus on a page don't turn each other's pages."""
    carousel = '<mj-carousel><mj-carousel-image src="a" /><mj-carousel-image src="b" /></mj-carousel>'
    menu = '<mj-navbar hamburger="hamburger"><mj-navbar-link href="a">A</mj-navbar-link></mj-navbar>'
    page = column(carousel + menu + carousel + menu)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids)) == 6
    assert set(re.findall(r' for="([^"]+)"', page)) == set(ids)
    assert all(f".{name}:checked" in page for name in ids if "radio-2" in name)


def test_carousel_shows_its_arrows() -> None:
    """The rule that hides them is for one client only."""
    page = column('<mj-carousel><mj-carousel-image src="a" /><mj-carousel-image src="b" /></mj-carousel>')
    assert "@media yahoo" in page
    assert not re.search(r"@media screen\s*,", page)


def test_hero_follows_its_picture() -> None:
    """mode="fluid-height": two thin cells give the height, the middle one has none."""
    page = html(
        '<mj-hero mode="fluid-height" background-width="600px" background-height="300px" background-url="a">'
        "<mj-text>a</mj-text></mj-hero>"
    )
    assert page.count('<td style="width:0.01%;padding-bottom:50%;mso-padding-bottom-alt:0;"></td>') == 2
    assert "height:0px" not in page


def test_gaps_borders_and_icons_are_written() -> None:
    """What MRML leaves out: gap, inner padding of a hero, single borders, the icon at the right."""
    section = "<mj-section><mj-column><mj-text>a</mj-text></mj-column></mj-section>"
    assert html(f'<mj-wrapper gap="7px">{section * 3}</mj-wrapper>').count("margin-top:7px;") == 2
    hero = html('<mj-hero inner-padding="1px 2px" border-radius="9px"><mj-text>a</mj-text></mj-hero>')
    assert re.search(r'class="mj-hero-content" style="[^"]*padding:1px 2px', hero)
    assert re.search(r'<td height="0" style="[^"]*border-radius:9px', hero)
    image = column('<mj-image src="a" border-left="6px solid #004488" />')
    assert "border-left:6px solid #004488" in tags(image, "img")[0]
    element = '<mj-social-element name="web" href="b" icon-position="right">words</mj-social-element>'
    social = column(f"<mj-social>{element}</mj-social>")
    assert social.index("words") < social.index("<img")


COLUMN = "<mj-column><mj-text>a</mj-text></mj-column>"


@pytest.mark.parametrize(
    ("inside", "there", "missing"),
    [
        (
            "<mj-section><mj-column><mj-accordion><mj-accordion-element><mj-accordion-title font-weight='700'>T"
            "</mj-accordion-title></mj-accordion-element></mj-accordion></mj-column></mj-section>",
            r'<span style="font-weight:700;">T</span>',
            "",
        ),
        (
            "<mj-section><mj-column><mj-accordion><mj-accordion-element><mj-accordion-text padding-left='3px'>T"
            "</mj-accordion-text></mj-accordion-element></mj-accordion></mj-column></mj-section>",
            "padding:16px 16px 16px 3px",
            "",
        ),
        ("<mj-section><mj-column><mj-button title='t'>a</mj-button></mj-column></mj-section>", '<p[^>]* title="t"', ""),
        (
            "<mj-section><mj-column><mj-button href='b' title='t' width='90px' border='3px solid #000000'>a</mj-button>"
            "</mj-column></mj-section>",
            r'<a[^>]* title="t"[^>]*;width:34px',  # 90 less the borders and inner paddings
            "",
        ),
        (
            "<mj-section><mj-column border='2px solid #000000'><mj-carousel thumbnails='supported' tb-width='20%'>"
            "<mj-carousel-image src='a'/></mj-carousel></mj-column></mj-section>",
            r'<a[^>]*display:none;overflow:hidden;width:20%.*<img[^>]*width="596"[^>]*width:596px',
            "inline-block;overflow",
        ),
        (
            "<mj-section><mj-column inner-border-radius='4px'><mj-text>a</mj-text></mj-column></mj-section>",
            r'<table[^>]*style="vertical-align:top;border-collapse:separate;"',
            "",
        ),
        (
            "<mj-section><mj-column padding='1px' inner-border-radius='4px'></mj-column></mj-section>",
            "border-radius:4px",
            r'role="presentation" width="100%" style="border-collapse',
        ),
        (f"<mj-section><mj-group width='33.33%'>{COLUMN}</mj-group></mj-section>", "mj-column-per-33 ", "per-33-33"),
        (f"<mj-section><mj-group>{COLUMN * 3}</mj-group></mj-section>", "width:33%;", r"top;width:33\.3"),
        (f"<mj-section full-width='false'>{COLUMN}</mj-section>", "max-width:600px", r"<body[^>]*><div[^>]*><table"),
        (
            "<mj-wrapper border='9px solid #000000' border-right='none'><mj-section></mj-section></mj-wrapper>",
            "max-width:591px",
            "",
        ),
        (
            "<mj-section><mj-column><mj-table role='none' cellspacing='3'><tr><td>a</td></tr></mj-table></mj-column>"
            "</mj-section>",
            r'<table role="none"[^>]*border-collapse:separate',
            "",
        ),
        (
            "<mj-section><mj-column><mj-table border='1px solid #000000'><tr><td>a</td></tr></mj-table></mj-column>"
            "</mj-section>",
            "border:1px solid",
            "border-collapse:separate",
        ),
        (
            "<mj-section><mj-column><mj-social border='1px solid #000000'><mj-social-element name='web' srcset='s 2x'/>"
            "</mj-social></mj-column></mj-section>",
            r'<img srcset="s 2x"[^>]*border:1px solid #000000',
            "",
        ),
        ("<mj-section><mj-column width='200'><mj-text>a</mj-text></mj-column></mj-section>", "max-width: *200px", ""),
        (f"<mj-section>{COLUMN}</mj-section>", r'aria-roledescription="email"[^>]*word-spacing:normal', ""),
        (
            "<mj-section><mj-column><mj-text vertical-align='top'>a</mj-text></mj-column></mj-section>",
            ">a<",
            ' vertical-align="',
        ),
    ],
)
def test_what_mrml_gets_wrong_is_put_right(inside: str, there: str, missing: str) -> None:
    """One line for each cure: what the page then has, and has no more."""
    page = html(inside.replace("'", '"'))
    assert re.search(there, page, re.DOTALL)
    assert not missing or not re.search(missing, page)


def test_the_body_s_class_and_id_are_on_the_page() -> None:
    """As MJML has it; the class stays on the block inside as well, which themes colour."""
    page = render_mjml('<mjml><mj-body css-class="page" id="top"></mj-body></mjml>', Place("x"))
    assert re.search(r'<body id="top" class="page"', page)
    assert re.search(r'<div[^>]* class="page"', page)


def test_raw_html_in_a_wrapper_is_seen_outside_outlook_too() -> None:
    """mj-raw between sections of a wrapper stands in no comment."""
    section = "<mj-section><mj-column><mj-text>a</mj-text></mj-column></mj-section>"
    page = html(f"<mj-wrapper><mj-raw><p>r1</p></mj-raw>{section}<mj-raw><p>r2</p></mj-raw></mj-wrapper>")
    seen = re.sub(r"<!--.*?-->", "", page, flags=re.DOTALL)
    assert "<p>r1</p>" in seen
    assert "<p>r2</p>" in seen


def test_attributes_are_set_by_selector() -> None:
    """mj-html-attributes, in the HTML of texts as well, and nowhere else."""
    head = (
        '<mj-html-attributes><mj-selector path=".x a"><mj-html-attribute name="data-a">1 &amp; "2"</mj-html-attribute>'
        '<mj-html-attribute name="href">new</mj-html-attribute></mj-selector></mj-html-attributes>'
    )
    page = html(
        '<mj-section css-class="x"><mj-column><mj-text><a href="old">l</a><!-- <a> --></mj-text></mj-column>'
        "</mj-section>"
        '<mj-section><mj-column><mj-text><a href="old">l</a></mj-text></mj-column></mj-section>',
        head,
    )
    assert tags(page, "a") == ['<a href="new" data-a="1 &amp; &quot;2&quot;">', "<a>", '<a href="old">']


def test_style_is_inlined_as_the_cascade_has_it() -> None:
    """A tag's own style beats a rule, an important rule beats it, and no word of importance is left."""
    css = ".a p { margin: 1px; color: red } p.b { margin: 2px } p { font-size: 9px !important; margin: 3px }"
    head = f'<mj-style inline="inline">/* x */ {css}</mj-style>'
    text = '<p class="b" style="color:blue;font-size:8px">t</p>'
    drawn = draw_mjml(
        f"<mjml><mj-head>{head}</mj-head><mj-body><mj-section css-class='a'><mj-column><mj-text>{text}</mj-text>"
        "</mj-column></mj-section></mj-body></mjml>",
        Place("x"),
    )
    assert tags(drawn.html, "p") == ['<p class="b" style="margin:2px;color:blue;font-size:9px;">']
    assert "p.b" in drawn.css
    assert "p.b" not in drawn.html


def test_owa_gets_widths_of_its_own() -> None:
    """owa="desktop": Outlook in the browser knows no media queries."""
    page = html("<mj-section><mj-column><mj-text>a</mj-text></mj-column></mj-section>", root=' owa="desktop"')
    assert "[owa] .mj-column-per-100" in page


def test_tokens_of_composing_stay_where_they_are() -> None:
    """Markers between sections, columns' parts, rows and in attributes come through, in their order."""
    names = [f"Zq4f9a1cB00{n}qZ" for n in range(10, 17)]
    section = f"<mj-section><mj-column><mj-text>{names[2]}</mj-text></mj-column></mj-section>"
    page = html(
        f"{names[0]}<mj-wrapper>{names[1]}{section}{names[3]}</mj-wrapper>{names[4]}"
        f'<mj-section><mj-column><mj-raw>{names[5]}</mj-raw><mj-image src="{names[6]}"/></mj-column></mj-section>'
    )
    assert re.findall(r"Zq4f9a1cB00\d\dqZ", page) == names


# ---- anything of the schema

LENGTHS = {"px": "7px", "%": "11%", "em": "0.1em", "auto": "auto", "": "1.5"}


def values(kind: str) -> st.SearchStrategy[str]:
    """Good values of a type of the schema."""
    if kind == "color":
        return st.sampled_from(["#abc", "#123456", "red", "rgb(1, 2, 3)", "rgba(1,2,3,0.5)"])
    if kind == "boolean":
        return st.sampled_from(["true", "false"])
    if kind == "integer":
        return st.sampled_from(["0", "12"])
    if kind.startswith("enum("):
        return st.sampled_from(kind[5:-1].split(","))
    if kind.startswith("unit"):
        one = st.sampled_from(
            [LENGTHS[unit] for unit in kind[kind.index("(") + 1 : kind.index(")")].split(",")] + ["0"]
        )
        return st.lists(one, min_size=1, max_size=4).map(" ".join) if kind.endswith("}") else one
    return st.sampled_from(["none", "word", "1px solid #abc", "a b", "ü ❤️ \\", "https://example.com/?a=1&amp;b=2", "0"])


@st.composite
def elements(draw: st.DrawFn, tag: str, depth: int = 0) -> str:
    """A component with some of its attributes and some of what may stand in it."""
    types = {k: v for k, v in attributes_of(tag).items() if k not in ("gutter", "position", "mj-class", "inline")}
    chosen = draw(st.lists(st.sampled_from(sorted(types)), unique=True, max_size=5)) if types else []
    attributes = {name: draw(values(types[name])) for name in chosen}
    if tag in ("mj-image", "mj-carousel-image", "mj-social-element"):
        attributes.setdefault("src", "a.png")
    written = "".join(f' {name}="{value}"' for name, value in attributes.items())
    if tag in WORDLESS:
        inside = ""
    elif tag in ENDING:
        inside = draw(st.sampled_from(["", "words", "<b>a</b>\n<i>b</i>", "<!-- c -->", "&lt; ü ❤️"]))
    else:
        allowed = sorted(children_of(tag) - ({"mj-raw"} if tag in ("mj-wrapper", "mj-accordion-element") else set()))
        parts = st.lists(st.sampled_from(allowed), max_size=3) if allowed and depth < 6 else st.just([])
        chosen = draw(parts)
        chosen = sorted(set(chosen)) if tag == "mj-accordion-element" else chosen  # one title, one text
        inside = "".join(draw(elements(part, depth + 1)) for part in chosen)
    return f"<{tag}{written}>{inside}</{tag}>"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_whatever_the_schema_allows_is_drawn(data: st.DataObject) -> None:
    """Documents made from the schema pass the linter and come out as pages, with all their words."""
    body = data.draw(elements("mj-body"))
    defaults = data.draw(st.lists(st.sampled_from(["mj-text", "mj-section", "mj-column", "mj-social"]), max_size=2))
    head = "".join(data.draw(elements(tag, 9)) for tag in defaults)
    source = f"<mjml><mj-head><mj-attributes>{head}</mj-attributes></mj-head>{body}</mjml>"
    assert [str(p) for p in lint_mjml(source, Place("x")) if p.severity == "error"] == []
    page = render_mjml(source, Place("x"))
    assert page.count("<b>a</b>\n<i>b</i>") >= _drawn_words(source)
    assert not re.search(r"zh+[hm]\d+z", page)


def _drawn_words(source: str) -> int:
    """How often the two words stand in texts, buttons and tables of the body."""
    _, roots, _ = parse_mjml(source, Place("x"))
    body: Element | None = roots[0].find("mj-body")
    drawn = ("mj-text", "mj-button", "mj-table", "mj-accordion-text", "mj-accordion-title", "mj-navbar-link")
    return sum(e.content == "<b>a</b>\n<i>b</i>" for e in body.walk() if e.tag in drawn) if body else 0
