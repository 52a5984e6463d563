"""Composing in a process of its own: what it loads is gone again when the sending begins.

MJML, the inliner, the picture library and the Markdown parser take as much memory as all the rest of a
sender, which needs none of them.
"""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from digest.compose.compiled import CompiledIssue
from digest.errors import DigestError, InputError
from digest.newsletter import Newsletter

_Answer = str | DigestError


def compose_apart(newsletter: Newsletter, file: Path) -> CompiledIssue:
    """As `compile_issue`. Raises what it raises; `ChildProcessError` when the process dies."""
    start = multiprocessing.get_context
    context = start("fork") if sys.platform == "linux" else start("spawn")  # elsewhere a fork is not safe
    ours, theirs = context.Pipe(duplex=False)
    with ours:
        process = context.Process(target=_compose, args=(newsletter, file, theirs), daemon=True)
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
    return CompiledIssue.from_json(answer)


def _compose(newsletter: Newsletter, file: Path, answer: Connection) -> None:
    from digest.compose.composer import compile_issue

    with answer:
        try:
            answer.send(compile_issue(newsletter, file).to_json())
        except InputError as exc:
            answer.send(InputError(exc.problems))  # made anew: its cause may be of a library's kind
        except DigestError as exc:
            answer.send(type(exc)(str(exc)))
