"""The ledger of a run: one row per subscriber, written before and after each attempt.

States of a row, and what moves it::

    waiting ──▶ sending ──▶ accepted | rejected | deferred | expired | unknown | dropped
       │           ├── the process ends ──▶ unknown ──▶ (policy) waiting | dropped
       │           └── the connection broke off before a byte had left ──▶ waiting
       ├──▶ bounced, deferred    the relay said so before the data
       ├──▶ rejected             also for a local reason: it never reached the relay
       └──▶ withdrawn            unsubscribed, suppressed, forgotten, cancelled
    deferred ──▶ as waiting, once its next attempt is ripe; expired when retries run out

``sending`` is the mark "end-of-data begins": committed before the final dot, so that whoever comes after
a crash knows which messages the relay may have. A row claimed without it is still ``waiting``.

Outcomes gather in memory until the next mark or `flush`, and share its commit: a killed process leaves at
most one row per connection unknown, and no accepted one waiting. Marks that connections ask for in one turn
of the event loop share a commit too.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from typing import Literal

from digest.delivery.accounts import Accounts
from digest.delivery.later import later_counts
from digest.delivery.runs import Runs
from digest.delivery.storage import Storage

_GATHERED_AT_MOST = 256

_MARK = (
    "UPDATE deliveries SET state = 'sending', message_id = ?, updated_at = ?,"
    " claimed_at = coalesce(claimed_at, ?) WHERE run_id = ? AND subscriber_id = ?"
)

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
    relay: str | None = None
    variant: str = ""


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
        self.now = storage.now
        self._db = storage.connection
        self._pending: list[tuple[str, tuple[object, ...]]] = []
        self._marks: list[tuple[object, ...]] = []
        self._turn: list[tuple[Row, str, asyncio.Future[None]]] = []

    def recover(self) -> int:
        """After a crash: rows with the mark are unknown. Returns how many."""
        return self._storage.change(
            "UPDATE deliveries SET state = 'unknown', attempts = attempts + 1, updated_at = ?,"
            " reply = 'the process ended while the message was handed over'"
            " WHERE run_id = ? AND state = 'sending'",
            (self.now(), self.run_id),
        )

    def settle_unknown(self, policy: Literal["resend", "drop"]) -> int:
        """Decide all unknown rows: back to waiting, or dropped. Returns how many."""
        return self._storage.change(
            "UPDATE deliveries SET state = ?, updated_at = ? WHERE run_id = ? AND state = 'unknown'",
            ("waiting" if policy == "resend" else "dropped", self.now(), self.run_id),
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
            " AND state = ? AND coalesce(next_attempt_at, 0) <= ? AND coalesce(due_at, 0) <= ?"
            " ORDER BY subscriber_id LIMIT ?",
            (self.run_id, after, state, moment := self.now(), moment, limit),
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
        """The moment of the next retry, or of the next reader whose time has not come."""
        (moment,) = self._db.execute(
            "SELECT min(at) FROM (SELECT min(next_attempt_at) AS at FROM deliveries WHERE run_id = ?1"
            " AND state = 'deferred' UNION ALL"
            " SELECT min(due_at) FROM deliveries WHERE run_id = ?1 AND state = 'waiting' AND due_at > ?2)",
            (self.run_id, self.now()),
        ).fetchone()
        return None if moment is None else int(moment)

    def later(self) -> int:
        """How many readers wait for a moment of their own that has not come."""
        (number,) = self._db.execute(
            "SELECT count(*) FROM deliveries WHERE run_id = ? AND state = 'waiting' AND due_at > ?",
            (self.run_id, self.now()),
        ).fetchone()
        return int(number)

    def ripe(self) -> frozenset[int]:
        """The subscribers whose retry may be made now."""
        found = self._db.execute(
            "SELECT subscriber_id FROM deliveries WHERE run_id = ? AND state = 'deferred' AND next_attempt_at <= ?",
            (self.run_id, self.now()),
        )
        return frozenset(number for (number,) in found)

    def leave_out_late(self, before: int) -> int:
        """Withdraw those still waiting whose own moment came before this one. Returns how many."""
        return self._storage.change(
            "UPDATE deliveries SET state = 'withdrawn', reply = 'late', updated_at = ?"
            " WHERE run_id = ? AND state = 'waiting' AND due_at < ?",
            (self.now(), self.run_id, before),
        )

    async def marked(self, row: Row, message_id: str) -> None:
        """End-of-data begins: committed on return, with all outcomes gathered so far.

        Whoever asks in the same turn of the event loop shares the commit. Raises what `flush` raises.
        """
        loop = asyncio.get_running_loop()
        if not self._turn:
            loop.call_soon(self._end_turn)
        committed = loop.create_future()
        self._turn.append((row, message_id, committed))
        await committed

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, []
        asked = [(row, name, future) for row, name, future in turn if not future.cancelled()]
        try:
            for row, message_id, _ in asked:
                self.mark(row, message_id)
            self.flush()
        except Exception as exc:  # noqa: BLE001 -- it is raised by each who asked
            for _, _, future in asked:
                future.set_exception(exc)
        else:
            for _, _, future in asked:
                future.set_result(None)

    def mark(self, row: Row, message_id: str) -> None:
        """As `marked`; committed, or forgotten, by the next `flush`."""
        moment = self.now()
        self._marks.append((message_id, moment, moment, self.run_id, row.subscriber_id))

    def settle(self, row: Row, result: Settled, relay: str | None = None) -> None:
        """Note what became of an attempt, and at which `relay`; written with the next commit."""
        moment = self.now()
        self._gather(
            "UPDATE deliveries SET state = ?, attempts = attempts + 1, code = ?, enhanced = ?, reply = ?,"
            " next_attempt_at = ?, updated_at = ?, claimed_at = coalesce(claimed_at, ?), relay = ?"
            " WHERE run_id = ? AND subscriber_id = ?",
            *(result.state, result.code or None, result.enhanced, result.reply, result.again_at),
            *(moment, moment, relay, self.run_id, row.subscriber_id),
        )

    def withdraw(self, row: Row, reason: str) -> None:
        """Take a reader out who left while waiting; written with the next commit."""
        self._gather(
            "UPDATE deliveries SET state = 'withdrawn', reply = ?, next_attempt_at = NULL, updated_at = ?"
            " WHERE run_id = ? AND subscriber_id = ?",
            *(reason, self.now(), self.run_id, row.subscriber_id),
        )

    def unmark(self, row: Row) -> None:
        """Nothing that ends a message has left after all: the row waits again; written with the next commit."""
        self._gather(
            "UPDATE deliveries SET state = 'waiting', updated_at = ?"
            " WHERE run_id = ? AND subscriber_id = ? AND state = 'sending'",
            *(self.now(), self.run_id, row.subscriber_id),
        )

    def put_back(self, subscriber_id: int, again_at: int) -> None:
        """Try a reader again after all: what the relay answered was not about them."""
        self._gather(
            "UPDATE deliveries SET state = 'deferred', next_attempt_at = ?, updated_at = ?"
            " WHERE run_id = ? AND subscriber_id = ?",
            *(again_at, self.now(), self.run_id, subscriber_id),
        )

    def suppress(self, subscriber_id: int, note: str) -> None:
        """Never write to a dead address again; written with the next commit."""
        moment = self.now()
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
        """Commit what has gathered.

        On an error outcomes stay gathered for another try; marks do not: what they say did not begin, and
        the rows must not turn unknown when the disk works again.
        """
        marks, self._marks = self._marks, []
        if not self._pending and not marks:
            return
        with self._storage.transaction() as db:
            for statement, alike in groupby(self._pending, itemgetter(0)):
                db.executemany(statement, [values for _, values in alike])
            db.executemany(_MARK, marks)
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
        # In one statement: one moment. The reasons are looked up only where there are any.
        for state, reason, number in self._db.execute(
            "SELECT state, '', count(*) FROM deliveries WHERE run_id = ?1 AND state <> 'withdrawn' GROUP BY 1"
            " UNION ALL SELECT state, reply, count(*) FROM deliveries"
            " WHERE run_id = ?1 AND state = 'withdrawn' GROUP BY 2"
            " UNION ALL SELECT state, reason, number FROM reduced WHERE run_id = ?1 AND state <> 'later'",
            (self.run_id,),
        ):
            numbers[state] = numbers.get(state, 0) + number
            if state == "withdrawn":
                withdrawn[reason] = withdrawn.get(reason, 0) + number
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
            accepted_later=later_counts(self._db, self.run_id),
            **numbers,
        )

    def entries(self, state: str, *, find: str = "", after: int = 0) -> Iterator[Entry]:
        """The rows in one state, by subscriber. A marked row counts as ``unknown``.

        `find`: only readers with this text in name or address. `after`: only those with a higher number.
        """
        states = ("unknown", "sending") if state == "unknown" else (state, state)
        found = self._db.execute(
            "SELECT d.subscriber_id, s.email, d.state, d.attempts, d.next_attempt_at, d.code, d.enhanced, d.reply,"
            " d.message_id, d.updated_at, d.relay, d.variant"
            " FROM deliveries d LEFT JOIN subscribers s ON s.id = d.subscriber_id"
            " WHERE d.run_id = ?1 AND d.state IN (?2, ?3) AND d.subscriber_id > ?4"
            " AND (?5 = '' OR instr(lower(coalesce(s.name, '') || ' ' || s.email), lower(?5)))"
            " ORDER BY d.subscriber_id",
            (self.run_id, *states, after, find),
        )
        return (Entry(*row) for row in found)
