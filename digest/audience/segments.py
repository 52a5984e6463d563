"""Segments: named conditions on a reader, each compiled once and asked lazily.

An expression reads ``subscriber``, other segments as ``segment.pro`` or by their bare name, and
``days_since``. A segment is asked at most once per reader, and only when something needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from jinja2 import nodes

from digest.audience.compiling import Constants, Outcomes, Translator
from digest.audience.conditions import needed_segments
from digest.audience.subscriber import Value
from digest.audience.trees import NotAllowedError, parsed
from digest.expressions import ExpressionEnvironment

Condition = Callable[[Mapping[str, Value], "SegmentView"], bool]
"""One condition, compiled: a reader's values and segments in, whether it holds out."""


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
        self._expressions = dict(expressions)
        self._translator = Translator(self._environment, expressions)
        self._conditions = {name: self.condition(source) for name, source in expressions.items()}

    def condition(self, source: str) -> Condition:
        """Any other expression over the reader and these segments, such as the audience of an issue.

        Called with a reader's values and their view. Raises `ValueError` when it cannot be parsed, or has a
        form that no condition may have.
        """
        return self._translator.condition(parsed(source))

    def outcomes(self, sources: Sequence[str | nodes.Expr], constants: Constants | None = None) -> Outcomes:
        """Many expressions (text, or Jinja's trees) as one function of a reader's values.

        Much faster than one after the other.

        All segments are computed, needed or not, so the function may raise where asking one by one would
        not; then ask one by one. `constants`: what ``issue.x`` and ``newsletter.x`` stand for. Raises
        `ValueError` as `condition` does, and for segments that need each other.
        """
        translator = Translator(self._environment, self._expressions, constants)
        segments = [(name, parsed(self._expressions[name])) for name in self._ordered()]
        return translator.outcomes(segments, [parsed(s) if isinstance(s, str) else s for s in sources])

    def view(self, values: Mapping[str, Value]) -> SegmentView:
        """The segments of one reader, by name; nothing is computed yet."""
        return SegmentView(self._conditions, values)

    def _ordered(self) -> list[str]:
        """The names, each after those it needs."""
        waiting = {name: needed_segments(source, self._expressions) for name, source in self._expressions.items()}
        ordered: dict[str, None] = {}
        while waiting:
            ready = [name for name, needs in waiting.items() if needs <= ordered.keys()]
            if not ready:
                raise NotAllowedError(f"these segments need each other: {', '.join(waiting)}")
            for name in ready:
                del waiting[name]
            ordered.update(dict.fromkeys(ready))
        return list(ordered)


class SegmentView:
    """`segment` in a template: ``segment["pro"]`` or ``segment.pro``, true or false, computed once.

    Raises `SegmentError` when a segment's expression fails for this reader or needs itself, `KeyError` or
    `AttributeError` for a segment there is none of.
    """

    __slots__ = ("_conditions", "_known", "_values")

    def __init__(self, conditions: Mapping[str, Condition], values: Mapping[str, Value]) -> None:
        self._conditions = conditions
        self._values = values
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
            result = self._known[name] = condition(self._values, self)
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
