"""The expression language of issues and segments: Jinja, sandboxed, strict, and without comments.

An issue may use every expression, filter and test listed here; a segment is one expression. Both are
parsed and their names checked when an issue is composed, long before there is a reader.

* An *absent* value (an empty cell) is false, equal to nothing and less than nothing; ``default``
  applies to it; printing it raises `AbsentValueError`.
* Braces with ``#`` are not comments: ``{#id}`` is an attribute of Markdown.
* No filter can mark text as safe: escaping is the merge's business alone.
* What it computes is bounded (`digest.bounds`); what it writes for the eye follows a language
  (`digest.localized`).
* Of a reader it knows two things besides their row: ``arm``, their part of an A/B test, and
  ``received("slug")``, whether the relay accepted that issue for them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from types import CodeType
from typing import Any, NoReturn

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, nodes, pass_context
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.filters import FILTERS
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import SandboxedEnvironment

from digest import bounds, localized
from digest.audience.subscriber import Value

# fmt: off
FILTER_NAMES = (
    "abs", "batch", "capitalize", "count", "default", "first", "float", "int", "join", "last", "length", "list",
    "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "select", "selectattr",
    "slice", "sort", "string", "sum", "title", "trim", "truncate", "unique", "upper", "wordcount",
)
# fmt: on
"""Jinja's own filters an author may use. Those that produce markup or leave the sandbox are left out."""

CONTEXT_NAMES = frozenset({"subscriber", "segment", "newsletter", "issue", "links", "arm"})
"""The names every issue can read."""

ARM = " arm"
RECEIVED = " received"
"""Under these names, which are no attribute's, a reader's values hold their arm, and the issues they received."""


class AbsentValueError(UndefinedError):
    """A value was printed or computed with that this reader does not have. `attribute` is its name."""

    def __init__(self, attribute: str) -> None:
        self.attribute = attribute
        super().__init__(f"subscriber.{attribute} has no value")


class TooDeepError(TemplateSyntaxError):
    """An expression is nested too deeply."""

    def __init__(self) -> None:
        super().__init__("an expression nested too deeply", 1)


class Absent(Undefined):
    """The value of an empty cell: nothing in a condition, an error in print."""

    __slots__ = ()

    def _raise(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise AbsentValueError(self._undefined_name or "?")

    __str__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _raise
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _raise
    __pow__ = __rpow__ = __pos__ = __neg__ = __call__ = __getitem__ = _raise
    __int__ = __float__ = __complex__ = __format__ = _raise

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._raise()

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    def _false(self, *_args: Any, **_kwargs: Any) -> Any:
        return False

    __lt__ = __le__ = __gt__ = __ge__ = _false

    def __hash__(self) -> int:
        return id(type(self))

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __contains__(self, item: object) -> bool:
        return False


class ReaderView:
    """`subscriber` in a template: attributes by name, absent ones as `Absent`."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values

    def __getattr__(self, name: str) -> Value | Absent:
        if name.startswith("_"):
            raise AttributeError(name)
        value = self._values.get(name)
        return Absent(name=name) if value is None else value

    __getitem__ = __getattr__


def _days_since(today: Callable[[], date]) -> Callable[[Any], Any]:
    def days_since(day: Any) -> Any:
        """Whole days from `day` until today; absent for an absent day."""
        if isinstance(day, Undefined):
            return day
        return (today() - (day if isinstance(day, date) else date.fromisoformat(str(day)))).days

    return days_since


@pass_context
def _received(context: Context, slug: str) -> bool:
    """Whether the relay accepted the issue `slug` for this reader."""
    return slug in (context.get(RECEIVED) or ())


class ExpressionEnvironment(SandboxedEnvironment):
    """The sandbox every expression of an author is compiled in. `today` is the clock of `days_since`."""

    intercepted_binops = bounds.OPERATORS

    def __init__(self, today: Callable[[], date] = date.today) -> None:
        super().__init__(
            undefined=StrictUndefined,
            autoescape=False,  # the merge encodes each value for where it stands
            keep_trailing_newline=True,
            comment_start_string="\x00{#",  # never in a text: `{#id}` is an attribute of Markdown
            comment_end_string="#}\x00",
        )
        self.filters = {**{name: FILTERS[name] for name in FILTER_NAMES}, **bounds.BOUNDED, **localized.FILTERS}
        self.globals = {"range": bounds.numbers, "days_since": _days_since(today), "received": _received}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """As Jinja does, but what is nested too deeply for anything after it is a mistake of its author."""
        try:
            tree = super()._parse(source, name, filename)
        except RecursionError as exc:
            raise TooDeepError from exc
        if _too_deep(tree):
            raise TooDeepError
        return tree

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        try:
            return super()._generate(source, *args, **kwargs)
        except RecursionError as exc:
            raise TooDeepError from exc
        except TemplateSyntaxError:
            raise
        except Exception:  # noqa: BLE001  # a constant that can't be worked out ahead fails where it is written
            self.optimized = False
            try:
                return super()._generate(source, *args, **kwargs)
            finally:
                self.optimized = True

    def _compile(self, source: str, filename: str) -> CodeType:
        with warnings.catch_warnings(action="ignore", category=SyntaxWarning):  # `2[:1]`: it fails where it is written
            return super()._compile(source, filename)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuses what would eat the memory."""
        bounds.check_operation(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def is_safe_callable(self, obj: Any) -> bool:
        """The functions of the language, and the methods of values that make little of little."""
        if obj in self.globals.values() or isinstance(obj, Undefined):  # the latter says itself what it is
            return True
        of = getattr(obj, "__self__", None)
        return isinstance(of, _VALUES) and getattr(obj, "__name__", "") in bounds.CALLABLE

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Calls what may be called; some methods of text within bounds."""
        of, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        if isinstance(of, str) and name in bounds.METHODS:
            return bounds.METHODS[name](of, *args, **kwargs)
        if not self.is_safe_callable(obj):
            raise SecurityError(f"“{name or type(obj).__name__}” can't be called here")
        return context.call(obj, *args, **kwargs)


def _too_deep(tree: nodes.Node) -> bool:
    """Whether it has more than `_DEEPEST` levels; a chain of “or”, or of “and”, is one."""
    waiting = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > _DEEPEST:
            return True
        chain = isinstance(node, nodes.And | nodes.Or)
        waiting += [(c, depth if chain and type(c) is type(node) else depth + 1) for c in node.iter_child_nodes()]
    return False


_DEEPEST = 100
_VALUES = (str, tuple, list, dict, date, LoopContext)


@lru_cache(maxsize=1)
def environment() -> ExpressionEnvironment:
    """The one environment for parsing and checking (its clock is the real date)."""
    return ExpressionEnvironment()


@dataclass(frozen=True, slots=True)
class Uses:
    """What an expression reads: attributes of the reader, segments by name, and names it can't have."""

    attributes: frozenset[str]
    segments: frozenset[str]
    unknown: frozenset[str]


def parse_expression(source: str) -> nodes.Expr:
    """One expression as Jinja's tree.

    Raises `ValueError` with Jinja's own words when it can't be parsed, or holds more than an expression.
    """
    try:
        tree = environment().parse("{{ (" + source + "\n) }}")
    except TemplateSyntaxError as exc:
        raise ValueError(exc.message or "syntax error") from exc
    outputs = [n for n in tree.body if isinstance(n, nodes.Output)]
    if len(tree.body) != 1 or len(outputs) != 1 or len(outputs[0].nodes) != 1:
        raise ValueError("one expression was expected")
    return outputs[0].nodes[0]


def uses(tree: nodes.Node, local: frozenset[str] = frozenset()) -> Uses:
    """The names an expression or template reads; `local` are names it may read besides the known ones."""
    attributes: set[str] = set()
    segments: set[str] = set()
    names: set[str] = set()
    for member in _walk(tree):
        if isinstance(member, nodes.Name) and member.ctx == "load":
            names.add(member.name)
        elif isinstance(member, nodes.Getattr | nodes.Getitem) and isinstance(member.node, nodes.Name):
            into = {"subscriber": attributes, "segment": segments}.get(member.node.name, set())
            if isinstance(member, nodes.Getattr):
                into.add(member.attr)
            elif isinstance(member.arg, nodes.Const):
                into.add(str(member.arg.value))
    known = CONTEXT_NAMES | local | environment().globals.keys()
    return Uses(frozenset(attributes), frozenset(segments), frozenset(names - known))


def _walk(tree: nodes.Node) -> Iterator[nodes.Node]:
    yield tree
    yield from tree.find_all(nodes.Node)
