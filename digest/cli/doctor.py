"""``digest doctor``: whether what surrounds an issue is well: settings, database, relay, names, the way out."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import click

from digest.checks.dns_records import nameserver_address
from digest.checks.doctor import examine
from digest.checks.finding import Finding
from digest.cli.options import Session, command
from digest.delivery.desk import open_desk
from digest.delivery.sentlog import SENT_LOG, SentLog
from digest.errors import UsageError
from digest.newsletter import Newsletter

_MARKS = {"ok": "ok", "warning": "warning", "error": "ERROR", "skipped": "skipped"}


@command("doctor", short_help="Examine settings, database, relay, DNS and the way to unsubscribe.")
@click.option("--nameserver", metavar="ADDRESS[:PORT]", help="Ask this one for DNS records, not the system's.")
@click.option("--accept-restored", is_flag=True, help="Use the database as it is, although the journal knows of more.")
def cli(session: Session, nameserver: str | None, accept_restored: bool) -> int:
    """Examine settings, database, relay (connection, TLS, login), DNS records and the unsubscribe page.

    Nothing is sent or changed. Leaves with 1 when something is wrong.
    """
    newsletter = session.newsletter()
    if accept_restored:
        return _accept(session, newsletter)
    if nameserver is not None:
        try:
            nameserver_address(nameserver)
        except ValueError as exc:
            raise UsageError(f"--nameserver: {exc}") from exc
    found = []
    for finding in examine(newsletter, nameserver=nameserver):
        found.append(finding)
        _say(session, finding)
    counts = Counter(finding.verdict for finding in found)
    session.say(f"{counts['error']} wrong, {counts['warning']} to look at, {counts['ok']} well")
    session.result({"ok": not counts["error"], "findings": [asdict(finding) for finding in found]})
    return 1 if counts["error"] else 0


def _say(session: Session, finding: Finding) -> None:
    session.say(f"{_MARKS[finding.verdict]:<8} {finding.name}: {finding.message}")
    if finding.cure:
        session.say(f"{'':<8}   {finding.cure}")


def _accept(session: Session, newsletter: Newsletter) -> int:
    with open_desk(newsletter) as desk:
        gaps = SentLog(newsletter, desk.storage).accept()
    for gap in gaps:
        session.say(
            f"{gap}; it is held: digest release {gap.slug} would send it to those the database knows nothing of"
        )
    if not gaps:
        session.say(f"{SENT_LOG} and the database agree: nothing to accept.")
    else:
        session.say("The database is used as it is from now on.")
    session.result({"accepted": [{"issue": gap.slug, "found": gap.found} for gap in gaps]})
    return 0
