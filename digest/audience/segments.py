"""Segments: named conditions on a reader, each compiled once and asked lazily.

An expression reads ``subscriber``, other segments as ``segment.pro`` or by their bare name, and
``days_since``. A segment is asked at most once per reader, and only when something needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import UndefinedError

from digest.audience.subscriber import Value
from digest.expressions import ExpressionEnvironment, ReaderView, parse_expression

Condition = Callable[[ReaderView, "SegmentView"], bool]
"""One segment, compiled: the reader and the other segments in, whether the reader belongs to it out."""


class SegmentError(Exception):
    """A segment could not be computed for a reader. `segment` is its name, `reason` what went wrong."""

    def __init__(self, segment: str, reason: str) -> None:
        self.segment = segment
        self.reason = reason
        super().__init__(f"segment “{segment}”: {reason}")


class Segments:
    """Compiled segments. `today` is the day `days_since` counts to (the date of the run)."""

    def __init__(self, expressions: Mapping[str, str], today: date | None = None) -> None:
        self._environment = ExpressionEnvironment((lambda: today) if today else date.today)
        self._names = frozenset(expressions)
        self._conditions = {name: self.condition(source) for name, source in expressions.items()}

    def condition(self, source: str) -> Condition:
        """Any other expression over the reader and these segments, such as the audience of an issue.

        Called with a reader and their view. Raises `ValueError` when it cannot be parsed.
        """
        return _compile(source, self._names, self._environment)

    def view(self, values: Mapping[str, Value]) -> SegmentView:
        """The segments of one reader, by name; nothing is computed yet."""
        return SegmentView(self._conditions, ReaderView(values))


class SegmentView:
    """`segment` in a template: ``segment["pro"]`` or ``segment.pro``, true or false, computed once.

    Raises `SegmentError` when a segment's expression fails for this reader or needs itself, `KeyError` or
    `AttributeError` for a segment there is none of.
    """

    __slots__ = ("_conditions", "_known", "_reader")

    def __init__(self, conditions: Mapping[str, Condition], reader: ReaderView) -> None:
        self._conditions = conditions
        self._reader = reader
        self._known: dict[str, bool | None] = {}

    def __getitem__(self, name: str) -> bool:
        if name in self._known:
            known = self._known[name]
            if known is None:
                raise SegmentError(name, "needs itself")
            return known
        condition = self._conditions[name]
        self._known[name] = None  # being computed
        try:
            result = self._known[name] = condition(self._reader, self)
        except SegmentError:
            raise
        except Exception as exc:
            raise SegmentError(name, str(exc) or type(exc).__name__) from exc
        finally:
            if self._known[name] is None:
                del self._known[name]
        return result

    def __getattr__(self, name: str) -> bool:
        if name.startswith("_") or name not in self._conditions:
            raise AttributeError(name)
        return self[name]


def _compile(source: str, segments: frozenset[str], environment: ExpressionEnvironment) -> Condition:
    tree = _with_segments(parse_expression(source), segments)
    tree.set_environment(environment)
    result = nodes.Assign(nodes.Name("result", "store"), tree, lineno=1)
    template = environment.from_string(nodes.Template([result], lineno=1))
    root = template.root_render_func

    def condition(reader: ReaderView, view: SegmentView) -> bool:
        context = template.new_context({"subscriber": reader, "segment": view})
        try:
            for _ in root(context):
                pass  # nothing is printed: the one statement assigns
        except UndefinedError:
            return False  # something was computed with a value this reader does not have; names were checked
        return bool(context.vars["result"])

    return condition


def _with_segments(tree: nodes.Expr, segments: frozenset[str]) -> nodes.Expr:
    """The tree with every bare segment name read as ``segment["name"]``."""
    if isinstance(tree, nodes.Name) and tree.name in segments:
        return nodes.Getitem(
            nodes.Name("segment", "load", lineno=tree.lineno),
            nodes.Const(tree.name, lineno=tree.lineno),
            "load",
            lineno=tree.lineno,
        )
    for field, value in tree.iter_fields():
        setattr(tree, field, _rewritten(value, segments))
    return tree


def _rewritten(value: Any, segments: frozenset[str]) -> Any:
    if isinstance(value, nodes.Expr):
        return _with_segments(value, segments)
    if isinstance(value, nodes.Node):  # a pair of a dictionary, an operand of a comparison
        for field, inner in value.iter_fields():
            setattr(value, field, _rewritten(inner, segments))
        return value
    return [_rewritten(v, segments) for v in value] if isinstance(value, list) else value
