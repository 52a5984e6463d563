"""``digest test``: an issue to the test list, or to addresses. (Named so that pytest does not collect it.)"""

from __future__ import annotations

import click

from digest.cli.options import Session, command, issue_argument
from digest.delivery.outcome import Accepted, Deferred, Outcome, Unknown
from digest.delivery.trial import Copy, outcome_name, send_test
from digest.errors import UsageError


@command("test", short_help="Send an issue to the test list or to addresses.")
@issue_argument
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]…")
@click.option("--as", "as_reader", metavar="READER", help="Render every copy as this reader (an address).")
@click.option("--arm", metavar="NAME", help="As a reader in this arm of its A/B test.")
@click.option("--every-segment", is_flag=True, help="A copy of every variant to each address.")
def cli(  # noqa: PLR0913, RUF100 -- one parameter an option
    session: Session,
    issue: str,
    addresses: tuple[str, ...],
    as_reader: str | None,
    arm: str | None,
    every_segment: bool,
) -> int:
    """Send ISSUE as a test to the addresses, else to everybody in subscribers/test.csv.

    The subject is marked [Test], the reader's own links do nothing, the real run is not touched. A test
    that the relay accepted opens the way for `digest send`, as long as the issue stays as it is.
    """
    if as_reader and every_segment:
        raise UsageError("--as is one reader, --every-segment one of each: choose one of them")
    from digest.compose.composer import compile_issue  # what composing needs is loaded where it is used

    newsletter = session.newsletter()
    compiled = compile_issue(newsletter, newsletter.find_issue(issue))

    def tell(copy: Copy, outcome: Outcome) -> None:
        session.say(f"{copy.address} ({copy.because}): {_words(outcome)}")

    report = send_test(
        newsletter, compiled, addresses, as_reader=as_reader, every_variant=every_segment, arm=arm, tell=tell
    )
    if report.exit_code == 0:
        session.say(f"Look at it, then send it with: digest send {compiled.slug}")
    session.result(
        {
            "issue": compiled.slug,
            "fingerprint": compiled.fingerprint,
            "copies": [
                {"address": c.address, "as": c.reader.email, "outcome": outcome_name(o), "reply": _reply(o)}
                for c, o in report.results
            ],
        }
    )
    return report.exit_code


def _words(outcome: Outcome) -> str:
    match outcome:
        case Accepted():
            return "accepted by the relay"
        case Deferred():
            return f"deferred, try again later: {_reply(outcome)}"
        case Unknown():
            return f"unknown, it may have arrived: {_reply(outcome)}"
        case _:
            return f"refused: {_reply(outcome)}"


def _reply(outcome: Outcome) -> str:
    if isinstance(outcome, Unknown):
        return outcome.reason
    return f"{outcome.code} {outcome.reply}" if outcome.code else outcome.reply
