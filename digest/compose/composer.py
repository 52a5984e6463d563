"""An issue file becomes a `CompiledIssue`: the one path from what was written to what can be merged.

::

    read_issue → sections (theme) → MJML → HTML → words put in → CSS inlined → merge template
               → plain text ──────────────────────────────────────────────────────┘

MJML and inlining run once, whatever the number of readers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from markupsafe import Markup

from digest.audience.readers import Readers, load_readers
from digest.compose.about import About
from digest.compose.compiled import ATTACHED, CompiledIssue, Link, picture_address
from digest.compose.drawing import Templates, draw_mjml
from digest.compose.html import ArticleHtml
from digest.compose.inlining import inline_css
from digest.compose.marks import carry_marks
from digest.compose.merging import MergeTemplates
from digest.compose.mjml.lint import NO_ICON
from digest.compose.names import asks_of, conditions_of, locals_of, tag_problems
from digest.compose.notes import NoteConditions
from digest.compose.sections import Sections
from digest.compose.sizes import take_sizes
from digest.compose.slim import packed, slim
from digest.compose.text import PlainText
from digest.compose.theme import Theme, load_theme
from digest.compose.words import words_in
from digest.compose.workspace import Workspace
from digest.errors import InputError, Place, Problem, nearest
from digest.issue.model import Issue, Node
from digest.issue.parser import read_issue
from digest.newsletter import Newsletter, issue_slug

ABOUT_READERS = ("unknown-segment", "unknown-attribute", "unknown-name")


@dataclass(frozen=True, slots=True)
class Composition:
    """A compiled issue, and what its author should know although it can be sent."""

    compiled: CompiledIssue
    warnings: tuple[Problem, ...] = ()


def compile_issue(newsletter: Newsletter, file: Path, *, assets_base: str | None = None) -> CompiledIssue:
    """Compose one issue of `newsletter`.

    `assets_base` is what picture addresses start with, whatever ``[assets]`` says. Raises `InputError` with
    every problem of the issue, its theme and the declarations of readers it uses.
    """
    return compose_issue(newsletter, file, assets_base=assets_base).compiled


def compose_issue(
    newsletter: Newsletter, file: Path, *, assets_base: str | None = None, marks: bool = False
) -> Composition:
    """As `compile_issue`, with the warnings; with `marks` the twin that says where all was written (`marks`)."""
    slug = issue_slug(file)
    issue = read_issue(file, root=newsletter.root, slug=slug, language=newsletter.settings.newsletter.language)
    problems = list(issue.problems)
    declared: tuple[Problem, ...] = ()
    readers: Readers | None = None
    theme: Theme | None = None
    try:
        readers = load_readers(newsletter.root)
    except InputError as exc:
        declared = exc.problems
        problems.extend(declared)
    try:
        place = issue.front.places.get("theme", Place(issue.file, 1))
        theme = load_theme(newsletter, issue.front.theme, place)
    except InputError as exc:
        problems.extend(exc.problems)
    if theme is None:
        raise InputError(_ordered(problems))
    settings = newsletter.settings
    hosted = settings.assets.base_url or f"{settings.newsletter.base_url}/assets"
    base = assets_base or (f"{ATTACHED}{settings.newsletter.domain}" if settings.assets.mode == "cid" else hosted)
    work = Workspace(newsletter, issue, readers or Readers(), theme, base.rstrip("/"), marks=marks, problems=problems)
    try:
        return Composition(_Composer(work).compose(), tuple(_ordered(work.warnings)))
    except InputError as exc:
        if readers is not None:
            raise
        # Without the declarations every name looks unknown: tell only what is wrong with them.
        kept = [p for p in exc.problems if p.code not in ABOUT_READERS or p in declared]
        raise InputError(kept) from exc


def _ordered(problems: Iterable[Problem]) -> list[Problem]:
    """Each problem once; those of one file in the order of its lines."""
    return sorted(dict.fromkeys(problems), key=lambda p: (p.place.file, p.place.line) if p.place else ("", 0))


@dataclass(slots=True)
class _Composer:
    work: Workspace
    about: About = field(init=False)

    def __post_init__(self) -> None:
        self.about = About(self.work)

    @property
    def issue(self) -> Issue:
        return self.work.issue

    @property
    def theme(self) -> Theme:
        return self.work.theme

    def compose(self) -> CompiledIssue:
        work = self.work
        self._check_tags()
        subject, preheader = self.about.subject(), self.issue.front.preheader
        html = ArticleHtml(work)
        context = self._context(subject, preheader)
        templates = Templates(self.theme, context, self._asset)
        sections = Sections(work, html, templates)
        work.note_conditions = NoteConditions(work).gather(self.issue.body)
        sections.gather(self.issue.body)
        body = self._with_footer(self.issue.body)
        drawn = sections.draw(body)
        self._check_anchors()
        audience = self.about.audience()
        page, sizes = ("", ()) if work.problems else take_sizes(self._page(drawn, templates), work)
        text = self._text(sections, body)
        if work.problems:
            raise InputError(_ordered(work.problems))
        merge = MergeTemplates(work.table)
        local = locals_of(self.issue.tags.values())
        arms = self.about.arms()
        return CompiledIssue(
            slug=self.issue.slug,
            title=self.about.title(),
            language=work.language,
            date=self.issue.front.date.isoformat(),
            sender=work.newsletter.settings.newsletter.sender,
            reply_to=work.newsletter.settings.newsletter.reply_to or "",
            audience=audience,
            subject=merge.header(subject),
            preheader=merge.header(preheader),
            html=merge.html(page),
            text=merge.text(text),
            segments=work.readers.closure(self.about.segments_used(audience)),
            constants=self.about.constants(),
            conditions=(*self.about.arm_conditions(arms), *conditions_of(self.about.used_tags(), local)),
            asks=tuple(dict.fromkeys(ask for tag in self.issue.tags.values() for ask in asks_of(tag))),
            links=tuple(Link(self._source(link.url), self._source(link.text), link.place) for link in work.links),
            pictures=tuple(picture for picture in work.pictures.values() if picture.name in page),
            assets_base=work.assets_base,
            sizes=sizes,
            arms=arms,
            received=self.about.received(audience),
            content=self.about.content(local),
        )

    # ---- front matter

    def _context(self, subject: str, preheader: str) -> dict[str, Any]:
        """What the theme's templates know besides a block's own fields."""
        work, settings = self.work, self.work.newsletter.settings
        front = self.issue.front
        place = front.places.get("authors", Place(self.issue.file, 1))
        authors = [work.author(key, place) for key in front.authors]
        leave = settings.unsubscribe
        footer = Place(self.theme.shown("blocks/footer.mjml"))
        return {
            "newsletter": settings.newsletter,
            "issue": {
                "slug": self.issue.slug,
                "subject": work.hold(self.about.mark("subject") + escape(subject)),
                "preheader": work.hold(preheader and self.about.mark("preheader") + escape(preheader)),
                "title": work.hold(self.about.mark("title", "subject") + escape(self.about.title())),
                "date": front.date.isoformat(),
                "date_long": self.about.mark("date") + work.long_date(front.date),
                "language": work.language,
                "words": words_in(work.language),
                "dir": work.direction,
                "authors": [author for author in authors if author],
            },
            "links": {
                "unsubscribe": work.expression("links.unsubscribe", footer) if leave.url or leave.mailto else "",
                "view": work.expression("links.view", footer),
            },
        }

    def _asset(self, name: str, width: int | None = None) -> dict[str, Any]:
        """``asset("icons/x.png", 24)`` in a theme: its own picture; what is wrong is told at the template's line."""
        try:
            picture = self.theme.asset(name, width)
        except InputError as exc:
            raise LookupError("; ".join(filter(None, (exc.problems[0].message, exc.problems[0].cure)))) from exc
        self.work.pictures[picture.name] = picture
        address = picture_address(self.work.assets_base, picture.name)
        return {"src": address, "width": picture.width, "height": picture.height}

    def _icon(self, network: str) -> str:
        """The address of the theme's icon for a network that MJML has no picture for."""
        return str(self._asset(f"icons/{network}.png", 32)["src"])

    # ---- checks

    def _check_tags(self) -> None:
        local = locals_of(self.issue.tags.values())
        for tag in self.about.used_tags():
            self.work.problems.extend(tag_problems(tag, self.work.readers, local, self.work.arms))

    def _check_anchors(self) -> None:
        for link in self.work.links:
            name = link.url.removeprefix("#")
            if link.url.startswith("#") and name not in self.work.anchors:
                cure = nearest(name, self.work.anchors)
                self.work.wrong(link.place, f"the link “#{name}” leads nowhere in this issue", cure, code="anchor")

    # ---- the page

    def _with_footer(self, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        """Every issue ends with its footnotes and then the way out, also one that does not say so."""
        footer = next((n for n in nodes if n.kind == "block" and n.text == "footer"), None)
        place = nodes[-1].place if nodes else Place(self.issue.file, 1)
        notes = [n for n in nodes if n.kind == "notes"]
        rest = [n for n in nodes if n.kind != "notes" and n is not footer]
        if footer and not notes:
            return nodes
        return (*rest, *notes, footer or Node("block", place, "footer"))

    def _page(self, drawn: str, templates: Templates) -> str:
        work, theme = self.work, self.theme
        try:
            head = packed(templates.draw("head.css", {})) if theme.has("head.css") else ""
            css = templates.draw("theme.css", {}) if theme.has("theme.css") else ""
            marked = Markup(head)  # noqa: S704 - drawn by a template
            values = {"head_css": marked, "content": drawn, "headed": "<h1" in drawn}
            layout = templates.draw("layout.mjml", values)
            icon = self._icon if all(theme.has(f"assets/icons/{name}.png") for name in NO_ICON) else None
            drawing = draw_mjml(layout, Place(theme.shown("layout.mjml")), theme.files, icon)
        except InputError as exc:
            work.problems.extend(exc.problems)
            return ""
        work.warnings.extend(drawing.warnings)
        html = work.markers_to_comments(work.put_back(drawing.html))
        page = slim(inline_css(html, drawing.css + css, work.block_comments))
        return carry_marks(page, work) if work.marks else page

    def _text(self, sections: Sections, body: Sequence[Node]) -> str:
        """The plain-text part: masthead, issue, way out."""
        work, settings = self.work, self.work.newsletter.settings.newsletter
        place = Place(self.issue.file, 1)
        date = work.long_date(self.issue.front.date)
        view = work.expression("links.view", place)
        opening = f"{settings.name.upper()}\n{date}\n<{view}>"
        lines = ["* * *", "", settings.name, settings.postal_address]
        leave = work.newsletter.settings.unsubscribe
        if leave.url or leave.mailto:
            lines += ["", f"{words_in(work.language)['leave']}: <{work.expression('links.unsubscribe', place)}>"]
        plain = PlainText(work, sections.entries)
        return plain.letter(body, opening, "\n".join(lines))

    def _source(self, text: str) -> str:
        """A text with its tags as they were written, for reports."""
        tags = self.work.table.tags
        if self.work.table.prefix not in text:
            return text
        return self.work.table.pattern.sub(lambda m: tags[m[0]].raw, text)
