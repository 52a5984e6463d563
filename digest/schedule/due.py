"""What is to be done at a moment: a pure decision over what is scheduled and what is on record.

An issue is *due* when it is ``ready`` and its moment has come. It is begun once: a run on record, a held or a
skipped date stand against it, whatever the clock does. Later than `max_late` it is for the policy to say. An
issue that was held goes on when a person has released it, and is not too late then: they have decided.

A run that is *open* goes on while it may: with everybody missing where all were agreed to, else with those
whose retry is ripe. Where it could have gone on and nobody has looked after it for longer than `max_late` (the
machine was off), the policy holds it; nothing is skipped in the middle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from digest.quantities import spoken

Action = Literal["begin", "go_on", "hold", "skip"]
Known = Literal["planned", "begun", "held", "skipped"]


@dataclass(frozen=True, slots=True)
class Scheduled:
    """An issue that is ready: due `at` (UTC), `last` the moment of its last readers (`at` where all are one).

    `readable` is false where the file can't be read any more as it could when its date was last seen.
    """

    slug: str
    at: datetime
    last: datetime
    readable: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """What is on record of an issue's run.

    `state` as in the database (``new``: held before it began). `ripe`: some reader is to be tried, since then.
    `seen` is when somebody last looked after it.
    """

    slug: str
    state: str
    flag: str | None = None
    ripe: datetime | None = None
    seen: datetime | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that decide."""

    max_late: timedelta = timedelta(hours=6)
    on_late: Literal["hold", "skip", "send"] = "hold"


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing to do: with which issue, for which date (none: for its open run), and why."""

    action: Action
    slug: str
    due: datetime | None = None
    why: str = ""


def decide(
    now: datetime,
    scheduled: Sequence[Scheduled],
    standing: Mapping[str, Standing],
    known: Mapping[tuple[str, datetime], Known],
    policy: Policy,
) -> Iterator[Decision]:
    """What is to be done `now` (UTC), in order: open runs first, then what is due, the earliest first.

    `scheduled` is sorted by `at`; `known` says what became of dates that came before.
    """
    for run in standing.values():
        if run.state == "open" and run.ripe is not None and run.flag is None:
            yield _open(now, run, run.ripe, policy)
    for issue in scheduled:
        if issue.at > now:
            break
        decision = _due(now, issue, standing.get(issue.slug), known.get((issue.slug, issue.at)), policy)
        if decision:
            yield decision


def _open(now: datetime, run: Standing, ripe: datetime, policy: Policy) -> Decision:
    alone = now - max(run.seen, ripe) if run.seen else timedelta(0)
    if alone > policy.max_late and policy.on_late != "send":
        why = f"nobody has gone on with it for {spoken(alone)}, longer than {spoken(policy.max_late)} (max_late)"
        return Decision("hold", run.slug, why=why)
    return Decision("go_on", run.slug)


def _due(now: datetime, issue: Scheduled, run: Standing | None, known: Known | None, policy: Policy) -> Decision | None:
    if known == "skipped" or (run is not None and run.state != "new"):
        return None
    if run is not None and run.flag is not None:
        # Somebody holds it. That is told once, when its moment has come.
        return None if known == "held" else Decision("hold", issue.slug, issue.at, "it is held")
    if not issue.readable:
        return Decision("hold", issue.slug, issue.at, "its file can't be read as it is now")
    late = now - issue.last
    if run is None and late > policy.max_late and policy.on_late != "send":
        why = f"it is {spoken(late)} late, more than {spoken(policy.max_late)} (max_late)"
        return Decision(policy.on_late, issue.slug, issue.at, why)
    return Decision("begin", issue.slug, issue.at)


def next_moment(now: datetime, scheduled: Sequence[Scheduled], ripe: Iterable[datetime]) -> datetime | None:
    """When there is something to do next, after `now`: a date, or a reader whose turn comes (`ripe`)."""
    moments = [*(issue.at for issue in scheduled if issue.at > now), *(moment for moment in ripe if moment > now)]
    return min(moments, default=None)
