"""Composing in a process of its own: what it loads is gone again when the sending begins.

MJML, the inliner, the picture library and the Markdown parser take as much memory as all the rest of a
sender, which needs none of them.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from digest.compose.compiled import CompiledIssue
from digest.errors import DigestError, InputError, Problem
from digest.newsletter import Newsletter

_Answer = tuple[str | None, tuple[Problem, ...]] | DigestError
_Work = Callable[[Newsletter, Path], tuple[CompiledIssue | None, tuple[Problem, ...]]]


def compose_apart(newsletter: Newsletter, file: Path) -> CompiledIssue:
    """As `compile_issue`. Raises what it raises; `ChildProcessError` when the process dies."""
    compiled, _ = _apart(_composed, newsletter, file)
    assert compiled is not None  # noqa: S101 -- else it had raised
    return compiled


def check_apart(newsletter: Newsletter, file: Path) -> tuple[CompiledIssue | None, tuple[Problem, ...]]:
    """The issue, and all that `digest check` finds in it; None where it can't be composed.

    Raises `ChildProcessError` when the process dies.
    """
    return _apart(_checked, newsletter, file)


def _apart(work: _Work, newsletter: Newsletter, file: Path) -> tuple[CompiledIssue | None, tuple[Problem, ...]]:
    start = multiprocessing.get_context
    context = start("fork") if sys.platform == "linux" else start("spawn")  # elsewhere a fork is not safe
    ours, theirs = context.Pipe(duplex=False)
    with ours:
        process = context.Process(target=_answer, args=(work, newsletter, file, theirs), daemon=True)
        process.start()
        theirs.close()
        try:
            answer: _Answer = ours.recv()
        except EOFError as exc:
            process.join()
            raise ChildProcessError(f"composing ended without a word (code {process.exitcode})") from exc
        process.join()
    if isinstance(answer, DigestError):
        raise answer
    text, problems = answer
    return CompiledIssue.from_json(text) if text else None, problems


def _composed(newsletter: Newsletter, file: Path) -> tuple[CompiledIssue, tuple[Problem, ...]]:
    from digest.compose.composer import compile_issue

    return compile_issue(newsletter, file), ()


def _checked(newsletter: Newsletter, file: Path) -> tuple[CompiledIssue | None, tuple[Problem, ...]]:
    from digest.checks.issues import check

    problems = tuple(check(newsletter, str(file)))
    if any(p.severity == "error" for p in problems):
        return None, problems
    return _composed(newsletter, file)[0], problems


def _answer(work: _Work, newsletter: Newsletter, file: Path, answer: Connection) -> None:
    if sys.platform == "linux":
        _let_go(answer.fileno())
    with answer:
        try:
            compiled, problems = work(newsletter, file)
            answer.send((compiled.to_json() if compiled else None, problems))
        except InputError as exc:
            answer.send(InputError(exc.problems))  # made anew: its cause may be of a library's kind
        except DigestError as exc:
            answer.send(type(exc)(str(exc)))


def _let_go(keep: int) -> None:
    """Close what a fork inherits: a lock would be held on when only its holder is killed."""
    os.closerange(3, keep)
    os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX"))
