"""What is asked of a run, what is about to be done, and how it stands afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from digest.delivery.accounts import Accounts
from digest.delivery.books import UnknownPolicy
from digest.delivery.plan import Plan
from digest.delivery.runs import Flag, Run
from digest.errors import DigestError, HeldError


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller of a run asks for; the options of ``digest send``.

    `limit`: only this many, picked by hash. `unknown`: how to settle unknown readers, now and in this run
    (else as the settings say). `accept_change`: go on with the changed text. `again`: although the content
    went out under another slug. `overrides`: guards to pass over. `new_readers`: also those who came
    after the plan. `wait`: stay until no retry is left. `eager`: try deferred readers at once.

    For `digest run-due`, where nobody sits before it: `unattended`. `retries_only`: nobody who was never tried.
    `due`: the moment (microseconds since the epoch) of the readers of each zone; None stands for no zone.
    `late_before`: those whose moment came before this one do not get it any more. `seconds`: stop after so many.
    """

    limit: int | None = None
    unknown: UnknownPolicy | None = None
    accept_change: bool = False
    again: bool = False
    overrides: frozenset[str] = frozenset()
    new_readers: bool = False
    wait: bool = False
    eager: bool = True
    unattended: bool = False
    retries_only: bool = False
    due: Mapping[str | None, int] | None = None
    late_before: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Agenda:
    """What is about to be done, for a person to agree to.

    `readers` is how many will be tried. `plan` is there where a run begins, `accounts` where one goes on.
    `notes` are worth knowing first.
    """

    slug: str
    title: str
    readers: int
    relay: str
    plan: Plan | None = None
    accounts: Accounts | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunReport:
    """How the run stands when the process leaves it.

    `tried` readers in `seconds` by this process. `trouble` stopped it early; `away`: that was the relay, lost or
    not there. `next_attempt` is the moment of the next retry in microseconds since the epoch, or of the next reader
    whose time has not come: `later` is how many those are.
    """

    run: Run
    accounts: Accounts
    tried: int = 0
    seconds: float = 0.0
    trouble: DigestError | None = None
    away: bool = False
    interrupted: bool = False
    flag: Flag | None = None
    next_attempt: int | None = None
    notes: tuple[str, ...] = ()
    later: int = 0

    @property
    def exit_code(self) -> int:
        """130 interrupted, 3 a person must decide, 75 the rest goes on later, 0 done."""
        if self.interrupted:
            return 130
        if isinstance(self.trouble, HeldError) or self.accounts.unknown or self.flag == "hold":
            return HeldError.exit_code
        if self.trouble is not None:
            return self.trouble.exit_code
        return 75 if self.accounts.deferred or self.later else 0


Confirm = Callable[[Agenda], None]
"""Shows the agenda; raises `HeldError` when nobody agrees to it."""


def agreed(_agenda: Agenda) -> None:
    """Nobody is asked."""
