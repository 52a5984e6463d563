"""The row an issue gets in a mailbox, as mail programs cut it: sender, subject, and what follows.

The lengths are those that senders' trials report for usual windows; the real cut depends on the letters, the font
and the window. A program that has room left goes on with the first words of the email.
"""

from __future__ import annotations

from dataclasses import dataclass

from digest.message.merge import Rendering
from digest.preview.inbox import clipped, preview_text


@dataclass(frozen=True, slots=True)
class Program:
    """A mail program's list: how many characters of each part it shows.

    `subject` and `preview` share one line of `line` characters where that is set. `lines`: how many the preview has.
    """

    key: str
    name: str
    where: str
    sender: int
    subject: int
    preview: int
    line: int = 0


PROGRAMS = (
    Program("gmail", "Gmail", "in a browser", 20, 90, 97, line=115),
    Program("gmail-phone", "Gmail", "on a phone", 25, 38, 42),
    Program("apple", "Apple Mail", "on an iPhone", 30, 48, 90),
    Program("apple-mac", "Apple Mail", "on a Mac", 34, 52, 120),
    Program("outlook", "Outlook", "on Windows", 28, 52, 55),
    Program("outlook-phone", "Outlook", "on a phone", 28, 42, 74),
)


@dataclass(frozen=True, slots=True)
class Row:
    """What one program shows; `cut` names the parts that did not fit whole."""

    program: Program
    sender: str
    subject: str
    preview: str
    cut: tuple[str, ...]
    borrowed: bool
    """Whether the preview goes on with words of the email's body."""


def rows(rendering: Rendering, sender: str) -> list[Row]:
    """The row in each program for one reader's email."""
    return [_row(program, rendering, sender) for program in PROGRAMS]


def _row(program: Program, rendering: Rendering, sender: str) -> Row:
    shown_sender, subject = clipped(sender, program.sender), clipped(rendering.subject, program.subject)
    room = program.preview
    if program.line:
        room = max(0, min(room, program.line - len(subject) - 3))
    words = preview_text(rendering.html, None, limit=room + 40)
    preview = clipped(words, room)
    cut = [
        name
        for name, whole, shown in (("sender", sender, shown_sender), ("subject", rendering.subject, subject))
        if whole != shown
    ]
    if len(rendering.preheader) > room:
        cut.append("preheader")
    return Row(program, shown_sender, subject, preview, tuple(cut), len(rendering.preheader) < room)
