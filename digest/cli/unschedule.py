"""``digest unschedule``: takes an issue's date out again."""

from __future__ import annotations

from digest.cli.options import Session, command, issue_argument
from digest.schedule.hands import unset_schedule


@command("unschedule", short_help="Take an issue's date out again.")
@issue_argument
def cli(session: Session, issue: str) -> None:
    """Make ISSUE a draft again: `send_at` is taken out of its front matter, and `status` is draft."""
    newsletter = session.newsletter()
    file = newsletter.find_issue(issue)
    unset_schedule(newsletter, file)
    session.say(f"{newsletter.shown(file)}: a draft again, due at no time.")
    session.result({"file": newsletter.shown(file), "status": "draft", "send_at": None})
