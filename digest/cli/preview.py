"""`digest preview`: the workbench in the browser."""

from __future__ import annotations

import webbrowser

import click

from digest.cli.options import Session, command

FIRST_PORT = 8600


@command("preview")
@click.argument("issue", metavar="[ISSUE]", required=False)
@click.option("--port", type=click.IntRange(0, 65535), help="The port on 127.0.0.1 (else the first free one).")
@click.option("--open", "open_browser", is_flag=True, help="Open it in the browser.")
def cli(session: Session, issue: str | None, port: int | None, open_browser: bool) -> None:
    """Show an issue in the browser as each reader will get it, refreshed as you save.

    Without ISSUE it opens at the list of issues. Ctrl+C ends it.
    """
    # The web framework and what composing needs are loaded by this command only.
    from digest.preview.app import create_app
    from digest.preview.live import Live
    from digest.preview.server import LocalServer, listen, port_of
    from digest.preview.workbench import Workbench

    newsletter = session.newsletter()
    path = ""
    if issue is not None:
        file = newsletter.find_issue(issue)
        path = f"issues/{next(slug for slug, f in newsletter.issue_files().items() if f == file)}"
    web = listen(port, FIRST_PORT)
    number, live = port_of(web), Live()
    with LocalServer(create_app(Workbench(newsletter), live, port=number), web, live) as server:
        address = f"http://127.0.0.1:{number}/{path}"
        taken = f" (port {FIRST_PORT} is in use)" if port is None and number != FIRST_PORT else ""
        session.say(f"Preview of {newsletter.settings.newsletter.name}: {address}{taken}")
        session.say("It follows what you save. Ctrl+C ends it.")
        session.result({"address": address, "port": number})
        if open_browser:
            webbrowser.open(address)
        server.wait()
