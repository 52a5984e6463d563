"""A whole issue against plain Jinja: another environment, another escaping, Python's own parsers."""

from __future__ import annotations

import html as stdlib_html
import re
import shutil
import urllib.parse
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digest.audience.arms import arm_of
from digest.audience.subscriber import Subscriber
from digest.compose.composer import compile_issue
from digest.localized import FILTERS, ISSUE_LANGUAGE, LANGUAGE
from digest.message.identity import TOKEN, Identity
from digest.message.merge import Merger
from digest.newsletter import Newsletter

TODAY = date(2025, 9, 12)
ISSUE = """---
subject: "{{ subscriber.first_name | default('You') | possessive }} week, {{ subscriber.city | default('at home') }}"
subject_for: {enterprise: "Desk: {{ subscriber.company | default('none') }}", arm.b: "B, {{ subscriber.first_name }}"}
preheader: "Before {{ subscriber.company | default('it') }}"
date: 2025-09-12
---
Hello {{ subscriber.name | default("there") }}{% if subscriber.city %}, of **{{ subscriber.city }}**{% elif
subscriber.company %}, of {{ subscriber.company }}{% else %}, of nowhere{% endif %}.
[Your page](https://x.example/{{ subscriber.city | default("none") }}?q={{ subscriber.company | default("") }}#x "For {{
subscriber.first_name | default("you") }}") and [your desk]({{ subscriber.desk_url | default("https://x.example/") }}).

{% for x in subscriber.interests %}{{ loop.index }}: {{ x }}, {{ subscriber.city | default("") | upper }}{% endfor %}

- {{ subscriber.signed_up | default("1999-12-31") | date("long") }}, {{ subscriber.seats | default(0) | number }}
- {{ subscriber.seats | default(0) | currency("EUR") }}{% if arm == "b" %}, and B{% endif %}

::: only {segments="paying"}
{{ subscriber.role | default("") | truncate(20) }} {% set whole = subscriber.company | default("a") ~ "!" %}{{ whole }}
:::
"""


class _Events(HTMLParser):
    """What a client makes of a page: tags with their attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: list[tuple[str, Any]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, attrs))

    def handle_endtag(self, tag: str) -> None:
        self.seen.append((f"/{tag}", None))

    def handle_data(self, data: str) -> None:
        if self.seen and self.seen[-1][0] == "":
            data = self.seen.pop()[1] + data
        self.seen.append(("", data))

    @property
    def structure(self) -> list[tuple[str, list[str]]]:
        return [(tag, [name for name, _ in attrs or []]) for tag, attrs in self.seen if tag]


def plain(value: Any) -> str:
    """A value as text: a list with commas, line breaks as spaces, without control characters."""
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value))
    text = re.sub(r"[\t-\r\x1c-\x1e\x85\u2028\u2029]+", " ", str(value))
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "", re.sub(r"[\ud800-\udfff]", "\ufffd", text))


def jinja(escape: Any) -> jinja2.Environment:
    made = jinja2.Environment(  # escapes by `finalize`
        finalize=lambda value: value if isinstance(value, _Done) else escape(plain(value)),
        comment_start_string="\x00{#",
        comment_end_string="#}\x00",
        keep_trailing_newline=True,
    )
    link = {"safe": "%:/?#[]@!$&'()*+,;=-._~"}
    made.filters["link"] = lambda v: _Done(
        escape(urllib.parse.quote(re.sub("%(?![0-9A-Fa-f]{2})", "%25", plain(v).strip()), **link))
    )
    made.filters["urlpart"] = lambda v: _Done(urllib.parse.quote(plain(v), safe=""))
    made.filters |= dict(FILTERS)
    return made


class _Done(str):
    """Text that is escaped already."""


class _Row(dict[str, Any]):
    """A reader's values: what is not there is undefined to Jinja."""

    def __missing__(self, key: str) -> Any:
        return jinja2.Undefined(name=key)


class Made:
    """The issue compiled, and the same templates for plain Jinja."""

    def __init__(self, root: Path) -> None:
        newsletter = Newsletter.open(root)
        file = root / "issues" / "x.md"
        file.write_text(ISSUE)
        self.compiled = compile_issue(newsletter, file)
        self.identity = Identity.of(newsletter.settings)
        self.merger = Merger(self.compiled, self.identity, today=TODAY)
        escapes = {"subject": str, "text": str, "html": lambda t: stdlib_html.escape(t, quote=True)}
        self._templates = {
            name: jinja(escape).from_string(getattr(self.compiled, name).source) for name, escape in escapes.items()
        }

    def rendered(self, reader: Subscriber) -> dict[str, str]:
        """Each part, as plain Jinja makes it."""
        plan, country = reader.values.get("plan"), reader.values.get("country")
        segment = {"free": plan == "free" or not plan, "pro": plan == "pro", "enterprise": plan == "enterprise"}
        segment |= {"paying": plan in ("pro", "enterprise"), "dach": country in ("DE", "AT", "CH")}
        links = {"unsubscribe": self.identity.unsubscribe_pattern(), "view": self.identity.view_pattern("x")}
        context = {
            **self.compiled.constants,
            "subscriber": _Row(reader.values),
            "segment": segment,
            "links": {name: pattern.replace(TOKEN, reader.token) for name, pattern in links.items()},
            "arm": arm_of(self.compiled.arms, "x", reader.token),
            LANGUAGE: reader.values.get("language"),
            ISSUE_LANGUAGE: self.compiled.language,
        }
        return {name: template.render(context) for name, template in self._templates.items()}


@pytest.fixture(scope="module")
def made(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("as-jinja")
    for name in ("config", "templates"):
        shutil.copytree(repository / name, root / name)
    (root / "issues").mkdir()
    return Made(root)


HOSTILE = [
    *(
        "Ada\r\nBcc: evil@example.org",
        "<script>alert(1)</script>",
        '" onclick="x',
        "' onclick='x",
        "</p><p>",
        "-->",
        "]]>",
    ),
    *(
        "{{ subscriber.email }}",
        "{% if x %}",
        "&amp;&lt;&#60;",
        "=?utf-8?q?=0D=0ABcc:_x?=",
        '"A" <evil@example.org>, B',
    ),
    *(
        "--=_0000",
        ".\r\n.\r\n",
        "From me",
        "\u202eKNILF\u202c",
        "👩🏽‍💻",
        "a\x00b\x07",
        "x" * 300,
        "\ud800",
        "a/../b?c&d#e%zz",
    ),
    *("javascript:alert(1)", " ", "\u2028", "é" * 80, "Ада, Лавлейс;"),
]
texts = st.sampled_from(HOSTILE) | st.text(min_size=1, max_size=40)
addresses = st.sampled_from(['https://d.example/a b?q="é"&x=%zz', "http://d.example/'<>", "mailto:a@example.com?x=1&y"])
readers = st.fixed_dictionaries(
    {"tags": st.just(())},
    optional={
        **dict.fromkeys(("name", "first_name", "company", "city", "role"), texts),
        "desk_url": addresses,
        "plan": st.sampled_from(["free", "pro", "enterprise"]) | texts,
        "country": st.sampled_from(["DE", "FR"]),
        "language": st.sampled_from(["de", "en", "fr", "ar", "pt-BR", "xx"]),
        "seats": st.integers(-(10**12), 10**12),
        "signed_up": st.dates(date(1990, 1, 1), date(2030, 1, 1)),
        "interests": st.lists(texts, max_size=4).map(tuple),
    },
)
TAME = "Ada"


@given(values=readers, token=st.sampled_from(["tokena", "tokenb", "tokenc", "tokend"]))
@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
def test_what_a_client_decodes_is_what_jinja_renders(
    workshop: Any, made: Made, values: dict[str, Any], token: str
) -> None:
    """Both parts and the subject equal a plain render; To is the reader; every other field is as for anybody."""
    values = {"first_name": "Bo", "email": "ada@example.com", **values}
    reader = Subscriber(1, token, "ada@example.com", values=values)
    expected = made.rendered(reader)
    message = made.merger.message(reader, date=workshop.now)
    parsed = workshop.parsed(message)
    assert workshop.body(parsed, "plain") == expected["text"].replace("\r\n", "\n")
    assert _Events(workshop.body(parsed, "html")).seen == _Events(expected["html"]).seen
    assert parsed["Subject"] == re.sub(r"\s+", " ", plain(expected["subject"])).strip(" ")
    (to,) = parsed["To"].addresses
    assert to.addr_spec == message.recipient == "ada@example.com"
    other = {**values, **{n: TAME for n in ("name", "first_name", "company", "city", "role") if n in values}}
    other["interests"] = (TAME,) * len(values.get("interests", ()))
    tame = workshop.parsed(
        made.merger.message(Subscriber(1, token, "ada@example.com", values=other), date=workshop.now)
    )
    assert parsed.keys() == tame.keys()
    for name in set(parsed.keys()) - {"Subject", "To"}:
        assert parsed.get_all(name) == tame.get_all(name), name
    assert [part.get_content_type() for part in parsed.walk()] == [part.get_content_type() for part in tame.walk()]
    structures = [_Events(workshop.body(one, "html")).structure for one in (parsed, tame)]
    assert structures[0] == structures[1]
