"""`digest preview`: the workbench in the browser."""

from __future__ import annotations

import webbrowser
from contextlib import ExitStack, closing

import click

from digest.cli.options import Session, command

FIRST_PORT = 8600
FIRST_SMTP_PORT = 8625


@command("preview")
@click.argument("issue", metavar="[ISSUE]", required=False)
@click.option("--port", type=click.IntRange(0, 65535), help="The port on 127.0.0.1 (else the first free one).")
@click.option("--open", "open_browser", is_flag=True, help="Open it in the browser.")
@click.option("--inbox", "with_inbox", is_flag=True, help="Send tests to an embedded mail server, shown beside.")
@click.option("--editor", metavar="CMD", is_flag=False, flag_value="", help="Open places in CMD, else in $EDITOR.")
def cli(
    session: Session, issue: str | None, port: int | None, open_browser: bool, with_inbox: bool, editor: str | None
) -> None:
    """Show an issue in the browser as each reader will get it, refreshed as you save.

    Without ISSUE it opens at the list of issues. A click on a paragraph says where it is written, and with
    --editor opens it there (`--editor "code"`, or with the places named: `--editor "ed {file} {line}"`). With
    --inbox a mail server on this machine takes the tests in place of your relay. Ctrl+C ends it.
    """
    # The web framework and what composing needs are loaded by this command only.
    from digest.newsletter import issue_slug
    from digest.preview.app import create_app
    from digest.preview.editor import Editor
    from digest.preview.inbox import Inbox
    from digest.preview.live import Live
    from digest.preview.server import LOOPBACK, LocalServer, listen, port_of, practice_relay
    from digest.preview.workbench import Workbench

    opener = Editor.of(editor) if editor is not None else None
    newsletter = session.newsletter()
    path = ""
    if issue is not None:
        path = f"issues/{issue_slug(newsletter.find_issue(issue))}"
    with ExitStack() as stack:
        web = stack.enter_context(closing(listen(port, FIRST_PORT)))
        smtp = stack.enter_context(closing(listen(None, FIRST_SMTP_PORT))) if with_inbox else None
        number, live = port_of(web), Live()
        overrides = practice_relay(port_of(smtp)) if smtp else {}
        inbox = Inbox(f"{LOOPBACK}:{port_of(smtp)}") if smtp else None
        workbench = Workbench(session.newsletter(overrides) if smtp else newsletter, overrides=overrides)
        app = create_app(workbench, live, port=number, inbox=inbox, editor=opener)
        with LocalServer(app, web, live, smtp=smtp, inbox=inbox) as server:
            address = f"http://{LOOPBACK}:{number}/{path}"
            taken = f" (port {FIRST_PORT} is in use)" if port is None and number != FIRST_PORT else ""
            session.say(f"Preview of {newsletter.settings.newsletter.name}: {address}{taken}")
            if inbox is not None:
                session.say(f"Tests go to the inbox: http://{LOOPBACK}:{number}/inbox (SMTP on {inbox.address})")
            session.say("It follows what you save. Ctrl+C ends it.")
            session.result({"address": address, "port": number, "smtp": inbox.address if inbox else None})
            if open_browser:
                webbrowser.open(address)
            server.wait()
