"""Ready entries for cron and systemd, with absolute paths, quoted as each of the two wants it.

Debian's cron knows no time zones and systemd's calendar would need one for each issue: both only call
``digest run-due`` every minute, and zones are ours.
"""

from __future__ import annotations

import getpass
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from digest.errors import InputError, Problem
from digest.newsletter import Newsletter


def own_command(argv0: str) -> list[str]:
    """How this digest is called from anywhere: the script itself, else the interpreter with the module."""
    script = Path(argv0)
    found = shutil.which(argv0) if script.name != "__main__.py" else None
    return [str(Path(found).absolute())] if found else [sys.executable, "-m", "digest"]


def crontab_line(command: Sequence[str], root: Path) -> str:
    """One line for `crontab -e`: every minute. Raises `InputError` for a path that cron can't have.

    >>> crontab_line(["/usr/bin/digest"], Path("/srv/50% off"))
    "* * * * * /usr/bin/digest --project '/srv/50\\\\% off' run-due"
    """
    words = [*command, "--project", str(root), "run-due"]
    _refuse_line_breaks(words)
    # A percent sign ends the command, wherever it stands, but for one behind a backslash, which cron takes away. A
    # backslash of ours must not be that one, nor stand before another: some crons make one of two. It stands between
    # single quotes, so these may end and begin again behind it.
    return "* * * * * " + shlex.join(words).replace("\\", "\\''").replace("%", r"\%")


def systemd_units(command: Sequence[str], newsletter: Newsletter) -> dict[str, str]:
    """File name → text of a service and the timer that calls it every minute. Raises `InputError`."""
    words = [*command, "--project", str(newsletter.root), "run-due"]
    _refuse_line_breaks(words)
    name = unit_name(newsletter.settings.newsletter.name)
    title = _described(newsletter.settings.newsletter.name)
    return {
        f"{name}.service": _SERVICE.format(title=title, user=getpass.getuser(), start=_command_line(words)),
        f"{name}.timer": _TIMER.format(title=title),
    }


_SERVICE = """\
[Unit]
Description=Send what is due of {title}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
User={user}
ExecStart={start}
# The rest goes on with the next call.
SuccessExitStatus=75
# Messages on their way are answered before it stops.
KillMode=mixed
TimeoutStopSec=120
"""

_TIMER = """\
[Unit]
Description=Look every minute what is due of {title}

[Timer]
OnCalendar=*-*-* *:*:00
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


def unit_name(title: str) -> str:
    """
    >>> unit_name("The Sample Weekly"), unit_name("Новости")
    ('digest-the-sample-weekly', 'digest')
    """
    return "-".join(["digest", *re.findall(r"[a-z0-9]+", title.casefold())])[:100]


def _described(title: str) -> str:
    return title.replace("\\", "").replace("%", "%%")


def _command_line(words: Sequence[str]) -> str:
    """Words as systemd reads them (systemd.service(5), “Command lines”): the first may not be given by a variable.

    >>> _command_line(["/usr/bin/digest", 'a "b" $c 50%'])
    '/usr/bin/digest "a \\\\"b\\\\" $$c 50%%"'
    """
    if re.search(r"[$\s\"'\\]", words[0]):
        words = ["/usr/bin/env", *words]
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    if re.fullmatch(r"[\w/.:=+,@-]+", word, re.ASCII):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _refuse_line_breaks(words: Sequence[str]) -> None:
    for word in words:
        if not word.isprintable():
            told = f"the path {word!r} has characters that can't be written into such an entry"
            raise InputError(Problem(None, told, "move it to another folder", code="path"))
