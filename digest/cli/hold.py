"""``digest hold``: whoever sends the issue stops within a second, and nobody begins, until it is released."""

from __future__ import annotations

from digest.cli.options import Session, command, issue_argument
from digest.delivery.desk import open_desk
from digest.errors import HeldError


@command("hold", short_help="Hold an issue that is being sent.")
@issue_argument
def cli(session: Session, issue: str) -> None:
    """Hold ISSUE: a running send stops within a second; no other begins before `digest release`."""
    with open_desk(session.newsletter()) as desk:
        slug = desk.slug(issue)
        known = desk.runs.latest(slug)
        if known and known.state == "cancelled":
            raise HeldError(f"{slug} was cancelled already")
        run = desk.runs.hold(slug)
        session.say(f"{slug} is held. Let it go with: digest release {slug}")
        session.result({"issue": slug, "flag": run.flag})
