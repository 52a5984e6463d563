"""``digest report``: an issue looked at afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from digest.cli.options import Session, command, issue_argument
from digest.cli.status import STATES, account_lines, iso, moment, never_sent, state_of
from digest.delivery.afterwards import KINDS, Afterwards, look_back
from digest.delivery.desk import Desk, open_desk
from digest.delivery.progress import span
from digest.delivery.reach import Reach
from digest.delivery.splits import ArmAccounts


@command("report", short_help="Look at an issue afterwards.")
@issue_argument
def cli(session: Session, issue: str) -> None:
    """Show what became of ISSUE: its accounts, what came later by segment, the reach of each block, how fast.

    The reach counts the readers whose copy was accepted by the relay; the segments are those that these
    readers are in today.
    """
    with open_desk(session.newsletter()) as desk:
        slug = desk.slug(issue)
        run = desk.runs.latest(slug)
        if run is None or run.state == "new":
            raise never_sent(slug)
        found = look_back(desk, run)
        for line in _lines(desk, found):
            session.say(line)
        session.result(_plain(desk, found))


def _lines(desk: Desk, found: Afterwards) -> list[str]:
    run, accounts = found.run, found.accounts
    lines = [f"{run.slug}: {state_of(desk, run)}, begun {moment(run.started_at)}", *account_lines(accounts)]
    if found.processes:
        times = "" if found.processes == 1 else f" in {found.processes} sendings"
        lines.append(f"  {found.tried} tried in {span(found.seconds)}{times}, {found.rate:.0f} a second")
    lines += [f"  {number} by {relay}" for relay, number in found.relays.items()]
    width = max((len(line.name) for line in found.segments), default=0)
    lines += ["", "Accepted, and what came later, by segment:", f"  {'':{width}} {'accepted':>10}" + _columns(KINDS)]
    lines += [f"  {line.name:{width}} {line.accepted:>10}" + _columns(line.later) for line in found.segments]
    lines += _arm_lines(found.arms)
    for number, text in enumerate(found.texts, 1):
        which = f" of text {number}" if len(found.texts) > 1 else ""
        beside = f"; of the arms {', '.join(text.arms)}" if text.arms else ""
        lines += ["", f"Reach{which}: readers whose copy had it{beside}"]
        lines += [
            _reach_line(reach, text.accepted, [arm[n].readers for arm in text.arms.values()])
            for n, reach in enumerate(text.reach)
        ]
    return lines


def _arm_lines(arms: Sequence[ArmAccounts]) -> list[str]:
    """A table: a column for each state that some reader is in, and for what came later."""
    if not arms:
        return []
    states = [state for state in STATES if state != "accepted" and any(arm.states.get(state) for arm in arms)]
    width = max(len(arm.name) for arm in arms)
    heads = ("accepted", *states, *(f"later {kind}" for kind in KINDS))
    lines = ["", "By arm of the A/B test:", f"  {'':{width}} {'planned':>10}" + _columns(heads, 20)]
    for arm in arms:
        numbers = [arm.states.get(state, 0) for state in ("accepted", *states)] + [arm.later.get(k, 0) for k in KINDS]
        lines.append(f"  {arm.name:{width}} {arm.planned:>10}" + _columns(numbers, 20))
    return lines


def _columns(values: Iterable[object], width: int = 14) -> str:
    return "".join(f"{value!s:>{width}}" for value in values)


def _reach_line(reach: Reach, accepted: int, by_arm: Sequence[int]) -> str:
    part = reach.part
    share = f"{reach.readers / accepted:.0%}" if accepted else "-"
    most = " " if reach.exact else "≤"
    why = f"  if {part.why}" if part.conditions else ""
    where = f"line {part.place.line}{f':{part.place.column}' if part.place.column else ''}"
    arms = "".join(f"{number:>10}" for number in by_arm)
    return f" {most}{reach.readers:>10} {share:>5}{arms}  {part.kind or '  a part':<12} {where}{why}"


def _plain(desk: Desk, found: Afterwards) -> dict[str, object]:
    return {
        "issue": found.run.slug,
        "state": state_of(desk, found.run),
        "fingerprint": found.run.fingerprint,
        "started_at": iso(found.run.started_at),
        "ended_at": iso(found.run.ended_at),
        **found.accounts.to_dict(),
        "sendings": found.processes,
        "seconds": round(found.seconds, 3),
        "tried": found.tried,
        "rate": round(found.rate, 1),
        "relays": found.relays,
        "segments": [
            {"name": line.name, "accepted": line.accepted, **dict(zip(KINDS, line.later, strict=True))}
            for line in found.segments
        ],
        "arms": [
            {"name": arm.name, "planned": arm.planned, **arm.states, "accepted_later_by_kind": arm.later}
            for arm in found.arms
        ],
        "texts": [
            {
                "accepted": text.accepted,
                "reach": [
                    _plain_reach(reach) | {"by_arm": {name: of[n].readers for name, of in text.arms.items()}}
                    for n, reach in enumerate(text.reach)
                ],
            }
            for text in found.texts
        ],
    }


def _plain_reach(reach: Reach) -> dict[str, object]:
    place = reach.part.place
    return {
        "kind": reach.part.kind or None,
        "file": place.file,
        "line": place.line,
        "column": place.column or None,
        "conditions": [{"expression": c, "holds": holds} for c, holds in reach.part.conditions],
        "readers": reach.readers,
        "exact": reach.exact,
    }
