"""What the database knows of dates and open runs, and what the editor is still to be told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from digest.delivery.storage import Storage
from digest.schedule.due import Known, Scheduled, Standing

_EPOCH = datetime.fromtimestamp(0, UTC)
Key = tuple[str, datetime]


def micros(moment: datetime) -> int:
    """The unit of the schema: microseconds since the epoch.

    >>> micros(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment_at(microseconds: int) -> datetime:
    """The other way round, in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the editor is to be told by mail."""

    key: str
    kind: str
    subject: str
    text: str
    made_at: datetime


class Records:
    """The tables of this room, and what it asks of the ledger's."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._db = storage.connection

    # ---- runs

    def standing(self, now: datetime, patience: timedelta) -> dict[str, Standing]:
        """Every issue's run, by slug; of open ones whether somebody is to be tried `now`.

        Where nobody seems to have looked after a run for longer than `patience`, its rows are asked as well.
        """
        found = self._db.execute(
            "SELECT slug, max(id), state, flag, goes_on, coalesce(looked_at, started_at) FROM runs"
            " WHERE state <> 'replaced' GROUP BY slug ORDER BY 2"
        ).fetchall()
        standing = {}
        for slug, run_id, state, flag, goes_on, seen in found:
            if state != "open":
                standing[slug] = Standing(slug, state, flag)
                continue
            at = moment_at(seen)
            if now - at > patience:
                at = max(at, self._last_change(run_id) or at)
            standing[slug] = Standing(slug, state, flag, self._ripe_since(run_id, goes_on, now), at)
        return standing

    def _ripe_since(self, run_id: int, goes_on: int, now: datetime) -> datetime | None:
        # A row with the mark is one whose sender died; where it lives, the lock says so.
        (since,) = self._db.execute(
            "SELECT min(since) FROM ("
            " SELECT min(next_attempt_at) AS since FROM deliveries WHERE run_id = ?1 AND state = 'deferred'"
            " AND next_attempt_at <= ?2 UNION ALL"
            " SELECT min(updated_at) FROM deliveries WHERE run_id = ?1 AND state = 'sending' UNION ALL"
            " SELECT min(coalesce(due_at, 0)) FROM deliveries WHERE ?3 AND run_id = ?1 AND state = 'waiting'"
            " AND coalesce(due_at, 0) <= ?2)",
            (run_id, micros(now), goes_on),
        ).fetchone()
        return None if since is None else moment_at(since)

    def waits_since(self, run_id: int, now: datetime, *, lost: bool) -> datetime:
        """Since when the relay takes nothing of a run. Noted the first time: `now`, or where it was `lost` in the
        middle its last word.
        """
        since = (self._last_change(run_id) if lost else None) or now
        self._storage.change(
            "UPDATE runs SET waits_since = coalesce(waits_since, ?) WHERE id = ?", (micros(since), run_id)
        )
        (noted,) = self._db.execute("SELECT waits_since FROM runs WHERE id = ?", (run_id,)).fetchone()
        return moment_at(noted)

    def waits_no_more(self, run_id: int) -> datetime | None:
        """The relay takes something of a run. Returns since when it did not, where that was noted."""
        (since,) = self._db.execute("SELECT waits_since FROM runs WHERE id = ?", (run_id,)).fetchone()
        if since is None:
            return None
        self._storage.change("UPDATE runs SET waits_since = NULL WHERE id = ?", (run_id,))
        return moment_at(since)

    def _last_change(self, run_id: int) -> datetime | None:
        (at,) = self._db.execute("SELECT max(updated_at) FROM deliveries WHERE run_id = ?", (run_id,)).fetchone()
        return None if at is None else moment_at(at)

    def next_turns(self) -> list[datetime]:
        """For each open run that goes on: the next retry, or the next reader whose time has not come."""
        found = self._db.execute(
            "SELECT min(iif(d.state = 'deferred', coalesce(d.next_attempt_at, 0), d.due_at))"
            " FROM runs r JOIN deliveries d ON d.run_id = r.id WHERE r.state = 'open' AND r.flag IS NULL"
            " AND (d.state = 'deferred' OR (d.state = 'waiting' AND r.goes_on AND d.due_at IS NOT NULL)) GROUP BY r.id"
        )
        return [moment_at(at) for (at,) in found]

    def agreed_to_whole(self, slug: str) -> bool:
        """Whether all readers of an issue's run were agreed to."""
        row = self._db.execute(
            "SELECT goes_on FROM runs WHERE slug = ? AND state <> 'replaced' ORDER BY id DESC LIMIT 1", (slug,)
        ).fetchone()
        return bool(row and row[0])

    def looked_at(self, now: datetime) -> None:
        """Note that open runs are looked after."""
        if self._db.execute("SELECT 1 FROM runs WHERE state = 'open' LIMIT 1").fetchone():
            self._storage.change("UPDATE runs SET looked_at = ? WHERE state = 'open'", (micros(now),))

    def zones(self) -> list[str]:
        """The time zones of those who may get an issue."""
        found = self._db.execute(
            "SELECT DISTINCT timezone FROM subscribers WHERE status = 'active' AND timezone IS NOT NULL ORDER BY 1"
        )
        return [zone for (zone,) in found]

    # ---- dates

    def known(self) -> dict[Key, Known]:
        """What became of each date."""
        found = self._db.execute("SELECT slug, due_at, state FROM occurrences")
        return {(slug, moment_at(at)): state for slug, at, state in found}

    def plan(self, dates: Collection[Scheduled], known: Mapping[Key, Known], keep: Collection[str]) -> None:
        """Remember the dates that are seen, and forget those that were taken back, but of the issues in `keep`:
        whose run has begun, or whose file can't be read. One spoilt just before its date must not pass in silence.
        """
        seen = {(d.slug, d.at) for d in dates}
        stale = [k for k, state in known.items() if state == "planned" and k not in seen and k[0] not in keep]
        new = [key for key in seen if key not in known]
        if not stale and not new:
            return
        at = self._storage.now()
        with self._storage.transaction() as db:
            for slug, due in stale:
                db.execute("DELETE FROM occurrences WHERE slug = ? AND due_at = ?", (slug, micros(due)))
            for slug, due in new:
                db.execute(
                    "INSERT OR IGNORE INTO occurrences (slug, due_at, state, at) VALUES (?, ?, 'planned', ?)",
                    (slug, micros(due), at),
                )

    def begun_unnoted(self, slug: str) -> datetime | None:
        """The date that has begun an issue's run, where whoever began it died before that was noted."""
        row = self._db.execute(
            "SELECT max(o.due_at) FROM occurrences o JOIN runs r ON r.slug = o.slug AND r.state = 'open'"
            " WHERE o.slug = ? AND o.state IN ('planned', 'held') AND o.due_at <= r.started_at AND r.goes_on",
            (slug,),
        ).fetchone()
        return None if row[0] is None else moment_at(row[0])

    def mark(
        self, slug: str, due: datetime | None, state: Known, reason: str, now: datetime, notice: Notice | None = None
    ) -> None:
        """Note what became of a date (none: of an open run), and what the editor is to hear, at once."""
        with self._storage.transaction() as db:
            if due is not None:
                db.execute(
                    "INSERT OR REPLACE INTO occurrences (slug, due_at, state, reason, at) VALUES (?, ?, ?, ?, ?)",
                    (slug, micros(due), state, reason, micros(now)),
                )
            if notice:
                self._insert(notice)

    def reason(self, slug: str) -> str:
        """Why the issue was held or skipped last; nothing where it was not."""
        row = self._db.execute(
            "SELECT reason FROM occurrences WHERE slug = ? AND state IN ('held', 'skipped') ORDER BY at DESC LIMIT 1",
            (slug,),
        ).fetchone()
        return str(row[0]) if row else ""

    # ---- notices

    def note(self, notice: Notice) -> bool:
        """Keep a notice, once for its key. Returns whether it is new."""
        with self._storage.transaction():
            return self._insert(notice)

    def _insert(self, notice: Notice) -> bool:
        done = self._db.execute(
            "INSERT OR IGNORE INTO notices (key, kind, subject, text, made_at) VALUES (?, ?, ?, ?, ?)",
            (notice.key, notice.kind, notice.subject, notice.text, micros(notice.made_at)),
        )
        return done.rowcount > 0

    def untold(self) -> list[Notice]:
        """What nobody was told yet, the oldest first."""
        found = self._db.execute(
            "SELECT key, kind, subject, text, made_at FROM notices WHERE told_at IS NULL ORDER BY made_at, key"
        )
        return [Notice(key, kind, subject, text, moment_at(at)) for key, kind, subject, text, at in found]

    def was_noted(self, key: str) -> bool:
        """Whether there is a notice with this key, told or not."""
        return self._db.execute("SELECT 1 FROM notices WHERE key = ?", (key,)).fetchone() is not None

    def is_settled(self, key: str, now: datetime) -> None:
        """A notice was told, or is not to be."""
        self._storage.change("UPDATE notices SET told_at = ? WHERE key = ? AND told_at IS NULL", (micros(now), key))
