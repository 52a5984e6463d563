"""`digest diff` and `digest build --web`: what changed, and pages to show."""

from __future__ import annotations

import json
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

SLUG = "2025-09-12-coopetition"


@pytest.fixture
def kept(folder) -> Path:
    """The folder under git, with everything committed."""
    for command in (["init", "-q"], ["add", "config", "issues", "templates"], ["commit", "-qm", "First"]):
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *command], cwd=folder, check=True, capture_output=True)
    return folder


def _edit(folder: Path, old: str, new: str) -> None:
    file = folder / "issues" / SLUG / "index.md"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_nothing_changed_is_said(kept, digest) -> None:
    """An issue as it was committed has not changed."""
    run = digest("diff", SLUG, cwd=kept)
    assert (run.returncode, "nothing changed since HEAD" in run.stdout) == (0, True), run.stderr


def test_changed_words_are_shown_for_whom_they_are(kept, digest) -> None:
    """Words that went and came, once each, also those that only one segment reads; git's folder is as it was."""
    _edit(kept, "one tiny one", "one small one")
    _edit(kept, '{segments="newcomers"}', '{segments="newcomers"}\nHello to all who are new.')
    before = subprocess.run(["git", "status", "--porcelain"], cwd=kept, capture_output=True, check=True).stdout
    run = digest("diff", SLUG, "HEAD", cwd=kept)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("[-tiny-] {+small+}") == 1
    assert run.stdout.count("Hello to all who are new.") == 1
    assert subprocess.run(["git", "status", "--porcelain"], cwd=kept, capture_output=True, check=True).stdout == before
    answer = json.loads(digest("diff", SLUG, "--json", cwd=kept).stdout)
    assert answer["changed"] is True


def test_words_of_a_condition_that_went_are_shown(kept, digest) -> None:
    """What only a condition showed that is deleted with its words, nobody reads any more: it is shown as gone."""
    file = kept / "issues" / SLUG / "index.md"
    text = file.read_text()
    said = "Hello to the one enterprise in Vanuatu."
    file.write_text(text + f"\n{{% if subscriber.country == 'VU' %}}{said}{{% endif %}}\n")
    subprocess.run(["git", "-c", "user.name=Ada", "-c", "user.email=a@example.com", "commit", "-qam", "Two"], cwd=kept)
    file.write_text(text)
    run = digest("diff", SLUG, cwd=kept)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count(f"[-{said}-]") == 1
    assert "(before)" in run.stdout


def test_who_lacks_a_value_is_passed_over(kept, digest) -> None:
    """A value that is printed bare and that the public reader lacks keeps nobody from seeing what changed."""
    _edit(kept, "one tiny one", "one small one for {{ subscriber.company }}")
    run = digest("diff", SLUG, cwd=kept)
    assert run.returncode == 0, run.stderr
    assert "{+small" in run.stdout


def test_a_text_that_nobody_can_read_is_told(kept, digest) -> None:
    """Where every made-up reader lacks a value there is nothing to compare: its place is told, with exit code 1."""
    (kept / "issues" / "x.md").write_text("---\nsubject: s\ndate: 2025-09-12\n---\nWords.\n")
    for command in (["add", "issues"], ["-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "-qm", "Two"]):
        subprocess.run(["git", *command], cwd=kept, check=True)
    (kept / "issues" / "x.md").write_text(
        "---\nsubject: s\ndate: 2025-09-12\naudience: not subscriber.company\n---\nAt {{ subscriber.company }}.\n"
    )
    run = digest("diff", "x", cwd=kept)
    assert run.returncode == 1
    assert "issues/x.md:6:4: error: `company` is missing" in run.stderr


def test_both_pictures_side_by_side(kept, digest) -> None:
    """With --out a page shows the words and both emails, and says that it is a draft."""
    _edit(kept, "one tiny one", "one small one")
    run = digest("diff", SLUG, "--out", "review", cwd=kept)
    assert run.returncode == 0, run.stderr
    page = (kept / "review" / "index.html").read_text()
    assert "<strong>Draft.</strong>" in page
    assert "<ins>small </ins>" in page
    assert "one tiny one" in (kept / "review" / "email" / "01-old.html").read_text()
    assert "one small one" in (kept / "review" / "email" / "01-new.html").read_text()
    _all_there(kept / "review")


@pytest.mark.parametrize(
    ("revision", "said"), [("nosuch", "git says"), ("--output=x", "no such option"), ("sent", "was never sent")]
)
def test_what_there_is_not_is_told(kept, digest, revision: str, said: str) -> None:
    """A revision there is none of, and an issue that was never sent, are told with what would be right."""
    run = digest("diff", SLUG, revision, cwd=kept)
    assert run.returncode in (1, 2)
    assert said in run.stderr.lower() or said in run.stderr
    assert "Traceback" not in run.stderr


def test_without_git_is_told(folder, digest) -> None:
    """Outside of git the command says what else can be compared with."""
    run = digest("diff", SLUG, cwd=folder)
    assert run.returncode == 1
    assert "digest diff ISSUE sent" in run.stderr


def test_pages_to_show_are_whole(folder, digest) -> None:
    """--web writes a page for each variant; every file a page names is there, no page runs a script."""
    run = digest("build", SLUG, "--web", "web", "--json", cwd=folder)
    assert run.returncode == 0, run.stderr
    web = folder / "web"
    pages = sorted(web.glob("*.html"))
    assert len(pages) == json.loads(run.stdout)["pages"] > 10
    for page in pages:
        text = page.read_text()
        assert "<strong>Draft.</strong>" in text
        assert "<script" not in text
        assert "this-was-a-test" in (web / "email" / "01.html").read_text()
    _all_there(web)


def test_a_folder_is_asked_for(folder, digest) -> None:
    """Without --out or --web there is nothing to write."""
    run = digest("build", SLUG, cwd=folder)
    assert run.returncode == 2
    assert "--web DIR" in run.stderr


class _Names(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        wanted = {"img": "src", "iframe": "src", "link": "href"}.get(tag)
        self.names |= {value for name, value in attrs if name == wanted and value}


def _all_there(folder: Path) -> None:
    for page in folder.rglob("*.html"):
        names = _Names()
        names.feed(page.read_text())
        for name in names.names:
            if not name.startswith(("http", "data:")):
                assert (page.parent / name).resolve().is_file(), f"{page}: {name}"


def test_changed_since_it_was_sent(folder, digest) -> None:
    """`sent` compares with the text that the run stored, whatever became of the file since."""
    from digest.compose.composer import compile_issue
    from digest.delivery.desk import open_desk
    from digest.delivery.runs import Head
    from digest.newsletter import Newsletter

    newsletter = Newsletter.open(folder)
    with open_desk(newsletter) as desk:
        desk.runs.stage([])
        desk.runs.begin(compile_issue(newsletter, newsletter.find_issue(SLUG)), Head(0, {}))
    assert "nothing changed since it was sent" in digest("diff", SLUG, "sent", cwd=folder).stdout
    _edit(folder, "one tiny one", "one small one")
    assert "[-tiny-] {+small+}" in digest("diff", SLUG, "sent", cwd=folder).stdout
