"""An issue as it was: at a revision of git, or as the last run stored it; and what changed since, for every reader."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from digest.audience.readers import Readers, load_readers
from digest.audience.samples import made_up_readers
from digest.audience.subscriber import Subscriber
from digest.compose.compiled import CompiledIssue
from digest.compose.composer import compile_issue
from digest.compose.pictures import picture_files
from digest.delivery.desk import open_desk
from digest.errors import InputError, Place, Problem
from digest.message.merge import Identity, MergeError, Merger, Rendering
from digest.newsletter import Newsletter, issue_slug
from digest.preview.changes import changes
from digest.preview.share import Pair, label, local_email

SENT = "sent"
_FOLDERS = ("config", "issues", "templates")
_AT_MOST = 12
"""Readers on the page: the first with each set of changes."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """An issue as it was, what people call that, and its pictures where they are still there."""

    name: str
    compiled: CompiledIssue
    pictures: dict[str, bytes]


@contextmanager
def earlier(newsletter: Newsletter, file: Path, revision: str) -> Iterator[Earlier]:
    """The issue in `file` as of `revision`, or as ``sent``. Raises `InputError` when there is none."""
    slug = issue_slug(file)
    if revision == SENT:
        yield _sent(newsletter, slug)
        return
    with tempfile.TemporaryDirectory(prefix="digest-diff-") as folder:
        _check_out(newsletter, revision, Path(folder))
        old = Newsletter.open(Path(folder))
        files = old.issue_files()
        if slug not in files:
            cure = "name an older or a younger revision, or a branch"
            raise InputError(
                Problem(Place(newsletter.shown(file)), f"was not there at {revision}", cure, code="no-revision")
            )
        compiled = compile_issue(old, files[slug])
        yield Earlier(revision, compiled, {name: data for name, (data, _) in picture_files(old, compiled).items()})


def differences(newsletter: Newsletter, before: CompiledIssue, after: CompiledIssue) -> list[Pair]:
    """What changed, for one reader of each set of changes, the largest set first; empty when nothing did."""
    day = date.fromisoformat(after.date)
    identity = Identity.of(newsletter.settings)
    old, new = Merger(before, identity, today=day), Merger(after, identity, today=day)
    pairs: list[Pair] = []
    known: set[str] = set()
    for reader, was, now in _read_by_both(load_readers(newsletter.root), old, new):
        found = changes(_words(was.subject, was.preheader, was.text), _words(now.subject, now.preheader, now.text))
        told = {change.essence for change in found if change.kind not in ("same", "gap")}
        # Where the pictures are published is no change of the issue.
        other = not pairs and local_email(was.html, before, "") != local_email(now.html, after, "")
        if told - known or other:
            known |= told
            pairs.append(Pair(label(new, reader, old), (before, was), (after, now), found))
    return pairs[:_AT_MOST]


def _read_by_both(readers: Readers, old: Merger, new: Merger) -> Iterator[tuple[Subscriber, Rendering, Rendering]]:
    """One reader for each pair of variants that is found, of the text as it is and as it was, and what they read.

    What only a condition showed that is no more is seen by nobody whom the text as it is would tell apart. A made-up
    reader who lacks what one of the texts prints is passed over. Raises `InputError` when all of them do.
    """
    seen = set()
    problems: dict[Problem, None] = {}
    for merger in (new, old):
        for reader in made_up_readers(readers, merger.compiled, merger.today):
            try:
                pair = old.variant(reader), new.variant(reader)
                if pair in seen:
                    continue
                read = reader, old.rendering(reader), new.rendering(reader)
            except MergeError as exc:
                problems[exc.problem] = None
                continue
            seen.add(pair)
            yield read
    if not seen:
        raise InputError(problems)


def _words(subject: str, preheader: str, text: str) -> str:
    return f"Subject: {subject}\n\nPreheader: {preheader}\n\n{text}"


def _sent(newsletter: Newsletter, slug: str) -> Earlier:
    run = None
    if newsletter.database.is_file():
        with open_desk(newsletter) as desk:
            run = desk.runs.latest(slug)
            compiled = desk.runs.compiled(run.id) if run is not None and run.state != "new" else None
    if run is None or compiled is None:
        cure = "compare with a revision of git: digest diff ISSUE HEAD"
        raise InputError(Problem(None, f"{slug} was never sent", cure, code="no-run"))
    pictures = {}
    with suppress(InputError):  # a picture was changed since: the words can be compared all the same
        pictures = {name: data for name, (data, _) in picture_files(newsletter, compiled).items()}
    return Earlier("sent", compiled, pictures)


def _check_out(newsletter: Newsletter, revision: str, folder: Path) -> None:
    """The newsletter's sources at `revision` into `folder`; git's own files are only read."""
    if revision.startswith("-"):
        raise InputError(Problem(None, f"“{revision}” is no revision", code="no-revision"))
    there = _git(newsletter.root, "ls-tree", "--name-only", revision, "./").decode().split("\n")
    wanted = [name for name in _FOLDERS if name in there]
    data = _git(newsletter.root, "archive", "--format=tar", revision, *wanted) if wanted else b""
    if not data:
        raise InputError(Problem(None, f"there is no newsletter here at {revision}", code="no-revision"))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(folder, filter="data")


def _git(root: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)  # noqa: S603, S607 - git of the person's own path
    except OSError as exc:
        cure = "compare with what was sent: digest diff ISSUE sent"
        raise InputError(Problem(None, f"git can't be run: {exc.strerror}", cure, code="no-git")) from exc
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["git failed"]
        cure = "name a revision this repository has, or: digest diff ISSUE sent"
        raise InputError(Problem(None, f"git says: {said[0].removeprefix('fatal: ')}", cure, code="no-revision"))
    return done.stdout
