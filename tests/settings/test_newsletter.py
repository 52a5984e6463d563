"""The newsletter's folder: found, searched, and what the package carries for it."""

from pathlib import Path

import pytest

from digest.errors import InputError
from digest.newsletter import Newsletter, shipped


@pytest.fixture
def newsletter(folder: Path) -> Newsletter:
    """A copy of the sample with four more issues."""
    for name in ("2026-01-02-spring", "2026-01-09-sun", "2026-02-01-rain"):
        (folder / f"issues/{name}.md").write_text("---\nsubject: x\n---\n")
    (folder / "issues/moon").mkdir()
    (folder / "issues/moon/index.md").write_text("---\nsubject: x\n---\n")
    (folder / "issues/shared").mkdir(exist_ok=True)
    (folder / "issues/shared/index.md").write_text("no issue")
    return Newsletter.open(folder)


def test_it_is_found_from_any_folder_inside(newsletter: Newsletter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --project the closest folder above with config/digest.toml is the newsletter."""
    monkeypatch.chdir(newsletter.root / "issues/moon")
    assert Newsletter.open().root == newsletter.root


def test_issues_are_pages_and_folders_but_not_shared(newsletter: Newsletter) -> None:
    """issues/<slug>.md and issues/<slug>/index.md are issues; issues/shared is none."""
    files = {slug: newsletter.shown(file) for slug, file in newsletter.issue_files().items()}
    assert files["moon"] == "issues/moon/index.md"
    assert files["2026-01-09-sun"] == "issues/2026-01-09-sun.md"
    assert "shared" not in files


def test_a_slug_in_both_forms_is_a_problem(newsletter: Newsletter) -> None:
    """issues/moon.md beside issues/moon/index.md: both are named."""
    (newsletter.root / "issues/moon.md").write_text("")
    with pytest.raises(InputError, match=r"issues/moon\.md: error: .*issues/moon/index\.md"):
        newsletter.issue_files()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("moon", "issues/moon/index.md"),
        ("issues/moon/index.md", "issues/moon/index.md"),
        ("issues/moon", "issues/moon/index.md"),
        ("issues/moon/", "issues/moon/index.md"),
        ("./issues/2026-01-09-sun.md", "issues/2026-01-09-sun.md"),
        ("2026-02", "issues/2026-02-01-rain.md"),
    ],
)
def test_an_issue_is_named_by_slug_path_or_unique_prefix(
    newsletter: Newsletter, monkeypatch: pytest.MonkeyPatch, name: str, found: str, tmp_path: Path
) -> None:
    """Paths count from the newsletter's folder and from the working directory."""
    assert newsletter.shown(newsletter.find_issue(name)) == found
    monkeypatch.chdir(tmp_path)
    assert newsletter.shown(newsletter.find_issue(name)) == found


def test_a_path_from_the_working_directory_is_found(newsletter: Newsletter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside issues/moon, index.md is that issue."""
    monkeypatch.chdir(newsletter.root / "issues/moon")
    assert newsletter.find_issue("index.md") == newsletter.root / "issues/moon/index.md"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("2026-01", "“2026-01” begins several issues (one of: 2026-01-02-spring, 2026-01-09-sun)"),
        ("mooon", "there is no issue “mooon” (did you mean “moon”?)"),
        ("", "there is no issue “”"),
        ("../../etc/passwd", "there is no issue"),
    ],
)
def test_an_unclear_name_is_answered_with_the_candidates(newsletter: Newsletter, name: str, message: str) -> None:
    """An ambiguous prefix lists what it may mean, a misspelt slug the nearest."""
    with pytest.raises(InputError) as caught:
        newsletter.find_issue(name)
    assert message in str(caught.value)


def test_ones_own_theme_comes_before_the_shipped(newsletter: Newsletter) -> None:
    """templates/<name> in the folder wins; a theme that is only in the package is found; else the nearest."""
    assert newsletter.theme_folder("median") == newsletter.root / "templates/median"
    (newsletter.root / "templates/median/theme.toml").unlink()
    assert newsletter.theme_folder("median") == shipped("templates", "median")
    with pytest.raises(InputError, match="did you mean “median”"):
        newsletter.theme_folder("medain")


@pytest.mark.parametrize(
    ("address", "file"), [("sqlite:///data/x.db", "data/x.db"), ("sqlite:////tmp/x.db", "/tmp/x.db")]
)
def test_the_database_is_relative_to_the_folder(folder: Path, address: str, file: str) -> None:
    """Three slashes: in the newsletter's folder; four: an absolute path."""
    assert Newsletter.open(folder, {"database": address}).database == folder / file


def test_what_is_inside_is_shown_relative(newsletter: Newsletter) -> None:
    """Messages name files as the author knows them."""
    assert newsletter.shown(newsletter.root / "config/digest.toml") == "config/digest.toml"
    assert newsletter.shown(Path("issues/x.md")) == "issues/x.md"
    assert newsletter.shown(Path("/etc/hosts")) == "/etc/hosts"
