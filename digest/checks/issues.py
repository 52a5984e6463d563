"""Every check of `digest check`: settings, readers, lists, and issues, all problems in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from digest.audience.profiling import load_profile
from digest.audience.readers import Readers, load_readers
from digest.audience.samples import test_list
from digest.checks.audience import against_profile, audit_list
from digest.checks.trying import tried
from digest.compose.compiled import CLIPPED, CompiledIssue
from digest.compose.composer import compose_issue
from digest.compose.pictures import heavy_pictures
from digest.errors import InputError, Place, Problem
from digest.message.merge import Identity, Merger
from digest.newsletter import Newsletter
from digest.schedule.planned import schedule_problems
from digest.web.addresses import own_names

TIGHT = 90_000


def check(
    newsletter: Newsletter, issue: str | None = None, *, today: date | None = None, audit: bool = False
) -> list[Problem]:
    """All problems of one issue and what it stands on, or of every issue of the newsletter.

    `audit`: also against every reader of the list, where there is one (as ``digest send`` does by itself).
    Errors keep an issue from being sent, warnings do not. Raises `InputError` only for an issue that isn't there.
    """
    files = [newsletter.find_issue(issue)] if issue else list(newsletter.issue_files().values())
    problems = list(_lists(newsletter))
    for file in files:
        day = today or date.today()  # noqa: DTZ011 - any day will do for looking
        problems += _issue(newsletter, file, day, audit=audit)
    if not files:
        cure = "begin one with: digest new TITLE"
        problems.append(Problem(Place("issues"), "there is no issue yet", cure, severity="warning", code="no-issue"))
    return list(dict.fromkeys(problems))


def _lists(newsletter: Newsletter) -> Iterator[Problem]:
    """The declarations of readers, and the test list that is typed by them."""
    try:
        readers = load_readers(newsletter.root)
    except InputError as exc:
        yield from exc.problems
        return
    try:
        test_list(newsletter.root, readers)
    except InputError as exc:
        yield from exc.problems


def _issue(newsletter: Newsletter, file: Path, today: date, *, audit: bool) -> list[Problem]:
    try:
        composition = compose_issue(newsletter, file)
        readers, profile = load_readers(newsletter.root), load_profile(newsletter.root)
    except InputError as exc:
        return [*exc.problems, *schedule_problems(newsletter, file)]
    compiled = composition.compiled
    merged = _merged(newsletter, file, compiled, readers, today)
    if not any(p.severity == "error" for p in merged):
        audited = audit_list(newsletter, compiled, readers, today) if audit else None
        if audited is None and profile is not None:
            audited = list(against_profile(compiled, profile, readers))
        if audited is not None:  # what real readers lack is known, so nothing is guessed from made-up ones
            merged = [*(p for p in merged if p.code != "missing-value"), *audited]
    return [
        *composition.warnings,
        *_advice(newsletter, file, compiled),
        *heavy_pictures(newsletter, compiled),
        *schedule_problems(newsletter, file),
        *merged,
    ]


def _advice(newsletter: Newsletter, file: Path, compiled: CompiledIssue) -> Iterator[Problem]:
    place = Place(newsletter.shown(file), 1)
    if not compiled.preheader.source:
        told = "the issue has no preheader: inboxes show the first words of the mail beside its subject"
        yield Problem(place, told, 'add a line “preheader: "…"”', severity="warning", code="preheader")
    if compiled.date == date.min.isoformat():
        yield Problem(place, "the issue has no date", "add a line “date: 2025-09-12”", code="date")
    if compiled.slug in own_names(newsletter.settings):
        address = f"{newsletter.settings.newsletter.base_url}/{compiled.slug}"
        told = f"nobody can read it in the archive: {address} is another page of `digest serve`"
        cure = f"give its file or folder another name, such as 2025-09-12-{compiled.slug}"
        yield Problem(place, told, cure, severity="warning", code="slug")


def _merged(
    newsletter: Newsletter, file: Path, compiled: CompiledIssue, readers: Readers, today: date
) -> list[Problem]:
    """The issue as made-up readers of every variant get it: what fails, and what is too large."""
    try:
        merger = Merger(compiled, Identity.of(newsletter.settings), today=today)
    except InputError as exc:
        return list(exc.problems)
    problems: list[Problem] = []
    largest = 0
    for reader, failures in tried(merger, readers):
        problems += failures
        if not failures:
            largest = max(largest, len(merger.rendering(reader).html.encode()))
    return [*problems, *_size(Place(newsletter.shown(file)), compiled, largest)]


def _size(place: Place, compiled: CompiledIssue, largest: int) -> Iterator[Problem]:
    room = sorted(compiled.sizes, key=lambda size: -size.bytes)[:3]
    parts = ", ".join(f"{size.kind} of line {size.place.line}: {size.bytes:,}" for size in room if size.place.line)
    if largest > CLIPPED:
        told = f"the HTML of the largest variant has {largest:,} bytes: Gmail clips a message at {CLIPPED:,}"
        yield Problem(place, told, f"most of it: {parts}; move a part to the web and link to it", code="size")
    elif largest > TIGHT:
        told = f"the HTML of the largest variant has {largest:,} of the {CLIPPED:,} bytes that Gmail shows"
        yield Problem(place, told, f"most of it: {parts}", severity="warning", code="size")
