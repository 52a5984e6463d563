"""``digest subscribers``: the list — import, export, show and change it."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Literal, TextIO

import click

from digest.audience import editing
from digest.audience.database import open_database
from digest.audience.exporting import export_list, held
from digest.audience.forgetting import Forgotten
from digest.audience.importing import ImportReport, Sync, import_list
from digest.audience.profiling import profile
from digest.audience.readers import load_readers
from digest.audience.rows import STATUSES
from digest.audience.store import Subscribers, Suppressions
from digest.audience.values import text_of
from digest.cli.options import Session, command, group
from digest.errors import InputError, Place, Problem
from digest.newsletter import Newsletter

_LISTED = 50


@group("subscribers", short_help="Import, list and change subscribers.")
def cli() -> None:
    """The list of subscribers."""


@command("import")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--dry-run", is_flag=True, help="Check the whole file; import nothing.")
@click.option("--revive", is_flag=True, help="Make readers active again who had left.")
@click.option("--map", "mapped", multiple=True, metavar="COLUMN=NAME", help="What a column is; may be repeated.")
@click.option("--ignore", multiple=True, metavar="COLUMN", help="A column to pass over; may be repeated.")
@click.option("--sync", metavar="SOURCE", help="FILE is all that SOURCE has: its readers who are missing leave.")
@click.option("--override", type=click.Choice(["max_change"]), help="Let more readers leave than delivery.max_change.")
def import_(
    session: Session,
    file: Path,
    dry_run: bool,
    revive: bool,
    mapped: tuple[str, ...],
    ignore: tuple[str, ...],
    sync: str | None,
    override: str | None,
) -> int:
    """Import FILE: CSV, or JSON Lines when its name ends in .jsonl.

    The first row of a CSV names the columns: email, name, first_name, language, timezone, tags, signed_up,
    status, source, consented_at, note, and the attributes of config/readers.toml; --map gives another name to
    a column. Exports of Mailchimp, Substack, Ghost, Buttondown, beehiiv and listmonk are recognised.

    Rows that are wrong are reported and written to FILE.rejects.csv, which can be mended and imported again;
    the others go in. Exit code 1 when a row was rejected.
    """
    with _opened(session) as (newsletter, connection):
        report = import_list(
            connection,
            file,
            load_readers(newsletter.root),
            ignore=ignore,
            renamed=editing.pairs(mapped),
            dry_run=dry_run,
            revive=revive,
            sync=Sync(sync, 1.0 if override else newsletter.settings.delivery.max_change) if sync else None,
            progress=_progress(session),
        )
    _print_report(session, file, report)
    session.result(report.to_dict())
    return 1 if report.rejected else 0


cli.add_command(import_)


@command("export")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A file (else standard output).")
def export(session: Session, form: Literal["csv", "jsonl"], out: Path | None) -> None:
    """Write the whole list, as an import reads it."""
    if session.json and not out:
        raise click.UsageError("--json needs --out: standard output has room for one thing")
    with _opened(session) as (newsletter, connection), _output(out) as stream:
        number = export_list(connection, load_readers(newsletter.root), stream, form)
    if out:
        session.say(f"{number} subscribers written to {out}")
    session.result({"subscribers": number, "file": str(out)})


cli.add_command(export)


@command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only those of this status.")
@click.option("--limit", type=click.IntRange(0), default=None, help=f"How many (else {_LISTED}; all with --json).")
def list_(session: Session, status: str | None, limit: int | None) -> None:
    """Show the readers of the list, in the order they came."""
    with _opened(session) as (_, connection):
        subscribers = Subscribers(connection)
        found = (pair for pair in subscribers.candidates() if status in (None, pair[0].status))
        total = subscribers.count(status)
        most = limit if limit is not None else (total if session.json else _LISTED)
        shown = list(islice(found, most))
    for subscriber, excluded in shown:
        mark = f"  ({excluded})" if excluded else ""
        session.say("  ".join(filter(None, (subscriber.email, subscriber.name))) + mark)
    if len(shown) < total:
        session.say(f"… and {total - len(shown)} more")
    rows = [{"email": s.email, "name": s.name, "status": s.status, "excluded": why} for s, why in shown]
    session.result({"count": total, "subscribers": rows})


cli.add_command(list_)


@command("show")
@click.argument("address", metavar="ADDRESS")
def show(session: Session, address: str) -> None:
    """Show everything that is held on one person."""
    wanted = editing.given_address(address)
    with _opened(session) as (_, connection):
        reader = next(held(connection, wanted.key), None)
        suppression = Suppressions(connection).get(wanted)
    if reader is None and suppression is None:
        raise InputError(Problem(None, f"nothing is held on {wanted.text}", code="unknown-subscriber"))
    attributes = reader.pop("attributes") if reader else {}
    for moment in ("created_at", "updated_at"):
        if reader:
            reader[moment] = datetime.fromtimestamp(reader[moment] / 1e6, UTC).isoformat(timespec="seconds")
    for name, value in [*(reader or {}).items(), *attributes.items()]:
        if value not in (None, "", ()):
            session.say(f"{name}: {text_of(value)}")
    if suppression:
        session.say(f"suppressed: {suppression.reason} {suppression.note}".rstrip())
    why = {"reason": suppression.reason, "note": suppression.note} if suppression else None
    session.result({"subscriber": reader, "attributes": attributes, "suppression": why})


cli.add_command(show)


@command("add")
@click.argument("address", metavar="ADDRESS")
@click.argument("assignments", nargs=-1, metavar="[NAME=VALUE]...")
def add(session: Session, address: str, assignments: tuple[str, ...]) -> None:
    """Add one reader."""
    wanted = editing.given_address(address)
    with _opened(session) as (newsletter, connection):
        readers = load_readers(newsletter.root)
        editing.add_subscriber(connection, readers, wanted, editing.pairs(assignments))
        suppression = Suppressions(connection).get(wanted)
    session.say(f"{wanted.text} added")
    if suppression:
        session.warn(f"{wanted.text} is suppressed ({suppression.reason}) and gets nothing")
    session.result({"email": wanted.text, "added": True, "suppressed": bool(suppression)})


cli.add_command(add)


@command("set")
@click.argument("address", metavar="ADDRESS")
@click.argument("assignments", nargs=-1, required=True, metavar="NAME=VALUE...")
def set_(session: Session, address: str, assignments: tuple[str, ...]) -> None:
    """Change values of one reader; NAME= clears one."""
    wanted = editing.given_address(address)
    with _opened(session) as (newsletter, connection):
        readers = load_readers(newsletter.root)
        effect = editing.set_values(connection, readers, wanted, editing.pairs(assignments))
    session.say(f"{wanted.text} {'changed' if effect.updated else 'was like that already'}")
    session.result({"email": wanted.text, "changed": bool(effect.updated)})


cli.add_command(set_)


@command("unsubscribe")
@click.argument("address", metavar="ADDRESS")
@click.option("--note", default="", help="Kept with the reader: who asked, and how.")
def unsubscribe(session: Session, address: str, note: str) -> None:
    """Unsubscribe one reader, who gets nothing more, also of an issue that is being sent."""
    wanted = editing.given_address(address)
    with _opened(session) as (_, connection):
        if not Subscribers(connection).leave(wanted, "unsubscribed", note):
            cure = "to keep the address out of any later import: digest suppress add"
            problem = Problem(None, f"{wanted.text} is not in the list", cure, code="unknown-subscriber")
            raise InputError(problem)
    session.say(f"{wanted.text} unsubscribed")
    session.result({"email": wanted.text, "status": "unsubscribed"})


cli.add_command(unsubscribe)


@command("forget")
@click.argument("address", metavar="ADDRESS")
def forget(session: Session, address: str) -> None:
    """Erase one person everywhere, and keep imports from bringing them back.

    What is left is a keyed hash of the address, and their number in the ledger.
    """
    wanted = editing.given_address(address)
    with _opened(session) as (_, connection):
        held_before = Forgotten(connection).forget(wanted)
    session.say("forgotten" if held_before else "nothing was held on that person; imports leave them out from now on")
    session.result({"forgotten": True, "was_held": held_before})


cli.add_command(forget)


@command("profile")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A file (else standard output).")
def profile_(session: Session, out: Path | None) -> None:
    """Summarise the list without naming anybody, as JSON that may be committed."""
    with _opened(session) as (newsletter, connection):
        readers = load_readers(newsletter.root)
        active = (subscriber for subscriber, excluded in Subscribers(connection).candidates() if not excluded)
        found = profile(readers, active)
    if out:
        with _output(out) as stream:
            stream.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")
        session.say(f"written to {out}")
    else:
        session.say(json.dumps(found, ensure_ascii=False, indent=2))
    session.result(found)


cli.add_command(profile_)


@contextmanager
def _opened(session: Session) -> Iterator[tuple[Newsletter, sqlite3.Connection]]:
    newsletter = session.newsletter()
    connection = open_database(newsletter.database)
    try:
        yield newsletter, connection
    finally:
        connection.close()


@contextmanager
def _output(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]  # a list is UTF-8 everywhere
        yield sys.stdout
        return
    partial = out.with_name(f".{out.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        with partial.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        partial.replace(out)
    except OSError as exc:
        raise InputError(Problem(Place(str(out)), f"cannot be written: {exc.strerror}", code="file")) from exc
    finally:
        partial.unlink(missing_ok=True)


def _print_report(session: Session, file: Path, report: ImportReport) -> None:
    if sys.stderr.isatty() and not session.json:
        click.echo("\r\x1b[K", err=True, nl=False)
    session.say(f"{file}: {report.description}")
    if report.doubt:
        session.warn(f"{file}: {report.doubt}: read as Windows-1252 (Latin-1); check the accents")
    for reject in report.rejects:
        session.warn(str(reject))
    effect = report.effect
    counts = f"{effect.added} added, {effect.updated} updated, {effect.unchanged} unchanged"
    kept = f"; rejected rows are in {report.rejects_file}" if report.rejects_file else ""
    would = "nothing imported; it would be: " if report.dry_run else ""
    session.say(f"{report.rows} rows: {would}{counts}, {report.rejected} rejected{kept}")
    if effect.stay_away:
        session.say(f"{effect.stay_away} had left and stay away (--revive makes them active again)")
    if report.left:
        session.say(f"{report.left} are not in the file any more and {'would leave' if report.dry_run else 'left'}")
    if effect.revived:
        session.say(f"{effect.revived} had left and are active again")
    if effect.suppressed:
        session.say(f"{effect.suppressed} are suppressed and get nothing")


def _progress(session: Session) -> Callable[[str, int], None]:
    """Shows how far an import is: one line on a terminal, a line every 100,000 rows in a log."""

    def show(what: str, rows: int) -> None:
        if session.json:
            return
        if sys.stderr.isatty():
            click.echo(f"\r{what} {rows:,} rows\x1b[K", err=True, nl=False)
        elif rows % 100_000 == 0:
            session.warn(f"{what} {rows:,} rows")

    return show
