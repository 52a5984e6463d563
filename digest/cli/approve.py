"""``digest approve``: somebody's word for one text of an issue, in a file beside it."""

from __future__ import annotations

import getpass
import os
import re
import subprocess

import click

from digest.cli.apart import compose_apart
from digest.cli.options import Session, command, issue_argument
from digest.delivery.approval import Approval, approval_file
from digest.errors import InputError, Problem
from digest.files import replace_file
from digest.journal import stamp


@command("approve", short_help="Approve an issue as it is now.")
@issue_argument
@click.option("--as", "who", metavar="NAME", help="Who approves (else the name that git or the system knows).")
def cli(session: Session, issue: str, who: str | None) -> None:
    """Approve ISSUE as it is now, for `delivery.require_approval`: another text needs another approval.

    Written into issues/SLUG.approved, which belongs to the files of the newsletter.
    """
    newsletter = session.newsletter()
    name = who if who is not None else _who()
    if not name.strip() or not name.isprintable():
        raise InputError(Problem(None, "nobody is named", 'say who approves: --as "Ada Example"', code="who"))
    compiled = compose_apart(newsletter, newsletter.find_issue(issue))
    approval = Approval(compiled.fingerprint, name.strip(), stamp())
    file = approval_file(newsletter.root, compiled.slug)
    replace_file(file, f"{approval}\n".encode())
    session.say(f"{compiled.slug} is approved by {approval.who}: {newsletter.shown(file)}")
    session.result({"issue": compiled.slug, "file": newsletter.shown(file), "fingerprint": compiled.fingerprint})


def _who() -> str:
    """As git would sign a commit, else the name of the login; nothing where there is neither."""
    try:
        found = subprocess.run(["git", "var", "GIT_AUTHOR_IDENT"], capture_output=True, text=True, check=True)  # noqa: S607 -- whatever git the author uses
        if name := re.sub(r" \d+ [+-]\d+\s*$", "", found.stdout):
            return name
    except (OSError, subprocess.CalledProcessError):
        pass
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return os.environ.get("USER", "")
