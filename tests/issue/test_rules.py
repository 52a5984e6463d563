"""The eight rules of the format, one test or more for each."""

from __future__ import annotations

import pytest


def test_jinja_in_a_link_target_survives_markdown(parse, nodes) -> None:
    """Rule 1: quotes, pipes and spaces of an expression are safe in a link's address."""
    issue = parse('[desk]({{ subscriber.desk_url | default("https://example.com/a b") }})')
    (link,) = nodes(issue, "link")
    tag = issue.tags[link.attrs["href"]]
    assert tag.source == 'subscriber.desk_url | default("https://example.com/a b")'
    assert not issue.problems


def test_jinja_in_a_table_cell_does_not_split_it(parse, nodes) -> None:
    """Rule 1: the pipe of a filter is no cell border."""
    issue = parse('| a | b |\n|---|---|\n| {{ subscriber.city | default("x|y") }} | 2 |\n')
    assert len(nodes(issue, "row")[1].children) == 2


def test_smart_quotes_leave_expressions_alone(parse) -> None:
    """Rule 1: typography is for words, never for the quotes of an expression."""
    issue = parse('He said "hi" to {{ subscriber.first_name | default("them") }}.')
    assert [tag.source for tag in issue.tags.values()] == ['subscriber.first_name | default("them")']
    assert "“hi”" in issue.body[0].plain


@pytest.mark.parametrize(
    "code",
    ["a `${{ secrets.X }}` b", "```yaml\nkey: ${{ secrets.X }}\n```", "text\n\n    indented {{ secrets.X }}\n"],
    ids=["span", "fence", "indented"],
)
def test_braces_in_code_are_plain_text(parse, code: str) -> None:
    """Rule 1: code shows its braces as they were written."""
    issue = parse(code)
    text = "".join(n.text for top in issue.body for n in top.walk() if n.kind.startswith("code"))
    assert "{{ secrets.X }}" in text
    assert not issue.problems


def test_an_id_in_braces_is_no_jinja_comment(parse, nodes) -> None:
    """Rule 1: `{#id}` is an attribute."""
    (heading,) = nodes(parse("## Later {#deeper-look}"), "heading")
    assert heading.attrs["id"] == "deeper-look"
    assert heading.plain == "Later"


@pytest.mark.parametrize("statement", ["raw", "macro x()", "include 'x'", "do x", "set x"])
def test_other_statements_are_refused(parse, told, statement: str) -> None:
    """Rule 1: an issue knows if, for and set, and says so."""
    (line, *_) = told(parse(f"text\n\n{{% {statement} %}}"))
    assert line.startswith("issues/x.md:7:1: error:")


def test_statements_alone_condition_whole_blocks(parse, nodes) -> None:
    """Rule 1: alone on its line a statement splits a paragraph; elsewhere it stays in it."""
    issue = parse('one\n{% if subscriber.plan == "pro" %}\ntwo\n{% endif %}\nthree {% if subscriber.x %}!{% endif %}')
    assert [node.kind for node in issue.body] == ["paragraph", "statement", "paragraph", "statement", "paragraph"]


def test_a_conditional_item_stays_in_its_list(parse, nodes) -> None:
    """Rule 1: statements between items make items conditional, and the list stays one."""
    issue = parse("- a\n{% if subscriber.plan %}\n- b\n{% endif %}\n- c\n")
    (found,) = nodes(issue, "list")
    assert [child.kind for child in found.children] == ["item", "statement", "item", "statement", "item"]


@pytest.mark.parametrize(
    "text",
    ["**{% if subscriber.x %}a** b{% endif %}", "- {% if subscriber.x %}a\n- b{% endif %}", "one {% endif %}"],
    ids=["emphasis", "items", "never opened"],
)
def test_begin_and_end_lie_in_the_same_container(parse, told, text: str) -> None:
    """Rule 1: a condition that begins in one place and ends in another is named at its own line."""
    lines = told(parse(text))
    assert lines
    assert all("same paragraph, item, cell or block" in line for line in lines)


def test_the_line_of_a_tag_after_a_tag_over_several_lines(parse, told) -> None:
    """A tag written over three lines does not shift the lines of what follows."""
    issue = parse('{{ subscriber.city\n  | default(\n  "x") }}\n\n{% nonsense %}')
    assert told(issue)[0].startswith("issues/x.md:9:")


def test_blocks_nest_at_any_depth(parse, nodes) -> None:
    """Rule 2: a bare fence closes the innermost block."""
    issue = parse('::: story\na\n\n::: only {segments="pro"}\n::: only {segments="beta"}\nb\n:::\nc\n:::\nd\n:::\ne')
    story, after = issue.body
    assert [n.kind for n in story.children] == ["paragraph", "block", "paragraph"]
    assert [n.kind for n in story.children[1].children] == ["block", "paragraph"]
    assert after.plain == "e"


def test_a_fence_in_code_is_text(parse) -> None:
    """Rule 2: a block's fence inside code opens nothing."""
    issue = parse("```\n::: story\n```\n")
    assert [node.kind for node in issue.body] == ["code"]
    assert not issue.problems


def test_a_block_never_closed_is_named_with_both_lines(parse, told) -> None:
    """Rule 2: where it opens, and where the text ends."""
    (line,) = told(parse("::: story\na\n\nb\n"))
    assert line.startswith("issues/x.md:5: error: the block “::: story” is never closed; the text ends on line 9")


def test_a_fence_that_closes_nothing(parse, told) -> None:
    """Rule 2: a bare fence without a block is an error of its own line."""
    assert told(parse("a\n\n:::\n")) == ["issues/x.md:7: error: “:::” closes a block, but none is open here"]


@pytest.mark.parametrize("text", ["> ::: story\n> a\n> :::", "- a\n\n  ::: story\n  b\n  :::"], ids=["quote", "list"])
def test_a_block_can_not_stand_in_a_list_or_quotation(parse, told, text: str) -> None:
    """Rule 2: a block that can't stand where it is, is refused, not shown as text."""
    assert any("left margin" in line for line in told(parse(text)))


def test_attributes_of_their_own_line_govern_what_follows(parse) -> None:
    """Rule 5: a paragraph, list, quotation or picture."""
    issue = parse('{segments="enterprise"}\nFor you.\n\n{.pull}\n> Said.\n')
    assert [dict(node.attrs) for node in issue.body] == [{"segments": "enterprise"}, {"class": "pull"}]


def test_attributes_that_govern_nothing(parse, told) -> None:
    """Rule 5: at the end of the text they are a mistake."""
    assert told(parse('a\n\n{segments="pro"}\n')) == [
        "issues/x.md:7: error: these attributes govern nothing "
        "(put them right above a paragraph, list, quotation or picture)"
    ]


def test_a_mistake_in_attributes_is_no_text(parse, told) -> None:
    """Braces meant as attributes are never shown to a reader because of a slip."""
    assert "can't read “pro”" in told(parse("{segments=free, pro}\nText"))[0]


def test_classes_behind_links(parse, nodes) -> None:
    """Rule 6: style by class."""
    (link,) = nodes(parse("[Try it](https://example.com){.button .wide}"), "link")
    assert link.classes == ("button", "wide")


@pytest.mark.parametrize(
    ("line", "mended"),
    [
        ("subject: Talks: what next", 'subject: "Talks: what next"'),
        ("subject: #1 story", 'subject: "#1 story"'),
        ("subject: Story #1", 'subject: "Story #1"'),
        ("subject: {{ subscriber.first_name }}, hello", 'subject: "{{ subscriber.first_name }}, hello"'),
        ("subject: @you", 'subject: "@you"'),
        ('subject: "Talks', 'subject: "Talks"'),
    ],
)
def test_a_broken_line_is_printed_mended(parse, told, line: str, mended: str) -> None:
    """Rule 7: an error of the front matter shows what the line should be."""
    issue = parse("", head=f"---\n{line}\ndate: 2025-09-12\n---\ntext")
    assert any(text.startswith("issues/x.md:2") and f"write {mended}" in text for text in told(issue)), told(issue)


def test_values_are_strings(parse) -> None:
    """Rule 7: YAML 1.1's surprises are none here: `no` is a word, and so is a number."""
    front = parse("", head="---\nsubject: no\npreheader: 1e3\ntitle: 012\n---\ntext").front
    assert (front.subject, front.preheader, front.title) == ("no", "1e3", "012")


@pytest.mark.parametrize(
    ("line", "told_of"),
    [
        ("preheadr: x", "did you mean “preheader”?"),
        ("date: 12.9.2025", "no date"),
        ("send_at: tomorrow", "no time"),
        ("timezone: Europe/Londn", "no time zone"),
        ("status: redy", "did you mean “ready”?"),
        ("language: english please", "no language"),
        ("subject: twice", "stands twice"),
        (f"theme: {'a' * 5_000}", "at most 100 characters"),
        ("arms: 99", "from 2 to 26 arms"),
    ],
)
def test_wrong_fields_name_the_right_form(parse, told, line: str, told_of: str) -> None:
    """Unknown, doubled and untypable fields are told with their line and what would be right."""
    lines = told(parse("", head=f"---\nsubject: s\n{line}\n---\ntext"))
    assert len(lines) == 1
    assert lines[0].startswith("issues/x.md:3")
    assert told_of in lines[0]


def test_all_problems_in_one_pass(parse, told) -> None:
    """Front matter, blocks, attributes and expressions are told together, in the order of their lines."""
    lines = told(parse("::: story\n{{ 1 + }}\n\n{a=}\n", head="---\nsubjct: x\n---\n"))
    assert [int(line.split(":")[1]) for line in lines] == sorted(int(line.split(":")[1]) for line in lines)
    assert len(lines) >= 4


def test_includes_are_parsed_in_their_place(parse, tmp_path) -> None:
    """Rule 8: a text taken in keeps its own file and lines."""
    (tmp_path / "issues" / "shared").mkdir(parents=True)
    (tmp_path / "issues" / "shared" / "note.md").write_text("Hello\n\n{{ 1 + }}\n")
    issue = parse('::: include {file="note.md"}\n:::\n')
    assert issue.body[0].place.file == "issues/shared/note.md"
    assert str(issue.problems[0].place) == "issues/shared/note.md:3:1"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "nothing.md", "x.md", "n" * 5_000, "round"])
def test_includes_stay_inside_and_end(parse, told, tmp_path, name: str) -> None:
    """Nothing outside the folder is read, nothing includes itself, and no name is too much."""
    (tmp_path / "round").symlink_to("round")
    assert len(told(parse(f'::: include {{file="{name}"}}\n:::\n'))) == 1


def test_footnotes_tasks_and_definitions(parse, nodes) -> None:
    """What CommonMark lacks and writers use: each becomes a node of its own."""
    issue = parse("A[^a] b^[at once].\n\n- [ ] open\n- [x] done\n\nTerm\n: Meaning\n\n[^a]: Note.\n")
    assert not issue.problems
    assert [n.attrs["number"] for n in nodes(issue, "note_ref")] == ["1", "2"]
    assert [n.plain for n in nodes(issue, "note")] == ["Note.", "at once"]
    assert [(n.attrs["task"], n.plain) for n in nodes(issue, "item")] == [("open", "open"), ("done", "done")]
    assert [n.plain for n in nodes(issue, "definitions")[0].children] == ["Term", "Meaning"]


@pytest.mark.parametrize("text", ["See [^x].", "See.\n\n[^x]: Never referred to."])
def test_footnotes_without_their_other_half(parse, told, text: str) -> None:
    """A reference to nothing, and a note that nothing refers to, are told."""
    (line,) = told(parse(text))
    assert "footnote" in line


def test_bare_links_and_emoji(parse, nodes) -> None:
    """An address is a link, a name between colons its emoji, and other colons are left alone."""
    issue = parse("See https://example.com/a_b. :rocket: at 10:30:45, :nothing: and `:rocket:`")
    assert [n.attrs["href"] for n in nodes(issue, "link")] == ["https://example.com/a_b"]
    assert "🚀 at 10:30:45, :nothing: and :rocket:" in issue.body[0].plain


@pytest.mark.parametrize(
    ("html", "kept"),
    [
        ('<b onclick="x()">b</b>', "<b>|</b>"),
        ('<a href="javascript:x">b</a>', "<a>|</a>"),
        ('<span style="position:fixed" class="k">b</span>', '<span class="k">|</span>'),
        ("a<br>b", "<br>"),
    ],
)
def test_an_authors_html_is_made_harmless(parse, nodes, html: str, kept: str) -> None:
    """Known elements pass without their dangerous parts."""
    issue = parse(html)
    assert not issue.problems
    assert "|".join(n.text for n in nodes(issue, "html")) == kept


@pytest.mark.parametrize("html", ["<script>x</script>", "<img src=x>", "<iframe>", "<style>*{}</style>", "<form>"])
def test_html_that_may_not_stand_is_told(parse, told, html: str) -> None:
    """Refused with its line, never dropped without a word; a trusting issue may."""
    (line, *_) = told(parse(html))
    assert line.startswith("issues/x.md:5: error:")
    assert not parse(
        html + ("" if "/" in html or "img" in html else html.replace("<", "</")),
        head="---\nsubject: s\ntrusted: true\n---\n\n",
    ).problems


@pytest.mark.parametrize("html", ["a <b>b", "<div>\n\ntext", "- <i>a\n- b</i>", "text</b>"])
def test_html_is_closed_where_it_is_opened(parse, told, html: str) -> None:
    """An element left open would swallow what comes after it."""
    assert any("closed" in line or "closes" in line for line in told(parse(html)))
