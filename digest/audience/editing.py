"""Changing one reader by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from digest.audience.address import Address, AddressError, parse_address
from digest.audience.forgetting import Forgotten
from digest.audience.readers import Readers
from digest.audience.rows import RowReader
from digest.audience.staging import Effect, staging
from digest.audience.store import Subscribers
from digest.errors import InputError, Problem


def given_address(text: str) -> Address:
    """An address from the command line. Raises `InputError`."""
    try:
        return parse_address(text)
    except AddressError as exc:
        raise InputError(Problem(None, f"“{text}” {exc}", code="address")) from exc


def pairs(assignments: tuple[str, ...]) -> dict[str, str]:
    """``name=value`` arguments as a mapping. Raises `InputError` for one without ``=``."""
    wrong = [a for a in assignments if "=" not in a]
    if wrong:
        raise InputError(Problem(None, f"“{a}” sets nothing", "write name=value", code="value") for a in wrong)
    return {name.strip(): value for name, _, value in (a.partition("=") for a in assignments)}


def add_subscriber(
    connection: sqlite3.Connection, readers: Readers, address: Address, values: Mapping[str, str]
) -> None:
    """Add a reader, active unless `values` say otherwise, also one who was forgotten.

    Raises `InputError` when there is one already.
    """
    if Subscribers(connection).by_address(address.text):
        cure = "change it with: digest subscribers set"
        raise InputError(Problem(None, f"{address.text} is in the list already", cure, code="exists"))
    _apply(connection, readers, address, values)
    Forgotten(connection).readmit(address)


def set_values(connection: sqlite3.Connection, readers: Readers, address: Address, values: Mapping[str, str]) -> Effect:
    """Change a reader's columns and attributes; an empty value clears one.

    An explicit ``status=active`` brings back a reader who had left: a person decided it here. Raises
    `InputError` when there is no such reader or a value is wrong.
    """
    found = Subscribers(connection).by_address(address.text)
    if not found:
        cure = "add it with: digest subscribers add"
        raise InputError(Problem(None, f"{address.text} is not in the list", cure, code="unknown-subscriber"))
    moved = given_address(values["email"]) if "email" in values else address
    if moved.key != address.key:
        cure = "add the new address, and unsubscribe the old one"
        raise InputError(Problem(None, "an address cannot become another", cure, code="address"))
    # The spelling of the address stays as it is stored, unless a new one is what is set.
    spelled = moved if "email" in values else given_address(found.email)
    return _apply(connection, readers, spelled, values, revive="status" in values)


def _apply(
    connection: sqlite3.Connection,
    readers: Readers,
    address: Address,
    values: Mapping[str, str],
    *,
    revive: bool = False,
) -> Effect:
    row = RowReader(readers).assign(address, values)
    with staging(connection, revive=revive) as staged:
        with staged.filling():
            staged.add([row])
        effect = staged.effect()
        for _ in staged.apply():
            pass
    return effect
