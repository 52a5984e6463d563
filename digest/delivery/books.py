"""What an outcome does to the ledger, and when outcomes add up to a reason to stop."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, assert_never

from digest.delivery.classify import storable, suppresses
from digest.delivery.ledger import Ledger, Row, Settled
from digest.delivery.outcome import Accepted, Bounced, Deferred, Outcome, Rejected, Unknown
from digest.delivery.retry import RetryPolicy
from digest.delivery.streak import LIMIT, Streak
from digest.errors import DigestError, HeldError, LaterError

UnknownPolicy = Literal["hold", "resend", "drop"]


@dataclass(slots=True)
class Books:
    """The bookkeeping of one process that sends a run. `counts` is what it has settled, by state."""

    ledger: Ledger
    retry: RetryPolicy
    on_unknown: UnknownPolicy = "hold"
    counts: Counter[str] = field(default_factory=Counter)
    _streak: Streak = field(default_factory=Streak)
    _refuses_all: bool = False
    _broken_off: int = 0
    _relay: str | None = None
    _doubtful: dict[int, str] = field(default_factory=dict)
    """Readers whose address is dead by the word of a relay that has accepted nobody yet, with its reply."""

    def settle(
        self, row: Row, outcome: Outcome, *, accepted_another: bool, relay: str | None = None
    ) -> DigestError | None:
        """Note an outcome. Returns why nothing more should be sent, when it comes to that.

        `accepted_another`: the connection has accepted a message. `relay`: which one answered, where that is
        kept. Raises what `Ledger.flush` raises.
        """
        self._relay = relay
        broken_off = _broke_off(outcome)
        if not broken_off:
            self._broken_off = 0
        elif not accepted_another:  # else the relay may have gone down under all connections at once
            self._broken_off += 1
        match outcome:
            case Accepted(code, reply):
                self._note(row, Settled("accepted", code, reply=reply))
                self._streak.accepted()
                self._bury()
            case Deferred(code, reply):
                self._try_again(row, code, reply)
            case Bounced(code, enhanced, reply):
                self._note(row, Settled("bounced", code, enhanced, reply))
                dead = suppresses(outcome, accepted_another=accepted_another)
                return self._refused(row, outcome, dead=dead)
            case Rejected(code, enhanced, reply):
                self._note(row, Settled("rejected", code, enhanced, reply))
                if code:  # else it never reached the relay
                    return self._refused(row, outcome, dead=False)
            case Unknown(reason):
                self._unknown(row, reason)
            case _:
                assert_never(outcome)
        if self._broken_off >= LIMIT:
            return LaterError(f"{LIMIT} messages in a row broke off ({broken_off})")
        return None

    def reject(self, row: Row, reason: str) -> None:
        """Note that a message can't be made."""
        self._relay = None
        self._note(row, Settled("rejected", reply=storable(reason)))

    def withdraw(self, row: Row, reason: str) -> None:
        """Note that a reader has left."""
        self.ledger.withdraw(row, reason)
        self.counts["withdrawn"] += 1

    def close(self) -> None:
        """Write down what is left in memory. Raises what `Ledger.flush` raises."""
        if self._refuses_all:
            again_at = self.ledger.now() + int(self.retry.first.total_seconds() * 1e6)
            for subscriber_id in self._streak.readers:
                self._doubtful.pop(subscriber_id, None)
                self.ledger.put_back(subscriber_id, again_at)
        self._bury()
        self.ledger.flush()

    def _note(self, row: Row, result: Settled) -> None:
        self.ledger.settle(row, result, self._relay)
        self.counts[result.state] += 1

    def _try_again(self, row: Row, code: int, reply: str) -> None:
        moment = self.ledger.now()
        jitter = random.random()  # noqa: S311 -- it spreads retries, and keeps no secret
        first_at = _instant(row.first_at or moment)
        again_at = self.retry.next_attempt(row.attempts + 1, first_at, _instant(moment), jitter)
        if again_at is None:
            self._note(row, Settled("expired", code, reply=reply))
        else:
            self._note(row, Settled("deferred", code, reply=reply, again_at=int(again_at.timestamp() * 1e6)))

    def _unknown(self, row: Row, reason: str) -> None:
        match self.on_unknown:
            case "hold":
                self._note(row, Settled("unknown", reply=reason))
            case "drop":
                self._note(row, Settled("dropped", reply=reason))
            case "resend":
                self._try_again(row, 0, reason)
            case _:
                assert_never(self.on_unknown)

    def _refused(self, row: Row, outcome: Bounced | Rejected, *, dead: bool) -> HeldError | None:
        if dead:
            self._doubtful[row.subscriber_id] = outcome.reply
            if self._streak.any_accepted:
                self._bury()
        key = f"{outcome.code} {outcome.enhanced}"
        if not self._streak.refused(key, row.subscriber_id, dead=dead):
            return None
        self._refuses_all = True
        return HeldError(
            f"the relay refused {LIMIT} readers in a row and accepted nobody, with"
            f" {outcome.code} {outcome.reply}; they are tried again and nobody is suppressed:"
            " mend it with the relay, then run it again"
        )

    def _bury(self) -> None:
        """Suppress dead addresses, now that the relay's word counts."""
        for subscriber_id, reply in self._doubtful.items():
            self.ledger.suppress(subscriber_id, reply)
        self._doubtful.clear()


def _broke_off(outcome: Outcome) -> str:
    """How the connection was lost, if that is what became of the message: a relay may do it to everybody.

    >>> _broke_off(Deferred(421, "bye")), _broke_off(Deferred(451, "later"))
    ('bye', '')
    """
    match outcome:
        case Deferred(0 | 421, reply):
            return reply or "421"
        case Unknown(reason):
            return reason
        case _:
            return ""


def _instant(moment: int) -> datetime:
    return datetime.fromtimestamp(moment / 1e6, UTC)
