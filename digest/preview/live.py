"""Saving a file shows in the browser: a watch on the newsletter's folders, told to every open page.

The transport is server-sent events (one GET that stays open); the page then fetches what it needs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

from watchfiles import DefaultFilter, awatch

FOLDERS = ("issues", "templates", "config", "subscribers")

# Short, because the editor waits for it: changes are grouped for 10 ms after the last, 80 ms at most.
_STEP_MS = 10
_GROUP_MS = 80
# How often folders that came or went while open are looked for.
_FOLDERS_MS = 1000


class Live:
    """Tells every open page what happened. All methods run in the server's event loop."""

    def __init__(self) -> None:
        self._pages: set[asyncio.Queue[str | None]] = set()

    def publish(self, event: str, **data: object) -> None:
        """Send `event` with its data (JSON) to every open page."""
        message = f"event: {event}\ndata: {json.dumps(data)}\n\n"
        for page in self._pages:
            page.put_nowait(message)

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        for page in self._pages:
            page.put_nowait(None)

    async def stream(self) -> AsyncIterator[str]:
        """The events of one page, as ``text/event-stream``, until it goes or the server stops."""
        page: asyncio.Queue[str | None] = asyncio.Queue()
        self._pages.add(page)
        try:
            yield "retry: 500\n\n"
            while (message := await page.get()) is not None:
                yield message
        finally:
            self._pages.discard(page)


class _Sources(DefaultFilter):
    """What an editor writes: not swap files, not the database, not a build."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._lists = root / "subscribers"

    def __call__(self, change: object, path: str) -> bool:
        if Path(path).is_relative_to(self._lists) and not path.endswith(".csv"):
            return False
        return super().__call__(change, path)  # type: ignore[arg-type] # only handed through


async def watch(root: Path, changed: Callable[[Iterable[Path]], None]) -> None:
    """Call `changed` with the paths of each group of saves below `root`, for ever.

    A folder that does not exist yet is watched as soon as it does.
    """
    while True:
        folders = _existing(root)
        if not folders:
            await asyncio.sleep(_FOLDERS_MS / 1000)
            continue
        async for changes in awatch(
            *folders,
            watch_filter=_Sources(root),
            debounce=_GROUP_MS,
            step=_STEP_MS,
            rust_timeout=_FOLDERS_MS,
            yield_on_timeout=True,
        ):
            if changes:
                changed([Path(path) for _, path in changes])
            if _existing(root) != folders:
                changed([root])
                break


def _existing(root: Path) -> list[Path]:
    return [root / name for name in FOLDERS if (root / name).is_dir()]
