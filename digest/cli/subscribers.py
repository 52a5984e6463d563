"""``digest subscribers``: the list — import, export, show and change it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import click

from digest.audience.exporting import FORMATS, export_list
from digest.audience.profiling import PROFILE, profile
from digest.audience.readers import Readers, load_readers
from digest.audience.rows import STATUSES
from digest.audience.selecting import Wanted, selected
from digest.audience.store import Subscribers
from digest.audience.subscriber import Subscriber
from digest.cli import importing, persons
from digest.cli.opened import opened, output
from digest.cli.options import FILE, Session, command, group

_LISTED = 50

_status = click.option("--status", type=click.Choice(STATUSES), help="Only those of this status.")
_out = click.option("--out", type=FILE, help="A file (else standard output).")


@group("subscribers", short_help="Import, list and change subscribers.")
def cli() -> None:
    """The list of subscribers."""


@command("export")
@click.option("--format", "form", type=click.Choice(FORMATS), default="csv", show_default=True)
@_status
@_out
def export(session: Session, form: str, status: str | None, out: Path | None) -> None:
    """Write the list, as an import reads it, or as another system does.

    Mailchimp has a file for each state: the active ones are written, or those of --status.
    """
    if session.json and not out:
        raise click.UsageError("--json needs --out: standard output has room for one thing")
    with opened(session) as (newsletter, connection), output(out) as stream:
        done = export_list(connection, load_readers(newsletter.root), stream, form, status)
    if out:
        session.say(f"{done.written:,} subscribers written to {out}")
    if done.left_out and status is None:
        session.warn(f"{done.left_out:,} who are not active are not in it: --status unsubscribed, --status bounced")
    if done.suppressed:
        session.warn(f"{done.suppressed:,} of those written as active are suppressed here: digest suppress list")
    numbers = {"subscribers": done.written, "left_out": done.left_out, "suppressed": done.suppressed}
    session.result(numbers | {"file": str(out)})


@command("list")
@_status
@click.option("--tag", help="Only those with this tag.")
@click.option("--segment", metavar="EXPR", help="Only those of a segment, or for whom an expression holds.")
@click.option("--limit", type=click.IntRange(0), default=None, help=f"How many (else {_LISTED}; all with --json).")
@click.option("--page", type=click.IntRange(1), default=1, show_default=True, help="Which page of --limit readers.")
def list_(
    session: Session, status: str | None, tag: str | None, segment: str | None, limit: int | None, page: int
) -> None:
    """Show the readers of the list, in the order they came."""
    wanted = Wanted(status, tag, segment)
    most = limit if limit is not None else (None if session.json else _LISTED)
    first = (page - 1) * (most or 0)
    with opened(session) as (newsletter, connection):
        found = selected(connection, load_readers(newsletter.root), wanted, newsletter.today)
        passed = _skip(found, first)
        shown = list(islice(found, most))
        everybody = Subscribers(connection).count() if wanted.everybody else None
        total = passed + len(shown) + sum(1 for _ in found) if everybody is None else everybody
    for subscriber, excluded in shown:
        mark = f"  ({excluded})" if excluded else ""
        session.say("  ".join(filter(None, (subscriber.email, subscriber.name))) + mark)
    if first + len(shown) < total:
        session.say(f"… {first + 1:,} to {first + len(shown):,} of {total:,}; --page {page + 1} goes on")
    elif not shown:
        session.say("nobody" if not total else f"there are only {total:,}")
    session.result({"count": total, "page": page, "subscribers": [_row(s, why) for s, why in shown]})


def _skip(found: Iterable[object], number: int) -> int:
    """Pass over that many; returns how many there were."""
    last = deque(enumerate(islice(found, number), 1), maxlen=1)
    return last[0][0] if last else 0


def _row(subscriber: Subscriber, excluded: str | None) -> dict[str, object]:
    tags = list(subscriber.values.get("tags", ()))  # type: ignore[arg-type]  # tags are a tuple
    base = {"email": subscriber.email, "name": subscriber.name, "status": subscriber.status}
    return base | {"tags": tags, "excluded": excluded}


@command("profile")
@click.option("--save", is_flag=True, help=f"Write it to {PROFILE}, where digest check looks for it.")
@_out
def profile_(session: Session, save: bool, out: Path | None) -> None:
    """Summarise the list without naming anybody, as JSON that may be committed.

    With it digest check knows, on a clone without the list, how often each attribute is filled.
    """
    with opened(session) as (newsletter, connection):
        readers = load_readers(newsletter.root)
        found = _profiled(readers, Subscribers(connection))
        file = newsletter.root / PROFILE if save else out
    text = json.dumps(found, ensure_ascii=False, indent=2) + "\n"
    if file:
        with output(file) as stream:
            stream.write(text)
        file.chmod(0o644)  # nobody can be made out in it
        session.say(f"written to {newsletter.shown(file) if save else out}")
    else:
        session.say(text.rstrip())
    session.result(found)


def _profiled(readers: Readers, subscribers: Subscribers) -> dict[str, object]:
    return profile(readers, (subscriber for subscriber, excluded in subscribers.candidates() if not excluded))


for subcommand in (
    *(importing.import_, export, importing.mappings, list_, persons.show, persons.add, persons.set_),
    *(persons.unsubscribe, persons.forget, profile_),
):
    cli.add_command(subcommand)
