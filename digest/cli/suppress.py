"""``digest suppress``: addresses that never get anything, subscribed or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from digest.audience.editing import given_address
from digest.audience.store import Suppressions
from digest.audience.suppressing import import_suppressions
from digest.cli.opened import opened
from digest.cli.options import Session, command, group

_SHOWN = 20


@group("suppress", short_help="Keep addresses from ever getting anything.")
def cli() -> None:
    """Addresses that never get anything, whatever list they are on."""


@command("add")
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@click.option("--reason", default="by hand", show_default=True, help="Why, in a word or two.")
@click.option("--note", default="", help="Kept beside it.")
def add(session: Session, addresses: tuple[str, ...], reason: str, note: str) -> None:
    """Suppress addresses."""
    wanted = [given_address(address) for address in addresses]
    with _suppressions(session) as suppressions:
        new = [address.text for address in wanted if suppressions.add(address, reason, note)]
    for address in wanted:
        session.say(f"{address.text} {'suppressed' if address.text in new else 'was suppressed already'}")
    session.result({"suppressed": new})


@command("import")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--reason", default="imported", show_default=True, help="Why, in a word or two.")
def import_(session: Session, file: Path, reason: str) -> int:
    """Suppress every address of FILE: one a line, or a table with an email column.

    Exit code 1 when a line holds no address; the others are suppressed.
    """
    with opened(session) as (_, connection):
        new, known, problems = import_suppressions(connection, file, str(file), reason)
    for problem in problems[:_SHOWN]:
        session.warn(str(problem))
    if len(problems) > _SHOWN:
        session.warn(f"… and {len(problems) - _SHOWN} more")
    session.say(f"{new} suppressed, {known} were already, {len(problems)} are no addresses")
    session.result({"suppressed": new, "already": known, "rejected": [str(p) for p in problems]})
    return 1 if problems else 0


@command("remove")
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
def remove(session: Session, addresses: tuple[str, ...]) -> None:
    """Take addresses off the list of suppressions."""
    wanted = [given_address(address) for address in addresses]
    with _suppressions(session) as suppressions:
        gone = [address.text for address in wanted if suppressions.remove(address)]
    for address in wanted:
        session.say(f"{address.text} {'is suppressed no more' if address.text in gone else 'was not suppressed'}")
    session.result({"removed": gone})


@command("list")
def list_(session: Session) -> None:
    """Show every suppressed address, why and since when."""
    with _suppressions(session) as suppressions:
        entries = list(suppressions.all())
    for entry in entries:
        since = datetime.fromtimestamp(entry.created_at / 1e6, UTC).date()
        session.say("  ".join(filter(None, (entry.address_key, entry.reason, str(since), entry.note))))
    session.result({"suppressions": [{"address": e.address_key, "reason": e.reason, "note": e.note} for e in entries]})


for subcommand in (add, import_, remove, list_):
    cli.add_command(subcommand)


@contextmanager
def _suppressions(session: Session) -> Iterator[Suppressions]:
    with opened(session) as (_, connection):
        yield Suppressions(connection)
