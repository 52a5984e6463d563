"""``digest release``: takes back `digest hold`."""

from __future__ import annotations

from digest.cli.options import Session, command, issue_argument
from digest.delivery.desk import open_desk


@command("release", short_help="Release an issue that is held.")
@issue_argument
def cli(session: Session, issue: str) -> None:
    """Let ISSUE go on. It is sent by the next `digest send` or `digest run-due`, not by this command."""
    with open_desk(session.newsletter()) as desk:
        slug = desk.slug(issue)
        run = desk.runs.latest(slug)
        if run is None or run.flag != "hold":
            session.say(f"{slug} is not held.")
        else:
            run = desk.runs.set_flag(run.id, None)
            session.say(f"{slug} is released. Send it with: digest send {slug}")
            session.say("Where digest run-due is called, it goes on by itself once it is due.")
        session.result({"issue": slug, "flag": run.flag if run else None})
