"""What the command line does with options on either side, problems, secrets and its own mistakes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

import digest.cli as command_line
from digest.cli import COMMANDS
from digest.cli.options import Session, command
from digest.errors import HeldError, InputError, LaterError, Place, Problem, UsageError

SECRET = 'correct-"horse"-bättery'


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch):
    """Make `digest probe` a command of this test: `probe(function)` registers it."""
    import types

    def register(function) -> None:
        module = types.ModuleType("probe_module")
        module.cli = command("probe")(function)
        monkeypatch.setitem(sys.modules, "probe_module", module)
        monkeypatch.setitem(COMMANDS, "probe", ("probe_module:cli", "A probe."))

    return register


GLOBAL = [["--json"], ["-v"], ["--debug"], ["--project", "x"]]


@pytest.mark.parametrize("option", GLOBAL, ids=" ".join)
def test_a_global_option_stands_on_either_side(probe, option: list[str]) -> None:
    """--project, --json, -v and --debug mean the same before and behind the command."""
    seen: list[Session] = []
    probe(lambda session: seen.append(session))
    assert command_line.run([*option, "probe"]) == 0
    assert command_line.run(["probe", *option]) == 0
    assert seen[0] == seen[1]
    assert seen[0] != Session()


def test_v_adds_up_over_both_sides(probe) -> None:
    """-v before and -v behind are -vv; the project behind wins over the one before."""
    seen: list[Session] = []
    probe(lambda session: seen.append(session))
    command_line.run(["-v", "--project", "a", "probe", "-v", "--project", "b"])
    assert (seen[0].verbose, seen[0].project) == (2, Path("b"))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError(Problem(Place("issues/x.md", 4), "wrong", "right")), 1),
        (UsageError("not like this"), 2),
        (HeldError("decide"), 3),
        (LaterError("in an hour"), 75),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (ValueError("oops"), 1),
        (click.UsageError("no such thing"), 2),
    ],
    ids=lambda e: type(e).__name__ if isinstance(e, BaseException) else str(e),
)
def test_each_error_has_its_exit_code(probe, capsys: pytest.CaptureFixture[str], error, code: int) -> None:
    """The exit code is the error's; the message is on standard error, without a traceback."""

    def fail(session: Session) -> None:
        raise error

    probe(fail)
    assert command_line.run(["probe"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err
    assert "Traceback" not in err
    assert command_line.run(["--json", "probe"]) == code
    out, _ = capsys.readouterr()
    if code != 130:
        assert json.loads(out)["error"]["exit_code"] == code


def test_a_command_leaves_with_the_code_it_returns(probe) -> None:
    """A returned number is the exit code."""
    probe(lambda session: 75)
    assert command_line.run(["probe"]) == 75


def test_problems_are_listed_and_counted(probe, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each problem as file:line:column, then their number; with --json as objects."""

    def fail(session: Session) -> None:
        raise InputError(
            [
                Problem(Place("issues/x.md", 4, 2), "unknown block “hreo”", "did you mean “hero”?", code="block"),
                Problem(Place("a.csv"), "is empty", severity="warning"),
                Problem(None, "nothing to do"),
            ]
        )

    probe(fail)
    command_line.run(["probe"])
    assert capsys.readouterr().err.splitlines() == [
        "issues/x.md:4:2: error: unknown block “hreo” (did you mean “hero”?)",
        "a.csv: warning: is empty",
        "error: nothing to do",
        "2 errors, 1 warning",
    ]
    command_line.run(["probe", "--json"])
    out, err = capsys.readouterr()
    first, second, _ = json.loads(out)["error"]["problems"]
    assert err == ""
    assert (first["file"], first["line"], first["column"], first["code"]) == ("issues/x.md", 4, 2, "block")
    assert (second["line"], second["severity"]) == (None, "warning")


def test_json_is_one_object_even_when_it_fails_late(probe, capsys: pytest.CaptureFixture[str]) -> None:
    """After `result` has answered, an error goes to standard error: standard output stays one object."""

    def late(session: Session) -> None:
        session.say("for a person")
        session.result({"accepted": 3})
        raise LaterError("the rest goes on later")

    probe(late)
    assert command_line.run(["--json", "probe"]) == 75
    out, err = capsys.readouterr()
    assert json.loads(out) == {"accepted": 3}
    assert "later" in err


def test_a_mistake_of_ours_is_one_line(probe, capsys: pytest.CaptureFixture[str]) -> None:
    """An unexpected exception is one line that names --debug; with --debug it is a traceback as well."""

    def broken(session: Session) -> None:
        raise RuntimeError("two\nlines")

    probe(broken)
    assert command_line.run(["probe"]) == 1
    assert capsys.readouterr().err == ("digest: internal error: RuntimeError: two lines (run again with --debug)\n")
    assert command_line.run(["probe", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("option", [[], ["--debug"], ["--json"], ["-vv"]], ids=str)
def test_no_secret_leaves_with_an_error_or_a_line(
    probe, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path, option: list[str]
) -> None:
    """A password that got into an exception's text or a printed line is starred out, --debug included."""
    monkeypatch.setenv("DIGEST_SMTP__USERNAME", "u")
    monkeypatch.setenv("DIGEST_SMTP__PASSWORD", SECRET)

    def leak(session: Session) -> None:
        password = session.newsletter().settings.smtp.password
        assert password is not None
        session.say(f"say {password.get_secret_value()} {session}")
        session.warn(f"warn {password.get_secret_value()}")
        raise ValueError(f"login with {password.get_secret_value()} failed")

    probe(leak)
    assert command_line.run([*option, "--project", str(folder), "probe"]) == 1
    out, err = capsys.readouterr()
    assert "horse" not in out + err
    assert "**********" in out + err


def test_a_missing_file_is_a_line_not_a_mistake_of_ours(probe, capsys: pytest.CaptureFixture[str]) -> None:
    """An OSError with a file is what the user must look at."""
    probe(lambda session: Path("/nowhere/x").read_text())
    assert command_line.run(["probe"]) == 1
    assert capsys.readouterr().err == "digest: /nowhere/x: No such file or directory\n"


# As a process


def test_help_imports_no_command(digest, tmp_path: Path) -> None:
    """`digest --help` names every command and imports none of them, nor the settings."""
    code = (
        "import sys; from digest.cli import run; run(['--help']);"
        "print([m for m in sys.modules if m.startswith(('digest.cli.', 'digest.settings', 'pydantic'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    *help_text, modules = done.stdout.strip().splitlines()
    assert modules == "['digest.cli.options']"
    assert all(any(line.startswith(f"  {name} ") for line in help_text) for name in COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_of_the_table_is_there(name: str) -> None:
    """Each entry is a click command of that name which takes the global options and says what it does."""
    cli = command_line.root.get_command(click.Context(command_line.root), name)
    assert cli is not None
    assert cli.name == name
    assert {"project", "json", "verbose", "debug"} <= {p.name for p in cli.params}
    assert cli.help


def test_bare_and_unknown_commands_are_usage(digest, tmp_path: Path) -> None:
    """No command: the help; a misspelt one: the nearest. Both leave with 2."""
    bare = digest(cwd=tmp_path)
    assert (bare.returncode, bare.stdout) == (2, "")
    assert "Commands:" in bare.stderr
    wrong = digest("sned", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "did you mean “send”?" in wrong.stderr
    assert json.loads(digest("sned", "--json", cwd=tmp_path).stdout)["error"]["exit_code"] == 2
    assert digest("new", "--no-such-option", cwd=tmp_path).returncode == 2


def test_outside_a_newsletter_one_is_told_how_to_make_one(digest, tmp_path: Path) -> None:
    """A command that needs a newsletter names `digest init DIR`; --project names another place."""
    done = digest("new", "x", cwd=tmp_path)
    assert done.returncode == 1
    assert "digest init DIR" in done.stderr
    digest("init", "there", cwd=tmp_path)
    assert digest("new", "x", "--project", "there", cwd=tmp_path).returncode == 0


def test_a_reader_that_goes_away_is_no_error(repository: Path) -> None:
    """`digest … | head -0` leaves quietly, as if ended by SIGPIPE."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "digest", "--help"],
            stdout=closed, stderr=subprocess.PIPE, cwd=repository, timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_terminal_without_unicode_is_no_error(digest, tmp_path: Path) -> None:
    """On a Latin-1 terminal the message still comes, its quotation marks written out."""
    done = digest("sned", cwd=tmp_path, PYTHONIOENCODING="latin-1")
    assert done.returncode == 2
    assert "\\u201c" in done.stderr


def test_the_shell_completes_commands(digest, tmp_path: Path) -> None:
    """click's own completion offers the commands of the table."""
    done = digest(cwd=tmp_path, _DIGEST_COMPLETE="bash_complete", COMP_WORDS="digest su", COMP_CWORD="1")
    assert {"plain,subscribers", "plain,suppress"} == set(done.stdout.split())
