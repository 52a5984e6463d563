"""The ledger of a run: one row per subscriber, written before and after each attempt.

States of a row, and what moves it::

    waiting ──▶ sending ──▶ accepted | rejected | deferred | expired | unknown | dropped
       │           └── the process ends ──▶ unknown ──▶ (policy) waiting | dropped
       ├──▶ bounced, deferred    the relay said so before the data
       ├──▶ rejected             also for a local reason: it never reached the relay
       └──▶ withdrawn            unsubscribed, suppressed, forgotten, cancelled
    deferred ──▶ as waiting, once its next attempt is ripe; expired when retries run out

``sending`` is the mark "end-of-data begins": committed before the final dot, so that whoever comes after
a crash knows which messages the relay may have. A row claimed without it is still ``waiting``.

Outcomes gather in memory until the next mark or `flush`, and share its commit: a killed process leaves at
most one row per connection unknown, and no accepted one waiting.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from digest.audience.database import now
from digest.delivery.accounts import Accounts
from digest.delivery.runs import Runs
from digest.delivery.storage import Storage

_GATHERED_AT_MOST = 256

State = Literal["waiting", "accepted", "bounced", "rejected", "deferred", "expired", "unknown", "dropped"]


@dataclass(frozen=True, slots=True)
class Row:
    """One reader's place in a run, as it is claimed: attempts made so far, the first one's moment."""

    subscriber_id: int
    attempts: int = 0
    first_at: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One reader's place in a run, as it is shown; `email` is None for a reader who was forgotten."""

    subscriber_id: int
    email: str | None
    state: str
    attempts: int
    next_attempt_at: int | None
    code: int | None
    enhanced: str
    reply: str
    message_id: str
    updated_at: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What an attempt leaves in a row: its new state and why. `again_at` for ``deferred`` only."""

    state: State
    code: int = 0
    enhanced: str = ""
    reply: str = ""
    again_at: int | None = None


class Ledger:
    """The rows of run `run_id`. All but the reading is for the run's sole sender."""

    def __init__(self, storage: Storage, run_id: int) -> None:
        self.run_id = run_id
        self._storage = storage
        self._db = storage.connection
        self._pending: list[tuple[str, tuple[object, ...]]] = []

    def recover(self) -> int:
        """After a crash: rows with the mark are unknown. Returns how many."""
        return self._storage.change(
            "UPDATE deliveries SET state = 'unknown', attempts = attempts + 1, updated_at = ?,"
            " reply = 'the process ended while the message was handed over'"
            " WHERE run_id = ? AND state = 'sending'",
            (now(), self.run_id),
        )

    def settle_unknown(self, policy: Literal["resend", "drop"]) -> int:
        """Decide all unknown rows: back to waiting, or dropped. Returns how many."""
        return self._storage.change(
            "UPDATE deliveries SET state = ?, updated_at = ? WHERE run_id = ? AND state = 'unknown'",
            ("waiting" if policy == "resend" else "dropped", now(), self.run_id),
        )

    def ripen(self) -> None:
        """Let every deferred row be tried at once, whatever its next attempt."""
        self._storage.change(
            "UPDATE deliveries SET next_attempt_at = 0 WHERE run_id = ? AND state = 'deferred'", (self.run_id,)
        )

    def due(self, state: Literal["waiting", "deferred"], after: int, limit: int) -> list[Row]:
        """The next rows of a state to try, by subscriber, after subscriber `after`; of deferred ones the ripe."""
        found = self._db.execute(
            "SELECT subscriber_id, attempts, claimed_at FROM deliveries WHERE run_id = ? AND subscriber_id > ?"
            " AND state = ? AND coalesce(next_attempt_at, 0) <= ? ORDER BY subscriber_id LIMIT ?",
            (self.run_id, after, state, now(), limit),
        )
        return [Row(*row) for row in found]

    def sample(self, size: int) -> frozenset[int]:
        """`size` subscribers of the run, picked by hash: the same ones every time, others for each issue."""
        slug = Runs(self._storage).get(self.run_id).slug
        planned = self._db.execute(
            "SELECT s.token, s.id FROM deliveries d JOIN subscribers s ON s.id = d.subscriber_id WHERE d.run_id = ?",
            (self.run_id,),
        )
        ranked = ((sha256(f"{token}\0{slug}".encode()).digest(), number) for token, number in planned)
        return frozenset(number for _, number in heapq.nsmallest(size, ranked))

    def has(self, subscriber_id: int) -> bool:
        """Whether this reader is in the run, whatever became of them."""
        found = self._db.execute(
            "SELECT 1 FROM deliveries WHERE run_id = ? AND subscriber_id = ?", (self.run_id, subscriber_id)
        )
        return found.fetchone() is not None

    def missing_of(self, subscribers: Iterable[int], *, or_unknown: bool = False) -> int:
        """How many of these subscribers are still to be tried; `or_unknown`: or in doubt."""
        query = (
            "SELECT count(*) FROM deliveries WHERE run_id = ? AND subscriber_id = ?"
            " AND state IN ('waiting', 'deferred', ?)"
        )
        third = "unknown" if or_unknown else "waiting"
        return sum(self._db.execute(query, (self.run_id, n, third)).fetchone()[0] for n in subscribers)

    def next_attempt(self) -> int | None:
        """The moment of the next retry, if any row is deferred."""
        (moment,) = self._db.execute(
            "SELECT min(next_attempt_at) FROM deliveries WHERE run_id = ? AND state = 'deferred'", (self.run_id,)
        ).fetchone()
        return None if moment is None else int(moment)

    def mark(self, row: Row, message_id: str) -> None:
        """End-of-data begins: committed on return, with all outcomes gathered so far."""
        moment = now()
        self._gather(
            "UPDATE deliveries SET state = 'sending', message_id = ?, updated_at = ?,"
            " claimed_at = coalesce(claimed_at, ?) WHERE run_id = ? AND subscriber_id = ?",
            *(message_id, moment, moment, self.run_id, row.subscriber_id),
        )
        try:
            self.flush()
        except BaseException:
            self._pending.pop()  # it did not begin: the row must not turn unknown when the disk works again
            raise

    def settle(self, row: Row, result: Settled) -> None:
        """Note what became of an attempt; written with the next commit."""
        moment = now()
        self._gather(
            "UPDATE deliveries SET state = ?, attempts = attempts + 1, code = ?, enhanced = ?, reply = ?,"
            " next_attempt_at = ?, updated_at = ?, claimed_at = coalesce(claimed_at, ?)"
            " WHERE run_id = ? AND subscriber_id = ?",
            *(result.state, result.code or None, result.enhanced, result.reply, result.again_at),
            *(moment, moment, self.run_id, row.subscriber_id),
        )

    def withdraw(self, row: Row, reason: str) -> None:
        """Take a reader out who left while waiting; written with the next commit."""
        self._gather(
            "UPDATE deliveries SET state = 'withdrawn', reply = ?, next_attempt_at = NULL, updated_at = ?"
            " WHERE run_id = ? AND subscriber_id = ?",
            *(reason, now(), self.run_id, row.subscriber_id),
        )

    def put_back(self, subscriber_id: int, again_at: int) -> None:
        """Try a reader again after all: what the relay answered was not about them."""
        self._gather(
            "UPDATE deliveries SET state = 'deferred', next_attempt_at = ?, updated_at = ?"
            " WHERE run_id = ? AND subscriber_id = ?",
            *(again_at, now(), self.run_id, subscriber_id),
        )

    def suppress(self, subscriber_id: int, note: str) -> None:
        """Never write to a dead address again; written with the next commit."""
        moment = now()
        self._gather(
            "INSERT OR IGNORE INTO suppressions (address_key, reason, note, created_at)"
            " SELECT address_key, 'bounced', ?, ? FROM subscribers WHERE id = ?",
            *(note, moment, subscriber_id),
        )
        self._gather(
            "UPDATE subscribers SET status = 'bounced', updated_at = ? WHERE id = ? AND status = 'active'",
            *(moment, subscriber_id),
        )

    def flush(self) -> None:
        """Commit what has gathered. On an error it stays gathered, for another try."""
        if not self._pending:
            return
        with self._storage.transaction() as db:
            for statement, values in self._pending:
                db.execute(statement, values)
        self._pending.clear()

    def sync(self) -> None:
        """`flush`, and an fsync where one is due; to be called every `FULL_EVERY` seconds."""
        self.flush()
        self._storage.sync()

    def _gather(self, statement: str, *values: object) -> None:
        if len(self._pending) >= _GATHERED_AT_MOST:
            self.flush()
        self._pending.append((statement, values))

    def accounts(self, *, running: bool = False) -> Accounts:
        """Where everybody is. `running`: some process is sending this run, so marked rows are in flight."""
        run = Runs(self._storage).get(self.run_id)
        numbers: dict[str, int] = {}
        withdrawn: dict[str, int] = {}
        for state, reason, number in self._db.execute(
            "SELECT state, iif(state = 'withdrawn', reply, ''), count(*) FROM deliveries"
            " WHERE run_id = ? GROUP BY 1, 2",
            (self.run_id,),
        ):
            numbers[state] = numbers.get(state, 0) + number
            if state == "withdrawn":
                withdrawn[reason] = number
        planned = sum(numbers.values())
        numbers.pop("withdrawn", None)
        sending = numbers.pop("sending", 0)
        into = "waiting" if running else "unknown"
        numbers[into] = numbers.get(into, 0) + sending
        return Accounts(
            candidates=run.candidates,
            excluded=run.excluded,
            planned=planned,
            withdrawn=withdrawn,
            in_flight=sending if running else 0,
            **numbers,
        )

    def entries(self, state: str) -> Iterator[Entry]:
        """The rows in one state, by subscriber. A marked row counts as ``unknown``."""
        states = ("unknown", "sending") if state == "unknown" else (state, state)
        found = self._db.execute(
            "SELECT d.subscriber_id, s.email, d.state, d.attempts, d.next_attempt_at, d.code, d.enhanced, d.reply,"
            " d.message_id, d.updated_at FROM deliveries d LEFT JOIN subscribers s ON s.id = d.subscriber_id"
            " WHERE d.run_id = ? AND d.state IN (?, ?) ORDER BY d.subscriber_id",
            (self.run_id, *states),
        )
        return (Entry(*row) for row in found)
