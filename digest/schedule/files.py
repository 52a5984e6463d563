"""Writing a small file whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from digest.journal import sync_folder


def replace_file(file: Path, data: bytes, mode: int | None = None) -> None:
    """Put `data` in the place of `file`, at once for whoever reads it, and on the disk when this returns.

    A link is followed; `mode` is that of the file there was, else 0644. Raises `OSError`.
    """
    target = file.resolve()
    if mode is None:
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
    sync_folder(target.parent)
