"""Writing a small file whole or not at all, and so that it is there after a power cut."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def replace_file(file: Path, data: bytes) -> None:
    """Put `data` in the place of `file`, at once for whoever reads it, and on the disk when this returns.

    A link is followed; the mode is that of the file there was, else 0644. Raises `OSError`.
    """
    target = file.resolve()
    mode = target.stat().st_mode & 0o7777 if target.exists() else 0o644
    # Its name must not look like an issue's: no “.md” at the end.
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as part:
            part.write(data)
            part.flush()
            os.fchmod(part.fileno(), mode)
            os.fsync(part.fileno())
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    sync_path(target.parent)


def sync_path(path: Path) -> None:
    """Wait until what was written to a file, or replaced in a folder, outlasts a power cut. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
