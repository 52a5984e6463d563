"""``digest send``: an issue to its readers, and the rest of it after whatever came between."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from digest.cli.apart import check_apart, compose_apart
from digest.cli.options import FILE, FOLDER, Session, command, issue_argument
from digest.cli.status import account_lines, moment
from digest.compose.compiled import CompiledIssue
from digest.delivery.agenda import Agenda, RunReport, Wishes
from digest.delivery.books import UnknownPolicy
from digest.delivery.deliver import deliver, rehearse
from digest.delivery.desk import open_desk
from digest.delivery.guards import GUARDS
from digest.delivery.plan import Plan, by_reason
from digest.delivery.progress import ProgressLine, ProgressLog, Watch, span, unwatched
from digest.errors import HeldError, InputError, UsageError
from digest.newsletter import Newsletter

if TYPE_CHECKING:
    from digest.delivery.metrics import Metered

_VARIANTS_SHOWN = 8


@command("send", short_help="Send an issue to its readers; resumes where it stopped.")
@issue_argument
@click.option("--dry-run", is_flag=True, help="The whole run without a relay: nothing is sent or recorded.")
@click.option("--out", type=FOLDER, metavar="DIR", help="Where the dry run writes a message of each variant.")
@click.option("--yes", is_flag=True, help="Do not ask for the number of readers.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only N readers, picked by hash.")
@click.option("--unknown", type=click.Choice(["resend", "drop"]), help="Settle the readers in doubt.")
@click.option("--accept-change", is_flag=True, help="The rest gets the issue as it is now.")
@click.option("--again", is_flag=True, help="Although the same content went out under another name.")
@click.option(
    "--override", "overrides", multiple=True, type=click.Choice(GUARDS), help="Pass over a guard (with --yes)."
)
@click.option("--new-readers", is_flag=True, help="Also to those who came after the run began.")
@click.option("--wait", is_flag=True, help="Stay for the retries of deferred readers.")
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", help="How progress is written to stderr."
)
@click.option("--relay", metavar="maildir:DIR|file:DIR", help="Into files in place of the relay; with --dry-run too.")
@click.option(
    "--metrics",
    type=FILE,
    metavar="FILE",
    help="Keep the accounts in FILE for Prometheus while it is sent (node-exporter's textfile form).",
)
def cli(  # noqa: PLR0913, RUF100 -- one parameter an option
    session: Session,
    issue: str,
    dry_run: bool,
    out: Path | None,
    yes: bool,
    limit: int | None,
    unknown: UnknownPolicy | None,
    accept_change: bool,
    again: bool,
    overrides: tuple[str, ...],
    new_readers: bool,
    wait: bool,
    log_format: str,
    relay: str | None,
    metrics: Path | None,
) -> int:
    """Send ISSUE to everybody who is still to get it.

    Shows the plan and asks for the number of readers to be typed. A second call sends only what is missing.

    Leaves with 0 when it is done, 1 when something written is wrong, 3 when a person must decide, 75 when
    the rest goes on later, 130 when interrupted.
    """
    newsletter = session.newsletter({"delivery.relay": relay} if relay else None)
    if dry_run:
        return _dry_run(session, newsletter, issue, out)
    if out:
        raise UsageError("--out goes with --dry-run")
    if overrides and not yes:
        raise UsageError("--override needs --yes")
    if limit and new_readers:
        raise UsageError("--limit and --new-readers do not go together: send to the sample first")
    slug, compiled = _compose(newsletter, issue)
    log = ProgressLog(sys.stderr) if log_format == "json" else None
    watch: Watch = log or (unwatched if session.json else ProgressLine(sys.stderr))
    metered = _metered(newsletter, slug, metrics, watch) if metrics else None
    report = deliver(
        newsletter,
        slug,
        compiled,
        Wishes(limit, unknown, accept_change, again, frozenset(overrides), new_readers, wait),
        confirm=lambda agenda: _confirm(session, agenda, yes=yes),
        watch=metered or watch,
        say=log.say if log else session.warn,
        check=lambda: check_apart(newsletter, newsletter.find_issue(slug))[1],
    )
    if metered:
        metered.write()
    _tell(session, report)
    session.result({"issue": slug, "exit_code": report.exit_code, **report.accounts.to_dict()})
    return report.exit_code


def _metered(newsletter: Newsletter, slug: str, file: Path, watch: Watch) -> Metered:
    from digest.delivery.metrics import Metered  # only for those who ask

    metered = Metered(newsletter, slug, file, watch)
    metered.write()  # so that a file that can't be written is known before anything is sent
    return metered


def _compose(newsletter: Newsletter, name: str) -> tuple[str, CompiledIssue | None]:
    """The issue as it is now; None when it can't be composed, but a run with a text of its own has begun."""
    with open_desk(newsletter) as desk:
        slug = desk.slug(name)
        run = desk.runs.latest(slug)
    try:
        return slug, compose_apart(newsletter, newsletter.find_issue(slug))
    except InputError:
        if run is None or run.state == "new":
            raise
        return slug, None


def _dry_run(session: Session, newsletter: Newsletter, name: str, out: Path | None) -> int:
    compiled = compose_apart(newsletter, newsletter.find_issue(name))
    folder = out or Path(tempfile.mkdtemp(prefix=f"digest-{compiled.slug}-"))
    plan = rehearse(newsletter, compiled, folder)
    session.say(f"Dry run of {compiled.slug}: nothing is sent, nothing is recorded.")
    for line in plan_lines(plan):
        session.say(line)
    for warning in plan.warnings:
        session.warn(str(warning))
    session.say(f"A message of each variant is in {folder}")
    if newsletter.settings.delivery.relay:
        session.say(f"Every reader's message is in {newsletter.settings.delivery.relay}")
    session.result(
        {
            "issue": compiled.slug,
            "fingerprint": compiled.fingerprint,
            "candidates": plan.head.candidates,
            "excluded": sum(plan.head.excluded.values()),
            "excluded_by_reason": dict(plan.head.excluded),
            "planned": plan.planned,
            "variants": [{"name": v.name, "readers": v.readers} for v in plan.variants],
            "largest": plan.largest,
            "warnings": [str(warning) for warning in plan.warnings],
            "samples": str(folder),
        }
    )
    return 0


def plan_lines(plan: Plan) -> list[str]:
    """A plan, for people."""
    excluded = sum(plan.head.excluded.values())
    why = f" ({by_reason(plan.head.excluded)})" if excluded else ""
    number = len(plan.variants)
    lines = [
        f"  candidates  {plan.head.candidates}",
        f"  excluded    {excluded}{why}",
        f"  planned     {plan.planned}",
        f"  variants    {number}, the largest for {plan.variants[0].readers if number else 0} readers",
    ]
    shown = plan.variants[:_VARIANTS_SHOWN] if number > 1 else ()
    lines += [f"    {variant.readers:>8}  such as {variant.sample.email}" for variant in shown]
    if number > _VARIANTS_SHOWN:
        rest = sum(v.readers for v in plan.variants[_VARIANTS_SHOWN:])
        lines.append(f"    {rest:>8}  in {number - _VARIANTS_SHOWN} more")
    lines.append(f"  largest     {plan.largest} bytes")
    return lines


def _confirm(session: Session, agenda: Agenda, *, yes: bool) -> None:
    """Show what will be done, and let the number of readers be typed."""
    session.say(f"{agenda.slug}: “{agenda.title}”")
    for line in plan_lines(agenda.plan) if agenda.plan else account_lines(agenda.accounts):
        session.say(line)
    for warning in agenda.plan.warnings if agenda.plan else ():
        session.warn(f"  {warning}")
    for note in agenda.notes:
        session.warn(f"  note: {note}")
    session.say(f"To {readers(agenda.readers)}, through {agenda.relay}.")
    if yes:
        return
    if not sys.stdin.isatty():
        raise HeldError("nothing was sent: nobody is here to type the number of readers (scripts use --yes)")
    typed = click.prompt("Type the number of readers to send it", default="", show_default=False, err=session.json)
    if typed.strip().replace(",", "") != str(agenda.readers):
        raise HeldError(f"nothing was sent: the number is {agenda.readers}")


def _tell(session: Session, report: RunReport) -> None:
    """How it went, and what is to be done next."""
    slug, accounts = report.run.slug, report.accounts
    if not report.tried and not report.trouble:
        for note in report.notes:
            session.warn(f"  note: {note}")
        if not accounts.missing and not accounts.unknown:
            session.say(f"{slug}: nothing is missing.")
    for line in account_lines(accounts):
        session.say(line)
    if report.tried and report.seconds:
        rate = report.tried / report.seconds
        session.say(f"  {readers(report.tried)} in {span(report.seconds)}, {rate:.0f} a second")
    for line in _next_steps(report):
        session.warn(line)


def _next_steps(report: RunReport) -> list[str]:
    slug, accounts = report.run.slug, report.accounts
    lines = [f"digest: {report.trouble}"] if report.trouble else []
    if report.flag == "hold":
        lines.append(f"held; let it go with: digest release {slug}, then: digest send {slug}")
    elif report.flag == "cancel":
        lines.append("cancelled")
    if accounts.unknown:
        lines.append(
            f"{readers(accounts.unknown)} may have it or not; decide with:"
            f" digest send {slug} --unknown resend (or drop)"
        )
    if report.interrupted:
        lines.append(f"interrupted; go on with: digest send {slug}")
    elif accounts.deferred and report.next_attempt is not None:
        lines.append(
            f"{accounts.deferred} deferred; go on after {moment(report.next_attempt)} with: digest send {slug}"
        )
    elif report.later and report.next_attempt is not None:
        lines.append(
            f"{readers(report.later)} get it at their own time, the next at {moment(report.next_attempt)}:"
            f" digest run-due, or digest send {slug} then"
        )
    elif accounts.missing and not report.flag:
        lines.append(f"{readers(accounts.missing)} still to get it; go on with: digest send {slug}")
    return lines


def readers(number: int) -> str:
    """
    >>> readers(1), readers(2000)
    ('1 reader', '2000 readers')
    """
    return f"{number} reader{'' if number == 1 else 's'}"
