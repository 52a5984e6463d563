"""What is kept of old runs: their numbers, and nobody's name.

Rows of `deliveries` and `later` become counts in `reduced`, a thousand at a time, each in the transaction that
deletes them: the accounts of a run add up at every moment, and nobody waits for the database. The text that was sent
stays, for the archive.
"""

from __future__ import annotations

import sqlite3
from datetime import timedelta

from digest.audience.database import now, writing

_TOGETHER = 1000
_RETURNED_KEPT = timedelta(days=400)
"""How long it is known of a mail of the bounce mailbox that it was counted."""

_STEPS = (
    """
    INSERT INTO reduced (run_id, state, reason, number)
    SELECT run_id, state, iif(state = 'withdrawn', reply, '') AS reason, count(*) FROM deliveries
    WHERE run_id = ?1 AND subscriber_id <= ?2 GROUP BY 1, 2, 3
    ON CONFLICT (run_id, state, reason) DO UPDATE SET number = number + excluded.number
    """,
    """
    INSERT INTO reduced (run_id, state, reason, number)
    SELECT run_id, 'later', kind, count(*) FROM later
    WHERE run_id = ?1 AND subscriber_id <= ?2 GROUP BY 1, 2, 3
    ON CONFLICT (run_id, state, reason) DO UPDATE SET number = number + excluded.number
    """,
    "DELETE FROM deliveries WHERE run_id = ?1 AND subscriber_id <= ?2",
    "DELETE FROM later WHERE run_id = ?1 AND subscriber_id <= ?2",
)


def reduce_old(connection: sqlite3.Connection, keep: timedelta, moment: int | None = None) -> int:
    """Reduce the runs that ended longer than `keep` ago (before `moment`: now); returns how many there were.

    Killed in between, the next call does the rest. Raises `LaterError` when the database is locked.
    """
    moment = now() if moment is None else moment
    old = connection.execute(
        "SELECT id FROM runs r WHERE state IN ('done', 'cancelled') AND ended_at < ?"
        " AND EXISTS (SELECT 1 FROM deliveries d WHERE d.run_id = r.id)",
        (moment - int(keep.total_seconds() * 1e6),),
    ).fetchall()
    for (run,) in old:
        while last := _next(connection, run):
            with writing(connection):
                for step in _STEPS:
                    connection.execute(step, (run, last))
    with writing(connection):
        connection.execute("DELETE FROM returned WHERE at < ?", (moment - int(_RETURNED_KEPT.total_seconds() * 1e6),))
    return len(old)


def _next(connection: sqlite3.Connection, run: int) -> int | None:
    """The last reader of the next chunk; None: no row is left."""
    (last,) = connection.execute(
        "SELECT max(subscriber_id) FROM (SELECT subscriber_id FROM deliveries WHERE run_id = ?"
        " ORDER BY subscriber_id LIMIT ?)",
        (run, _TOGETHER),
    ).fetchone()
    return None if last is None else int(last)
