"""What every command shares: the global options, and the session they set up.

A command is a thin function::

    @command("build")
    @issue_argument
    @click.option("--out", …)
    def cli(session: Session, issue: str, out: Path) -> int | None:
        newsletter = session.newsletter()
        …
        session.say("written to …")
        session.result({"files": 12})

It returns its exit code, or nothing for 0, and raises `DigestError` for what `main` prints.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from digest.newsletter import Newsletter

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])


def _environment_secrets() -> tuple[str, ...]:
    """Known before any settings are read, so that not even a failure to read them shows one."""
    secret = re.compile(r"DIGEST_(SMTP__PASSWORD|RELAYS__.+__PASSWORD|BOUNCES__PASSWORD|DKIM__KEY)", re.IGNORECASE)
    return tuple(value for name, value in os.environ.items() if secret.fullmatch(name))


@dataclass(slots=True)
class Session:
    """One call of `digest`: its global options, and the only place its commands print through.

    `answered` is true once `result` has printed the one object that ``--json`` promises.
    """

    project: Path | None = None
    json: bool = False
    verbose: int = 0
    debug: bool = False
    answered: bool = False
    masks: bool = False
    """Whether addresses are printed as a***@example.com: `[privacy] log_addresses`, but where they are asked for."""
    _secrets: tuple[str, ...] = field(default_factory=_environment_secrets, repr=False)

    def newsletter(self, overrides: Mapping[str, object] | None = None) -> Newsletter:
        """The newsletter of ``--project`` or around the working directory. Raises `InputError`."""
        from digest.newsletter import Newsletter

        newsletter = Newsletter.open(self.project, overrides)
        self._secrets += newsletter.settings.secrets()
        self.masks = newsletter.settings.privacy.log_addresses == "masked"
        return newsletter

    def say(self, text: str = "") -> None:
        """A line for a person on standard output; nothing with ``--json``."""
        if not self.json:
            click.echo(self.redacted(text))

    def warn(self, text: str) -> None:
        """A line on standard error."""
        click.echo(self.redacted(text), err=True)

    def result(self, answer: Mapping[str, object]) -> None:
        """With ``--json`` the one object on standard output; nothing without. Call it once."""
        if self.json:
            click.echo(self.redacted(json.dumps(answer, ensure_ascii=False, indent=2, default=str)))
            self.answered = True

    def redacted(self, text: str) -> str:
        """`text` without the secrets of the settings, wherever it may have picked them up, and with addresses
        masked where that is wanted."""
        for secret in self._secrets:
            if len(secret) > 3:
                for form in {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}:
                    text = text.replace(form, "**********")
        if self.masks:
            from digest.audience.address import masked

            text = masked(text)
        return text


def command(name: str, **attributes: Any) -> Callable[[Callable[Concatenate[Session, P], int | None]], click.Command]:
    """Like `click.command`, with the global options; the function gets the `Session` first."""

    def decorate(function: Callable[Concatenate[Session, P], int | None]) -> click.Command:
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> int | None:
            session = click.get_current_context().ensure_object(Session)
            _set_up_logging(session)
            return function(session, *args, **kwargs)

        return click.command(name, cls=None, **attributes)(global_options(run))

    return decorate


def group(name: str, **attributes: Any) -> Callable[[Callable[[], None]], click.Group]:
    """Like `click.group`, with the global options; its commands are added with ``cli.add_command``."""

    def decorate(function: Callable[[], None]) -> click.Group:
        return click.group(name, cls=None, **attributes)(global_options(function))

    return decorate


def global_options(function: F) -> F:
    """``--project``, ``--json``, ``-v`` and ``--debug``, kept in the session and not passed on."""
    for option in reversed(_GLOBAL):
        function = option(function)
    return function


FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
"""Types of options that name a place to write to, there already or not."""

issue_argument = click.argument("issue", metavar="ISSUE")
"""A slug, a path or a unique prefix, for `Newsletter.find_issue`."""


def _set_up_logging(session: Session) -> None:
    if session.verbose:
        level = logging.INFO if session.verbose == 1 else logging.DEBUG
        logging.basicConfig(stream=sys.stderr, format="%(name)s: %(message)s")
        logging.getLogger("digest").setLevel(level)


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Written down only where it was given: the option may stand on both sides of the command."""
    session = context.ensure_object(Session)
    if not value:
        return
    if parameter.name == "verbose":
        session.verbose += value
    else:
        setattr(session, str(parameter.name), value)


_GLOBAL = (
    click.option(
        "--project",
        type=FOLDER,
        metavar="DIR",
        help="The newsletter's folder (else the working directory or one above it).",
        callback=_keep,
        expose_value=False,
        is_eager=True,
    ),
    click.option(
        "--json",
        is_flag=True,
        help="Print one JSON object on standard output.",
        callback=_keep,
        expose_value=False,
        is_eager=True,
    ),
    click.option(
        "-v",
        "--verbose",
        count=True,
        help="Say more; twice for more still.",
        callback=_keep,
        expose_value=False,
        is_eager=True,
    ),
    click.option(
        "--debug",
        is_flag=True,
        help="Show the traceback of an internal error.",
        callback=_keep,
        expose_value=False,
        is_eager=True,
    ),
)
