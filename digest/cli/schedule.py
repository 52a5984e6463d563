"""``digest schedule``: what comes when; sets a date; entries for cron and systemd; the loop for containers."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from digest.cli.apart import check_apart
from digest.cli.options import FOLDER, Session, command
from digest.cli.run_due import due_tools
from digest.delivery.desk import Desk, open_desk
from digest.delivery.guards import before_run
from digest.errors import HeldError, InputError, Problem, UsageError
from digest.message.merge import MergeError
from digest.newsletter import Newsletter
from digest.quantities import spoken
from digest.schedule.daemon import serve
from digest.schedule.due import Scheduled
from digest.schedule.entries import crontab_line, own_command, systemd_units
from digest.schedule.hands import set_schedule
from digest.schedule.planned import Dated, moment_of, read_dates, read_front, schedule_problems
from digest.schedule.records import Records
from digest.schedule.wording import parse_when, spoken_moment


@command("schedule", short_help="Show what comes when, or set an issue's date.")
@click.argument("issue", required=False, metavar="[ISSUE]")
@click.argument("when", nargs=-1, metavar="[WHEN]")
@click.option("--crontab", is_flag=True, help="Print the line for crontab.")
@click.option("--systemd", is_flag=True, help="Print a service and a timer.")
@click.option("--out", type=FOLDER, metavar="DIR", help="With --systemd: write the two files there.")
@click.option("--daemon", is_flag=True, help="Stay, and do what run-due does whenever something is due.")
def cli(
    session: Session,
    issue: str | None,
    when: tuple[str, ...],
    crontab: bool,
    systemd: bool,
    out: Path | None,
    daemon: bool,
) -> int:
    """Show what comes, with times in its zone and in UTC and the number of readers; or let ISSUE be due WHEN.

    WHEN is a wall time in the issue's zone, else the newsletter's: 2025-09-12 09:00, 09:00, tomorrow 09:00,
    friday 09:00. Written into the issue's front matter, with `status: ready`.
    """
    if sum([crontab, systemd, daemon, bool(issue)]) > 1:
        raise UsageError("one of ISSUE, --crontab, --systemd and --daemon at a time")
    if out and not systemd:
        raise UsageError("--out goes with --systemd")
    newsletter = session.newsletter()
    if crontab:
        return _crontab(session, newsletter)
    if systemd:
        return _systemd(session, newsletter, out)
    if daemon:
        serve(session.newsletter, due_tools(session.say, session.warn), lambda line: session.warn(f"digest: {line}"))
        return 0
    if issue is None:
        return _list(session, newsletter, None)
    return _set(session, newsletter, issue, " ".join(when)) if when else _list(session, newsletter, issue)


def _crontab(session: Session, newsletter: Newsletter) -> int:
    line = crontab_line(own_command(sys.argv[0]), newsletter.root)
    session.say(line)
    if sys.stdout.isatty():
        session.warn("to install it: (crontab -l 2>/dev/null; digest schedule --crontab) | crontab -")
    session.result({"crontab": line})
    return 0


def _systemd(session: Session, newsletter: Newsletter, out: Path | None) -> int:
    units = systemd_units(own_command(sys.argv[0]), newsletter)
    for name, text in units.items():
        if out:
            out.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(text, encoding="utf-8")
            session.say(str(out / name))
        else:
            session.say(f"# /etc/systemd/system/{name}\n{text}")
    timer = next(name for name in units if name.endswith(".timer"))
    session.warn(f"then: systemctl daemon-reload && systemctl enable --now {timer}")
    session.result({"units": units})
    return 0


# ---- setting


def _set(session: Session, newsletter: Newsletter, issue: str, when: str) -> int:
    file = newsletter.find_issue(issue)
    now = datetime.now(UTC)
    front = read_front(newsletter, file)
    zone = newsletter.settings.newsletter.timezone
    if front is not None and front.timezone not in ("", "reader"):
        zone = front.timezone
    try:
        wall = parse_when(when, now.astimezone(ZoneInfo(zone)).replace(tzinfo=None))
    except ValueError as exc:
        raise UsageError(str(exc)) from exc
    with open_desk(newsletter) as desk:
        slug = desk.slug(issue)
        run = desk.runs.latest(slug)
        if run is not None and run.state != "new":
            told = f"{slug} was sent already, and is never sent again by a date"
            raise InputError(Problem(None, told, "the rest of it: digest send", code="sent"))
        if front is not None and moment_of(newsletter, front, wall).at <= now:
            told = f"{wall:%Y-%m-%d %H:%M} in {zone} is in the past"
            raise InputError(Problem(None, told, f"at once: digest send {slug}", code="past"))
        moment = set_schedule(newsletter, file, wall)
        held_by = _let_go(desk, slug)
        outlook = _outlook(desk, file)
    session.say(f"{slug}: {spoken_moment(moment)}, in {spoken(moment.at - now)}")
    if held_by:
        session.warn(f"  note: {held_by}")
    problems = list(schedule_problems(newsletter, file, now))
    for problem in problems:
        session.warn(f"  note: {problem.message} ({problem.cure})")
    for line in _spoken_outlook(outlook, slug):
        session.say(f"  {line}")
    answer = {"issue": slug, "at": moment.at.isoformat(), "wall": str(moment.wall), "zone": moment.zone}
    notes = [problem.message for problem in problems]
    session.result({**answer, "notes": notes, "readers": outlook.readers, "would_be_held": list(outlook.holds)})
    return 0


def _let_go(desk: Desk, slug: str) -> str:
    """A new date is an answer to what `run-due` held the issue for; what a person held stays held."""
    run = desk.runs.latest(slug)
    if run is None or run.flag != "hold":
        return ""
    if not Records(desk.storage).reason(slug):
        return f"it is held; let it go with: digest release {slug}"
    desk.runs.set_flag(run.id, None)
    return "it was held for its last date, and is no longer"


# ---- listing


@dataclass(frozen=True, slots=True)
class _Row:
    dated: Dated
    scheduled: Scheduled
    standing: str
    outlook: _Outlook | None


@dataclass(frozen=True, slots=True)
class _Outlook:
    """What would become of an issue now: how many `readers` (None: it can't be composed), and what would hold it."""

    readers: int | None
    holds: tuple[str, ...] = ()


def _list(session: Session, newsletter: Newsletter, issue: str | None) -> int:
    now = datetime.now(UTC)
    with open_desk(newsletter) as desk:
        only = desk.slug(issue) if issue else None
        rows = _rows(desk, now, only)
    for row in sorted(rows, key=lambda row: (row.scheduled.at, row.dated.slug)):
        _say_row(session, row, now)
    if not rows:
        what = f"{only} has no date" if only else "nothing is scheduled"
        session.say(f"{what}; give an issue one with: digest schedule {only or 'ISSUE'} WHEN")
    session.result({"now": now.isoformat(timespec="seconds"), "issues": [_plain(row) for row in rows]})
    return 0


def _rows(desk: Desk, now: datetime, only: str | None) -> list[_Row]:
    records = Records(desk.storage)
    standing = records.standing(now, desk.newsletter.settings.schedule.max_late)
    rows = []
    for dated in read_dates(desk.newsletter).dated:
        run = standing.get(dated.slug)
        if (only and dated.slug != only) or (not only and run is not None and run.state in ("done", "cancelled")):
            continue
        scheduled = dated.scheduled(records.zones() if dated.by_reader else [])
        state = _state(dated, run.state if run else "", run.flag if run else None, records.reason(dated.slug))
        rows.append(_Row(dated, scheduled, state, _outlook(desk, dated.file) if state in ("ready", "draft") else None))
    return rows


def _state(dated: Dated, run: str, flag: str | None, reason: str) -> str:
    if flag == "hold":
        return f"held: {reason.splitlines()[0].strip()}" if reason else "held"
    if run not in ("", "new"):
        return {"open": "begun", "done": "sent"}.get(run, run)
    return dated.front.status


def _outlook(desk: Desk, file: Path) -> _Outlook:
    try:
        compiled, problems = check_apart(desk.newsletter, file)
        if compiled is None:
            return _Outlook(None)
        merger = desk.merger(compiled)
        readers = sum(excluded is None and merger.gets(reader) for reader, excluded in desk.subscribers.candidates())
        unmet = before_run(desk.newsletter, desk.runs, compiled, readers, lambda: problems) if readers else []
        return _Outlook(readers, tuple(f"{found.guard}: {found.message}" for found in unmet))
    except (InputError, HeldError, MergeError, ChildProcessError):
        return _Outlook(None)


def _say_row(session: Session, row: _Row, now: datetime) -> None:
    left = row.scheduled.at - now
    when = f"in {spoken(left)}" if left >= timedelta(0) else f"{spoken(-left)} ago"
    known = _spoken_outlook(row.outlook, row.dated.slug) if row.outlook else [row.standing]
    if row.standing == "draft":
        known[0] += ", a draft: not sent by its date"
    session.say("\n  ".join([row.dated.slug, f"{spoken_moment(row.dated.moment)}, {when}", *known]))
    if row.dated.by_reader:
        first, last = row.scheduled.at, row.scheduled.last
        session.say(f"  each reader in their own zone: from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC")


def _spoken_outlook(outlook: _Outlook, slug: str) -> list[str]:
    if outlook.readers is None:
        return [f"it has errors and would be held: digest check {slug}"]
    if not outlook.readers:
        return [f"nobody would get it, and it would be held: digest segments {slug}"]
    return [f"{outlook.readers:,} readers", *(f"as it is now it would be held: {why}" for why in outlook.holds)]


def _plain(row: _Row) -> dict[str, object]:
    moment = row.dated.moment
    return {
        "issue": row.dated.slug,
        "at": row.scheduled.at.isoformat(),
        "last": row.scheduled.last.isoformat(),
        "wall": str(moment.wall),
        "zone": moment.zone,
        "by_reader": row.dated.by_reader,
        "status": row.standing,
        "readers": row.outlook.readers if row.outlook else None,
        "would_be_held": list(row.outlook.holds) if row.outlook else [],
    }
