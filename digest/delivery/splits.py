"""An A/B test, arm by arm: who was in which, and the accounts of each.

No arm is stored: the variant that a row keeps says it, by the text that the row was, or is to be, sent with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from digest.compose.compiled import CompiledIssue
from digest.delivery.runs import Run, Runs
from digest.delivery.storage import Storage

_MISSING = ("waiting", "deferred", "sending")


@dataclass(frozen=True, slots=True)
class ArmAccounts:
    """One arm's readers: how many are in each state, and what came of its accepted ones later, by kind."""

    name: str
    states: Mapping[str, int] = field(default_factory=dict)
    later: Mapping[str, int] = field(default_factory=dict)

    @property
    def planned(self) -> int:
        """All of its readers."""
        return sum(self.states.values())


class Split:
    """The arms of one run. `names` are those of the text that is sent now; none without an A/B test."""

    def __init__(self, storage: Storage, run: Run) -> None:
        runs = Runs(storage)
        self._db = storage.connection
        self._run = run
        self._texts: list[tuple[int, int, CompiledIssue]] = []
        if run.state != "new":
            self._texts = [(begin, end, runs.compiled(number)) for number, begin, end in runs.texts(run)]
        self.names = [name for name, _ in self._texts[-1][2].arms] if self._texts else []
        self._known: dict[tuple[int, str], str] = {}

    def arm(self, variant: str, state: str, updated_at: int) -> str:
        """The arm of a row; empty where its text has no test. A row that is still missing gets the text of now."""
        if not self.names:
            return ""
        last = len(self._texts) - 1
        ended = 0 if state in _MISSING else updated_at
        number = next((n for n, (begin, end, _) in enumerate(self._texts) if begin <= ended < end), last)
        if (number, variant) not in self._known:
            self._known[number, variant] = self._texts[number][2].arm_in(variant)
        return self._known[number, variant]

    def accounts(self, *, running: bool) -> list[ArmAccounts]:
        """Those of each arm. `running`: some process is sending, and the marked rows are with it."""
        if not self.names:
            return []
        states: Counter[tuple[str, str]] = Counter()
        later: Counter[tuple[str, str]] = Counter()
        marks = {"sending": "waiting" if running else "unknown"}
        for variant, state, moment, number in self._rows(
            "SELECT variant, state, max(updated_at), count(*) FROM deliveries WHERE run_id = ?"
        ):
            states[self.arm(variant, state, moment), marks.get(state, state)] += number
        for variant, kind, moment, number in self._rows(
            "SELECT variant, kind, max(updated_at), count(*) FROM later JOIN deliveries USING (run_id, subscriber_id)"
            " WHERE run_id = ?"
        ):
            later[self.arm(variant, "accepted", moment), kind] += number
        return [ArmAccounts(name, _of(states, name), _of(later, name)) for name in self.names]

    def _rows(self, query: str) -> list[tuple[str, str, int, int]]:
        """Counted by variant and by what stands second, text by text."""
        ends = [end for _, end, _ in self._texts[:-1]]
        which = ", updated_at >= ?" * len(ends)
        return self._db.execute(f"{query} GROUP BY 1, 2{which}", (self._run.id, *ends)).fetchall()


def _of(counted: Counter[tuple[str, str]], name: str) -> dict[str, int]:
    return {key: number for (arm, key), number in sorted(counted.items()) if arm == name}
