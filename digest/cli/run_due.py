"""``digest run-due``: for cron, every minute. Silent when there is nothing to say."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from digest.cli.apart import check_apart
from digest.cli.bounces import tidying_first
from digest.cli.options import Session, command
from digest.errors import HeldError, InputError, UsageError
from digest.quantities import parse_duration
from digest.schedule.noting import Done
from digest.schedule.quiet import all_is_well, is_news
from digest.schedule.run_due import Tools, run_due


@command("run-due", short_help="Send what is ready and due; for cron.")
@click.option("--deadline", metavar="SPAN", help="Begin nothing more after this long, such as 50m.")
def cli(session: Session, deadline: str | None) -> int:
    """Send every issue that is ready and due, go on with what was interrupted, retry what is ripe; then leave.

    Meant for cron, every minute (`digest schedule --crontab`): silent and 0 when there was nothing to do or all
    goes on by itself; one line and 3 when a person must decide, once. Safe to call twice, and to kill.
    """
    span = span_option("--deadline", deadline)
    talk = session.verbose > 0 or (sys.stdout.isatty() and not session.json)
    root = session.project or Path.cwd()
    try:
        newsletter = session.newsletter()
        done = run_due(newsletter, due_tools(session.say if talk else _quiet, session.warn), deadline=span)
    except (InputError, HeldError) as exc:
        if talk or session.json or is_news(root, str(exc)):
            raise
        return exc.exit_code  # cron has mailed it within the hour
    all_is_well(root)
    for line in done.told:
        session.warn(f"digest: {line}")
    if talk:
        _summary(session, done, ZoneInfo(newsletter.settings.newsletter.timezone))
    session.result(
        {
            "busy": done.busy,
            "begun": done.begun,
            "done": done.ended,
            "held": done.held,
            "skipped": done.skipped,
            "waiting": done.waiting,
            "next_at": done.next_at.isoformat() if done.next_at else None,
            "exit_code": done.exit_code,
        }
    )
    return done.exit_code


def due_tools(log: Callable[[str], None], warn: Callable[[str], None]) -> Tools:
    """What `run_due` works with, here and in the daemon: `warn` is heard also where nobody looks on."""

    def troubled(text: str) -> None:
        warn(f"digest: {text}")

    return Tools(compose=check_apart, before_start=tidying_first(troubled, log), log=log)


def span_option(name: str, text: str | None) -> timedelta | None:
    """A span of time as an option has it. Raises `UsageError`."""
    try:
        return None if text is None else parse_duration(text)
    except ValueError as exc:
        raise UsageError(f"{name}: {exc}") from exc


def _quiet(_text: str) -> None:
    """Nobody looks."""


def _summary(session: Session, done: Done, zone: ZoneInfo) -> None:
    if not (done.busy or done.begun or done.ended or done.held or done.skipped):
        coming = f"next: {done.next_at.astimezone(zone):%Y-%m-%d %H:%M %Z}" if done.next_at else "nothing is scheduled"
        session.say(f"Nothing was due; {coming}.")
