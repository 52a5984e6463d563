"""How long a run was sent, and how many were tried, process by process.

Noted from the begin on and about once a second, so that it is known as well of a process that was killed.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from digest.delivery.progress import Progress, Watch
from digest.delivery.storage import Storage
from digest.errors import DigestError

_EVERY = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Sendings:
    """How many processes have sent a run, for how many seconds in all, and how many readers they tried."""

    processes: int
    seconds: float
    tried: int


def sendings(storage: Storage, run_id: int) -> Sendings:
    """Those of a run so far; a process that tried nobody does not count."""
    found = storage.connection.execute(
        "SELECT count(*), coalesce(sum(seconds), 0), coalesce(sum(tried), 0) FROM sendings WHERE run_id = ? AND tried",
        (run_id,),
    )
    return Sendings(*found.fetchone())


class Sending:
    """This process sends run `run_id` from now on."""

    def __init__(self, storage: Storage, run_id: int) -> None:
        self._storage = storage
        with storage.transaction() as db:
            begun = db.execute(
                "INSERT INTO sendings (run_id, begun_at, seconds, tried) VALUES (?, ?, 0, 0)", (run_id, storage.now())
            )
        self._number = begun.lastrowid

    def note(self, seconds: float, tried: int) -> None:
        """How far it is. Raises `LaterError` or `HeldError` when the database can't be written."""
        self._storage.change(
            "UPDATE sendings SET seconds = ?, tried = ? WHERE id = ?", (round(seconds, 3), tried, self._number)
        )

    def watching(self, watch: Watch) -> Watch:
        """`watch`, noting it now and then."""
        look_at = time.monotonic()

        def watched(progress: Progress, at_end: bool) -> None:
            nonlocal look_at
            if (moment := time.monotonic()) >= look_at and progress.done:
                look_at = moment + _EVERY
                with suppress(DigestError):  # the ledger's next write says it
                    self.note(progress.seconds, progress.done)
            watch(progress, at_end)

        return watched
