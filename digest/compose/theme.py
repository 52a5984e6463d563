"""A theme: a folder of design tokens, a layout, two style sheets and one file for each kind of block.

::

    templates/<theme>/theme.toml        name, tokens; `extends = "median"` takes all it does not say from there
    templates/<theme>/layout.mjml       Jinja over MJML: head, masthead, {{ content }}
    templates/<theme>/theme.css         for the words of the issue; inlined
    templates/<theme>/head.css          media queries and dark mode; stays in the head
    templates/<theme>/blocks/<kind>.mjml   its fields in YAML front matter, then Jinja over MJML
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import BaseLoader, StrictUndefined, Template, TemplateError, TemplateNotFound
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from digest.compose.compiled import Picture
from digest.compose.mjml.tree import stamp
from digest.compose.pictures import load_asset
from digest.compose.tokens import merged, read_tokens, token_problems
from digest.errors import InputError, Place, Problem, nearest
from digest.issue.frontmatter import split_front_matter
from digest.memo import Memo
from digest.newsletter import Newsletter, shipped

SOURCES = (
    *("heading", "quote", "attribution", "picture", "buttons", "list", "items", "contents", "html", "mjml", "body"),
    "attribute",
)
"""Where a field's value comes from in the block's Markdown; see `digest.compose.fields`."""

_FIELD_KEYS = {"from", "required", "help", "type", "values", "default", "linked"}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a kind. `values` limit an attribute; `type` is ``string``, ``author``, ``date`` or ``number``.

    `linked`: its picture has to be a link.
    """

    name: str
    source: str
    required: bool = False
    help: str = ""
    type: str = "string"
    values: tuple[str, ...] = ()
    default: str = ""
    linked: bool = False

    @property
    def wanted(self) -> str:
        """What an author writes for it."""
        forms = {
            "heading": "a heading, “## …”",
            "quote": "a quotation, “> …”",
            "attribution": "a line that begins with a dash, “— …”",
            "picture": "a picture, “![what it shows](file.png)”",
            "buttons": "a link, “[Words](https://…){.button}”",
            "list": "a list, “- …”",
            "items": "items, each begun by a heading “### …”",
            "body": "a text",
            "attribute": f'{self.name}="…" in its braces',
            "contents": "items in the issue’s other blocks",
            "html": "a fence of HTML, “```html”",
            "mjml": "a fence of MJML, “```mjml”",
        }
        return forms[self.source]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of block: what it is for, its fields, and the file that draws it (as shown).

    `listed`: its items stand in the issue's contents list.
    """

    name: str
    help: str
    fields: Mapping[str, Field]
    file: str
    listed: bool = True

    def from_source(self, source: str) -> Field | None:
        """The field made from `source`, if the kind has one."""
        return next((f for f in self.fields.values() if f.source == source), None)


class Theme:
    """A loaded theme. `tokens` is `theme` in every template; `kinds` are its blocks by name."""

    def __init__(self, name: str, folders: tuple[Path, ...], root: Path, tokens: Mapping[str, Any]) -> None:
        self.name = name
        self.tokens = tokens
        self.folders = folders  # its own, then those it extends
        self._loader = _ThemeLoader(folders, root)
        self._environment = SandboxedEnvironment(
            loader=self._loader, undefined=StrictUndefined, autoescape=_autoescaped, auto_reload=False
        )
        self.kinds = _load_kinds(self._loader)
        self._assets: dict[tuple[str, int | None], Picture] = {}
        self.drawn: Memo[Any] = Memo(limit=4_000_000)
        """What its templates have drawn; see `digest.compose.drawing`."""

    @property
    def content_width(self) -> int:
        """The width of text and pictures inside the side margins, CSS pixels."""
        return int(self.tokens["content"])

    @property
    def files(self) -> Sequence[str]:
        """The templates rendered so far, as shown: what the stamps in their MJML refer to."""
        return self._loader.files

    def shown(self, name: str) -> str:
        """The file a template was found in, for places."""
        return self._loader.shown(name)

    def has(self, name: str) -> bool:
        """Whether the theme, or one it extends, has this file."""
        return self._loader.find(name) is not None

    def asset(self, name: str, width: int | None) -> Picture:
        """Its own picture ``assets/<name>``, `width` CSS pixels wide. Raises `InputError`."""
        if (name, width) not in self._assets:
            place = Place(self.shown("theme.toml"))
            self._assets[name, width] = load_asset(name, self.folders, width, place)
        return self._assets[name, width]

    def render(self, name: str, values: Mapping[str, Any]) -> Markup:
        """One template of the theme with `values`. Raises `InputError` at the template's own line."""
        try:
            template: Template = self._environment.get_template(name)
            return Markup(template.render(theme=self.tokens, **values))  # noqa: S704 - it was autoescaped
        except TemplateNotFound as exc:
            raise InputError(Problem(Place(self.shown(name)), f"the theme has no file “{exc.name}”")) from exc
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as exc:
            raise InputError(self._problem(name, exc)) from exc

    def _problem(self, name: str, exc: Exception) -> Problem:
        """Where in the theme an error was raised: Jinja rewrites tracebacks to its templates' own lines."""
        line = getattr(exc, "lineno", None)
        shown = self.shown(getattr(exc, "name", None) or name)
        step = exc.__traceback__
        while step is not None and line is None:
            file = step.tb_frame.f_code.co_filename
            if found := self._loader.shown_file(file):
                shown, inner = found, step.tb_lineno
                line = inner if step.tb_next is None or not self._later(step) else None
            step = step.tb_next
        return Problem(Place(shown, line or 0), str(exc) or type(exc).__name__, code="theme")

    def _later(self, step: Any) -> bool:
        step = step.tb_next
        while step is not None:
            if self._loader.shown_file(step.tb_frame.f_code.co_filename):
                return True
            step = step.tb_next
        return False


def _autoescaped(name: str | None) -> bool:
    return not (name or "").endswith(".css")


class _ThemeLoader(BaseLoader):
    """Finds a file in the theme's own folder, else in those it extends; a block's front matter is blanked out."""

    def __init__(self, folders: tuple[Path, ...], root: Path) -> None:
        self.folders = folders
        self.root = root
        self._found: dict[str, Path | None] = {}
        self.files: list[str] = []
        """The files whose tags carry their lines into the drawn MJML, by number (`stamp`)."""

    def _number(self, shown: str) -> int:
        if shown not in self.files:
            self.files.append(shown)
        return self.files.index(shown)

    def find(self, name: str) -> Path | None:
        """The file of that name, the theme's own first. Looked for once: a theme lives as long as its files do."""
        if name not in self._found:
            self._found[name] = next((f / name for f in self.folders if (f / name).is_file()), None)
        return self._found[name]

    def shown(self, name: str) -> str:
        return self.shown_path(self.find(name) or self.folders[0] / name)

    def shown_path(self, path: Path) -> str:
        """Relative to the newsletter; a shipped file as ``templates/…`` too, where the newsletter's own would lie."""
        top = self.root if path.is_relative_to(self.root) else shipped()
        return path.relative_to(top).as_posix()

    def shown_file(self, file: str) -> str:
        path = Path(file)
        return self.shown_path(path) if any(path.is_relative_to(f) for f in self.folders) else ""

    def get_source(self, environment: Any, template: str) -> tuple[str, str, None]:  # noqa: ARG002 - Jinja's signature
        path = self.find(template)
        if path is None or ".." in template:
            raise TemplateNotFound(template)
        text = path.read_text("utf-8")
        if (parts := split_front_matter(text)) is not None:
            text = "\n" * parts[1] + "\n".join(text.split("\n")[parts[1] :])
        if path.suffix == ".mjml":
            text = stamp(text, self._number(self.shown_path(path)))
        return text, str(path), None


def load_theme(newsletter: Newsletter, name: str, place: Place) -> Theme:
    """The theme called `name`, its own files first, then those of the themes it extends.

    `place` is where it was asked for. Raises `InputError` with all that is wrong with its files.
    """
    folders: list[Path] = []
    layers: list[Mapping[str, Any]] = []
    problems: list[Problem] = []
    wanted: str | None = name
    while wanted:
        folder = _folder(newsletter, wanted, place, tuple(folders))
        place = Place(_loader_shown([folder], newsletter.root))
        raw = read_tokens(folder / "theme.toml", place, problems)
        folders.append(folder)
        layers.append(raw)
        wanted = raw.get("extends")
    tokens = merged(layers)
    if not problems:
        problems = token_problems(tokens, Place(_loader_shown(folders, newsletter.root)))
    if problems:
        raise InputError(problems)
    tokens |= {"light": tokens["colors"]["light"], "dark": tokens["colors"]["dark"]}
    return _cached_theme(name, tuple(folders), newsletter.root, tokens)


_THEMES: dict[tuple[Path, ...], tuple[object, Theme]] = {}


def _cached_theme(name: str, folders: tuple[Path, ...], root: Path, tokens: Mapping[str, Any]) -> Theme:
    """The theme as it was loaded before, its templates compiled, while none of its files has changed."""
    seen = (name, root, [state for folder in folders for state in _states(folder)])
    known = _THEMES.get(folders)
    if known is None or known[0] != seen:
        _THEMES[folders] = known = (seen, Theme(name, folders, root, tokens))
    return known[1]


def _states(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Every file below, with when it was written and its bytes."""
    for where, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            path = os.path.join(where, file)  # noqa: PTH118 - a Path for each file takes longer than all else here
            about = os.stat(path)  # noqa: PTH116
            yield path, about.st_mtime_ns, about.st_size


def _loader_shown(folders: list[Path], root: Path) -> str:
    return _ThemeLoader(tuple(folders), root).shown("theme.toml")


def _folder(newsletter: Newsletter, name: str, place: Place, seen: tuple[Path, ...]) -> Path:
    """The folder of a theme. One that extends a theme of its own name means the one shipped with the package."""
    try:
        folder = newsletter.theme_folder(name)
        if folder in seen:
            folder = shipped("templates", name)
    except InputError as exc:
        raise InputError([Problem(place, p.message, p.cure, code="theme") for p in exc.problems]) from exc
    if folder in seen:
        raise InputError(Problem(place, f"the theme “{name}” extends itself", code="theme"))
    return folder


# ---- kinds


def _load_kinds(loader: _ThemeLoader) -> dict[str, Kind]:
    files: dict[str, Path] = {}
    for folder in reversed(loader.folders):
        files |= {file.stem: file for file in sorted((folder / "blocks").glob("*.mjml"))}
    problems: list[Problem] = []
    kinds = {name: _load_kind(name, file, loader.shown_path(file), problems) for name, file in files.items()}
    if problems:
        raise InputError(problems)
    return dict(sorted(kinds.items()))


def _load_kind(name: str, file: Path, shown: str, problems: list[Problem]) -> Kind:
    parts = split_front_matter(file.read_text("utf-8"))
    place = Place(shown, 1)
    if parts is None:
        told = "the block has no front matter"
        problems.append(Problem(place, told, "begin the file with “---”, help and fields, “---”", code="theme"))
        return Kind(name, "", {}, shown)
    try:
        raw = yaml.safe_load(parts[0]) or {}
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 2 if exc.problem_mark else 1
        problems.append(Problem(place.at(line), f"not YAML: {exc.problem}", code="theme"))
        return Kind(name, "", {}, shown)
    fields = {}
    for field_name, written in (raw.get("fields") or {}).items():
        spec = written or {}
        problems.extend(
            Problem(place, f"{field_name}: unknown key “{key}”", nearest(key, _FIELD_KEYS), code="theme")
            for key in spec
            if key not in _FIELD_KEYS
        )
        source = str(spec.get("from", "attribute"))
        if source not in SOURCES:
            told = f"{field_name}: a field can't come from “{source}”"
            problems.append(Problem(place, told, nearest(source, SOURCES), code="theme"))
        fields[field_name] = Field(
            name=field_name,
            source=source,
            required=bool(spec.get("required", False)),
            help=str(spec.get("help", "")),
            type=str(spec.get("type", "string")),
            values=tuple(str(v) for v in spec.get("values", ())),
            default=str(spec.get("default", "")),
            linked=bool(spec.get("linked", False)),
        )
    return Kind(name, str(raw.get("help", "")), fields, shown, listed=bool(raw.get("listed", True)))
