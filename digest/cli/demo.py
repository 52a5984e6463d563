"""`digest demo`: the whole path on the sample, to an embedded server, shown in the browser."""

from __future__ import annotations

import sys
import webbrowser
from typing import TYPE_CHECKING

import click

from digest.cli.options import Session, command
from digest.errors import DigestError

if TYPE_CHECKING:
    from digest.preview.demo import Composed, Demo, Sent

_PORT = click.IntRange(0, 65535)


@command("demo")
@click.option("--exit", "leave", is_flag=True, help="Stop when everything is sent (for scripts).")
@click.option("--port", type=_PORT, help="The web page's port on 127.0.0.1 (else the first free one).")
@click.option("--smtp-port", type=_PORT, help="The SMTP server's port on 127.0.0.1 (else the first free one).")
@click.option("--open", "open_browser", is_flag=True, help="Open the inbox in the browser.")
@click.option("--keep", is_flag=True, help="Keep the copy of the newsletter it worked on.")
def cli(session: Session, leave: bool, port: int | None, smtp_port: int | None, open_browser: bool, keep: bool) -> None:
    """Compose the sample issue, send it over SMTP to an embedded server, and show what arrived.

    It works on a copy with a database of its own: your own newsletter is not touched.
    """
    # The web framework, the SMTP server and what composing needs are loaded by this command only.
    from digest.delivery.progress import ProgressLine
    from digest.preview.demo import demo

    with demo(port=port, smtp_port=smtp_port, keep=keep, say=session.warn) as running:
        compiled, composed = running.compose()
        session.say(_composed(composed))
        sent = running.send(compiled, ProgressLine(sys.stderr))
        for line in _sent(sent):
            session.say(line)
        session.result(_result(running, composed, sent))
        if not sent.matched:
            raise DigestError("the inbox does not hold exactly one message for each planned reader")
        if leave:
            return
        session.say()
        session.say(f"  Inbox     {running.inbox_address}")
        session.say(f"  Preview   {running.preview_address}")
        session.say()
        session.say("Ctrl+C ends it." + ("" if keep else " Nothing is kept."))
        if open_browser:
            webbrowser.open(running.inbox_address)
        running.server.wait()


def _composed(composed: Composed) -> str:
    return (
        f"“{composed.title}”\n"
        f"  composed  {composed.sections} sections, {composed.words:,} words,"
        f" {composed.html_bytes:,} bytes of HTML at most, in {composed.seconds:.2f} s"
    )


def _sent(sent: Sent) -> list[str]:
    from digest.delivery.plan import by_reason

    accounts = sent.accounts
    rate = accounts.accepted / sent.seconds if sent.seconds else 0.0
    lines = [
        f"  planned   {accounts.planned} readers in {sent.variants} variants, of {accounts.candidates} candidates",
        f"  tested    {sent.tested} test messages accepted by the relay",
        f"  sent      {accounts.accepted} accepted by the relay in {sent.seconds:.2f} s ({rate:.0f}/s)",
    ]
    if accounts.excluded:
        lines.append(f"  left out  {by_reason(accounts.excluded)}")
    if sent.matched:
        lines.append(f"  received  exactly one message for each of the {accounts.planned} planned readers")
    return lines


def _result(running: Demo, composed: Composed, sent: Sent) -> dict[str, object]:
    return {
        "issue": running.preview_address.rpartition("/")[2],
        "title": composed.title,
        "sections": composed.sections,
        "words": composed.words,
        "html_bytes": composed.html_bytes,
        "compose_seconds": round(composed.seconds, 4),
        "variants": sent.variants,
        "tested": sent.tested,
        **sent.accounts.to_dict(),
        "send_seconds": round(sent.seconds, 4),
        "one_message_each": sent.matched,
        "inbox": running.inbox_address,
        "preview": running.preview_address,
        "smtp_port": running.smtp_port,
    }
