"""``digest status``: the accounts of a run, and who is where."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime

import click

from digest.cli.options import Session, command
from digest.delivery.accounts import Accounts
from digest.delivery.desk import Desk, open_desk
from digest.delivery.ledger import Entry
from digest.delivery.plan import by_reason
from digest.delivery.providers import identifier
from digest.delivery.runs import Run
from digest.delivery.splits import Split
from digest.errors import InputError, Problem, UsageError

_LOOK_AGAIN = 0.5  # seconds

STATES = (
    "accepted",
    "bounced",
    "rejected",
    "expired",
    "dropped",
    "deferred",
    "unknown",
    "withdrawn",
    "waiting",
)


@command("status", short_help="Show the accounts of an issue's run.")
@click.argument("issue", metavar="[ISSUE]", required=False)
@click.option("--readers", "state", type=click.Choice(STATES), help="List the readers in this state.")
@click.option("--watch", is_flag=True, help="Show it again and again, for as long as it is being sent.")
@click.option("--format", "form", type=click.Choice(["text", "prometheus"]), default="text", help="How it is printed.")
def cli(session: Session, issue: str | None, state: str | None, watch: bool, form: str) -> None:
    """Show where every reader of ISSUE is; without ISSUE, all runs.

    At every moment: candidates = planned + excluded, and planned is the sum of all states.
    """
    if watch and (issue is None or state or session.json):
        raise UsageError("--watch goes with an ISSUE, and neither with --readers nor with --json")
    if form == "prometheus" and (state or watch or session.json):
        raise UsageError("--format prometheus goes neither with --readers nor with --watch nor with --json")
    with open_desk(session.newsletter()) as desk:
        if issue is None and form == "prometheus":
            _metrics(session, desk, desk.runs.all())
            return
        if issue is None:
            _all(session, desk)
            return
        slug = desk.slug(issue)
        run = desk.runs.latest(slug)
        if run is None:
            raise never_sent(slug)
        if form == "prometheus":
            _metrics(session, desk, [run])
            return
        if watch:
            _watch(session, desk, run)
        if state is None:
            _one(session, desk, run)
        else:
            _readers(session, desk, run, state)


def never_sent(slug: str) -> InputError:
    """There is nothing to tell of an issue."""
    return InputError(Problem(None, f"{slug} was never sent", f"send it with: digest send {slug}", code="no-run"))


def _metrics(session: Session, desk: Desk, runs: Iterable[Run]) -> None:
    from digest.delivery.metrics import prometheus, sample  # only for those who ask

    session.say(prometheus(sample(desk, run) for run in runs).rstrip())


def _all(session: Session, desk: Desk) -> None:
    answer = []
    for run in desk.runs.all():
        accounts = desk.accounts(run)
        answer.append(summary(desk, run, accounts))
        session.say(
            f"{run.slug}: {state_of(desk, run)}, {accounts.accepted} of {accounts.planned} accepted by the relay"
        )
    if not answer:
        session.say("No issue was sent yet.")
    session.result({"runs": answer})


def _one(session: Session, desk: Desk, run: Run) -> None:
    accounts = desk.accounts(run)
    begun = "" if run.state == "new" else f", begun {moment(run.started_at)}"
    session.say(f"{run.slug}: {state_of(desk, run)}{begun}")
    for line in account_lines(accounts):
        session.say(line)
    if run.overrides:
        session.say(f"  overridden: {', '.join(run.overrides)}")
    again_at = desk.ledger(run).next_attempt()
    if again_at is not None:
        session.say(f"  next attempt {moment(again_at)}")
    for domain, until in desk.resting().items():
        session.say(f"  {domain} asked for less, and is left alone until {moment(until)}")
    if accounts.unknown:
        session.say(f"  unknown: the relay may have it or not; digest send {run.slug} --unknown resend|drop")
    for problem in accounts.problems():
        session.warn(f"the accounts do not add up: {problem}")
    session.result(summary(desk, run, accounts))


def _watch(session: Session, desk: Desk, run: Run) -> None:
    """A line whenever something has changed, until nobody sends it any more."""
    shown = ""
    while desk.is_running(run):
        accounts = desk.accounts(run)
        parts = [f"{number} {name}" for name in STATES if (number := accounts.number(name))]
        line = f"{accounts.settled} of {accounts.planned}: {', '.join(parts)}"
        if line != shown:
            session.say(line)
            shown = line
        time.sleep(_LOOK_AGAIN)


def _readers(session: Session, desk: Desk, run: Run, state: str) -> None:
    """One by one as they are read: a list of a million is no reason to hold it."""
    entries = desk.ledger(run).entries(state)
    split = Split(desk.storage, run)
    if not session.json:
        for entry in entries:
            session.say(_line(entry, split))
        return
    head = json.dumps({"issue": run.slug, "state": state})[:-1]
    click.echo(f'{head}, "readers": [', nl=False)
    for number, entry in enumerate(entries):
        click.echo(
            ("," if number else "") + "\n  " + session.redacted(json.dumps(_plain(entry, split), ensure_ascii=False)),
            nl=False,
        )
    click.echo("\n]}")
    session.answered = True


def summary(desk: Desk, run: Run, accounts: Accounts) -> dict[str, object]:
    """A run for ``--json``: its head and its accounts."""
    again_at = desk.ledger(run).next_attempt()
    return {
        "issue": run.slug,
        "state": state_of(desk, run),
        "fingerprint": run.fingerprint,
        "started_at": iso(run.started_at),
        "ended_at": iso(run.ended_at),
        "next_attempt_at": iso(again_at),
        "overrides": list(run.overrides),
        "resting": {domain: iso(until) for domain, until in desk.resting().items()},
        **accounts.to_dict(),
    }


def state_of(desk: Desk, run: Run) -> str:
    """One word: sending, held, cancelled, done, new or open."""
    if desk.is_running(run):
        return "sending"
    if run.flag == "hold":
        return "held"
    return run.state


def account_lines(accounts: Accounts | None) -> list[str]:
    """The accounts, for people: what is nobody's state is left out."""
    if accounts is None:
        return []
    excluded, withdrawn = sum(accounts.excluded.values()), sum(accounts.withdrawn.values())
    rows = [
        ("candidates", accounts.candidates, ""),
        ("excluded", excluded, by_reason(accounts.excluded)),
        ("planned", accounts.planned, ""),
        ("accepted", accounts.accepted, _accepted(accounts)),
        ("bounced", accounts.bounced, "refused for the recipient"),
        ("rejected", accounts.rejected, "refused for the message, or not to be made"),
        ("expired", accounts.expired, "retries ran out"),
        ("dropped", accounts.dropped, "in doubt, and not sent again"),
        ("deferred", accounts.deferred, "to be tried again"),
        ("unknown", accounts.unknown, "the relay may have it or not"),
        ("withdrawn", withdrawn, by_reason(accounts.withdrawn)),
        ("waiting", accounts.waiting, f"{accounts.in_flight} on their way" if accounts.in_flight else ""),
    ]
    always = {"candidates", "planned", "accepted"}
    return [
        f"  {name:<11} {number}{f'  ({what})' if what else ''}"
        for name, number, what in rows
        if number or name in always
    ]


def _accepted(accounts: Accounts) -> str:
    later = by_reason(accounts.accepted_later)
    return f"by the relay; later {later}" if later else "by the relay"


def moment(microseconds: int) -> str:
    """A moment in this machine's zone, for people."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def iso(microseconds: int | None) -> str | None:
    """A moment in UTC (RFC 3339).

    >>> iso(0)
    '1970-01-01T00:00:00Z'
    """
    if microseconds is None:
        return None
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _line(entry: Entry, split: Split) -> str:
    who = entry.email or f"subscriber {entry.subscriber_id} (forgotten)"
    said = " ".join(str(part) for part in (entry.code, entry.reply) if part)
    again = f", next attempt {moment(entry.next_attempt_at)}" if entry.next_attempt_at else ""
    by = f", by {entry.relay}" if entry.relay else ""
    arm = f", arm {name}" if (name := split.arm(entry.variant, entry.state, entry.updated_at)) else ""
    return f"{who}: {said or '-'}{by}{arm}{again}"


def _plain(entry: Entry, split: Split) -> dict[str, object]:
    moments = {"next_attempt_at": iso(entry.next_attempt_at), "updated_at": iso(entry.updated_at)}
    names = {"relay_id": identifier(entry.reply) or None} if entry.state == "accepted" else {}
    arm = {"arm": split.arm(entry.variant, entry.state, entry.updated_at)} if split.names else {}
    return asdict(entry) | moments | names | arm
