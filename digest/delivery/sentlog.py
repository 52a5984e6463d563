"""What went out, as a journal outside the database knows it: ``subscribers/sent.log``.

A database can be put back to an earlier day, or be the wrong one; what was sent stays sent. Each process that
sends adds to the journal when it begins, while it sends (every ten seconds) and when it ends, always after the
database has it on the disk. So where the journal knows *more* than the database, the database has lost
something, and nothing is sent until a person has said that it is right (``digest doctor --accept-restored``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from digest.delivery.ledger import Ledger
from digest.delivery.progress import Progress, Watch
from digest.delivery.runs import Run, Runs
from digest.delivery.storage import Storage
from digest.errors import HeldError
from digest.journal import Journal, Record, stamp
from digest.newsletter import Newsletter

SENT_LOG = "subscribers/sent.log"
EVERY = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Sent:
    """What is known of one issue: whether its run began, how many were accepted at least, whether it ended."""

    begun: bool = False
    accepted: int = 0
    done: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """An issue of which the journal knows more than the database (`found` is None: no run at all)."""

    slug: str
    logged: Sent
    found: int | None

    def __str__(self) -> str:
        logged = f"{self.logged.accepted} accepted" if self.logged.accepted else "begun"
        return f"{self.slug}: {logged}, in the database {'never sent' if self.found is None else self.found}"


class SentLog:
    """The journal of a newsletter, read once, beside its database."""

    def __init__(self, newsletter: Newsletter, storage: Storage) -> None:
        self._journal = Journal(newsletter.root / SENT_LOG)
        self._storage = storage
        self._runs = Runs(storage)
        contents = self._journal.read()
        self.broken = contents.broken
        """The numbers of lines that can't be read: what was being written when the power failed."""
        self.sent = _folded(contents.records)

    def gaps(self) -> list[Gap]:
        """Where it knows more than the database."""
        return [gap for slug, sent in self.sent.items() if (gap := self._gap(slug, sent))]

    def require_no_gap(self) -> None:
        """Raises `HeldError` naming every gap."""
        if gaps := self.gaps():
            raise HeldError(
                f"held, nothing was sent: {SENT_LOG} knows of more than the database\n"
                + "\n".join(f"  {gap}" for gap in gaps)
                + "\n  is it the right database, or a backup of an earlier day? If it is to be used as it is:"
                " digest doctor --accept-restored"
            )

    def accept(self) -> list[Gap]:
        """Take the database as it is from now on; returns the gaps there were.

        Those issues are held: the journal says that people have them, the database does not know who.
        """
        gaps = self.gaps()
        for gap in gaps:
            self._runs.hold(gap.slug)
        known = {slug: self._accepted(slug) for slug in self.sent}
        self._add("restored", known=known)
        self.sent = {slug: Sent(accepted=number) for slug, number in known.items()}
        return gaps

    def begins(self, run: Run) -> None:
        """A run is about to send; noted once. Raises `HeldError` when that is impossible."""
        if not self.sent.get(run.slug, Sent()).begun:
            self._add("begun", issue=run.slug, fingerprint=run.fingerprint, planned=run.planned)
            self.sent[run.slug] = replace(self.sent.get(run.slug, Sent()), begun=True)

    def ended(self, run: Run, accepted: int) -> None:
        """A process has left a run, whose outcomes so far are in the database; `accepted` of them in all."""
        self._storage.sync(at_once=True)
        self._add("ended", issue=run.slug, fingerprint=run.fingerprint, accepted=accepted, state=run.state)

    def watching(self, run: Run, accepted: int, watch: Watch) -> Watch:
        """`watch`, noting every ten seconds how many were accepted beyond the `accepted` before.

        What is noted is as old as the note before: it is in the database by then.
        """
        noted, look_at = 0, time.monotonic() + EVERY

        def watched(progress: Progress, at_end: bool) -> None:
            nonlocal noted, look_at
            if not at_end and (moment := time.monotonic()) >= look_at:
                look_at = moment + EVERY
                if noted:
                    self._add("going", issue=run.slug, fingerprint=run.fingerprint, accepted=accepted + noted)
                noted = progress.accepted
            watch(progress, at_end)

        return watched

    def _add(self, event: str, **more: object) -> None:
        self._journal.append({"at": stamp(), "event": event, **more})

    def _gap(self, slug: str, sent: Sent) -> Gap | None:
        run = self._runs.latest(slug)
        if run is None or (sent.begun and run.state == "new"):
            return Gap(slug, sent, None)
        if sent.done and run.state in ("done", "cancelled"):
            return None  # a run that is done has nobody left: its rows need not be counted each time
        accepted = self._accepted(slug)
        return Gap(slug, sent, accepted) if accepted < sent.accepted else None

    def _accepted(self, slug: str) -> int:
        run = self._runs.latest(slug)
        return Ledger(self._storage, run.id).accounts().accepted if run else 0


def sent_issues(newsletter: Newsletter) -> frozenset[str]:
    """The slugs of all issues whose run has begun, ever. Raises `HeldError` when the journal can't be read."""
    return frozenset(_folded(Journal(newsletter.root / SENT_LOG).read().records))


def _folded(records: tuple[Record, ...]) -> dict[str, Sent]:
    sent: dict[str, Sent] = {}
    for record in records:
        known, slug = record.get("known"), record.get("issue")
        if record.get("event") == "restored" and isinstance(known, Mapping):
            sent = {str(name): Sent(accepted=_number(number)) for name, number in known.items()}
        elif isinstance(slug, str):
            before = sent.get(slug, Sent())
            accepted = max(before.accepted, _number(record.get("accepted")))
            sent[slug] = Sent(True, accepted, record.get("state") in ("done", "cancelled"))
    return sent


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
