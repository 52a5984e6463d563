"""What an author's expression may compute is bounded in time and memory, whatever it says and whatever it is given.

A value of a reader has at most 100,000 characters and a tag 2,000, so it is enough that no single step multiplies:
a repetition, a power, a long loop, a replacement that grows. Each refuses with `OverflowError` (whose words say
which), and is then one more error with its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from itertools import islice
from typing import Any

from jinja2 import Undefined, pass_eval_context
from jinja2.filters import FILTERS
from jinja2.nodes import EvalContext

TURNS = 1000
"""Of one loop, and the numbers of one `range`."""

DEPTH = 2
"""Loops within each other."""

LONGEST = 200_000
"""Characters of a text, items of a list."""

WRITTEN = 20_000_000
"""Characters of a whole text that loops write."""

_LARGEST = 4096  # bits of a whole number
_POWER = 64
_ARGUMENT = 1000

OPERATORS = frozenset({"**", "*", "%", "+"})
"""What goes through `check_operation`."""


def check_operation(operator: str, left: Any, right: Any) -> None:
    """Raises `OverflowError` for what would be too large, `TypeError` for text before ``%``."""
    sized = [len(side) for side in (left, right) if isinstance(side, str | list | tuple)]
    numbers = [side for side in (left, right) if isinstance(side, int)]
    match operator:
        case "**" if not sized and (abs(left) > 1_000_000 or abs(right) > _POWER):
            raise OverflowError("that power is too large")
        case "*" if sized and numbers and sized[0] * numbers[0] > 10_000:
            raise OverflowError("that repetition is too long")
        case "*" | "+" if len(numbers) == 2 and sum(n.bit_length() for n in numbers) > _LARGEST:
            raise OverflowError("that number is too large")
        case "+" if sum(sized) > LONGEST:
            raise OverflowError("that text or list is too long")
        case "%" if isinstance(left, str | bytes):  # "%1000000000d" % 1
            raise TypeError("“%” is for numbers; join texts with “~”")


def turns(of: Any) -> Iterable[Any]:
    """What a loop goes over: at most `TURNS` things, else `OverflowError`."""
    if isinstance(of, str | tuple | list | dict | range) and len(of) <= TURNS:
        return of
    if isinstance(of, Undefined):
        return iter(of)  # says itself what it is
    found = list(islice(of, TURNS + 1))
    if len(found) > TURNS:
        raise OverflowError(f"a loop goes over {TURNS:,} things at most")
    return found


def gathered(pieces: Iterable[str]) -> list[str]:
    """What a template with loops writes."""
    found: list[str] = []
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > WRITTEN:
            raise OverflowError("what the loops of this issue write is too long")
        found.append(piece)
    return found


def numbers(*ends: int) -> range:
    """`range`, of `TURNS` numbers at most."""
    found = range(*ends)
    if len(found) > TURNS:
        raise OverflowError(f"a range has {TURNS:,} numbers at most")
    return found


def concatenated(*parts: Any) -> str:
    """What ``~`` makes."""
    text = "".join(map(str, parts))
    if len(text) > LONGEST:
        raise OverflowError("that text is too long")
    return text


def _replace(value: Any, old: Any, new: Any, count: int | None = None) -> str:
    text, before, after = str(value), str(old), str(new)
    found = text.count(before)
    times = found if count is None or count < 0 else min(count, found)
    if len(text) + times * (len(after) - len(before)) > LONGEST:
        raise OverflowError("that text is too long")
    return text.replace(before, after, times)


@pass_eval_context
def _join(context: EvalContext, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> Any:
    def counted() -> Iterator[Any]:
        total = 0
        for item in value:
            yield item
            total += len(str(d)) + (len(item) if isinstance(item, str | list | tuple) else 0)
            if total > LONGEST:
                raise OverflowError("that text is too long")

    return FILTERS["join"](context, list(counted()), d, attribute)


def _limited(name: str) -> Callable[..., Any]:
    """A filter of Jinja's whose numbers say how much it makes."""
    whole = FILTERS[name]

    @wraps(whole)  # with the mark that says what is passed first
    def limited(*args: Any, **kwargs: Any) -> Any:
        about = args[2 if hasattr(whole, "jinja_pass_arg") else 1 :]
        if any(isinstance(a, int) and abs(a) > _ARGUMENT for a in (*about, *kwargs.values())):
            raise OverflowError(f"{name} takes numbers up to {_ARGUMENT:,}")
        return whole(*args, **kwargs)

    return limited


def _joined(separator: str, parts: Iterable[Any]) -> str:
    found = list(turns(parts))
    if sum(map(len, found)) + len(separator) * len(found) > LONGEST:
        raise OverflowError("that text is too long")
    return separator.join(found)


METHODS: Mapping[str, Callable[..., Any]] = {"replace": _replace, "join": _joined}
"""Methods of text that are done here in place of Python's."""

# fmt: off
CALLABLE = frozenset({
    "capitalize", "casefold", "changed", "count", "cycle", "endswith", "find", "get", "index", "isalnum", "isalpha",
    "isdigit", "isnumeric", "isoformat", "isoweekday", "items", "join", "keys", "lower", "lstrip", "partition",
    "removeprefix", "removesuffix", "replace", "rfind", "rpartition", "rsplit", "rstrip", "split", "splitlines",
    "startswith", "strftime", "strip", "swapcase", "title", "upper", "values", "weekday",
})
# fmt: on
"""The methods of values that an issue may call: those that can't make much of little (`format`, `ljust`, `zfill`)."""

BOUNDED: Mapping[str, Callable[..., Any]] = {
    "replace": _replace,
    "join": _join,
    **{name: _limited(name) for name in ("batch", "round", "slice")},
}
"""Filters in place of Jinja's own of the same names."""
