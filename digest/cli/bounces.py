"""``digest bounces``: read what came back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import click

from digest.audience.database import open_database
from digest.bounces.collecting import Collected, collect
from digest.bounces.mailbox import Mail
from digest.bounces.recording import Recorded
from digest.cli.options import Session, command
from digest.errors import DigestError
from digest.keeping.reducing import reduce_old
from digest.newsletter import Newsletter

_TOLD = {
    "hard": "dead addresses",
    "soft": "out of reach for now",
    "refused": "refused for other reasons",
    "delayed": "delayed",
    "complaint": "complaints",
    "left": "unsubscribed",
    "automatic": "automatic answers",
    "foreign": "about nobody in the list",
    "unrecognised": "not recognised",
    "again": "counted before",
}


@command("bounces", short_help="Read what came back: bounces, complaints, wishes to leave.")
@click.argument("source", required=False, type=click.Path(path_type=Path), metavar="[FILE]")
@click.option("--dry-run", is_flag=True, help="Say what each mail is; record and move nothing.")
def cli(session: Session, source: Path | None, dry_run: bool) -> None:
    """Read the bounce mailbox of the settings, or FILE: a Maildir, an mbox or one mail.

    Dead addresses and those who complain are suppressed, who asks to leave is unsubscribed, and what became of
    an issue is counted beside its accounts. What is understood is filed under Handled, the rest under
    Unrecognised. A mail counts once, however often it is read.
    """
    newsletter = session.newsletter()

    def listen(mail: Mail, recorded: Recorded) -> None:
        if dry_run or session.verbose:
            session.say(_line(mail, recorded))

    collected = collect(newsletter, source, dry_run=dry_run, listen=listen)
    session.say(summary(collected) + (" (nothing was recorded)" if dry_run and collected.read else ""))
    if source is None and not dry_run and (collected.effects["unrecognised"] or collected.effects["foreign"]):
        session.say("Look at those under Unrecognised in the mailbox: a person may have written.")
    session.result(
        {
            "dry_run": dry_run,
            "read": collected.read,
            "suppressed": collected.suppressed,
            **{effect: collected.effects[effect] for effect in _TOLD},
        }
    )


def _line(mail: Mail, recorded: Recorded) -> str:
    who = recorded.reader.email if recorded.reader else ""
    return "  ".join(filter(None, (mail.name, _TOLD[recorded.effect], who, recorded.words)))


def summary(collected: Collected) -> str:
    """One line."""
    if not collected.read:
        return "Nothing has come back."
    counts = ", ".join(
        f"{collected.effects[effect]} {text}" for effect, text in _TOLD.items() if effect in collected.effects
    )
    mails = "1 mail" if collected.read == 1 else f"{collected.read} mails"
    suppressed = f"; {collected.suppressed} suppressed" if collected.suppressed else ""
    return f"{mails}: {counts}{suppressed}"


def tidying_first(warn: Callable[[str], None], log: Callable[[str], None]) -> Callable[[Newsletter], None]:
    """What a run begins with: the mailbox is read, if there is one, and runs of long ago are reduced to their
    numbers. Where that can't be it is said, and does not keep the issue from its readers."""

    def tidy(newsletter: Newsletter) -> None:
        try:
            if newsletter.settings.bounces.mailbox is not None:
                log(f"bounces: {summary(collect(newsletter))}")
        except DigestError as exc:
            warn(f"the bounce mailbox was not read: {exc}")
        try:
            if keep := newsletter.settings.privacy.keep_deliveries:
                with closing(open_database(newsletter.database)) as connection:
                    reduce_old(connection, keep)
        except DigestError as exc:
            warn(f"runs of long ago were not reduced: {exc}")

    return tidy
