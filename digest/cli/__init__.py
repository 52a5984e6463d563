"""The command line: `main`, the table of commands, and how problems are printed.

A command is imported when it is called, so that none pays for another's libraries.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click
from click.exceptions import NoArgsIsHelpError

from digest.cli.options import Session, global_options
from digest.errors import DigestError, InputError, Problem, nearest

# name: (module:attribute, what `digest --help` says)
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("digest.cli.demo:cli", "Compose and send the sample to an embedded server, and show it."),
    "init": ("digest.cli.init:cli", "Make a new newsletter's folder."),
    "new": ("digest.cli.new:cli", "Begin a new issue."),
    "preview": ("digest.cli.preview:cli", "Show an issue in the browser as each reader will get it."),
    "build": ("digest.cli.build:cli", "Write HTML, text and .eml of every variant."),
    "check": ("digest.cli.check:cli", "Find all problems of settings, theme, readers and issues."),
    "diff": ("digest.cli.diff:cli", "Show what changed in an issue, as rendered."),
    "test": ("digest.cli.test_issue:cli", "Send an issue to the test list or to addresses."),
    "send": ("digest.cli.send:cli", "Send an issue to its readers; resumes where it stopped."),
    "run-due": ("digest.cli.run_due:cli", "Send what is ready and due; for cron."),
    "schedule": ("digest.cli.schedule:cli", "Show what comes when, or set an issue's date."),
    "unschedule": ("digest.cli.unschedule:cli", "Take an issue's date out again."),
    "approve": ("digest.cli.approve:cli", "Approve an issue as it is now."),
    "hold": ("digest.cli.hold:cli", "Hold an issue that is being sent."),
    "release": ("digest.cli.release:cli", "Release an issue that is held."),
    "cancel": ("digest.cli.cancel:cli", "Cancel what is still waiting of an issue."),
    "report": ("digest.cli.report:cli", "Look at an issue afterwards: accounts, later events, reach."),
    "status": ("digest.cli.status:cli", "Show the accounts of an issue's run."),
    "bounces": ("digest.cli.bounces:cli", "Read what came back: bounces, complaints, wishes to leave."),
    "serve": ("digest.cli.serve:cli", "Serve the public pages: unsubscribe, archive, settings, sign-up."),
    "doctor": ("digest.cli.doctor:cli", "Examine settings, database, relay, DNS and the way to unsubscribe."),
    "backup": ("digest.cli.backup:cli", "Copy the database, safely, also while it is in use."),
    "restore": ("digest.cli.restore:cli", "Put a backup in the database's place; who has left stays away."),
    "segments": ("digest.cli.segments:cli", "Count the readers of each segment and variant."),
    "subscribers": ("digest.cli.subscribers:cli", "Import, list and change subscribers."),
    "suppress": ("digest.cli.suppress:cli", "Keep addresses from ever getting anything."),
    "blocks": ("digest.cli.blocks:cli", "Show the kinds of blocks a theme has."),
    "dkim": ("digest.cli.dkim:cli", "Make keys to sign messages with."),
}

EXIT_INTERRUPTED = 130  # 128 + SIGINT
EXIT_PIPE_CLOSED = 141  # 128 + SIGPIPE: the reader of our output went away


class _Commands(click.Group):
    """Looks commands up in the table; helps without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        found: click.Command = getattr(importlib.import_module(module), attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"there is no command “{args[0]}” ({nearest(args[0], COMMANDS)})")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # reads files: only where it is asked for

        click.echo(f"digest {version('digest-newsletter')}")
        context.exit()


@click.command("digest", cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@global_options
def root() -> None:
    """A newsletter kept as files: compose it, preview it, check it, send it, account for it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script: runs one command and leaves with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show “é” is no reason to fail
    if "_DIGEST_COMPLETE" in os.environ:
        root.main(prog_name="digest")  # the shell asks for completions: click answers and leaves
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code, with everything printed."""
    session = Session()
    try:
        code = _guarded(arguments, session)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer has no reader; without this Python complains once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE_CLOSED
    return code


def _guarded(arguments: Sequence[str], session: Session) -> int:
    # Not `root.main`: it would answer a closed pipe with 1, "the input is wrong".
    try:
        with root.make_context("digest", list(arguments), obj=session) as context:
            code = root.invoke(context)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.UsageError as error:
        return _usage(error, session, arguments)
    except (click.Abort, KeyboardInterrupt):
        session.warn("interrupted")
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        return _failed(session, error.format_message(), 1)
    except DigestError as error:
        problems = error.problems if isinstance(error, InputError) else ()
        return _failed(session, str(error), error.exit_code, problems)
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is None:
            return _internal(session, error)
        return _failed(session, f"{error.filename}: {error.strerror}", 1)
    except Exception as error:  # noqa: BLE001 -- the last line of defence: no traceback for a user
        return _internal(session, error)


def _internal(session: Session, error: Exception) -> int:
    if session.debug:
        session.warn("".join(traceback.format_exception(error)).rstrip())
    hint = "" if session.debug else " (run again with --debug)"
    what = " ".join(session.redacted(f"{type(error).__name__}: {error}").split())
    return _failed(session, f"internal error: {what}{hint}", 1)


def _usage(error: click.UsageError, session: Session, arguments: Sequence[str]) -> int:
    session.json = session.json or "--json" in arguments
    if session.json:
        return _failed(session, error.format_message(), 2)
    if error.ctx is not None and not isinstance(error, NoArgsIsHelpError):
        session.warn(error.ctx.get_usage())
    session.warn(error.format_message())
    return 2


def _failed(session: Session, message: str, code: int, problems: Sequence[Problem] = ()) -> int:
    """Print what went wrong: problems line by line with their count, or the one message."""
    if session.json and not session.answered:
        session.result({"error": {"message": message, "exit_code": code, "problems": [*map(plain, problems)]}})
        return code
    if not problems:
        session.warn(f"digest: {message}")
        return code
    for problem in problems:
        session.warn(str(problem))
    session.warn(counted(problems))
    return code


def counted(problems: Sequence[Problem]) -> str:
    """“1 error”, “2 errors, 1 warning”."""
    numbers = {kind: sum(p.severity == kind for p in problems) for kind in ("error", "warning")}
    return ", ".join(f"{n} {kind}{'s' * (n != 1)}" for kind, n in numbers.items() if n)


def plain(problem: Problem) -> dict[str, object]:
    """A problem as JSON has it."""
    place = problem.place
    return {
        "file": place.file if place else None,
        "line": (place.line or None) if place else None,
        "column": (place.column or None) if place else None,
        "severity": problem.severity,
        "code": problem.code,
        "message": problem.message,
        "cure": problem.cure,
    }
