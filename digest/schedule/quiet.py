"""Saying a thing once an hour, not every minute: for what goes wrong before there is a database to note it in."""

from __future__ import annotations

import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

_STAMP = "subscribers/.run-due.told"
AGAIN_AFTER = 3600.0  # seconds


def is_news(root: Path, text: str) -> bool:
    """Whether `text` is to be told now, in the newsletter in `root`; notes that it is. Where it can't be noted: yes."""
    stamp = root / _STAMP
    digest = sha256(text.encode()).hexdigest()
    try:
        fresh = time.time() - stamp.stat().st_mtime < AGAIN_AFTER
        if fresh and stamp.read_text(encoding="ascii") == digest:
            return False
    except (OSError, ValueError):
        pass
    with suppress(OSError):
        stamp.write_text(digest, encoding="ascii")
    return True


def all_is_well(root: Path) -> None:
    """Forget what was told."""
    with suppress(OSError):
        (root / _STAMP).unlink(missing_ok=True)
