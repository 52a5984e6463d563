"""What a mail of the bounce mailbox does to the reader it is about, all in the caller's transaction.

A reader is found by what only somebody who had their message can know: the signed mark of its envelope sender
first, its Message-ID next, the token of its link to leave by last. An address alone finds nobody: anybody can
write a bounce that names one.
"""

from __future__ import annotations

import hmac
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

from digest.audience.address import parse_address
from digest.audience.database import now, secret_key
from digest.audience.store import Subscribers, Suppressions
from digest.audience.subscriber import Subscriber
from digest.bounces.letter import Failure, Letter
from digest.delivery.later import Kind as LaterKind
from digest.delivery.later import leave_counted, record_later
from digest.message.identity import mark_of
from digest.message.merge import INERT_TOKEN

Effect = Literal[
    "hard", "soft", "refused", "delayed", "complaint", "left", "automatic", "foreign", "unrecognised", "again"
]
"""What became of a mail. ``refused``: a bounce that says nothing about the address. ``foreign``: it is about nobody
in the list. ``again``: it was counted before."""

_SKEW = 300_000_000  # microseconds that another machine's clock may be slow


@dataclass(frozen=True, slots=True)
class Soft:
    """So many soft bounces within so many days, and the address counts as dead."""

    limit: int
    days: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """`effect` on whom (None: nobody in the list), whether the address is suppressed by it, and in which words."""

    effect: Effect
    reader: Subscriber | None = None
    suppressed: bool = False
    words: str = ""
    before: str = ""
    """Of one that was counted before: the effect it had."""


class Recorder:
    """Records mails. Everything happens in the caller's transaction."""

    def __init__(self, connection: sqlite3.Connection, soft: Soft) -> None:
        self._connection = connection
        self._soft = soft
        self._subscribers = Subscribers(connection)
        self._suppressions = Suppressions(connection)
        self._key = secret_key(connection, "verp")

    def record(self, letters: Sequence[Letter]) -> list[Recorded]:
        """Record what came; one answer for each, in order."""
        named = self._by_message_id([i for letter in letters for i in letter.message_ids])
        return [self._one(letter, named) for letter in letters]

    def _one(self, letter: Letter, named: Mapping[str, tuple[int, int]]) -> Recorded:
        known = self._connection.execute("SELECT kind FROM returned WHERE mail = ?", (letter.key,)).fetchone()
        if known:
            return Recorded("again", before=known[0])
        reader, run = self._whom(letter, named)
        moment = min(letter.at or now(), now())
        recorded = self._carried_out(letter, reader, run, moment)
        self._connection.execute(
            "INSERT INTO returned (mail, kind, subscriber_id, at) VALUES (?, ?, ?, ?)",
            (letter.key, recorded.effect, reader.id if reader else None, moment),
        )
        if recorded.effect == "soft" and reader and self._too_often(reader, moment):
            words = f"{self._soft.limit} times within {self._soft.days} days, last: {recorded.words}"
            return Recorded("soft", reader, self._suppress(reader, "bounced", words), recorded.words)
        return recorded

    def _carried_out(self, letter: Letter, reader: Subscriber | None, run: int | None, moment: int) -> Recorded:
        match letter.kind:
            case "unrecognised" | "automatic":
                return Recorded(letter.kind, reader)
            case "delay":
                return Recorded("delayed", reader)
            case _ if reader is None:
                # Who presses the button of a test is told so by the page; a mail has nobody to tell.
                return Recorded("automatic" if INERT_TOKEN in letter.tokens else "foreign")
            case "bounce":
                return self._bounced(reader, letter.failure(parse_address(reader.email).key), run, moment)
            case "complaint":
                self._later(reader, run, "complained", moment)
                return Recorded("complaint", reader, self._suppress(reader, "complained"))
            case "leave":
                leave_counted(self._connection, [reader.token])
                return Recorded("left", reader)
            case _:
                assert_never(letter.kind)

    def _bounced(self, reader: Subscriber, failure: Failure, run: int | None, moment: int) -> Recorded:
        words = str(failure)
        self._later(reader, run, "bounced", moment, words)
        match failure.weight:
            case "hard":
                return Recorded("hard", reader, self._suppress(reader, "bounced", words), words)
            case "soft":
                return Recorded("soft", reader, words=words)
            case "no_verdict":
                return Recorded("refused", reader, words=words)

    def _later(self, reader: Subscriber, run: int | None, kind: LaterKind, moment: int, detail: str = "") -> None:
        record_later(self._connection, run, reader.id, kind, moment if run else moment + _SKEW, detail)

    def _too_often(self, reader: Subscriber, moment: int) -> bool:
        (number,) = self._connection.execute(
            "SELECT count(*) FROM returned WHERE kind = 'soft' AND subscriber_id = ? AND at > ?",
            (reader.id, moment - self._soft.days * 86_400_000_000),
        ).fetchone()
        return int(number) >= self._soft.limit

    def _suppress(self, reader: Subscriber, reason: Literal["bounced", "complained"], note: str = "") -> bool:
        """Whether the address was not suppressed before. A complaint says more than having left; a bounce less."""
        replaced = ("active", "pending") if reason == "bounced" else ("active", "pending", "unsubscribed", "bounced")
        self._connection.execute(
            "UPDATE subscribers SET status = ?, updated_at = ? WHERE id = ?"
            " AND status IN (SELECT value FROM json_each(?))",
            (reason, now(), reader.id, json.dumps(replaced)),
        )
        return self._suppressions.add_within(parse_address(reader.email), reason, note)

    # ---- whom it is about

    def _whom(self, letter: Letter, named: Mapping[str, tuple[int, int]]) -> tuple[Subscriber | None, int | None]:
        """The reader, and the run where that is known."""
        found = next((named[i] for i in letter.message_ids if i in named), None)
        for number, mark in letter.marks:
            reader = self._subscribers.get(number)
            if reader and hmac.compare_digest(mark, mark_of(reader.id, reader.token, self._key)):
                return reader, found[0] if found and found[1] == reader.id else None
        if found and letter.kind != "leave":
            return self._subscribers.get(found[1]), found[0]
        readers = filter(None, map(self._subscribers.by_token, letter.tokens))
        return next(readers, None), None

    def _by_message_id(self, names: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Message-ID → (run, reader), all in one pass over the ledger, which is not sorted by them."""
        if not names:
            return {}
        found = self._connection.execute(
            "SELECT message_id, run_id, subscriber_id FROM deliveries"
            " WHERE message_id IN (SELECT value FROM json_each(?))",
            (json.dumps(names),),
        )
        return {name: (run, reader) for name, run, reader in found}
