"""``digest dkim``: the keys that messages are signed with."""

from __future__ import annotations

import os
from pathlib import Path

import click

from digest.cli.options import FILE, Session, command, group
from digest.errors import InputError, Place, Problem


@group("dkim", short_help="Make keys to sign messages with.")
def cli() -> None:
    """Keys that messages are signed with (DKIM)."""


@command("keygen", short_help="Make keys and print their DNS records.")
@click.argument("selector", metavar="SELECTOR")
@click.option(
    "--out",
    type=FILE,
    metavar="FILE",
    help="Where the private keys go (else config/dkim-SELECTOR.pem).",
)
def keygen(session: Session, selector: str, out: Path | None) -> None:
    """Make an RSA and an Ed25519 key, and print the DNS records to publish.

    SELECTOR names the key in the DNS, such as d2026; a new one for each new key. The private keys are
    written for their owner only, and never over a file that exists.
    """
    from digest.message.dkim import new_keys  # loads `cryptography`

    newsletter = session.newsletter()
    domain = newsletter.settings.newsletter.domain
    _check(selector)
    file = out or newsletter.root / "config" / f"dkim-{selector}.pem"
    keys = new_keys(selector)
    _write(file, "".join(key.pem() for key in keys))
    session.say(f"The private keys are in {newsletter.shown(file)}. Keep them out of version control.")
    session.say("Publish in the DNS:")
    for key in keys:
        session.say(key.zone_line(domain))
    session.say(f'Then, in config/digest.toml:\n[dkim]\nselector = "{selector}"\nkey_file = "{newsletter.shown(file)}"')
    records = [{"name": f"{k.selector}._domainkey.{domain}", "type": "TXT", "text": k.record()} for k in keys]
    session.result({"file": str(file), "selector": selector, "records": records})


def _check(selector: str) -> None:
    from digest.sections import DkimSection

    try:
        DkimSection(selector=selector)
    except ValueError as exc:
        cure = "letters, digits and -, such as d2026"
        raise InputError(Problem(None, f"“{selector}” is no selector", cure, code="bad-selector")) from exc


def _write(file: Path, text: str) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as exc:
        cure = "take another selector, or remove the old key when nothing is signed with it any more"
        raise InputError(Problem(Place(str(file)), "there is a key already", cure, code="key-exists")) from exc
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(text)


cli.add_command(keygen)
