"""The MJML linter: every problem, at its place, with what would be right; and nothing it can be made to choke on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.compose.mjml.lint import SCHEMA, lint_mjml
from digest.compose.mjml.render import draw_mjml, render_mjml
from digest.compose.mjml.tree import MOST_PROBLEMS, stamp
from digest.errors import InputError, Place

PLACE = Place("layout.mjml")
TEXTS = "<mj-accordion-element><mj-accordion-text/><mj-accordion-text/></mj-accordion-element>"


def page(inside: str, head: str = "") -> str:
    """A document; `inside` begins at the body's own line, 3."""
    return f"<mjml><mj-head>{head}</mj-head>\n<mj-body>\n{inside}\n</mj-body></mjml>"


def column(inside: str) -> str:
    """A document with `inside` in a column, on line 3."""
    return page(f"<mj-section><mj-column>{inside}</mj-column></mj-section>")


def told(source: str) -> list[str]:
    """The problems of a document, a line each."""
    return [str(problem) for problem in lint_mjml(source, PLACE)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", "layout.mjml:1:1: error: there is no <mjml> (begin with <mjml><mj-body> and end with </mj-body></mjml>)"),
        ("<mjml></mjml>", "layout.mjml:1:1: error: <mjml> has no <mj-body> (write <mj-body> around the sections)"),
        ("<p>x</p>", "layout.mjml:1:1: error: the document begins with <p> (begin with <mjml>)"),
        (page("<mj-sectoin></mj-sectoin>"), "3:1: error: there is no <mj-sectoin> (did you mean “mj-section”?)"),
        (column('<mj-text colour="red">a</mj-text>'), "<mj-text> has no attribute “colour” (did you mean “color”?)"),
        (
            page("<mj-column></mj-column>"),
            "<mj-column> can't stand in <mj-body> (it belongs in mj-group or mj-section)",
        ),
        (page("<mj-text>a</mj-text>"), "<mj-text> can't stand in <mj-body> (it belongs in mj-column or mj-hero)"),
        (column("<div>a</div>"), "<div> can't stand in <mj-column> (put HTML into <mj-text> or <mj-raw>)"),
        (column('<mj-text color="bluu">a</mj-text>'), "color: “bluu” is not a colour (did you mean “blue”?)"),
        (column('<mj-text color="#12345">a</mj-text>'), "color: “#12345” is not a colour (write six hex digits"),
        (column('<mj-text padding="10 px">a</mj-text>'), "padding: “10 px” is not one to 4 lengths in px or %"),
        (column('<mj-text padding="1px 2px 3px 4px 5px">a</mj-text>'), "is not one to 4 lengths in px or %"),
        (column('<mj-text font-size="2em">a</mj-text>'), "font-size: “2em” is not a length in px"),
        (column('<mj-text align="centre">a</mj-text>'), "align: “centre” is not one of left, right, center, justify"),
        (column('<mj-text align="centre">a</mj-text>'), "did you mean “center”?"),
        (column('<mj-table cellpadding="3px">a</mj-table>'), "cellpadding: “3px” is not a whole number"),
        (column('<mj-image src="a" fluid-on-mobile="yes"/>'), "fluid-on-mobile: “yes” is not true or false"),
        (column('<mj-text letter-spacing="wide">a</mj-text>'), "letter-spacing: “wide” is not a length in px or em"),
        (column("<mj-image />"), '<mj-image> has no “src” (write src="…")'),
        (column('<mj-text color="red>a</mj-text>'), "the attributes of <mj-text> can't be read from here on"),
        (column("<mj-text>a"), "3:24: error: <mj-text> is never closed (write </mj-text>)"),
        (page("<mj-section><mj-column></mj-section>"), "3:13: error: <mj-column> is not closed before </mj-section>"),
        (page("</mj-section>"), "3:1: error: </mj-section> closes nothing"),
        (page("<mj-raw><div></mj-raw>"), "3:9: error: <div> is not closed before </mj-raw> (write </div>)"),
        (page("<mj-raw></table></mj-raw>"), "3:9: error: </table> closes nothing"),
        (page("<mj-raw><!-- </mj-raw>"), "the comment is never closed"),
        (column("<mj-text>a<mj-text>b</mj-text>"), "<mj-text> can't stand in <mj-text>, which holds HTML"),
        (column("Some words"), "“Some words” stands in <mj-column>, where no text is drawn (put it into <mj-text>)"),
        (page("") + "<mjml></mjml>", "<mjml> stands outside the document"),
        ("<mjml><mj-body></mj-body><mj-body></mj-body></mjml>", "there is a second <mj-body>"),
        (column('<mj-text mj-class="lowd">a</mj-text>'), "there is no mj-class “lowd”"),
        (column("<mj-social><mj-social-element name='tiktok'/></mj-social>"), "there is no icon for “tiktok”"),
        (column("<mj-social><mj-social-element name='facebok'/></mj-social>"), "did you mean “facebook”?"),
        (page("<mj-include path='a.mjml'/>"), "<mj-include> can't be used (write {% include “file” %}"),
        (page("<mj-section gutter='4px'></mj-section>"), "space between columns can't be drawn"),
        (page("", "<mj-raw position='file-start'>a</mj-raw>"), "nothing may stand before the doctype"),
        (page("", "<mj-attributes><mj-txt color='red'/></mj-attributes>"), "did you mean “mj-text”?"),
        (page("", "<mj-attributes><mj-text colr='red'/></mj-attributes>"), "did you mean “color”?"),
        (page("", "<mj-attributes><mj-class color='red'/></mj-attributes>"), "<mj-class> has no “name”"),
        (page("", "<mj-style inline='yes'>a{}</mj-style>"), "inline is “yes” (write inline="),
        (
            page("", "<mj-html-attributes><mj-selector path='a['></mj-selector></mj-html-attributes>"),
            "“a[” is no selector",
        ),
        (
            column("<mj-accordion><mj-accordion-element><mj-raw>a</mj-raw></mj-accordion-element></mj-accordion>"),
            "title",
        ),
        (
            column(f"<mj-accordion>{TEXTS}</mj-accordion>"),
            "there is a second <mj-accordion-text> (begin a new <mj-accordion-element>)",
        ),
        (page("<mj-wrapper><mj-raw>a</mj-raw></mj-wrapper>"), "<mj-wrapper> draws no <mj-raw> without a section"),
    ],
)
def test_each_mistake_is_named_with_its_cure(source: str, expected: str) -> None:
    """Every kind of mistake has a message with its place and what would be right, and nothing is rendered."""
    assert any(expected in line for line in told(source)), told(source)
    with pytest.raises(InputError):
        render_mjml(source, PLACE)


def test_all_problems_come_at_once_in_their_order() -> None:
    """One pass finds everything, each on its own line."""
    source = (
        '<mjml>\n<mj-body widht="1px">\n<mj-section padding="x">\n<mj-colum/>\n'
        '<mj-column width="wide"><mj-raw><div></mj-raw>\n<mj-image/></mj-column></mj-section></mj-body>\n</mjml>'
    )
    assert [problem.place.line for problem in lint_mjml(source, PLACE) if problem.place] == [2, 3, 4, 5, 5, 6]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (column('<mj-text color="red" color="blue">a</mj-text>'), "<mj-text> has “color” twice"),
        (column('<mj-divider vertical-spacing="0" />'), "“vertical-spacing” has no effect on <mj-divider>"),
        (
            "<mjml><mj-body><mj-spacer height='20px' /><mj-section /></mj-body></mjml>",
            "<mj-spacer> should not stand in <mj-body>",
        ),
        (page('<mj-section vertical-align="top"></mj-section>'), "“vertical-align” has no effect on <mj-section>"),
        (page('<mj-section padding-top="20"></mj-section>'), "“20” is not a length in px or % (write 20px)"),
        (page("<mj-section></mj-section>a"), "“a” stands in <mj-body>"),
        (column("<mj-text>a <b>b</mj-text>"), "<b> is not closed"),
        (page("", "<mj-style inline='inline'>a:hover{color:red}</mj-style>"), "“a:hover” can't be inlined"),
        (
            page("", "<mj-style inline='inline'>@media print{a{color:red}}</mj-style>"),
            "“@media print” can't be inlined",
        ),
    ],
)
def test_what_has_no_effect_anywhere_is_a_warning(source: str, expected: str) -> None:
    """Slips that every MJML renderer passes over are told, and the page is drawn."""
    drawn = draw_mjml(source, PLACE)
    assert [expected in str(problem) for problem in drawn.warnings] == [True]
    assert drawn.warnings[0].severity == "warning"
    assert "</html>" in drawn.html


@pytest.mark.parametrize("value", ["0", "10px", "5%", "1px 2px", " 1px  2.5px 3% 0 ", "0px 0 0 0", ".5px"])
def test_good_lengths_pass(value: str) -> None:
    """Lengths as MJML takes them."""
    assert told(page(f'<mj-section padding="{value}"></mj-section>')) == []


@pytest.mark.parametrize("value", ["#fff", "#A1B2C3", "red", "White", "rgb(1,2,3)", "rgba(1, 2, 3, .5)", "transparent"])
def test_good_colours_pass(value: str) -> None:
    """Colours as MJML takes them."""
    assert told(page(f'<mj-section background-color="{value}"></mj-section>')) == []


def test_composing_s_tokens_may_stand_where_words_come_later() -> None:
    """Tokens between sections and in values are no text and no bad value; in a length they are."""
    token = "Zq4f9a1cB0012qZ"
    assert told(page(f'{token}<mj-section background-color="{token}"></mj-section>{token}')) == []
    assert "a value of the reader can't decide a length" in told(column(f'<mj-image src="a" width="{token}"/>'))[0]


def test_stamps_lead_to_the_lines_of_the_theme(tmp_path: Path) -> None:
    """A tag stamped with its file and line is named by them, wherever the text has gone."""
    layout = stamp("<mjml>\n<mj-body>\n{{ content }}\n</mj-body>\n</mjml>", 0)
    block = stamp('\n\n<mj-section>\n<mj-column>\n<mj-text\n  colr="red">a</mj-text></mj-column>\n</mj-section>', 1)
    source = layout.replace("{{ content }}", block * 2)
    files = ("themes/layout.mjml", "themes/blocks/story.mjml")
    assert [str(p) for p in lint_mjml(source, PLACE, files)] == [
        "themes/blocks/story.mjml:6: error: <mj-text> has no attribute “colr” (did you mean “color”?)"
    ]
    good = source.replace("colr", "color")
    assert "at-1-" not in render_mjml(good, PLACE, files)


HOSTILE = [
    "<" * 1_000_000,
    "<a " * 300_000,
    "<mj-text>" * 110_000,
    "<!--" * 250_000,
    '<a b="' * 160_000,
    "<mjml>" + "<mj-section>" * 90_000,
    "<mjml><mj-body>" + "<x>" * 330_000,
    "<mjml><mj-body>" + "</x>" * 250_000,
    "<mjml><mj-body><mj-raw>" + "<div>" * 200_000 + "</mj-raw>",
    "<mjml><mj-body><mj-raw>" + "<b></i>" * 140_000 + "</mj-raw>",
    "<mjml a" + " " * 1_000_000,
    "<mjml " + " ".join(f"a{n}=1" for n in range(120_000)) + ">",
    "<mjml><mj-body>" + "<mj-section padding='zzz'/>" * 38_000,
    "<mjml><mj-body background-color='rgba(" + " " * 1_000_000 + "'/>",
    "<mjml><mj-body width='" + "0 " * 500_000 + "'/>",
    "<" + "x" * 1_000_000 + ">",
    "<mjml><mj-head><mj-style inline='inline'>" + "a{" * 300_000 + "</mj-style></mj-head></mjml>",
    "<mjml><mj-head><mj-style inline='inline'>" + "@a{" * 300_000 + "</mj-style></mj-head></mjml>",
    "<mjml><mj-head><mj-style inline='inline'>" + "a,b{c:d}" * 120_000 + "</mj-style></mj-head></mjml>",
]


@pytest.mark.parametrize("source", HOSTILE, ids=lambda source: source[:24] + source[60:80])
def test_a_megabyte_of_malice_takes_bounded_time(source: str) -> None:
    """Nothing in the linter is slower than the text is long, and what it tells stays readable."""
    begin = time.monotonic()
    problems = lint_mjml(source, PLACE)
    assert time.monotonic() - begin < 60
    assert 0 < len(problems) <= MOST_PROBLEMS
    assert all(len(str(problem)) < 600 for problem in problems)


def test_deep_nesting_is_refused_before_it_can_harm() -> None:
    """MRML dies of 10,000 nested tags, lxml of 256."""
    for deep in (
        column(f"<mj-text>{'<div>' * 9_000}{'</div>' * 9_000}</mj-text>"),
        "<mj-section>" * 9_000 + "</mj-section>" * 9_000,
    ):
        assert any("nested more than 200 deep" in line for line in told(deep))


PIECES = st.sampled_from(
    [
        *(f"<{tag}>" for tag in SCHEMA),
        *(f"</{tag}>" for tag in SCHEMA),
        *("<mjml>", "</mjml>", "<mj-class name='a'>", "<div", "<b>", "</b>", "<!--", "-->", "<![if", '"', "'", "="),
        *(">", "/>", ' color="red"', " padding=1px", " mj-class='a b'", "\n", "&amp;", "İ", "\0", " path='a['"),
        *(" inline='inline'", "<mj-selector path='a'>", "{", "}", "@"),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES | st.text(max_size=3), max_size=40).map("".join)))
def test_any_text_ends_in_problems_or_none(text: str) -> None:
    """The linter never raises; whatever it passes is drawn."""
    for problem in lint_mjml(text, PLACE):
        assert problem.place
        assert problem.place.line >= 1
    told_by_mrml = ""
    try:
        render_mjml(text, PLACE)
    except InputError as exc:
        told_by_mrml = "".join(str(problem) for problem in exc.problems if "not MJML" in problem.message)
    assert told_by_mrml == ""
