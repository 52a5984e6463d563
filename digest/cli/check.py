"""``digest check [ISSUE]``: all problems at once, for a person, an editor or a pipeline."""

from __future__ import annotations

import click

from digest.cli import counted, plain
from digest.cli.options import Session, command
from digest.errors import InputError


@command("check", short_help="Find all problems of settings, theme, readers and issues.")
@click.argument("issue", required=False, metavar="[ISSUE]")
@click.option("--format", "form", type=click.Choice(["text", "json", "sarif", "junit"]), default="text")
@click.option("--strict", is_flag=True, help="Warnings fail too.")
def cli(session: Session, issue: str | None, form: str, strict: bool) -> int:
    """Find all problems of ISSUE, or of every issue, and of the settings, theme and readers it stands on.

    ISSUE is also tried for every reader of the list.
    """
    from digest.checks.issues import check
    from digest.checks.report import junit, sarif

    session.json = session.json or form == "json"
    try:
        problems = check(session.newsletter(), issue, audit=issue is not None)
    except InputError as exc:
        problems = list(exc.problems)
    failed = any(p.severity == "error" or strict for p in problems)
    if session.json:
        session.result({"ok": not failed, "problems": [plain(p) for p in problems]})
    elif form == "sarif":
        session.say(sarif(problems))
    elif form == "junit":
        session.say(junit(problems))
    else:
        for problem in problems:
            session.say(str(problem))
        session.say(counted(problems) or "no problems")
    return 1 if failed else 0
