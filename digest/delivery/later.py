"""What becomes of accepted messages afterwards: bounces, complaints and people who leave.

The relay has taken them, so *accepted* never shrinks; these are counted beside it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Literal

from digest.audience.leaving import Parting, leave_within
from digest.delivery.classify import storable

Kind = Literal["bounced", "complained", "unsubscribed"]


def record_later(
    connection: sqlite3.Connection, run_id: int | None, subscriber_id: int, kind: Kind, at: int, detail: str = ""
) -> int | None:
    """Note what came of a message that was accepted, once for each kind. Returns the run it counts for.

    `run_id` None: the last run that had this reader accepted by then, such as for somebody who leaves by a
    page that knows only who they are. `at` is in microseconds since the epoch. `detail` is kept on one line,
    without addresses. None is returned, and nothing noted, where no message was accepted for this reader.
    One statement: it is part of the caller's transaction if there is one. Raises `sqlite3.Error`.
    """
    found = connection.execute(
        # Run by run, for a row is found by its run and its reader: mostly the first one is it.
        "SELECT r.id FROM runs r WHERE (?2 IS NULL OR r.id = ?2) AND EXISTS (SELECT 1 FROM deliveries d"
        " WHERE d.run_id = r.id AND d.subscriber_id = ?1 AND d.state = 'accepted'"
        " AND (?2 IS NOT NULL OR d.updated_at <= ?3)) ORDER BY r.id DESC LIMIT 1",
        (subscriber_id, run_id, at),
    ).fetchone()
    if found is None:
        return None
    connection.execute(
        "INSERT OR IGNORE INTO later (run_id, subscriber_id, kind, at, detail) VALUES (?, ?, ?, ?, ?)",
        (found[0], subscriber_id, kind, at, storable(detail)),
    )
    return int(found[0])


def leave_counted(connection: sqlite3.Connection, tokens: Sequence[str]) -> list[Parting | None]:
    """As `leave_within`, and each who leaves by it is counted with the last issue they got."""
    partings = leave_within(connection, tokens)
    for parting in partings:
        if parting and parting.changed:
            record_later(connection, None, parting.reader, "unsubscribed", parting.at)
    return partings


def later_counts(connection: sqlite3.Connection, run_id: int) -> dict[str, int]:
    """How many of each kind a run has."""
    return dict(
        connection.execute(
            "SELECT kind, sum(number) FROM (SELECT kind, count(*) AS number FROM later WHERE run_id = ?1 GROUP BY kind"
            " UNION ALL SELECT reason, number FROM reduced WHERE run_id = ?1 AND state = 'later') GROUP BY kind",
            (run_id,),
        )
    )
