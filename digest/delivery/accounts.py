"""The accounts of a run: where every candidate is, and the check that nobody is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Accounts:
    """How many readers are where, at one moment.

    `excluded` and `withdrawn` are by reason; `accepted_later` are those of the accepted who bounced, complained
    or left afterwards, by kind: *accepted* stays what it was. `waiting` includes the readers whose message a running
    process is handing over right now (`in_flight`); when no process is running, those are `unknown`.

    >>> Accounts(candidates=4, excluded={"unsubscribed": 1}, planned=3, accepted=2, waiting=1).problems()
    []
    >>> Accounts(candidates=4, planned=3, accepted=3).problems()
    ['4 candidates, but 3 planned + 0 excluded']
    """

    candidates: int = 0
    excluded: Mapping[str, int] = field(default_factory=dict)
    planned: int = 0
    accepted: int = 0
    bounced: int = 0
    rejected: int = 0
    expired: int = 0
    dropped: int = 0
    deferred: int = 0
    unknown: int = 0
    withdrawn: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0
    in_flight: int = 0
    accepted_later: Mapping[str, int] = field(default_factory=dict)

    @property
    def settled(self) -> int:
        """Readers for whom nothing more will be tried."""
        final = self.accepted + self.bounced + self.rejected + self.expired + self.dropped
        return final + sum(self.withdrawn.values())

    @property
    def missing(self) -> int:
        """Readers a further run would try."""
        return self.waiting + self.deferred

    def number(self, state: str) -> int:
        """How many readers are in a state, for whatever reason.

        >>> Accounts(withdrawn={"unsubscribed": 1, "cancelled": 2}).number("withdrawn")
        3
        """
        value: int | Mapping[str, int] = getattr(self, state)
        return value if isinstance(value, int) else sum(value.values())

    def problems(self) -> list[str]:
        """What does not add up; empty always, or digest is broken."""
        found = []
        excluded = sum(self.excluded.values())
        if self.candidates != self.planned + excluded:
            found.append(f"{self.candidates} candidates, but {self.planned} planned + {excluded} excluded")
        everywhere = self.settled + self.deferred + self.unknown + self.waiting
        if self.planned != everywhere:
            found.append(f"{self.planned} planned, but {everywhere} in all states together")
        return found

    def to_dict(self) -> dict[str, int | dict[str, int]]:
        """For ``--json``: every member of the equations as a number, and the reasons beside them.

        >>> d = Accounts(candidates=3, excluded={"pending": 1, "audience": 1}, planned=1, waiting=1).to_dict()
        >>> d["excluded"], d["excluded_by_reason"], d["waiting"]
        (2, {'audience': 1, 'pending': 1}, 1)
        """
        return {
            "candidates": self.candidates,
            "excluded": sum(self.excluded.values()),
            "planned": self.planned,
            "accepted": self.accepted,
            "bounced": self.bounced,
            "rejected": self.rejected,
            "expired": self.expired,
            "dropped": self.dropped,
            "deferred": self.deferred,
            "unknown": self.unknown,
            "withdrawn": sum(self.withdrawn.values()),
            "waiting": self.waiting,
            "in_flight": self.in_flight,
            "accepted_later": sum(self.accepted_later.values()),
            "accepted_later_by_kind": dict(sorted(self.accepted_later.items())),
            "excluded_by_reason": dict(sorted(self.excluded.items())),
            "withdrawn_by_reason": dict(sorted(self.withdrawn.items())),
        }
