"""What the watch tells of, and what it does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from digest.preview.live import Live, watch


def _seen(root: Path, act: Callable[[], None], wanted: str) -> set[str]:
    """The names of the files told of after `act`, up to the one that is wanted.

    `act` comes when the watch has told of a file in the folder ``config``, which is saved until it does.
    """
    names: set[str] = set()
    first = root / "config" / "first.toml"

    async def main() -> None:
        watching = asyncio.create_task(watch(root, lambda paths: names.update(path.name for path in paths)))
        try:
            async with asyncio.timeout(60):
                while first.name not in names:
                    first.write_text("")
                    await asyncio.sleep(0.02)
                act()
                while wanted not in names:
                    await asyncio.sleep(0.02)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(main())
    return names - {first.name}


def test_saves_are_told(tmp_path: Path) -> None:
    """A saved issue and list are told of; the database, swap files and files elsewhere are not."""
    for name in ("config", "issues", "subscribers", "build"):
        (tmp_path / name).mkdir()

    def act() -> None:
        for name in ("subscribers/digest.db-wal", "issues/.x.md.swp", "issues/x.md~", "build/x.html", "y.md"):
            (tmp_path / name).write_text("x")
        (tmp_path / "subscribers" / "test.csv").write_text("email\n")
        (tmp_path / "issues" / "x.md").write_text("x")

    names = _seen(tmp_path, act, "x.md")
    assert names <= {"x.md", "test.csv"}


def test_folder_that_comes_is_watched(tmp_path: Path) -> None:
    """A folder made while the preview is open is watched from then on."""
    (tmp_path / "config").mkdir()

    def act() -> None:
        (tmp_path / "issues").mkdir()

    assert tmp_path.name in _seen(tmp_path, act, tmp_path.name)


def test_every_page_hears_until_the_end() -> None:
    """Each open page gets each event as server-sent lines; closing ends them all."""

    async def listen(live: Live) -> list[str]:
        return [message async for message in live.stream()]

    async def main() -> list[list[str]]:
        live = Live()
        pages = [asyncio.create_task(listen(live)) for _ in range(2)]
        await asyncio.sleep(0)
        live.publish("change", slugs=["a\nb"])
        live.close()
        return await asyncio.gather(*pages)

    for messages in asyncio.run(main()):
        event, data = messages[1].rstrip("\n").split("\n")
        assert event == "event: change"
        assert json.loads(data.removeprefix("data: ")) == {"slugs": ["a\nb"]}
