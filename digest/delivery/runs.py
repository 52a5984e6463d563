"""The runs of a newsletter: which issue, which text, who was planned, and what a person asks of its sender."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from digest.compose.compiled import CompiledIssue
from digest.delivery.storage import Storage
from digest.errors import HeldError, LaterError

Flag = Literal["hold", "cancel"]
RunState = Literal["new", "open", "done", "cancelled", "replaced"]


@dataclass(frozen=True, slots=True)
class Run:
    """A run's head. Moments are microseconds since the epoch.

    `new`: held before it was ever planned. `open`: planned, somebody is missing. `done`. `cancelled`.
    `replaced`: no run, but the text that one had until `ended_at`, kept to know what its readers got.
    """

    id: int
    slug: str
    fingerprint: str
    state: RunState
    started_at: int
    ended_at: int | None
    candidates: int
    excluded: Mapping[str, int]
    overrides: tuple[str, ...]
    flag: Flag | None

    @property
    def planned(self) -> int:
        """How many readers were planned."""
        return self.candidates - sum(self.excluded.values())


@dataclass(frozen=True, slots=True)
class Head:
    """What a plan counted: all subscribers looked at, and those left out, by reason."""

    candidates: int
    excluded: Mapping[str, int]

    @property
    def planned(self) -> int:
        """How many are left."""
        return self.candidates - sum(self.excluded.values())


class Runs:
    """All runs in one database."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._now = storage.now
        self._db = storage.connection

    def latest(self, slug: str) -> Run | None:
        """The run of this issue, if there is one."""
        return self._one("slug = ? AND state <> 'replaced'", slug)

    def is_reduced(self, run_id: int) -> bool:
        """Whether only numbers are left of it, and nobody knows any more who got it."""
        return self._db.execute("SELECT 1 FROM reduced WHERE run_id = ? LIMIT 1", (run_id,)).fetchone() is not None

    def get(self, run_id: int) -> Run:
        """The run with this number. Raises `KeyError`."""
        run = self._one("id = ?", run_id)
        if run is None:
            raise KeyError(run_id)
        return run

    def all(self) -> Iterator[Run]:
        """Every run, the latest first."""
        return (_run(row) for row in self._db.execute(f"{_SELECT} WHERE state <> 'replaced' ORDER BY id DESC"))

    def previous(self, slug: str) -> Run | None:
        """The last planned run of any other issue."""
        return self._one("slug <> ? AND state NOT IN ('new', 'replaced')", slug)

    def sent_as(self, fingerprint: str, slug: str) -> Run | None:
        """A planned run of the same content under another slug."""
        return self._one("fingerprint = ? AND slug <> ? AND state <> 'new'", fingerprint, slug)

    def compiled(self, run_id: int) -> CompiledIssue:
        """The issue as it was stored with the run. Raises `HeldError` if another version stored it."""
        (text,) = self._db.execute("SELECT compiled FROM runs WHERE id = ?", (run_id,)).fetchone()
        try:
            return CompiledIssue.from_json(text)
        except ValueError as exc:
            raise HeldError(f"run {run_id} was {exc}; go on with that version") from exc

    def stage(self, rows: Iterable[tuple[int, str]]) -> None:
        """Lay down who is planned (subscriber, variant) in a temporary table, until `begin` or `join`.

        Memory stays flat, and the write lock is not held while readers are merged and counted.
        """
        self._db.execute("DROP TABLE IF EXISTS temp.planned")
        self._db.execute("PRAGMA temp.cache_size = 50")  # pages: rows are only added at its end
        self._db.execute("CREATE TEMP TABLE planned (subscriber_id INTEGER PRIMARY KEY, variant TEXT NOT NULL)")
        self._db.execute("BEGIN")  # deferred: a temporary table needs no lock of the database
        self._db.executemany("INSERT INTO temp.planned VALUES (?, ?)", rows)
        self._db.execute("COMMIT")

    def begin(
        self,
        compiled: CompiledIssue,
        head: Head,
        overrides: Iterable[str] = (),
        *,
        goes_on: bool = False,
        due: Mapping[str | None, int] | None = None,
    ) -> Run:
        """Open a run with everybody staged, all at once. Raises `LaterError` if another process just has.

        `goes_on`: all readers were agreed to. `due`: the moment of the readers of each zone; None is for those
        of no zone, or of one that is not named.
        """
        with self._storage.transaction() as db:
            known = self.latest(compiled.slug)
            if known and known.state != "new":
                raise LaterError("another process has just begun to send this issue")
            db.execute("DELETE FROM runs WHERE slug = ? AND state = 'new'", (compiled.slug,))
            begun = db.execute(
                "INSERT INTO runs (slug, fingerprint, compiled, state, started_at, candidates, excluded, overrides)"
                " VALUES (?, ?, ?, 'open', ?, ?, ?, ?)",
                (
                    compiled.slug,
                    compiled.fingerprint,
                    compiled.to_json(),
                    self._now(),
                    head.candidates,
                    json.dumps(dict(head.excluded)),
                    json.dumps(sorted(overrides)),
                ),
            )
            run_id = begun.lastrowid or 0
            self._take_staged(run_id)
            db.execute("UPDATE runs SET goes_on = ? WHERE id = ?", (goes_on, run_id))
            if due:
                self._spread(run_id, due)
        return self.get(run_id)

    def _spread(self, run_id: int, due: Mapping[str | None, int]) -> None:
        """Give each row the moment of its reader's zone."""
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS waves (zone TEXT PRIMARY KEY, due_at INTEGER NOT NULL)")
        self._db.execute("DELETE FROM temp.waves")
        self._db.executemany("INSERT INTO temp.waves VALUES (?, ?)", [(z, at) for z, at in due.items() if z])
        self._db.execute(
            "UPDATE deliveries SET due_at = coalesce((SELECT w.due_at FROM subscribers s JOIN temp.waves w"
            " ON w.zone = s.timezone WHERE s.id = deliveries.subscriber_id), ?) WHERE run_id = ?",
            (due.get(None), run_id),
        )

    def agree(self, run_id: int, *, goes_on: bool) -> None:
        """Note whether what is missing of a run goes on by itself (see `digest run-due`)."""
        self._storage.change("UPDATE runs SET goes_on = ? WHERE id = ?", (goes_on, run_id))

    def join(self, run_id: int, head: Head) -> Run:
        """Add those staged to a run: readers who came later, as `head` counts them."""
        with self._storage.transaction() as db:
            known = self.get(run_id).excluded
            sums = {k: known.get(k, 0) + head.excluded.get(k, 0) for k in {*known, *head.excluded}}
            db.execute(
                "UPDATE runs SET candidates = candidates + ?, excluded = ?, state = 'open' WHERE id = ?",
                (head.candidates, json.dumps(sums), run_id),
            )
            self._take_staged(run_id)
        return self.get(run_id)

    def _take_staged(self, run_id: int) -> None:
        self._db.execute(
            "INSERT INTO deliveries (run_id, subscriber_id, state, variant, updated_at)"
            " SELECT ?, subscriber_id, 'waiting', variant, ? FROM temp.planned",
            (run_id, self._now()),
        )

    def change(self, run_id: int, compiled: CompiledIssue) -> Run:
        """Switch the rest of a run to another text; the one before is kept as `replaced`.

        The rest is staged: its variants are those of the new text.
        """
        with self._storage.transaction() as db:
            db.execute(
                "INSERT INTO runs (slug, fingerprint, compiled, state, started_at, ended_at)"
                " SELECT slug, fingerprint, compiled, 'replaced', started_at, ? FROM runs WHERE id = ?",
                (self._now(), run_id),
            )
            db.execute(
                "UPDATE runs SET compiled = ?, fingerprint = ? WHERE id = ?",
                (compiled.to_json(), compiled.fingerprint, run_id),
            )
            db.execute(
                "UPDATE deliveries SET variant = planned.variant FROM temp.planned"
                " WHERE run_id = ? AND deliveries.subscriber_id = planned.subscriber_id",
                (run_id,),
            )
        return self.get(run_id)

    def override(self, run_id: int, guards: Iterable[str]) -> None:
        """Note the guards overridden, beside those noted before."""
        merged = sorted({*self.get(run_id).overrides, *guards})
        self._storage.change("UPDATE runs SET overrides = ? WHERE id = ?", (json.dumps(merged), run_id))

    def finish(self, run_id: int, *, done: bool) -> None:
        """Note how the run stands when a process leaves it."""
        self._storage.change(
            "UPDATE runs SET state = ?, ended_at = ? WHERE id = ? AND state <> 'cancelled'",
            ("done" if done else "open", self._now() if done else None, run_id),
        )

    def texts(self, run: Run) -> list[tuple[int, int, int]]:
        """The texts a run has had, the first one first: the number under which each is stored (`compiled`), from
        when until when it was sent, in microseconds since the epoch."""
        found = self._db.execute(
            "SELECT id, ended_at FROM runs WHERE slug = ? AND started_at = ? AND state = 'replaced' ORDER BY ended_at",
            (run.slug, run.started_at),
        ).fetchall()
        begins = [run.started_at, *(ended_at for _, ended_at in found)]
        ends = [*begins[1:], 2**62]
        return list(zip((*(number for number, _ in found), run.id), begins, ends, strict=True))

    def flag(self, run_id: int) -> Flag | None:
        """What a person asks of whoever sends this run, now."""
        row: tuple[Flag | None] | None = self._db.execute("SELECT flag FROM runs WHERE id = ?", (run_id,)).fetchone()
        return row[0] if row else None

    def hold(self, slug: str) -> Run:
        """Set the flag ``hold``, also for an issue that was never planned."""
        if self.latest(slug) is None:
            self._storage.change(
                "INSERT INTO runs (slug, fingerprint, compiled, state, started_at) VALUES (?, '', '', 'new', ?)",
                (slug, self._now()),
            )
        run = self.latest(slug)
        assert run is not None  # noqa: S101 -- it was just made
        return self.set_flag(run.id, "hold")

    def set_flag(self, run_id: int, flag: Flag | None) -> Run:
        """Set or clear the flag. Raises `KeyError` when there is no such run."""
        self._storage.change("UPDATE runs SET flag = ? WHERE id = ?", (flag, run_id))
        return self.get(run_id)

    def cancel(self, run_id: int) -> int:
        """Withdraw everybody still missing; returns how many. For the sole sender only."""
        with self._storage.transaction() as db:
            done = db.execute(
                "UPDATE deliveries SET state = 'withdrawn', reply = 'cancelled', next_attempt_at = NULL,"
                " updated_at = ? WHERE run_id = ? AND state IN ('waiting', 'deferred')",
                (self._now(), run_id),
            )
            db.execute(
                "UPDATE runs SET state = 'cancelled', ended_at = ?, flag = NULL WHERE id = ?", (self._now(), run_id)
            )
        return done.rowcount

    def note_test(self, slug: str, fingerprint: str, address: str, outcome: str) -> None:
        """Note a test of an issue and what became of it."""
        self._storage.change(
            "INSERT INTO tests (slug, fingerprint, address, outcome, at) VALUES (?, ?, ?, ?, ?)",
            (slug, fingerprint, address, outcome, self._now()),
        )

    def tested(self, fingerprint: str) -> bool:
        """Whether a test of exactly this content was accepted by the relay."""
        found = self._db.execute(
            "SELECT 1 FROM tests WHERE fingerprint = ? AND outcome = 'accepted' LIMIT 1", (fingerprint,)
        )
        return found.fetchone() is not None

    def _one(self, where: str, *values: object) -> Run | None:
        row = self._db.execute(f"{_SELECT} WHERE {where} ORDER BY id DESC LIMIT 1", values).fetchone()
        return _run(row) if row else None


_SELECT = "SELECT id, slug, fingerprint, state, started_at, ended_at, candidates, excluded, overrides, flag FROM runs"


def _run(row: Any) -> Run:
    number, slug, fingerprint, state, started_at, ended_at, candidates, excluded, overrides, flag = row
    return Run(
        number,
        slug,
        fingerprint,
        state,
        started_at,
        ended_at,
        candidates,
        json.loads(excluded),
        tuple(json.loads(overrides)),
        flag,
    )
