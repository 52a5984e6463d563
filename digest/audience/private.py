"""Files with addresses in them: readable by their owner only, and there once they are whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from digest.errors import InputError, Place, Problem


@contextmanager
def private_file(file: Path) -> Iterator[TextIO]:
    """A text of mode 0600 to write to, which takes the place of `file` at the end of the body, or goes if that fails.

    Raises `InputError` when it cannot be written.
    """
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600, exist_ok=False)
        with partial.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        partial.replace(file)
    except OSError as exc:
        raise InputError(Problem(Place(str(file)), f"cannot be written: {exc.strerror}", code="file")) from exc
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
