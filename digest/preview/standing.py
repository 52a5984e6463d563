"""How far an issue has come: draft, scheduled, being sent, sent; and where its readers are."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from digest.delivery.accounts import Accounts
from digest.delivery.desk import Desk, open_desk
from digest.delivery.ledger import Entry
from digest.delivery.runs import Run
from digest.errors import DigestError
from digest.issue.model import FrontMatter
from digest.newsletter import Newsletter

log = logging.getLogger(__name__)

LISTED = 100
"""Readers of a run on one page."""


@dataclass(frozen=True, slots=True)
class Standing:
    """`word` is what the list shows. `run` and `accounts` are there once an issue has been planned."""

    word: str
    send_at: datetime | None = None
    run: Run | None = None
    accounts: Accounts | None = None
    running: bool = False


def standings(newsletter: Newsletter, fronts: dict[str, FrontMatter | None]) -> dict[str, Standing]:
    """The standing of every issue (slug → front matter as far as it can be read)."""
    if not newsletter.database.is_file():
        return {slug: _written(front) for slug, front in fronts.items()}
    try:
        with open_desk(newsletter) as desk:
            return {slug: _standing(desk, slug, front) for slug, front in fronts.items()}
    except DigestError as exc:  # a database that can't be read now: the text can be looked at all the same
        log.warning("%s", exc)
        return {slug: _written(front) for slug, front in fronts.items()}


def readers_in(
    newsletter: Newsletter, run: Run, state: str, *, find: str = "", after: int = 0
) -> tuple[list[Entry], int]:
    """A page of the readers of a run in that state, and the number behind which the next begins; 0: there is none.

    `find`: only those with this text in name or address. `after`: only those with a higher number.
    """
    with open_desk(newsletter) as desk:
        found = list(islice(desk.ledger(run).entries(state, find=find, after=after), LISTED + 1))
    return found[:LISTED], found[LISTED - 1].subscriber_id if len(found) > LISTED else 0


def _standing(desk: Desk, slug: str, front: FrontMatter | None) -> Standing:
    run = desk.runs.latest(slug)
    if run is None:
        return _written(front)
    running = desk.is_running(run)
    accounts = None if run.state == "new" else desk.accounts(run)
    return Standing(_word(run, running=running), front.send_at if front else None, run, accounts, running)


def _word(run: Run, *, running: bool) -> str:
    if running:
        return "sending"
    if run.flag == "hold":
        return "held"
    return {"done": "sent", "open": "unfinished", "cancelled": "cancelled"}.get(run.state, "draft")


def _written(front: FrontMatter | None) -> Standing:
    if front is None or front.status == "draft":
        return Standing("draft", front.send_at if front else None)
    return Standing("scheduled" if front.send_at else "ready", front.send_at)
