"""What was made before and would come out the same: results of pure functions, by all they were made of.

For a text that is composed again and again while its author writes. A key holds everything that a result depends
on, so a result from memory is the one that would be made; only the latest are kept, up to a number of characters.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from functools import lru_cache
from threading import Lock
from types import NoneType
from typing import Any, Generic, TypeVar

from markupsafe import Markup
from pydantic import BaseModel

Result = TypeVar("Result")


class Memo(Generic[Result]):
    """The latest results, by their keys.

    `limit` bounds what is kept, in characters as told by `keep`; a result of more than a quarter of it is not kept.

    >>> memo: Memo[str] = Memo(limit=8)
    >>> memo.keep("a", "AA", 2), memo.get("a"), memo.get("b")
    ('AA', 'AA', None)
    >>> _ = [memo.keep(key, key, 2) for key in "bcde"]
    >>> memo.get("a"), memo.get("e")
    (None, 'e')
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[Hashable, tuple[Result, int]] = OrderedDict()
        self._weight = 0
        self._lock = Lock()  # the workbench composes in several threads

    def get(self, key: Hashable) -> Result | None:
        """What was kept under that key; None for nothing."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def keep(self, key: Hashable, result: Result, weight: int) -> Result:
        """Keep a result, and give it back. `weight` is about how many characters it and its key hold."""
        if weight * 4 > self._limit:
            return result
        with self._lock:
            _, before = self._kept.pop(key, (None, 0))
            self._kept[key] = (result, weight)
            self._weight += weight - before
            while self._weight > self._limit:
                self._weight -= self._kept.popitem(last=False)[1][1]
        return result

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._kept.clear()
            self._weight = 0

    def of_text(self, key: tuple[Hashable, ...], text: str, make: Callable[[], Result]) -> Result:
        """The result for `text` and what else is in `key`, made where there is none."""
        found = self.get((text, *key))
        return found if found is not None else self.keep((text, *key), make(), 2 * len(text))


@lru_cache(maxsize=64)
def _compared(kind: Any) -> tuple[str, ...]:
    """The fields by which values of a dataclass are compared."""
    return tuple(field.name for field in fields(kind) if field.compare)


def frozen(value: Any) -> Hashable:
    """A value as part of a key: equal keys only for values that any template draws alike.

    Fields of a dataclass that don't count where it is compared don't count here. Raises `TypeError` for what can't be
    told from others of its kind, as a function.

    >>> frozen({"a": [1]}) == frozen({"a": [1]}), frozen(True) == frozen(1), frozen(Markup("a")) == frozen("a")
    (True, False, False)
    """
    kind: Any = type(value)
    if kind in (str, int, date, NoneType):
        return value  # type: ignore[no-any-return] # one of these
    if kind in (bool, Markup):  # equal to a number, to a text
        return kind, str(value)
    if isinstance(value, dict | Mapping):  # most are dicts: asked first, as it takes less
        return dict, tuple([(key, frozen(held)) for key, held in value.items()])
    if isinstance(value, list | tuple):
        return list, tuple(map(frozen, value))
    if is_dataclass(value):
        return kind, tuple([frozen(getattr(value, name)) for name in _compared(kind)])
    if isinstance(value, BaseModel):
        return kind, tuple((name, frozen(held)) for name, held in value)
    raise TypeError(f"{kind.__name__} is no part of a key")
