"""A reader's own pages: what may be changed, what is held, being forgotten."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest


@pytest.fixture
def ada(site: Any) -> str:
    """A reader's path."""
    columns = {"name": "Ada Example", "tags": '["chips", "inner-circle"]', "language": "en", "first_name": "Ada"}
    return f"/preferences/{site.subscribe('ada@example.org', **columns)}"


def test_wishes_are_kept(site: Any, ada: str) -> None:
    """Name, language and the tags on offer are what the form says; other tags stay, and are not shown."""
    page = site.http.get(ada).text
    assert "inner-circle" not in page
    wanted = {"name": "Countess  of Lovelace", "language": "de", "tags": ["policy"]}
    answer = site.http.post(ada, data=wanted)
    assert 'lang="de"' in answer.text
    assert "Gespeichert." in answer.text
    found = site.execute("SELECT name, first_name, language, tags FROM subscribers")
    assert found == [("Countess of Lovelace", None, "de", '["inner-circle", "policy"]')]


WRONG = [
    {"name": "a\r\nBcc: x@example.com".replace(" ", "\x00")},
    {"name": "x" * 201},
    {"language": "../../x"},
    {"language": "<b>"},
    {"tags": ["inner-circle"]},
    {"tags": ["chips", "<script>"]},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_no_page_sends_is_refused(site: Any, ada: str, wrong: dict[str, Any]) -> None:
    """Control characters, tags that are not on offer and made-up languages change nothing."""
    before = site.execute("SELECT * FROM subscribers")
    answer = site.http.post(ada, data={"name": "Ada", "language": "en", **wrong})
    assert answer.status_code == 400
    assert "<script>" not in answer.text
    assert site.execute("SELECT * FROM subscribers") == before


def test_half_a_form_changes_nothing(site: Any, ada: str) -> None:
    """A form without its name or language is no wish to clear them."""
    for half in ({"name": "Ada"}, {"language": "de"}, {}):
        assert site.http.post(ada, data=half).status_code == 400
    assert site.execute("SELECT name, language FROM subscribers") == [("Ada Example", "en")]


def test_line_breaks_in_a_name_become_spaces(site: Any, ada: str) -> None:
    """CR and LF never reach the list, from where they would reach a header."""
    site.http.post(ada, data={"name": "Ada\r\nBcc: x@example.com", "language": "en"})
    assert site.execute("SELECT name FROM subscribers") == [("Ada Bcc: x@example.com",)]


def test_markup_in_values_is_text(site: Any) -> None:
    """HTML in a value is shown as text on every page that shows it."""
    token = site.subscribe("ada@example.org", name="<img src=x onerror=alert(1)>", language="en")
    page = site.http.get(f"/preferences/{token}").text
    assert "<img" not in page
    assert "&lt;img" in page


def test_everything_held(site: Any, ada: str, digest: Any) -> None:
    """The download says what `digest subscribers show --json` says, and what was agreed to."""
    answer = site.http.get(f"{ada}/data")
    assert "attachment" in answer.headers["content-disposition"]
    told = json.loads(answer.text)
    shown = digest("--json", "subscribers", "show", "ada@example.org", cwd=site.root)
    known = json.loads(shown.stdout)
    assert told["consents"] == []
    assert {key: told[key] for key in known} == known


def test_erased(site: Any, ada: str) -> None:
    """After one page and one press nothing names the reader, the link names nobody, and imports stay away."""
    assert site.http.get(f"{ada}/erase").status_code == 200
    assert len(site.execute("SELECT 1 FROM subscribers")) == 1
    assert site.http.post(f"{ada}/erase").status_code == 200
    assert site.execute("SELECT 1 FROM subscribers") == []
    assert len(site.execute("SELECT 1 FROM forgotten")) == 1
    assert site.http.get(ada).status_code == 404
    assert site.http.post(f"{ada}/erase").status_code == 404
    # Read by another process: closing the file in this one would give up the locks of its connections.
    held = subprocess.run(["cat", site.newsletter.database], capture_output=True, check=True).stdout
    assert held
    assert b"ada@example.org" not in held


def test_too_much_is_refused(site: Any, ada: str) -> None:
    """A form of megabytes, or of thousands of fields, is refused and changes nothing."""
    assert site.http.post(ada, content=b"name=" + b"x" * 2_000_000).status_code == 413
    assert site.http.post(ada, content=b"&".join(b"tags=a" for _ in range(1000))).status_code == 400
    assert site.http.post(ada, content=b"name=\xff\xfe").status_code == 400
    assert site.execute("SELECT name FROM subscribers") == [("Ada Example",)]
