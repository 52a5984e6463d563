"""What the workbench knows of a newsletter: the latest look at each issue, kept until a file changes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from digest.compose.compiled import CompiledIssue, Size
from digest.errors import InputError, Place, Problem
from digest.issue.frontmatter import read_front_matter, split_front_matter
from digest.issue.model import FrontMatter
from digest.message.merge import Identity, Merger
from digest.newsletter import Newsletter
from digest.preview.readers import Audience, MadeUp
from digest.preview.variants import Variants

EXCERPT_LINES = 2
"""Lines shown above and below the one that is wrong."""
MAX_EXCERPT_BYTES = 2 * 1024 * 1024
_SHOWN = ("issues", "templates")


@dataclass(frozen=True, slots=True)
class Look:
    """One issue as last seen.

    `compiled` and `twin` are the last good rendering's and may be older than `problems`; None when there never was
    one. `twin` merges the email with marks (see `digest.compose.marks`): what is shown. `compiled` is what would be
    sent, but for its sizes (see `Workbench.sizes`). `front` is what stands above the text now, as far as it can be
    read.
    """

    slug: str
    file: Path
    generation: int
    front: FrontMatter | None = None
    compiled: CompiledIssue | None = None
    twin: Merger | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def broken(self) -> bool:
        """Whether what is shown is older than what is written."""
        return bool(self.problems)

    @property
    def title(self) -> str:
        """The issue's title, or its slug while it can't be read."""
        if self.compiled is not None:
            return self.compiled.title
        return (self.front and (self.front.title or self.front.subject)) or self.slug

    @property
    def date(self) -> date | None:
        """The issue's date, if it has one."""
        return self.front.date if self.front is not None and self.front.date != date.min else None


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Lines of a file around the one that is wrong: number, text, whether it is the one."""

    lines: tuple[tuple[int, str, bool], ...]


class Workbench:
    """A newsletter open in the browser. Safe to use from several threads."""

    def __init__(self, newsletter: Newsletter, *, overrides: Mapping[str, object] | None = None) -> None:
        self._newsletter = newsletter
        self._overrides = overrides or {}
        self._problems: tuple[Problem, ...] = ()
        self._lock = threading.Lock()
        self._looks: dict[str, Look] = {}
        self._made_up = MadeUp()
        self._checked: dict[str, tuple[int, tuple[Problem, ...]]] = {}
        self._checking = threading.Lock()
        self._mergers: dict[str, Merger] = {}
        self.variants = Variants()
        self._generation = 1
        self._all_changed = 1
        self._changed: dict[str, int] = {}

    @property
    def newsletter(self) -> Newsletter:
        """The newsletter with its settings as last read well."""
        return self._newsletter

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What keeps the settings from being read, if anything."""
        return self._problems

    def looks(self) -> list[Look]:
        """Every issue as far as it is known, newest name first; those not looked at yet have generation 0."""
        looks = [self._looks.get(slug) or Look(slug, file, 0) for slug, file in self._files().items()]
        return sorted(looks, key=lambda look: look.slug, reverse=True)

    def stale(self) -> list[str]:
        """Issues that changed since they were last looked at or checked, newest name first."""
        looks = self.looks()
        return [look.slug for look in looks if not self._fresh(look.slug) or self.known_problems(look) is None]

    def look(self, slug: str) -> Look | None:
        """The issue as it is now, composed if it changed; None when there is no such issue.

        While it can't be composed, the look carries the problems over the last good rendering.
        """
        with self._lock:
            file = self._files().get(slug)
            if file is None:
                for kept in (self._looks, self._checked, self._mergers):
                    kept.pop(slug, None)
                return None
            if not self._fresh(slug):
                self._looks[slug] = self._compose(slug, file, self._looks.get(slug))
            return self._looks[slug]

    def checked(self, look: Look) -> tuple[Problem, ...]:
        """All that ``digest check`` says of an issue as it was looked at; looked up once until it changes."""
        from digest.checks.issues import check

        with self._checking:
            known = self.known_problems(look)
            if known is not None:
                return known
            try:
                problems = tuple(check(self._newsletter, look.slug, today=self._newsletter.today))
            except InputError as exc:
                problems = exc.problems
            except Exception as exc:  # noqa: BLE001 - a check that fails must not take the page with it
                told = f"could not be checked: {exc or type(exc).__name__}"
                problems = (Problem(Place(self._newsletter.shown(look.file)), told, code="internal"),)
            self._checked[look.slug] = (look.generation, problems)
            return problems

    def merger(self, look: Look) -> Merger | None:
        """Makes the messages of an issue as last composed; kept until it changes. Raises `InputError`."""
        from digest.compose.pictures import attachments

        if look.compiled is None:
            return None
        kept = self._mergers.get(look.slug)
        if kept is None or kept.compiled is not look.compiled:
            carried = attachments(self._newsletter, look.compiled)
            identity = Identity.of(self._newsletter.settings)
            kept = Merger(look.compiled, identity, today=self._newsletter.today, attachments=carried)
            self._mergers[look.slug] = kept
        return kept

    def sizes(self, look: Look) -> tuple[Size, ...]:
        """The bytes of each block as it is sent; none while the issue can't be composed."""
        from digest.compose.composer import compile_issue

        try:
            return compile_issue(self._newsletter, look.file).sizes
        except InputError:
            return ()

    def known_problems(self, look: Look) -> tuple[Problem, ...] | None:
        """As `checked`, where that is known by now; the list of issues does not wait for it."""
        generation, problems = self._checked.get(look.slug, (-1, ()))
        return problems if generation == look.generation else None

    def audience(self, look: Look | None = None) -> Audience:
        """Everyone an issue can be shown to."""
        return Audience(self._newsletter, self._made_up, look.compiled if look else None, self._newsletter.today)

    def changed(self, paths: Iterable[Path]) -> set[str]:
        """Take note of saved files; the slugs to look at again come out. Never waits for a look under way.

        To be called from one thread only.
        """
        generation = self._generation + 1
        slugs = {self._slug_of(path) for path in paths}
        if None in slugs:
            self._reopen()
            self._all_changed = generation
            touched = set(self._files())
        else:
            touched = {slug for slug in slugs if slug}
            self._changed.update(dict.fromkeys(touched, generation))
        self._generation = generation
        return touched

    def excerpt(self, place: Place | None) -> Excerpt | None:
        """The lines around a problem; None when there are none to show.

        Only of what an author writes: settings may hold what must not be shown.
        """
        if place is None or not place.line:
            return None
        root = self._newsletter.root
        file = (root / place.file).resolve()
        ours = any(file.is_relative_to(root / name) for name in _SHOWN)
        if not ours or not file.is_file() or file.stat().st_size > MAX_EXCERPT_BYTES:
            return None
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        first = max(1, place.line - EXCERPT_LINES)
        shown = enumerate(lines[first - 1 : place.line + EXCERPT_LINES], start=first)
        return Excerpt(tuple((n, text[:400], n == place.line) for n, text in shown))

    def _reopen(self) -> None:
        try:
            self._newsletter = Newsletter.open(self._newsletter.root, overrides=self._overrides)
            self._problems = ()
        except InputError as exc:  # the settings as last read stay in use
            self._problems = exc.problems

    def _fresh(self, slug: str) -> bool:
        look = self._looks.get(slug)
        wanted = max(self._all_changed, self._changed.get(slug, 0))
        return look is not None and look.generation >= wanted

    def _slug_of(self, path: Path) -> str | None:
        """The issue a file belongs to alone; empty for none (a list of readers); None for all of them."""
        root = self._newsletter.root
        if path.is_relative_to(root / "subscribers"):
            return ""
        for slug, file in self._files().items():
            whole = file.parent if file.name == "index.md" else file
            if path == whole or path.is_relative_to(whole):
                return slug
        return None

    def _files(self) -> dict[str, Path]:
        try:
            files = self._newsletter.issue_files()
        except InputError as exc:  # an issue that is there twice: the others go on
            twice = {Path(p.place.file).stem for p in exc.problems if p.place}
            pages = self._newsletter.root.glob("issues/*.md")
            return {page.stem: page for page in sorted(pages)} | dict.fromkeys(twice, self._newsletter.root)
        return files

    def _compose(self, slug: str, file: Path, last: Look | None) -> Look:
        # Heavy imports happen where they are used: MJML, premailer and their own.
        from digest.compose.composer import compose_issue
        from digest.compose.marks import without_marks

        generation = self._generation  # before the file is read: a save from now on makes this look stale
        front = read_front(file)
        try:
            # The twin alone is composed, because somebody waits: without its marks it is the email, to the byte.
            marked = compose_issue(self._newsletter, file, marks=True).compiled
            twin = Merger(marked, Identity.of(self._newsletter.settings), today=self._newsletter.today, for_wire=False)
        except InputError as exc:
            problems = exc.problems
        except Exception as exc:  # noqa: BLE001 - the page must stay up over the last good rendering
            what = f"could not be composed: {exc or type(exc).__name__}"
            cure = f"digest build {slug} --debug tells the whole story"
            problems = (Problem(Place(self._newsletter.shown(file)), what, cure, code="internal"),)
        else:
            plain = replace(marked, html=replace(marked.html, source=without_marks(marked.html.source)), sizes=())
            return Look(slug, file, generation, front, plain, twin)
        good = last or Look(slug, file, 0)
        return Look(slug, file, generation, front or good.front, good.compiled, good.twin, problems)


def read_front(file: Path) -> FrontMatter | None:
    """What stands above the text of an issue as far as it can be read, else None."""
    try:
        parts = split_front_matter(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError):
        return None
    return read_front_matter(parts[0], Place(file.name, 2))[0] if parts else None
