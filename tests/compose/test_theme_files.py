"""A theme's own files: what may stand in them, and how it is told when something else does."""

from __future__ import annotations

import pytest

OWN = 'name = "own"\nextends = "median"\n'


def _own(newsletter, tokens: str = "", **files: str) -> str:
    folder = newsletter.root / "templates" / "own"
    (folder / "blocks").mkdir(parents=True)
    (folder / "theme.toml").write_text(OWN + tokens)
    for name, text in files.items():
        (folder / "blocks" / f"{name}.mjml").write_text(text)
    return "---\nsubject: s\ndate: 2025-09-12\ntheme: own\n---\n"


def test_two_lines_are_a_theme(newsletter, compose, render) -> None:
    """All it does not say comes from the theme it extends."""
    head = _own(newsletter)
    assert "Words." in render(compose("Words.", head=head)).html


def test_one_token_changes_what_it_names(newsletter, compose, render) -> None:
    """A colour of its own is in the mail, the other ones are as they were."""
    head = _own(newsletter, '[colors.light]\naccent = "#AB1234"\n')
    html = render(compose("[a link](https://example.com)", head=head)).html
    assert "#AB1234".lower() in html.lower()


def test_one_block_is_overridden(newsletter, compose, render) -> None:
    """A file of the same name takes the place of the other theme's; a new one is a new kind."""
    block = (
        "---\nhelp: Mine.\nfields:\n  body: {from: body}\n---\n"
        "<mj-section><mj-column><mj-text>MINE {{ body }}</mj-text></mj-column></mj-section>\n"
    )
    head = _own(newsletter, intro=block, brandnew=block)
    html = render(compose("::: intro\nA\n:::\n\n::: brandnew\nB\n:::\n", head=head)).html
    assert html.count("MINE") == 2


def test_a_plain_mjml_template_becomes_a_layout(newsletter, compose, render) -> None:
    """One from elsewhere, with `{{ content }}` where its sections begin."""
    head = _own(newsletter)
    (newsletter.root / "templates" / "own" / "layout.mjml").write_text(
        '<mjml>\n  <mj-body background-color="#fafafa">\n    <mj-section><mj-column><mj-text>Elsewhere</mj-text>'
        "</mj-column></mj-section>\n    {{ content }}\n  </mj-body>\n</mjml>\n"
    )
    html = render(compose("Words.", head=head)).html
    assert "Elsewhere" in html
    assert "Words." in html


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ("widht = 600\n", "unknown key “widht” (did you mean “width”?)"),
        ('width = "600px"\n', "“width” is “600px”"),
        ('[colors.light]\naccent = "#abc"\n', "six hex digits"),
        ('[colors.light]\nlonely = "#AABBCC"\n', "has no value in colors.dark"),
        ("[sizes]\nbody = 1.5\n", "whole number"),
        ('[fonts]\ntext = "A; } body { display: none"\n', "font names"),
        ("[colors\n", "not TOML"),
    ],
)
def test_tokens_are_checked(newsletter, told, tokens: str, expected: str) -> None:
    """Each mistake names the file and what would be right."""
    lines = told("Words.", head=_own(newsletter, tokens))
    assert any(line.startswith("templates/own/theme.toml") and expected in line for line in lines), lines


def test_a_theme_that_extends_itself(newsletter, told) -> None:
    """Or one that is not there: told, not followed for ever."""
    head = _own(newsletter)
    file = newsletter.root / "templates" / "own" / "theme.toml"
    file.write_text('name = "own"\nextends = "own"\n')
    assert any("own" in line for line in told("Words.", head=head))
    file.write_text('name = "own"\nextends = "mediam"\n')
    assert any("did you mean “median”?" in line for line in told("Words.", head=head))


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("<mj-section></mj-section>", "the block has no front matter"),
        ("---\nhelp: [\n---\n", "not YAML"),
        ("---\nfields:\n  a: {form: body}\n---\n", "unknown key “form” (did you mean “from”?)"),
        ("---\nfields:\n  a: {from: bdoy}\n---\n", "did you mean “body”?"),
    ],
)
def test_a_blocks_fields_are_checked(newsletter, told, block: str, expected: str) -> None:
    """The front matter of a kind is read as strictly as an issue's."""
    lines = told("::: mine\n:::\n", head=_own(newsletter, mine=block))
    assert any("templates/own/blocks/mine.mjml" in line and expected in line for line in lines), lines
