"""Opening a file of the newsletter in the editor's own program, at a line."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from digest.errors import Place, UsageError

_OURS = ("issues", "templates", "config", "subscribers")
_GO_TO = frozenset({"code", "codium", "code-insiders", "cursor", "windsurf"})
_COLON = frozenset({"subl", "zed", "mate", "atom"})
_IN_A_TERMINAL = frozenset(
    {"vi", "vim", "nvim", "nano", "pico", "micro", "hx", "helix", "kak", "joe", "jed", "ne", "mcedit", "ed", "mg"}
)
_NO_WINDOW = frozenset({"-nw", "-t", "--no-window-system", "--tty"})  # of Emacs


@dataclass(frozen=True, slots=True)
class Editor:
    """A command that opens files. ``{file}`` and ``{line}`` in it are filled in; else they are put behind it."""

    command: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Self:
        """From ``--editor``; empty means $VISUAL, else $EDITOR.

        Raises `UsageError` when there is no such program, or it
        runs in a terminal: the one we were started from is ours, and none opens by itself.
        """
        text = text or os.environ.get("VISUAL", "") or os.environ.get("EDITOR", "")
        try:
            words = shlex.split(text)
        except ValueError as exc:
            raise UsageError(f"--editor: “{text}” can't be read: {exc}") from exc
        if not words:
            raise UsageError("--editor: name a command, or set $VISUAL or $EDITOR")
        if shutil.which(words[0]) is None:
            raise UsageError(f"--editor: there is no program “{words[0]}”")
        if needs_terminal(words):
            raise UsageError(
                f"--editor: {words[0]} needs a terminal, and a click in the browser opens none; name an editor with a"
                " window (code, subl, zed, gvim), or a terminal that runs yours:"
                f' --editor "xterm -e {shlex.join(words)} +{{line}} {{file}}"'
            )
        return cls(tuple(words))

    @property
    def name(self) -> str:
        """The program, as a button names it."""
        return Path(self.command[0]).name

    def arguments(self, file: Path, line: int) -> list[str]:
        """The whole command for one place.

        >>> Editor(("code",)).arguments(Path("/n/x.md"), 4)
        ['code', '-g', '/n/x.md:4']
        >>> Editor(("gvim", "-n")).arguments(Path("/n/x.md"), 4)
        ['gvim', '-n', '+4', '/n/x.md']
        >>> Editor(("ed", "{file}", "--at={line}")).arguments(Path("/n/x.md"), 4)
        ['ed', '/n/x.md', '--at=4']
        """
        if any("{file}" in word for word in self.command):
            return [word.replace("{file}", str(file)).replace("{line}", str(line)) for word in self.command]
        if self.name in _GO_TO:
            return [*self.command, "-g", f"{file}:{line}"]
        if self.name in _COLON:
            return [*self.command, f"{file}:{line}"]
        return [*self.command, f"+{line}", str(file)]

    def open(self, root: Path, place: Place) -> None:
        """Open a place of the newsletter in `root`. Raises `UsageError` for any other file, or when it fails."""
        file = (root / place.file).resolve()
        if not file.is_file() or not any(file.is_relative_to((root / name).resolve()) for name in _OURS):
            raise UsageError(f"{place.file} is no file of this newsletter")
        try:
            process = subprocess.Popen(self.arguments(file, max(1, place.line)), cwd=root, start_new_session=True)  # noqa: S603 - the command of the person who started us
        except OSError as exc:
            raise UsageError(f"{self.name} can't be started: {exc.strerror}") from exc
        threading.Thread(target=process.wait, daemon=True).start()  # it may stay open for hours


def needs_terminal(command: Sequence[str]) -> bool:
    """Whether a command shows itself in the terminal it is started from.

    >>> [needs_terminal(c.split()) for c in ("vim -n", "/usr/bin/nano", "emacs -nw", "emacs", "xterm -e vim")]
    [True, True, True, False, False]
    """
    name = Path(command[0]).name
    return name in _IN_A_TERMINAL or (name.startswith("emacs") and not _NO_WINDOW.isdisjoint(command[1:]))
