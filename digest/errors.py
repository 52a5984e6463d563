"""Everything that can go wrong because of what a person wrote, set or runs against.

The tree, with the exit code of each branch::

    DigestError
    ├── InputError        1    issue, theme, settings, readers or list are wrong: all problems at once
    ├── UsageError        2    the command was called in a way that makes no sense
    ├── HeldError         3    a person must decide: a guard not met, login refused, unknown outcomes
    └── LaterError       75    the rest goes on by itself: deferred, relay down

A *problem* names its place as ``file:line:column``, says what is wrong and what would be right. Modules
collect problems and raise one `InputError` with all of them; nothing is sent when there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where in the newsletter's folder: a file (relative, as shown), a 1-based line and column (0: none)."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """
        >>> str(Place("issues/x.md", 42)), str(Place("a.csv", 3, 7)), str(Place("b.md"))
        ('issues/x.md:42', 'a.csv:3:7', 'b.md')
        """
        parts = [self.file, *(str(n) for n in (self.line, self.column) if n)]
        return ":".join(parts)

    def at(self, line: int, column: int = 0) -> Place:
        """The same file at another line."""
        return Place(self.file, line, column)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, what, and what would be right.

    `code` is a stable word for machines (``unknown-segment``); `cure` is shown after the message.
    """

    place: Place | None
    message: str
    cure: str = ""
    severity: Severity = "error"
    code: str = "invalid"

    def __str__(self) -> str:
        """
        >>> str(Problem(Place("x.md", 3), "unknown block “hreo”", "did you mean “hero”?"))
        'x.md:3: error: unknown block “hreo” (did you mean “hero”?)'
        """
        where = f"{self.place}: " if self.place else ""
        cure = f" ({self.cure})" if self.cure else ""
        return f"{where}{self.severity}: {self.message}{cure}"


class DigestError(Exception):
    """The root. `exit_code` is what the command leaves with."""

    exit_code: ClassVar[int] = 1


class InputError(DigestError):
    """What was written is wrong. Carries every problem found in one pass."""

    exit_code = 1

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[InputError], tuple[tuple[Problem, ...]]]:
        """Whole between processes: made anew from its problems, not from its text."""
        return InputError, (self.problems,)


class UsageError(DigestError):
    """The command itself was called wrongly."""

    exit_code = 2


class HeldError(DigestError):
    """A person must decide before anything (more) is sent. The message says what to do."""

    exit_code = 3


class LaterError(DigestError):
    """Nothing is wrong that time will not mend; state is kept and a later run goes on."""

    exit_code = 75


def nearest(word: str, choices: Iterable[str]) -> str:
    """A cure naming the choice closest to `word`, or all of them when few, or nothing.

    >>> nearest("hreo", ["hero", "story"])
    'did you mean “hero”?'
    >>> nearest("zzz", ["hero", "story"])
    'one of: hero, story'
    """
    import difflib  # only where something is misspelt

    known: Sequence[str] = sorted(set(choices))
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if not close:
        lowered = {k.casefold(): k for k in known}
        close = [lowered[word.casefold()]] if word.casefold() in lowered else []
    if close:
        return f"did you mean “{close[0]}”?"
    return f"one of: {', '.join(known)}" if 0 < len(known) <= 24 else ""
