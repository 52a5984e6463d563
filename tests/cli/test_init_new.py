"""`digest init` and `digest new`, run as a user runs them."""

import json
import re
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from digest.cli import init, new
from digest.compose.composer import compile_issue
from digest.issue.parser import read_issue
from digest.newsletter import Newsletter, shipped

TODAY = date.today().isoformat()


def test_init_writes_a_newsletter_that_loads(digest, tmp_path: Path) -> None:
    """The folder has settings, readers, a theme that extends median, a first issue, lists and a .gitignore."""
    done = digest("init", "my letter", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    root = tmp_path / "my letter"
    files = sorted(f.relative_to(root).as_posix() for f in root.rglob("*") if f.is_file())
    assert files == [
        ".gitignore",
        "config/digest.toml",
        "config/readers.toml",
        f"issues/{TODAY}-hello.md",
        "subscribers/sample.csv",
        "subscribers/test.csv",
        "templates/house/theme.toml",
    ]
    newsletter = Newsletter.open(root)
    assert newsletter.theme_folder("house") == root / "templates/house"
    assert newsletter.theme_folder("median") == shipped("templates", "median")
    assert (root / "templates/house/theme.toml").read_text().splitlines()[1] == 'extends = "median"'
    assert "cd 'my letter'" in done.stdout
    assert f"digest preview {TODAY}-hello" in done.stdout


def test_init_keeps_addresses_and_secrets_out_of_git(digest, tmp_path: Path) -> None:
    """In a repository made of the new folder git sees neither .env nor database nor lists, but the sample."""
    import subprocess

    digest("init", "letter", cwd=tmp_path)
    root = tmp_path / "letter"
    for private in (".env", "subscribers/digest.db", "subscribers/readers.csv", "build/x.html"):
        (root / private).parent.mkdir(exist_ok=True)
        (root / private).write_text("x")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    seen = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard"], cwd=root, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "subscribers/sample.csv" in seen
    assert not {".env", "subscribers/digest.db", "subscribers/readers.csv", "build/x.html"} & set(seen)


def test_init_leaves_a_folder_that_is_in_use(digest, tmp_path: Path) -> None:
    """A folder with anything in it is refused unlisted and untouched; one with only .git is as good as empty."""
    (tmp_path / "used").mkdir()
    (tmp_path / "used/private.txt").write_text("x")
    done = digest("init", "used", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "used is not empty" in done.stderr
    assert "private" not in done.stderr
    assert [f.name for f in (tmp_path / "used").iterdir()] == ["private.txt"]
    (tmp_path / "fresh/.git").mkdir(parents=True)
    assert digest("init", "fresh", cwd=tmp_path).returncode == 0


def test_init_where_one_may_not_write_is_a_line(digest, tmp_path: Path) -> None:
    """A parent that is a file is named in one line, without a traceback."""
    (tmp_path / "file").write_text("x")
    done = digest("init", "file/letter", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "file/letter" in done.stderr


def test_new_writes_a_draft_and_prints_its_path(digest, tmp_path: Path) -> None:
    """issues/DATE-SLUG.md is a draft with the title as subject, the newsletter's theme and its author."""
    digest("init", "letter", cwd=tmp_path)
    root = tmp_path / "letter"
    (root / "sub").mkdir()
    done = digest("new", 'Talks: "what" next? #1', cwd=root / "sub")
    slug = done.stdout.strip().removeprefix("issues/").removesuffix(".md")
    assert slug.endswith("-talks-what-next-1")
    front = yaml.load((root / f"issues/{slug}.md").read_text().split("---\n")[1], Loader=yaml.BaseLoader)
    assert front["subject"] == 'Talks: "what" next? #1'
    assert (front["status"], front["theme"], front["authors"]) == ("draft", "house", ["ada"])
    assert slug.startswith(front["date"])


def test_what_init_and_new_write_composes(tmp_path: Path) -> None:
    """The starter's issue has no problem in the starter's own theme and segments, nor has a new draft."""
    for name, content in init.starter_files(date(2026, 1, 1)).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    newsletter = Newsletter.open(tmp_path)
    hello = compile_issue(newsletter, newsletter.find_issue("2026-01-01-hello"))
    assert "newcomers" in hello.segments
    draft = compile_issue(newsletter, new.write_issue(newsletter, "Once", date(2026, 1, 2)))
    assert (draft.subject.source, draft.slug) == ("Once", "2026-01-02-once")


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=30))
@example(title='# 1: *a* _b_ `c` [d](e) <f> {g} {#h} ~i~ | j & "k" \\ l')
@example(title="- no")
@example(title="{.button} {segments=x}")
def test_any_title_is_a_subject_and_a_headline(folder: Path, title: str) -> None:
    """The draft of any printable title without Jinja composes, and the title is its subject and its headline."""
    assume(not re.search(r"\{[{%]", title))
    newsletter = Newsletter.open(folder)
    file = new.write_issue(newsletter, title, date(2026, 1, 1))
    try:
        compiled = compile_issue(newsletter, file)
        issue = read_issue(file, root=newsletter.root, slug=file.stem)
        heading = next(node for top in issue.body for node in top.walk() if node.kind == "heading")
    finally:
        file.unlink()
    assert compiled.subject.source == title
    assert {node.kind for node in heading.children} == {"text"}
    assert set(heading.attrs) == {"level"}
    assert [c for c in heading.plain if c.isalnum()] == [c for c in title if c.isalnum()]


def test_new_never_overwrites(digest, tmp_path: Path) -> None:
    """The same title on the same day is refused, in either form of an issue, and the first one kept."""
    digest("init", "letter", cwd=tmp_path)
    root = tmp_path / "letter"
    path = root / digest("new", "Once", cwd=root).stdout.strip()
    path.write_text("mine")
    again = digest("new", "Once", cwd=root)
    assert again.returncode == 1
    assert "is there already" in again.stderr
    assert path.read_text() == "mine"
    folder = path.with_suffix("")
    folder.mkdir()
    path.rename(folder / "index.md")
    assert digest("new", "once!", cwd=root).returncode == 1


def test_new_answers_in_json(digest, tmp_path: Path) -> None:
    """With --json the one object on standard output names file and slug."""
    digest("init", "letter", cwd=tmp_path)
    answer = json.loads(digest("--json", "new", "Once", cwd=tmp_path / "letter").stdout)
    assert answer["file"] == f"issues/{answer['slug']}.md"


@pytest.mark.parametrize("title", ["", "  ", "a\x07b"])
def test_a_title_of_nothing_is_refused(digest, folder: Path, title: str) -> None:
    """An empty title, or one with control characters, makes no file."""
    before = sorted((folder / "issues").iterdir())
    assert digest("new", title, cwd=folder).returncode == 1
    assert sorted((folder / "issues").iterdir()) == before


@given(st.text(max_size=80))
def test_a_slug_is_a_plain_file_name(title: str) -> None:
    """Whatever the title, the slug is words of letters and digits joined by single hyphens, of bounded length."""
    slug = new.slug_of(title)
    assert 0 < len(slug) <= 60
    assert all(word.isalnum() for word in slug.split("-"))
    assert slug == new.slug_of(slug)
