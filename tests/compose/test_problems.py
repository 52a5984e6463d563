"""What an author did wrong: told with its line, all at once, with what would be right."""

from __future__ import annotations

import pytest

from digest.compose import composer


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("::: hreo\n# A\n:::", "x.md:6: error: unknown block “hreo” (did you mean “hero”?)"),
        ('::: sponsor {by="X" bi="Y"}\nWords.\n:::', "sponsor has no attribute “bi” (one of: by, class, id, segments)"),
        ("::: sponsor\nWords.\n:::", 'sponsor needs its by: by="…" in its braces'),
        ("::: hero\nNo headline.\n:::", "hero needs its title: a heading, “## …”"),
        ('{segments="pto"}\nWords.', "x.md:7: error: unknown segment “pto” (did you mean “pro”?)"),
        (
            "Hi {{ subscriber.frist_name }}",
            "x.md:6:4: error: unknown attribute “frist_name” (did you mean “first_name”?)",
        ),
        ("Hi {{ first_name }}", "unknown name “first_name” (did you mean subscriber.first_name?)"),
        ("{% if segment.prro %}x{% endif %}", "unknown segment “prro” (did you mean “pro”?)"),
        ("{{ subscriber.name | uper }}", "unknown filter 'uper' (did you mean “upper”?)"),
        ("{{ subscriber.name | safe }}", "unknown filter 'safe'"),
        ("{{ subscriber.name | }}", "x.md:6:1: error:"),
        ("[to](#nowhere)", "the link “#nowhere” leads nowhere in this issue"),
        ("[to](javascript:alert(1))", "can't be followed from an email"),
        ("[to](example.com/x)", "did you mean https://example.com/x?"),
        ("[to](issue:2025-09-12-coopetitoin)", "did you mean “2025-09-12-coopetition”?"),
        ("![alt](hreo.png)", "there is no picture “hreo.png”"),
        ("![](../2025-09-12-coopetition/hero.png)", "has no description"),
        ("![alt](https://example.com/x.png)", "is on another server"),
        ("![alt](../../../etc/passwd)", "outside the newsletter's folder"),
        ("![alt](x.md)", "“x.md” is not a picture"),
        ("<script>x</script>", "“<script>” can't stand in an issue"),
        ("## A {#x}\n\n## B {#x}", "“#x” stands twice (first on line 6)"),
        ("::: story\n## A\nWords.\n::: promo\n## B\n:::\n:::", "the block “promo” can't stand inside another"),
        ('::: story {by="bob"}\n## A\nWords.\n:::', "unknown author “bob”"),
        ("::: divider\nWords.\n:::", "divider has no room for this paragraph"),
        ('::: roundup\n### A {date="12 May"}\nWords.\n:::', "“12 May” is no date"),
    ],
)
def test_a_mistake_is_told_with_its_cure(told, body: str, expected: str) -> None:
    """File, line, what is wrong, what would be right; and nothing else is told of it."""
    lines = told(body)
    assert len(lines) == 1, lines
    assert expected in lines[0]
    assert lines[0].startswith("issues/x.md:")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("theme: medain", "x.md:3:1: error: there is no theme “medain” (did you mean “median”?)"),
        ("audience: everybody", "unknown segment “everybody”"),
        ("audience: subscriber.plann == 'pro'", "unknown attribute “plann” (did you mean “plan”?)"),
        ("authors: [bob]", "unknown author “bob”"),
        ('subject_for: {prro: "x"}', "unknown segment “prro” (did you mean “pro”?)"),
        ('preheader: "{{ subscriber.citty }}"', "unknown attribute “citty” (did you mean “city”?)"),
    ],
)
def test_mistakes_of_the_front_matter(told, line: str, expected: str) -> None:
    """They stand at their own line."""
    lines = told("Words.", head=f"---\nsubject: s\n{line}\ndate: 2025-01-01\n---\n")
    assert len(lines) == 1, lines
    assert expected in lines[0]
    assert lines[0].startswith("issues/x.md:3")


def test_everything_is_told_in_one_pass(told, newsletter) -> None:
    """Front matter, blocks, names, links, pictures and the readers' file, each at its place."""
    readers = newsletter.root / "config" / "readers.toml"
    readers.write_text(readers.read_text().replace("[segments]", '[segments]\nbad = "subscriber.plann"'))
    lines = told("::: hreo\n:::\n\n[a](#b) {{ 1 + }} ![alt](none.png)\n", head="---\nsubjct: x\n---\n")
    for words in ("subjct", "hreo", "#b", "none.png", "plann", "1 +"):
        assert sum(words in line for line in lines) == 1, (words, lines)


def test_a_fault_of_the_theme_is_told_at_its_own_line(told, newsletter) -> None:
    """A template that reads what is not there names its file and line."""
    file = newsletter.root / "templates" / "median" / "blocks" / "divider.mjml"
    text = file.read_text()
    file.write_text(text + "{{ theme.nothing }}\n")
    line = text.count("\n") + 1
    assert told("Words.\n\n::: divider\n:::\n")[0].startswith(f"templates/median/blocks/divider.mjml:{line}: error:")


def test_wrong_mjml_is_told_at_the_templates_own_line(told, newsletter) -> None:
    """Not at that of the page it was drawn into."""
    file = newsletter.root / "templates" / "median" / "blocks" / "figure.mjml"
    text = file.read_text().replace('<mj-text css-class="cell ink prose">', '<mj-text colour="#112233">')
    file.write_text(text)
    line = text[: text.index("colour")].count("\n") + 1
    body = "![A picture](../2025-09-12-coopetition/hero.png)\n"
    (told_line,) = told(body)
    assert told_line.startswith(f"templates/median/blocks/figure.mjml:{line}:")
    assert "did you mean “color”?" in told_line


def test_a_theme_that_would_show_an_item_to_everyone_is_refused(told, newsletter) -> None:
    """A block that forgets the begin and end of its items can't be used for conditional ones."""
    file = newsletter.root / "templates" / "median" / "blocks" / "cases.mjml"
    file.write_text(file.read_text().replace("{{ item.begin }}", ""))
    (line,) = told('::: cases\n## Cases\n### One {segments="pro"}\nWords.\n:::\n')
    assert "item.begin" in line


def test_mjml_and_inlining_run_once(compose, monkeypatch, render) -> None:
    """Whatever the number of readers: once per issue."""
    calls: list[str] = []

    def counted(name):
        real = getattr(composer, name)

        def run(*arguments):
            calls.append(name)
            return real(*arguments)

        monkeypatch.setattr(composer, name, run)

    counted("draw_mjml")
    counted("inline_css")
    compiled = compose("Dear {{ subscriber.name | default('you') }}.")
    for number in range(100):
        assert f"Reader {number}" in render(compiled, name=f"Reader {number}").html
    assert calls == ["draw_mjml", "inline_css"]


RAW_HTML = "::: html\n```html\n<p class='k'>Own <b>words</b></p>\n```\n:::\n"
RAW_MJML = "::: mjml\n```mjml\n<mj-section><mj-column><mj-text>Own words</mj-text></mj-column></mj-section>\n```\n:::\n"
TRUSTED = "---\nsubject: s\ntrusted: true\ndate: 2025-01-01\n---\n"


def test_raw_html_stands_where_it_is_written(compose, render) -> None:
    """In the mail as it was written, in the text as its words."""
    seen = render(compose(RAW_HTML))
    assert '<p class="k"' in seen.html
    assert "Own <b>words</b></p>" in seen.html
    assert "Own words" in seen.text


def test_raw_html_is_made_harmless_or_refused(told) -> None:
    """Scripts and elements left open are told with their line; what is trusted may run its own risk."""
    hostile = RAW_HTML.replace("<b>words", "<script>x</script><b>words")
    assert any("<script>" in line for line in told(hostile))
    assert any("closed" in line for line in told(RAW_HTML.replace("</p>", "")))


def test_raw_mjml_needs_trust(told, compose, render) -> None:
    """It can draw anything, so an issue has to say that it may."""
    (line,) = told(RAW_MJML)
    assert "trusted: true" in line
    seen = render(compose(RAW_MJML, head=TRUSTED))
    assert "Own words" in seen.html
    assert "Own words" in seen.text


def test_raw_mjml_is_checked_like_a_themes(told) -> None:
    """A wrong element is told, not passed through."""
    assert any("mj-txt" in line for line in told(RAW_MJML.replace("mj-text", "mj-txt"), head=TRUSTED))
