"""Windows and rests in the database: rates hold across processes and restarts.

One row a name (table ``paces``). A window is read, asked and written in one transaction: of two processes that
send at once, each sees what the other has taken. Moments are seconds since the epoch, UTC.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from digest.audience.database import now as moment
from digest.delivery.pace import DOMAIN, Rest, Window
from digest.delivery.storage import Storage
from digest.quantities import Rate

_FORGOTTEN_AFTER = 86_400  # seconds after its end that a rest still counts for how long the next one is
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Table:
    """A `Keep` in the database; see `digest.delivery.pace`. Its methods raise `LaterError` or `HeldError`."""

    storage: Storage

    @contextmanager
    def windows(self, rates: Mapping[str, Rate], now: float) -> Iterator[Mapping[str, Window]]:
        """The windows of these rates, locked until the end."""
        with self.storage.transaction() as db:
            known = {name: self._window(name, rate, now) for name, rate in rates.items()}
            before = {name: window.slots for name, window in known.items()}
            yield known
            db.executemany(
                "INSERT INTO paces (name, slots) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET slots = excluded.slots",
                [(name, json.dumps(w.slots)) for name, w in known.items() if w.slots != before[name]],
            )

    def _window(self, name: str, rate: Rate, now: float) -> Window:
        found = self.storage.connection.execute("SELECT slots FROM paces WHERE name = ?", (name,)).fetchone()
        return Window.again(rate, json.loads(found[0]) if found else (), now)

    def slow_down(self, domain: str, now: float) -> Rest:
        """Note that a domain asked for less."""
        with self.storage.transaction() as db:
            rest = self.rests(now).get(domain, Rest())
            rest.asked(now)
            db.execute(
                "INSERT INTO paces (name, rest_until, rests) VALUES (?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET rest_until = excluded.rest_until, rests = excluded.rests",
                (DOMAIN + domain, int(rest.until * 1e6), rest.times),
            )
        return rest

    def wake(self, domain: str) -> None:
        """Note that a domain takes messages again."""
        self.storage.change("UPDATE paces SET rest_until = 0, rests = 0 WHERE name = ?", (DOMAIN + domain,))

    def rests(self, now: float) -> dict[str, Rest]:
        """Who asked to be left alone lately, by domain."""
        found = self.storage.connection.execute(
            "SELECT name, rest_until, rests FROM paces WHERE rest_until > ?", (int((now - _FORGOTTEN_AFTER) * 1e6),)
        )
        return {name.removeprefix(DOMAIN): Rest(until / 1e6, times) for name, until, times in found}

    def days_since(self, name: str) -> int:
        """Whole days since this was called for `name` for the first time."""
        begun = moment()
        self.storage.change(
            "INSERT INTO paces (name, begun_at) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET begun_at = coalesce(begun_at, excluded.begun_at)",
            (name, begun),
        )
        (first,) = self.storage.connection.execute("SELECT begun_at FROM paces WHERE name = ?", (name,)).fetchone()
        return max(0, int((time.time() - first / 1e6) // _DAY))
