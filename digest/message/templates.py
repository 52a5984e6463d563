"""Merge templates as functions: the author's expressions compiled, all else encoded ahead of time.

A template's Jinja tree is rewritten once: see `rewriting`. What is left is compiled by Jinja to one Python function
per template.

Nothing in that function cares for errors. The tree's line numbers are those of the *tags*, not of the
lines, so the traceback of a failure names the tag, and `Template.places` the place in the issue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from operator import itemgetter
from typing import Any

from jinja2 import Template as JinjaTemplate
from jinja2 import TemplateSyntaxError, nodes
from jinja2.exceptions import TemplateRuntimeError
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import Context

from digest import bounds
from digest.audience.segments import SegmentError
from digest.compose.compiled import Condition, Template
from digest.errors import InputError, Place, Problem
from digest.expressions import AbsentValueError, ExpressionEnvironment, TooDeepError, parse_expression
from digest.message import quoted, values
from digest.message.rewriting import CONCATENATED, HOISTED, HOISTED_ONE, TURNS, rewritten

_KEPT, _KEPT_AT_MOST = 200, 500  # characters, texts: bounds the memory of what is remembered

MUTED = "_muted_tags"
"""The name under which an audited template finds the numbers of the tags to leave out."""

THIS_READER = values.THIS_READER
"""Stands in every explanation once, so that the audit can put a count in its place."""


class MergeError(Exception):
    """One reader's message can't be made. `problem` says where in the issue, why, and what would be right."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


@dataclass(frozen=True, slots=True)
class Style:
    """How one kind of text is written: static text, a plain value, a whole address, a part of one."""

    name: str
    data: Callable[[str], str]
    value: Callable[[Any], str]
    link: Callable[[Any], str]
    urlpart: Callable[[Any], str]


class _Wired(dict[Any, str]):
    """`write`, then quoted-printable. Texts are remembered: they come again, within a message and from reader to
    reader. Whatever can be a key may be looked up; called with anything else too."""

    def __init__(self, write: Callable[[Any], str]) -> None:
        super().__init__()
        self._write = write

    def __missing__(self, value: Any) -> str:
        wired = quoted.encoded_line(self._write(value))
        if type(value) is str and len(value) <= _KEPT:  # of other types 1 and True are one key
            if len(self) >= _KEPT_AT_MOST:
                self.clear()
            self[value] = wired
        return wired

    def __call__(self, value: Any) -> str:
        return self[value] if type(value) is str else self.__missing__(value)


def _same(text: str) -> str:
    return text


def _flag(value: Any) -> str:
    return "1" if value else ""


HEADER = Style("header", _same, values.shown, values.url, values.url_part)
TEXT = Style("text", _same, values.line, values.url, values.url_part)
HTML = Style("html", _same, values.html, values.html_url, values.url_part)
WIRE_TEXT = Style("wire text", quoted.encoded, _Wired(values.line), _Wired(values.url), _Wired(values.url_part))
WIRE_HTML = Style("wire html", quoted.encoded, _Wired(values.html), _Wired(values.html_url), _Wired(values.url_part))

AUDIT = Style("audit", lambda _text: "", values.shown, values.url, values.shown)
"""Writes nothing that anybody reads: only what can fail is done."""

DECISION = Style("decision", _same, _flag, values.url, values.shown)
"""Writes a condition's outcome."""


class _TagNumbers(Extension):
    """Gives each token the number of its tag (from 1) in place of its line."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        tag = 0
        for token in stream:
            if token.type in ("variable_begin", "block_begin"):
                tag += 1
            yield Token(tag, token.type, token.value)


class MergeEnvironment(ExpressionEnvironment):
    """The sandbox merge templates are compiled in.

    The filters of the styles have a space in their names: no author can write, or reach, one of them.
    """

    def __init__(self, today: date) -> None:
        super().__init__(lambda: today)
        self.add_extension(_TagNumbers)
        self.filters |= {TURNS: bounds.turns, CONCATENATED: bounds.concatenated}
        self._hoisted: dict[str, dict[str, str]] = {name: {} for name in HOISTED}
        for style in (HEADER, TEXT, HTML, WIRE_TEXT, WIRE_HTML, AUDIT, DECISION):
            for role in ("value", "link", "urlpart"):
                write = getattr(style, role)
                self.filters[f"{style.name} {role}"] = write
                self.filters[f"{style.name} {role}{HOISTED_ONE}"] = getattr(write, "__getitem__", write)

    def hoisted(self, name: str, key: str) -> str:
        """The variable that holds `key` of the context's `name`."""
        return self._hoisted[name].setdefault(key, f"_{name}_{len(self._hoisted[name])}")

    def is_hoisted(self, piece: nodes.Expr) -> bool:
        """Whether it is such a variable."""
        return isinstance(piece, nodes.Name) and any(piece.name in of.values() for of in self._hoisted.values())

    def looked_up(self, key: str) -> str:
        """The filter that reads `key`."""
        name = f"read {key}"
        self.filters.setdefault(name, itemgetter(key))
        return name

    def context(self, names: dict[str, Any]) -> Context:
        """What the functions read: the dialect's globals, `names`, and the hoisted values."""
        names = {**self.globals, **names}
        for name, keys in self._hoisted.items():
            source = names[name]
            for key, variable in keys.items():
                names[variable] = source[key]
        return Context(self, names, None, {})


class Merged:
    """A template as a function of a context. `problem(exc)` locates what a call raised."""

    def __init__(
        self, environment: MergeEnvironment, body: list[nodes.Node], places: tuple[Place, ...], name: str
    ) -> None:
        # A scope, so that a `set` stays inside and one context serves all templates of a reader.
        tree = nodes.Template([nodes.Scope(body, lineno=1)], lineno=1)
        tree.set_environment(environment)
        self._loops = any(True for _ in tree.find_all(nodes.For))
        self._file = f"<{name}>"
        self._places = places
        code = environment.compile(tree, filename=self._file)
        self._template = JinjaTemplate.from_code(environment, code, {})
        self._run = self._template.root_render_func

    def __call__(self, context: Context) -> list[str]:
        """The pieces of the text. Raises whatever an expression raises."""
        return bounds.gathered(self._run(context)) if self._loops else list(self._run(context))

    def problem(self, exc: Exception) -> Problem:
        """What a call raised, with the place of the tag that failed."""
        tag = self.tag(exc)
        return explained(exc, self._places[tag - 1] if 0 < tag <= len(self._places) else None)

    def tag(self, exc: Exception) -> int:
        """The number of the tag that raised it, from 1 (0: none of this template's)."""
        tag = 0
        traceback = exc.__traceback__
        while traceback is not None:
            if traceback.tb_frame.f_code.co_filename == self._file:
                tag = self._template.get_corresponding_lineno(traceback.tb_lineno)
            traceback = traceback.tb_next
        return tag


def explained(exc: Exception, place: Place | None) -> Problem:
    """An error of an expression in words for the author; no value of a reader is in them."""
    match exc:
        case AbsentValueError():
            name = exc.attribute
            return Problem(
                place,
                f"`{name}` is missing for {THIS_READER}, no fallback",
                f'{{{{ subscriber.{name} | default("…") }}}}',
                code="missing-value",
            )
        case values.UnfitValueError():
            return Problem(place, str(exc), code="unfit-value")
        case SegmentError():
            # The segment's own words may quote a value; its name is enough to find it.
            return Problem(
                place,
                f"segment “{exc.segment}” can't be worked out for {THIS_READER}",
                "see its expression in config/readers.toml",
                code="bad-segment",
            )
        case TemplateRuntimeError() | TypeError() | OverflowError() | ZeroDivisionError():
            reason = str(exc)  # names types and names only
        case _:
            reason = f"a value doesn't fit ({type(exc).__name__})"
    return Problem(place, f"this can't be worked out for {THIS_READER}: {reason}", code="bad-expression")


def merged(
    environment: MergeEnvironment, template: Template, style: Style, constants: Mapping[str, Mapping[str, str]]
) -> Merged:
    """A template compiled in a style. Raises `InputError` for one that Jinja refuses."""
    return _compiled(environment, template, style, constants)


def audited(environment: MergeEnvironment, template: Template, constants: Mapping[str, Mapping[str, str]]) -> Merged:
    """The template without its static text, each printed tag left out when its number is in `MUTED`."""
    return _compiled(environment, template, AUDIT, constants, muted=MUTED)


def decisions(
    environment: MergeEnvironment,
    conditions: Sequence[Condition],
    constants: Mapping[str, Mapping[str, str]],
) -> Merged:
    """Conditions as one function that yields "1" or "" for each. Raises `InputError` for a bad one."""
    body: list[nodes.Node] = []
    for number, condition in enumerate(conditions, 1):
        try:
            tree = parse_expression(condition.expression)
        except ValueError as exc:
            message = f"“{condition.expression}”: {exc}"
            raise InputError(Problem(condition.place, message, code="bad-expression")) from exc
        tree.set_lineno(number, override=True)
        body.append(nodes.Output([tree], lineno=number))
    places = tuple(condition.place for condition in conditions)
    try:
        body = rewritten(environment, body, DECISION, constants)
        return Merged(environment, body, places, "conditions")
    except TemplateSyntaxError as exc:
        raise InputError(_refused(exc, places)) from exc


def _compiled(
    environment: MergeEnvironment,
    template: Template,
    style: Style,
    constants: Mapping[str, Mapping[str, str]],
    *,
    muted: str = "",
) -> Merged:
    try:
        body = rewritten(environment, environment.parse(template.source).body, style, constants, muted=muted)
        return Merged(environment, body, template.places, style.name)
    except TemplateSyntaxError as exc:
        raise InputError(_refused(exc, template.places)) from exc
    except RecursionError as exc:
        raise InputError(_refused(TooDeepError(), template.places)) from exc


def _refused(exc: TemplateSyntaxError, places: tuple[Place, ...]) -> Problem:
    place = places[exc.lineno - 1] if 0 < exc.lineno <= len(places) else None
    return Problem(place, exc.message or "syntax error", code="bad-expression")
