"""A newsletter's folder: where things are in it, and what the package carries for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

from digest.errors import InputError, Place, Problem, nearest
from digest.settings import SETTINGS_FILE, Settings, load_settings

_PACKAGE = Path(__file__).parent
_CARRIED = _PACKAGE / "_shipped"
"""In the wheel; a checkout has the same files at its top."""


def shipped(*parts: str) -> Path:
    """A file or folder that the package carries: ``shipped("templates", "median")``."""
    return (_CARRIED if _CARRIED.is_dir() else _PACKAGE.parent).joinpath(*parts)


@dataclass(frozen=True, slots=True)
class Newsletter:
    """One newsletter: its folder (absolute) and its settings."""

    root: Path
    settings: Settings

    @classmethod
    def open(cls, root: Path | None = None, overrides: Mapping[str, object] | None = None) -> Self:
        """The newsletter in `root`; without one, in the working directory or the closest folder above it.

        Raises `InputError` when there is none, or with every problem of its settings.
        """
        folder = (root or _enclosing(Path.cwd())).resolve()
        return cls(folder, load_settings(folder, overrides))

    @property
    def database(self) -> Path:
        """The file of the database."""
        return self.root / self.settings.database.removeprefix("sqlite:///")

    @property
    def today(self) -> date:
        """The date in the newsletter's own zone."""
        return datetime.now(ZoneInfo(self.settings.newsletter.timezone)).date()

    def shown(self, path: Path) -> str:
        """`path` as messages name it: relative to the folder where it lies inside, with forward slashes."""
        absolute = path if path.is_absolute() else self.root / path
        return (absolute.relative_to(self.root) if absolute.is_relative_to(self.root) else absolute).as_posix()

    def issue_files(self) -> dict[str, Path]:
        """Slug → file, sorted by slug. Raises `InputError` where a slug has both forms."""
        folder = self.root / "issues"
        pages = {f.stem: f for f in folder.glob("*.md") if f.is_file()}
        folders = {f.parent.name: f for f in folder.glob("*/index.md") if f.parent.name != "shared"}
        if both := sorted(pages.keys() & folders.keys()):
            raise InputError(
                Problem(
                    Place(self.shown(pages[slug])),
                    f"the issue “{slug}” is there twice: also {self.shown(folders[slug])}",
                    "keep one of the two",
                    code="two-issues",
                )
                for slug in both
            )
        return dict(sorted((pages | folders).items()))

    def find_issue(self, name: str) -> Path:
        """The file of the issue `name`: a slug, a path (from the working directory or the folder), or the
        only beginning of a slug. Raises `InputError` naming the candidates or the nearest slug."""
        files = self.issue_files()
        if name in files:
            return files[name]
        for base in (Path.cwd(), self.root):
            path = (base / name).resolve()
            for slug, file in files.items():
                if path in (file.resolve(), self.root / "issues" / slug):
                    return file
        matches = [slug for slug in files if name and slug.startswith(name)]
        if len(matches) == 1:
            return files[matches[0]]
        raise InputError(_no_issue(name, matches, list(files)))

    def theme_folder(self, name: str) -> Path:
        """The folder of a theme: the newsletter's own, else the one shipped. Raises `InputError`."""
        for folder in (self.root / "templates" / name, shipped("templates", name)):
            if name and (folder / "theme.toml").is_file():
                return folder
        names = {f.parent.name for top in (self.root, shipped()) for f in top.glob("templates/*/theme.toml")}
        raise InputError(
            Problem(Place("templates"), f"there is no theme “{name}”", nearest(name, names), code="unknown-theme")
        )


def issue_slug(file: Path) -> str:
    """What an issue's file is known as, whether it is one or the page of a folder.

    >>> issue_slug(Path("issues/one.md")), issue_slug(Path("issues/two/index.md"))
    ('one', 'two')
    """
    return file.parent.name if file.name == "index.md" else file.stem


def _enclosing(start: Path) -> Path:
    return next((f for f in (start, *start.parents) if (f / SETTINGS_FILE).is_file()), start)


def _no_issue(name: str, matches: list[str], slugs: list[str]) -> Problem:
    place = Place("issues")
    if matches:
        return Problem(
            place, f"“{name}” begins several issues", f"one of: {', '.join(matches)}", code="ambiguous-issue"
        )
    cure = nearest(name, slugs) if slugs else "make one with: digest new TITLE"
    return Problem(place, f"there is no issue “{name}”", cure, code="unknown-issue")
