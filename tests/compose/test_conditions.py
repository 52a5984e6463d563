"""What one reader gets and another does not: in the HTML, in Outlook's own markup, and in the text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

BLOCKS = """
First words.

::: sponsor {by="Harbour" segments="free"}
Sponsored words.
:::

::: roundup {.numbered}
## Short
### One {segments="pro, enterprise" short="item one"}
Paid words.

### Two {short="item two"}
Everyone's words.

{% if subscriber.country == "DE" %}
### Three {short="item three"}
German words.
{% endif %}
:::

{segments="!free"}
Only for payers.

{% if subscriber.plan == "pro" %}
::: story
## For pros
Pro words.
:::
{% else %}
::: story
## For others
Other words.
:::
{% endif %}

- always
{% if subscriber.plan == "pro" %}
- professionals
{% endif %}
- at the end
"""


class _Balance(HTMLParser):
    """Every element that must be closed is closed in order; Outlook's comments are read as markup too."""

    VOID = frozenset({"br", "hr", "img", "meta", "link", "input", "v:fill", "o:allowpng", "o:pixelsperinch"})

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.stack, tag
            assert self.stack.pop() == tag


def assert_balanced(html: str, *, outlook: bool) -> None:
    """`html` as Outlook reads it (its conditional comments are markup), or as everybody else does."""
    if outlook:
        html = re.sub(r"<!--\[if !mso\]><!-->.*?<!--<!\[endif\]-->", "", html, flags=re.DOTALL)
        html = re.sub(r"<!--\[if[^\]]*\]>|<!\[endif\]-->", "", html)
    else:
        html = re.sub(r"<!--\[if (?!!).*?<!\[endif\]-->", "", html, flags=re.DOTALL)
    parser = _Balance()
    parser.feed(re.sub(r"<xml>.*?</xml>|<!DOCTYPE[^>]*>", "", html, flags=re.DOTALL))
    assert not parser.stack


READERS = {
    "free": {"plan": "free"},
    "pro": {"plan": "pro"},
    "german": {"plan": "enterprise", "country": "DE"},
    "unknown": {},
}

GETS = {
    "free": {"Sponsored", "Everyone's", "Other"},
    "pro": {"Paid", "Everyone's", "Only for payers", "Pro words", "professionals"},
    "german": {"Paid", "Everyone's", "German", "Only for payers", "Other"},
    "unknown": {"Sponsored", "Everyone's", "Other"},
}
ALL = set().union(*GETS.values())


@pytest.mark.parametrize("name", READERS)
def test_each_reader_gets_exactly_their_blocks(compose, render, name: str) -> None:
    """In both parts: what is theirs, and nothing of what is not."""
    seen = render(compose(BLOCKS), **READERS[name])
    for part in (seen.html, seen.text):
        plain = part.replace("&#x27;", "'").replace("’", "'")
        assert {words for words in ALL if words in plain} == GETS[name]


@pytest.mark.parametrize("name", READERS)
def test_every_variant_is_whole_html(compose, render, name: str) -> None:
    """Cutting a block out leaves balanced markup, for Outlook and for the rest."""
    html = render(compose(BLOCKS), **READERS[name]).html
    assert_balanced(html, outlook=False)
    assert_balanced(html, outlook=True)


@pytest.mark.parametrize(("name", "count"), [("free", 1), ("pro", 2), ("german", 3)])
def test_items_are_numbered_for_each_reader(compose, render, name: str, count: int) -> None:
    """A reader who gets two of three items sees 1 and 2, in the text too."""
    seen = render(compose(BLOCKS), **READERS[name])
    shown = re.findall(r'class="numeral[^"]*"[^>]*>\s*(\d+)', seen.html)
    assert shown == [str(n) for n in range(1, count + 1)]
    assert re.findall(r"^(\d+)\. ", seen.text, re.MULTILINE) == shown


@pytest.mark.parametrize("name", READERS)
def test_contents_lists_what_the_reader_gets(compose, render, name: str) -> None:
    """An entry carries its item's condition, in both parts."""
    seen = render(compose("::: contents\n:::\n" + BLOCKS), **READERS[name])
    expected = [word for word, mark in (("one", "Paid"), ("two", "Every"), ("three", "German")) if mark in seen.text]
    assert re.findall(r"item (one|two|three)", seen.html) == expected
    assert re.findall(r"^- item (\w+)$", seen.text, re.MULTILINE) == expected


def test_subjects_by_segment(compose, render) -> None:
    """`subject_for` chooses the first that fits; the rest get the subject."""
    head = '---\nsubject: "For all"\nsubject_for: {pro: "For pros", "!free": "For payers"}\ndate: 2025-01-01\n---\n'
    compiled = compose("text", head=head)
    assert [render(compiled, plan=p).subject for p in ("pro", "enterprise", "free")] == [
        "For pros",
        "For payers",
        "For all",
    ]


def test_a_hidden_block_leaves_no_gap_in_the_text(compose, render) -> None:
    """Nothing is left of a block in the plain text, not even its empty lines."""
    text = render(compose(BLOCKS), plan="pro").text
    assert "\n\n\n" not in text


def test_braces_of_the_text_come_out_as_written(compose, render) -> None:
    """Static braces, in code and out of it, pass through the merge unharmed."""
    seen = render(compose("Code `{{ x }}` and `{% if %}` and \\{{ plain }} and {#x#} and a { here {{ issue.slug }}"))
    for part in (seen.html, seen.text):
        for words in ("{{ x }}", "{% if %}", "{{ plain }}", "{#x#}", "a { here x"):
            assert words in part


@pytest.mark.parametrize(
    ("link", "address"),
    [
        ("{{ subscriber.desk_url }}", "https://desk.example.com/a?b=1&amp;c=%22"),
        (
            "https://example.com/{{ subscriber.city }}?q={{ subscriber.company }}",
            "https://example.com/K%C3%B6ln?q=A%26B",
        ),
        ("https://example.com/{% if subscriber.city %}yes{% else %}no{% endif %}", "https://example.com/yes"),
    ],
    ids=["whole", "parts", "condition"],
)
def test_values_in_links_are_encoded_for_their_place(compose, render, link: str, address: str) -> None:
    """A whole address stays one; a part of one can't add to it."""
    values = {"desk_url": 'https://desk.example.com/a?b=1&c="', "city": "Köln", "company": "A&B"}
    seen = render(compose(f"[go]({link})"), **values)
    assert f'href="{address}"' in seen.html
    assert address.replace("&amp;", "&") in seen.text


def test_values_are_escaped_where_they_stand(compose, render) -> None:
    """A name is text, in the page, in an attribute and in the title."""
    head = '---\nsubject: "Hi {{ subscriber.name }}"\ndate: 2025-01-01\n---\n'
    compiled = compose(
        "Dear {{ subscriber.name }}, ![of {{ subscriber.name }}](../2025-09-12-coopetition/hero.png)", head=head
    )
    seen = render(compiled, name='<script>"x"</script>')
    assert "<script" not in seen.html
    assert seen.html.count("&lt;script&gt;") >= 3
    assert seen.subject == 'Hi <script>"x"</script>'


NOTES = """
All[^a] of you.

{segments="pro"}
For pros.[^b]

{% if subscriber.country == "DE" %}
Germans.[^c]
{% else %}
Others.[^d]
{% endif %}

::: roundup
## R
### One {segments="free"}
Free.[^b]
:::

[^a]: Note a.
[^b]: Note b.
[^c]: Note c.
[^d]: Note d.
"""


@pytest.mark.parametrize(
    ("values", "notes"),
    [
        ({"plan": "pro", "country": "DE"}, "abc"),
        ({"plan": "enterprise"}, "ad"),
        ({"plan": "free"}, "abd"),
    ],
)
def test_a_footnote_comes_with_its_reference(compose, render, values, notes: str) -> None:
    """Those who get a reference get the note, and nobody else, in both parts."""
    seen = render(compose(NOTES), **values)
    for part in (seen.html, seen.text):
        assert re.findall(r"Note (\w)\.", part) == list(notes)
    assert set(re.findall(r'href="#(note-\d)"', seen.html)) == set(re.findall(r'id="(note-\d)"', seen.html))


ROWS = """
| Plan | Seats |
|------|------:|
| Free | 1 |
{% if subscriber.plan == "pro" %}
| Pro | 5 |
{% else %}
| More | ask |
{% endif %}
| All | 9 |

Words.
"""


@pytest.mark.parametrize(("plan", "rows"), [("pro", ["Free", "Pro", "All"]), ("free", ["Free", "More", "All"])])
def test_rows_of_a_table_are_conditional(compose, render, plan: str, rows: list[str]) -> None:
    """A statement alone between two rows governs rows: in both parts, aligned as one table in the text."""
    seen = render(compose(ROWS), plan=plan)
    assert re.findall(r"<td[^>]*>(Free|Pro|More|All)<", seen.html) == rows
    assert re.findall(r"^(Free|Pro|More|All)   ? +\w+$", seen.text, re.MULTILINE) == rows
    assert_balanced(seen.html, outlook=False)


@pytest.mark.parametrize("plan", ["pro", "free"])
def test_a_statement_right_behind_a_table_ends_what_began_before_it(compose, render, plan: str) -> None:
    """Whole tables are conditional without an empty line between them and the statement."""
    head = "|---|---|\n"
    body = f"| a | b |\n{head}| one | x |\n{{% else %}}\n| c | d |\n{head}| two | x |\n{{% endif %}}\nWords."
    seen = render(compose('{% if subscriber.plan == "pro" %}\n' + body), plan=plan)
    assert (">one<" in seen.html, ">two<" in seen.html) == (plan == "pro", plan != "pro")
    assert "Words." in seen.html
