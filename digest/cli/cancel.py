"""``digest cancel``: those who are still waiting do not get the issue any more."""

from __future__ import annotations

import time

from digest.cli.options import Session, command, issue_argument
from digest.cli.status import account_lines
from digest.delivery.desk import Desk, open_desk
from digest.delivery.lock import sole_sender
from digest.delivery.runs import Run
from digest.errors import InputError, LaterError, Problem

_PATIENCE = 5.0  # seconds for a running sender to obey


@command("cancel", short_help="Cancel what is still waiting of an issue.")
@issue_argument
def cli(session: Session, issue: str) -> None:
    """Cancel ISSUE: a running send stops, and those it has not reached are withdrawn. There is no way back."""
    with open_desk(session.newsletter()) as desk:
        slug = desk.slug(issue)
        run = desk.runs.latest(slug)
        if run is None or run.state == "new":
            raise InputError(Problem(None, f"{slug} was never sent: there is nothing to cancel", code="no-run"))
        _cancel(desk, run)
        accounts = desk.accounts(run)
        session.say(f"{slug} is cancelled.")
        for line in account_lines(accounts):
            session.say(line)
        session.result({"issue": slug, **accounts.to_dict()})


def _cancel(desk: Desk, run: Run) -> None:
    """By the sender, when there is one, else by us."""
    desk.runs.set_flag(run.id, "cancel")
    give_up = time.monotonic() + _PATIENCE
    while True:
        try:
            with sole_sender(desk.newsletter.database, run.id):
                if desk.runs.get(run.id).state != "cancelled":
                    desk.ledger(run).recover()
                    desk.runs.cancel(run.id)
                return
        except LaterError:
            if time.monotonic() > give_up:
                raise LaterError(f"{run.slug} is still being sent; the sender was told, and will stop") from None
            time.sleep(0.1)
