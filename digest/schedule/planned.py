"""The dates in the issues' front matter, read without composing anything: cheap enough for every minute."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from digest.delivery.sentlog import sent_issues
from digest.errors import Place, Problem
from digest.issue.frontmatter import read_front_matter, split_front_matter
from digest.issue.model import FrontMatter
from digest.newsletter import Newsletter, issue_slug
from digest.schedule.due import Scheduled
from digest.schedule.when import Moment, resolve

READER = "reader"
"""As an issue's `timezone`: each reader at that wall time of their own zone."""

_LONGEST_FRONT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Dated:
    """An issue with a date: `moment` in the issue's zone, or the newsletter's; `front` as it is written."""

    slug: str
    file: Path
    front: FrontMatter
    moment: Moment

    @property
    def by_reader(self) -> bool:
        """Whether each reader has a moment of their own."""
        return self.front.timezone == READER

    def scheduled(self, zones: Iterable[str]) -> Scheduled:
        """As the decision takes it; `zones` are those of the readers."""
        if not self.by_reader:
            return Scheduled(self.slug, self.moment.at, self.moment.at)
        moments = [self.moment.at, *(resolve(self.moment.wall, zone).at for zone in zones)]
        return Scheduled(self.slug, min(moments), max(moments))


@dataclass(frozen=True, slots=True)
class Dates:
    """What was found: issues with a date (ready or not), and by slug the files that can't be read."""

    dated: tuple[Dated, ...]
    unreadable: Mapping[str, Path]


def read_dates(newsletter: Newsletter, besides: Collection[str] = ()) -> Dates:
    """The dates of all issues, but of those with slugs in `besides`.

    Raises `InputError` where a slug has two files.
    """
    dated, unreadable = [], {}
    for slug, file in newsletter.issue_files().items():
        if slug in besides:
            continue
        front = read_front(newsletter, file)
        if front is None:
            unreadable[slug] = file
        elif front.send_at is not None:
            dated.append(Dated(slug, file, front, moment_of(newsletter, front, front.send_at)))
    return Dates(tuple(dated), unreadable)


def read_front(newsletter: Newsletter, file: Path) -> FrontMatter | None:
    """The front matter of an issue's file; None where it can't be read. Where it has no date nothing is typed."""
    try:
        with file.open("rb") as stream:
            head = stream.read(_LONGEST_FRONT)
        text = head.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    except OSError:
        return None
    parts = split_front_matter(text)
    if parts is None:
        return None
    if "send_at" not in parts[0]:
        return FrontMatter(subject="")
    front, problems = read_front_matter(parts[0], Place(newsletter.shown(file), 2))
    return None if problems else front


def means_to_be_sent(file: Path) -> bool:
    """Whether an issue whose front matter can't be read seems to be ready and to have a date."""
    try:
        text = file.read_bytes()[:_LONGEST_FRONT]
    except OSError:
        return False
    return all(re.search(rb"(?m)^" + line, text) for line in (rb"status:\s*[\"']?ready", rb"send_at:\s*[\"']?\d"))


def moment_of(newsletter: Newsletter, front: FrontMatter, wall: datetime) -> Moment:
    """What the wall time of an issue means: in its zone, or in the newsletter's."""
    zone = newsletter.settings.newsletter.timezone
    return resolve(wall, zone if front.timezone in ("", READER) else front.timezone)


def schedule_problems(newsletter: Newsletter, file: Path, now: datetime | None = None) -> Iterator[Problem]:
    """What `digest check` says of an issue's date at the moment `now` (aware; else this one).

    All are warnings: none keeps the issue from being sent by hand.
    """
    front = read_front(newsletter, file)
    if front is None or front.send_at is None:
        return
    slug = issue_slug(file)
    now = now or datetime.now(UTC)
    place = front.places.get("send_at", Place(slug))
    moment = moment_of(newsletter, front, front.send_at)
    late = now - moment.at

    def told(message: str, cure: str) -> Problem:
        return Problem(place, message, cure, severity="warning", code="send_at")

    if slug in sent_issues(newsletter):
        if front.status == "ready":
            yield told("it was sent already, and is never sent again by its date", "nothing to do, or take send_at out")
        return
    if late > timedelta(0):
        policy = newsletter.settings.schedule
        if late <= policy.max_late or policy.on_late == "send":
            comes = "`digest run-due` sends it at once" + ("" if front.status == "ready" else " when it is ready")
        else:
            comes = f"`digest run-due` will {policy.on_late} it"
        yield told(f"{front.send_at} is in the past", f"{comes}; another time: digest schedule {slug} WHEN")
    yield from _oddity(moment, told_place=place)
    yield from _at_once(newsletter, slug, moment, place)


def _oddity(moment: Moment, told_place: Place) -> Iterator[Problem]:
    local = moment.at.astimezone(ZoneInfo(moment.zone))
    if moment.oddity == "skipped":
        message = f"{moment.wall:%Y-%m-%d %H:%M} does not exist in {moment.zone}: clocks are put forward"
        cure = f"it goes out when they are, at {local:%H:%M}"
    elif moment.oddity == "twice":
        message = f"{moment.wall:%Y-%m-%d %H:%M} comes twice in {moment.zone}: clocks are put back"
        cure = f"it goes out the first time, at {moment.at:%H:%M} UTC"
    else:
        return
    yield Problem(told_place, message, cure, severity="warning", code="send_at")


def _at_once(newsletter: Newsletter, slug: str, moment: Moment, place: Place) -> Iterator[Problem]:
    others = [
        d.slug for d in read_dates(newsletter, {slug}).dated if d.moment.at == moment.at and d.front.status == "ready"
    ]
    if others:
        message = f"{', '.join(others)} is due at the same moment"
        yield Problem(
            place,
            message,
            "they go out one after the other, in this order of their names",
            severity="warning",
            code="send_at",
        )
