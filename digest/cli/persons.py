"""``digest subscribers show``, ``add``, ``set``, ``unsubscribe`` and ``forget``: one person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from digest.audience import editing
from digest.audience.forgetting import Forgotten
from digest.audience.holding import Holding, holding
from digest.audience.readers import load_readers
from digest.audience.store import Subscribers, Suppressions
from digest.audience.values import text_of
from digest.cli.opened import opened
from digest.cli.options import Session, command
from digest.errors import InputError, Problem

_TITLES = {
    "suppression": "suppressed",
    "signups": "asked to join and has not confirmed",
    "consents": "agreed to",
    "leavings": "left by the link",
    "deliveries": "messages",
    "afterwards": "came back later",
    "returned": "mails about them in the bounce mailbox",
    "tests": "tests",
}

_address = click.argument("address", metavar="ADDRESS")


@command("show")
@_address
def show(session: Session, address: str) -> None:
    """Show everything that is held on one person: values, consent, suppression, every message and test."""
    wanted = editing.given_address(address)
    with opened(session) as (_, connection):
        found = holding(connection, wanted)
    if not found:
        raise InputError(Problem(None, f"nothing is held on {wanted.text}", code="unknown-subscriber"))
    _print(session, found)
    session.result(found.to_dict())


def _print(session: Session, found: Holding) -> None:
    for name, value in [*(found.subscriber or {}).items(), *found.attributes.items()]:
        if value not in (None, "", ()):
            session.say(f"{name}: {text_of(value)}")
    for kind, title in _TITLES.items():
        rows = found.records.get(kind, [])
        if rows:
            session.say(f"{title}:")
        for row in rows:
            session.say(f"  {_line(row)}")
    if found.forgotten:
        session.say("was forgotten: only a keyed hash of the address is left, and imports leave them out")


def _line(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items() if value not in (None, "", [], ()))


@command("add")
@_address
@click.argument("assignments", nargs=-1, metavar="[NAME=VALUE]...")
def add(session: Session, address: str, assignments: tuple[str, ...]) -> None:
    """Add one reader."""
    wanted = editing.given_address(address)
    with opened(session) as (newsletter, connection):
        readers = load_readers(newsletter.root)
        editing.add_subscriber(connection, readers, wanted, editing.pairs(assignments))
        suppression = Suppressions(connection).get(wanted)
    session.say(f"{wanted.text} added")
    if suppression:
        cure = f"digest suppress remove {wanted.text}"
        session.warn(f"{wanted.text} is suppressed ({suppression.reason}) and gets nothing; {cure} lets them")
    session.result({"email": wanted.text, "added": True, "suppressed": bool(suppression)})


@command("set")
@_address
@click.argument("assignments", nargs=-1, required=True, metavar="NAME=VALUE...")
def set_(session: Session, address: str, assignments: tuple[str, ...]) -> None:
    """Change values of one reader; NAME= clears one."""
    wanted = editing.given_address(address)
    with opened(session) as (newsletter, connection):
        readers = load_readers(newsletter.root)
        effect = editing.set_values(connection, readers, wanted, editing.pairs(assignments))
        suppression = Suppressions(connection).get(wanted)
    session.say(f"{wanted.text} {'changed' if effect.updated else 'was like that already'}")
    if suppression and any(a.strip().lower().startswith("status") for a in assignments):
        session.warn(f"{wanted.text} is suppressed ({suppression.reason}) and gets nothing")
    session.result({"email": wanted.text, "changed": bool(effect.updated), "suppressed": bool(suppression)})


@command("unsubscribe")
@_address
@click.option("--note", default="", help="Kept with the reader: who asked, and how.")
def unsubscribe(session: Session, address: str, note: str) -> None:
    """Unsubscribe one reader, who gets nothing more, also of an issue that is being sent."""
    wanted = editing.given_address(address)
    with opened(session) as (_, connection):
        if not Subscribers(connection).leave(wanted, "unsubscribed", note):
            cure = "to keep the address out of any later import: digest suppress add"
            problem = Problem(None, f"{wanted.text} is not in the list", cure, code="unknown-subscriber")
            raise InputError(problem)
    session.say(f"{wanted.text} unsubscribed")
    session.result({"email": wanted.text, "status": "unsubscribed"})


@command("forget")
@_address
def forget(session: Session, address: str) -> None:
    """Erase one person everywhere, and keep imports from bringing them back.

    What is left is a keyed hash of the address, and their number in the ledger.
    """
    wanted = editing.given_address(address)
    with opened(session) as (_, connection):
        held_before = Forgotten(connection).forget(wanted)
    session.say("forgotten" if held_before else "nothing was held on that person; imports leave them out from now on")
    session.result({"forgotten": True, "was_held": held_before})
