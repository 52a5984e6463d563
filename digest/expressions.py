"""The expression language of issues and segments: Jinja, sandboxed, strict, and without comments.

An issue may use every expression, filter and test listed here; a segment is one expression. Both are
parsed and their names checked when an issue is composed, long before there is a reader.

* An *absent* value (an empty cell) is false, equal to nothing and less than nothing; ``default``
  applies to it; printing it raises `AbsentValueError`.
* Braces with ``#`` are not comments: ``{#id}`` is an attribute of Markdown.
* No filter can mark text as safe: escaping is the merge's business alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, NoReturn

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, nodes
from jinja2.exceptions import UndefinedError
from jinja2.filters import FILTERS
from jinja2.sandbox import SandboxedEnvironment

from digest.audience.subscriber import Value

# fmt: off
FILTER_NAMES = (
    "abs", "batch", "capitalize", "count", "default", "first", "float", "int", "join", "last", "length", "list",
    "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "select", "selectattr",
    "slice", "sort", "string", "sum", "title", "trim", "truncate", "unique", "upper", "wordcount",
)
# fmt: on
"""Jinja's own filters an author may use. Those that produce markup or leave the sandbox are left out."""

CONTEXT_NAMES = frozenset({"subscriber", "segment", "newsletter", "issue", "links"})
"""The names every issue can read."""


class AbsentValueError(UndefinedError):
    """A value was printed or computed with that this reader does not have. `attribute` is its name."""

    def __init__(self, attribute: str) -> None:
        self.attribute = attribute
        super().__init__(f"subscriber.{attribute} has no value")


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


class ExpressionEnvironment(SandboxedEnvironment):
    """The sandbox every expression of an author is compiled in. `today` is the clock of `days_since`."""

    intercepted_binops = frozenset({"**", "*"})

    def __init__(self, today: Callable[[], date] = date.today) -> None:
        super().__init__(
            undefined=StrictUndefined,
            autoescape=False,  # the merge encodes each value for where it stands
            keep_trailing_newline=True,
            comment_start_string="\x00{#",  # never in a text: `{#id}` is an attribute of Markdown
            comment_end_string="#}\x00",
        )
        self.filters = {name: FILTERS[name] for name in FILTER_NAMES}
        self.globals = {"range": self.globals["range"], "days_since": _days_since(today)}

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuses powers and repetitions that would eat the memory."""
        if operator == "**" and (abs(left) > 1_000_000 or abs(right) > 64):
            raise OverflowError("that power is too large")
        sized = [side for side in (left, right) if isinstance(side, str | list | tuple)]
        counts = [side for side in (left, right) if isinstance(side, int)]
        if operator == "*" and sized and counts and len(sized[0]) * counts[0] > 10_000:
            raise OverflowError("that repetition is too long")
        return super().call_binop(context, operator, left, right)


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
