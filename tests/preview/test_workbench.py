"""What the workbench knows: the latest look at each issue, over the last good one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from digest.compose import composer
from digest.errors import Place
from digest.newsletter import Newsletter
from digest.preview.workbench import Workbench

Write = Callable[[Path, str, str], None]


@pytest.fixture
def bench(folder: Path) -> Workbench:
    return Workbench(Newsletter.open(folder))


@pytest.fixture
def issue(bench: Workbench) -> Path:
    return bench.newsletter.root / "issues" / "first" / "index.md"


def test_composed_once_until_saved(bench: Workbench, issue: Path, write: Write) -> None:
    """An issue is composed anew when it was saved, and only then."""
    first = bench.look("first")
    assert bench.look("first") is first
    write(issue, "and welcome", "and good day")
    assert bench.changed([issue]) == {"first"}
    again = bench.look("first")
    assert again is not None
    assert again is not first
    assert again.compiled is not None
    assert "and good day" in again.compiled.html.source


def test_broken_issue_keeps_last_rendering(bench: Workbench, issue: Path, write: Write) -> None:
    """A broken issue names the line over the last good rendering, and mending it clears that."""
    good = bench.look("first")
    write(issue, "# A first heading", "::: hreo\n# A first heading\n:::")
    bench.changed([issue])
    look = bench.look("first")
    assert look is not None
    assert good is not None
    assert look.twin is good.twin
    assert look.problems[0].place == Place("issues/first/index.md", 8)
    assert "hero" in look.problems[0].cure
    excerpt = bench.excerpt(look.problems[0].place)
    assert excerpt is not None
    assert (8, "::: hreo", True) in excerpt.lines
    write(issue, "::: hreo\n# A first heading\n:::", "# A first heading")
    bench.changed([issue])
    mended = bench.look("first")
    assert mended is not None
    assert mended.problems == ()


def test_save_while_composing_is_not_lost(
    bench: Workbench, issue: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is saved after the file was read makes the look stale."""
    real = composer.compose_issue

    def slow(newsletter: Newsletter, file: Path, **options: bool) -> object:
        compiled = real(newsletter, file, **options)
        write(issue, "and welcome", "and good day")
        bench.changed([issue])
        return compiled

    monkeypatch.setattr(composer, "compose_issue", slow)
    bench.look("first")
    monkeypatch.undo()
    assert bench.stale() == ["first"]
    look = bench.look("first")
    assert look is not None
    assert look.compiled is not None
    assert "and good day" in look.compiled.html.source


def test_theme_deleted_while_open(bench: Workbench, folder: Path, write: Write, issue: Path) -> None:
    """A theme that goes away is a problem with a place; the last good rendering stays."""
    shutil.copytree(folder / "templates" / "median", folder / "templates" / "house")
    write(issue, "status: draft", "status: draft\ntheme: house")
    good = bench.look("first")
    assert good is not None
    assert good.problems == ()
    shutil.rmtree(folder / "templates" / "house")
    bench.changed([folder / "templates" / "house"])
    look = bench.look("first")
    assert look is not None
    assert "house" in look.problems[0].message
    assert look.twin is good.twin


def test_issue_that_goes_and_comes(bench: Workbench, issue: Path, folder: Path) -> None:
    """A deleted issue is gone, a new one is there; no restart is needed."""
    text = issue.read_text()
    shutil.rmtree(issue.parent)
    bench.changed([issue])
    assert bench.look("first") is None
    (folder / "issues" / "second.md").write_text(text.replace("![A green field](field.png)", ""))
    assert bench.changed([folder / "issues" / "second.md"]) == {"second"}
    look = bench.look("second")
    assert look is not None
    assert look.problems == ()


def test_huge_file_is_a_problem(bench: Workbench, issue: Path) -> None:
    """A file of 10 MB is refused with its reason, at once."""
    bench.look("first")
    issue.write_text(issue.read_text() + "word " * 2_000_000)
    bench.changed([issue])
    look = bench.look("first")
    assert look is not None
    assert look.problems[0].place == Place("issues/first/index.md")
    assert look.twin is not None


def test_unforeseen_failure_is_a_problem(bench: Workbench, issue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in composing is shown as a problem over the last good rendering, not as a dead page."""
    good = bench.look("first")
    assert good is not None

    def failing(_newsletter: Newsletter, _file: Path, **_options: bool) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(composer, "compose_issue", failing)
    bench.changed([issue])
    look = bench.look("first")
    assert look is not None
    assert "a bug" in look.problems[0].message
    assert look.twin is good.twin


@pytest.mark.parametrize("file", ["../outside.md", "/etc/passwd", ".env", "config/digest.toml", "issues/../.env"])
def test_excerpts_come_from_issues_and_themes_only(bench: Workbench, file: str) -> None:
    """No other file's lines are ever shown, whatever a problem's place says."""
    (bench.newsletter.root.parent / "outside.md").write_text("outside")
    assert bench.excerpt(Place(file, 1)) is None
