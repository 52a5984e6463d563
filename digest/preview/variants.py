"""The variants of an issue among its real readers: counted beside everything else, until the text or list changes."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import dataclass, field

from digest.audience.database import open_database
from digest.audience.readers import load_readers
from digest.audience.received import Received
from digest.audience.store import Subscribers
from digest.errors import DigestError, InputError, Problem
from digest.message.audit import Auditor
from digest.message.merge import Merger
from digest.newsletter import Newsletter

_PATIENCE = 0.5
"""Seconds a page waits for the matrix; it looks again when that was not enough."""
_TOLD = 500  # readers after which the count tells how far it is, and asks whether it is still wanted


@dataclass(frozen=True, slots=True)
class Counted:
    """One variant: the outcome of each condition, its number of readers, and the key of one of them."""

    outcomes: tuple[bool, ...]
    readers: int
    key: str
    sample: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """All variants, the largest first. `conditions` are the columns that differ, as (expression, index).

    `problems`: what the pass over all readers found wrong, or worth a look, as the audit before a send does.
    """

    total: int
    variants: tuple[Counted, ...]
    conditions: tuple[tuple[str, int], ...]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Counting:
    """The count is under way: how many readers of how many it has looked at."""

    done: int
    total: int


@dataclass(slots=True)
class _Count:
    """One pass over the list, in a thread of its own. `written` says which state of the list it saw."""

    fingerprint: str
    written: list[int]
    done: int = 0
    total: int = 0
    matrix: Matrix | None = None
    wanted: bool = True
    finished: threading.Event = field(default_factory=threading.Event)

    def start(self, newsletter: Newsletter, merger: Merger) -> None:
        threading.Thread(target=self._run, args=(newsletter, merger), name="variants", daemon=True).start()

    def _run(self, newsletter: Newsletter, merger: Merger) -> None:
        try:
            self.matrix = self._counted(newsletter, merger)
        except InputError as exc:
            self.matrix = Matrix(0, (), (), exc.problems)
        except DigestError as exc:
            self.matrix = Matrix(0, (), (), (Problem(None, str(exc)),))
        finally:
            self.finished.set()

    def _counted(self, newsletter: Newsletter, merger: Merger) -> Matrix | None:
        auditor = Auditor(merger, load_readers(newsletter.root))
        with closing(open_database(newsletter.database)) as connection:
            subscribers = Subscribers(connection)
            self.total = subscribers.count()
            received = Received(connection, merger.compiled.received)
            for number, (subscriber, excluded) in enumerate(subscribers.candidates()):
                if number % _TOLD == 0:
                    self.done = number
                    if not self.wanted:
                        return None
                if excluded is None:
                    auditor.add(received.known(subscriber))
        return _matrix(auditor, merger)


class Variants:
    """Counts on demand; keeps the last answer for each issue. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, _Count] = {}
        self._known: dict[str, tuple[str, Matrix]] = {}

    def of(self, newsletter: Newsletter, merger: Merger) -> Matrix | Counting | None:
        """The matrix of an issue, or how far the count is; None without a list.

        Of the same text the last matrix is given while a list that changed is counted again: a run writes to it
        all the time.
        """
        if not newsletter.database.is_file():
            return None
        count = self._count(newsletter, merger)
        slug, fingerprint = merger.compiled.slug, merger.compiled.fingerprint
        before, matrix = self._known.get(slug, ("", None))
        if matrix is not None and before == fingerprint and not count.finished.is_set():
            return matrix
        count.finished.wait(_PATIENCE)
        if count.matrix is None:
            return Counting(count.done, count.total)
        self._known[slug] = (fingerprint, count.matrix)
        return count.matrix

    def _count(self, newsletter: Newsletter, merger: Merger) -> _Count:
        """The count for this text: the one under way, the last if nothing changed since, else a new one."""
        compiled, written = merger.compiled, _written(newsletter)
        with self._lock:
            last = self._counts.get(compiled.slug)
            if last is not None and last.fingerprint == compiled.fingerprint:
                if not last.finished.is_set() or last.written == written:
                    return last
            elif last is not None:
                last.wanted = False
            count = self._counts[compiled.slug] = _Count(compiled.fingerprint, written)
            count.start(newsletter, merger)
            return count


def _written(newsletter: Newsletter) -> list[int]:
    database = newsletter.database
    log = database.with_name(database.name + "-wal")
    return [file.stat().st_mtime_ns for file in (database, log) if file.is_file()]


def _matrix(auditor: Auditor, merger: Merger) -> Matrix:
    variants = tuple(
        Counted(v.outcomes, v.readers, f"db-{v.sample.id}", v.sample.name or v.sample.email) for v in auditor.variants()
    )
    columns: dict[str, int] = {}
    for index, condition in enumerate(merger.compiled.conditions):
        columns.setdefault(short(condition.expression), index)
    telling = tuple((name, i) for name, i in columns.items() if len({v.outcomes[i] for v in variants}) > 1)
    return Matrix(auditor.total, variants, telling, (*auditor.problems(), *auditor.warnings()))


def short(expression: str) -> str:
    """A condition as a column's head.

    >>> short('segment["pro"] or not segment["free"]')
    'pro or not free'
    """
    return expression.replace('segment["', "").replace('"]', "").replace("subscriber.", "")
