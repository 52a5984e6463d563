"""`digest serve`: the public pages."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import click

from digest.cli.apart import compose_apart
from digest.cli.options import Session, command
from digest.message.identity import Identity
from digest.newsletter import Newsletter

if TYPE_CHECKING:
    from digest.web.confirmation import Confirmations
    from digest.web.postman import Postman
    from digest.web.reading import Reading
    from digest.web.writer import Writer


@command("serve")
@click.option("--host", help="The address to listen on (else [web] host: 127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65535), help="The port (else [web] port: 8080); 0 for any free one.")
@click.option("--proxy", "proxies", multiple=True, metavar="ADDRESS", help="Believe X-Forwarded-For of this proxy.")
@click.option("--quiet", is_flag=True, help="No line for each request.")
def cli(session: Session, host: str | None, port: int | None, proxies: tuple[str, ...], quiet: bool) -> None:
    """Serve the public pages: unsubscribe, view in browser, archive, feed, settings, sign-up.

    Put a proxy with TLS before it. It is safe beside a running send. Ctrl+C or SIGTERM ends it when what it
    has begun is done.
    """
    # The web framework is loaded by this command only.
    from digest.web.app import Parts, create_app
    from digest.web.look import load_look
    from digest.web.reading import Reading
    from digest.web.server import listen, serve
    from digest.web.writer import Writer

    given = {"web.host": host, "web.port": port, "web.proxies": proxies or None}
    newsletter = session.newsletter({name: value for name, value in given.items() if value is not None})
    web = newsletter.settings.web
    _set_up_log(session, quiet=quiet)
    confirmations = _confirmations(newsletter)  # before there are threads: it forks
    with ExitStack() as open_:
        listening = open_.enter_context(listen(web.host, web.port))
        reading = open_.enter_context(Reading(newsletter.database))
        _ = reading.connection  # what is wrong with the database is said now
        writer = open_.enter_context(Writer(newsletter.database))
        postman = _postman(newsletter, confirmations, reading, writer) if confirmations else None
        app = create_app(Parts(newsletter, load_look(newsletter), reading, writer, postman))
        bound = listening.getsockname()[1]
        leave = Identity.of(newsletter.settings).unsubscribe_pattern()

        def ready() -> None:
            shown = f"[{web.host}]" if ":" in web.host else web.host
            session.say(f"The pages of {newsletter.settings.newsletter.name}: http://{shown}:{bound}/")
            session.say(f"Readers come to {newsletter.settings.newsletter.base_url}/ . Ctrl+C ends it.")
            if not leave.startswith(newsletter.settings.newsletter.base_url):
                session.say(f"Messages name another way out than these pages: {leave} ([unsubscribe] url).")
            session.result({"address": f"http://{shown}:{bound}/", "port": bound})
            sys.stdout.flush()

        serve(app, listening, web.proxies, ready)


def _confirmations(newsletter: Newsletter) -> Confirmations | None:
    if not newsletter.settings.signup.enabled:
        return None
    from digest.web.confirmation import Confirmations

    return Confirmations(newsletter, compose_apart)


def _postman(
    newsletter: Newsletter, confirmations: Confirmations, reading: Reading, writer: Writer
) -> Callable[[], Postman]:
    from digest.delivery.desk import open_desk
    from digest.web.postman import Postman

    with open_desk(newsletter) as desk:
        relay, sign = desk.relay(), desk.sign()
    return partial(Postman, confirmations, relay, sign, reading, writer)


def _set_up_log(session: Session, *, quiet: bool) -> None:
    """Warnings and a line for each request on standard error; neither names a reader."""
    web = logging.getLogger("digest.web")
    if not web.handlers and not logging.getLogger().handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        web.addHandler(handler)
    if not session.verbose:
        web.setLevel(logging.WARNING)
        logging.getLogger("digest.web.access").setLevel(logging.WARNING if quiet else logging.INFO)
