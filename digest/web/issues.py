"""The issues as they were sent: what a run stored, rendered again for one reader or for nobody in particular.

Nothing is composed here, and nothing but the rendering goes out: a condition that the reader does not meet leaves
no trace in it. An issue whose audience leaves the public reader out is in no list, no feed and no page.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache

from digest.audience.readers import load_readers
from digest.audience.received import Received
from digest.audience.samples import public_reader
from digest.audience.subscriber import Subscriber
from digest.compose.compiled import CompiledIssue, Picture, picture_address
from digest.message.identity import Identity
from digest.message.merge import MergeError, Merger, Rendering
from digest.newsletter import Newsletter
from digest.web.addresses import Addresses, PublicIdentity
from digest.web.reading import Reading

log = logging.getLogger(__name__)

_KEPT = 48  # renderings and mergers that are kept ready
_LARGE = 300  # CSS pixels: wide enough for a card
_PICTURE = r"([A-Za-z0-9_-]+\.(?:png|jpg|gif))"

_SENT = """
    SELECT id, slug, fingerprint, started_at, ended_at FROM runs r
    WHERE state IN ('open', 'done', 'cancelled')
        AND (EXISTS (SELECT 1 FROM deliveries d WHERE d.run_id = r.id AND d.state = 'accepted')
            OR EXISTS (SELECT 1 FROM reduced d WHERE d.run_id = r.id AND d.state = 'accepted'))
"""
_TEXT_OF_READER = """
    SELECT r.id, r.slug, r.fingerprint, r.started_at, r.ended_at FROM runs r
    WHERE r.slug = :slug AND r.state = 'replaced' AND r.ended_at > :at ORDER BY r.ended_at LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """One text of an issue that was sent: the row it is stored in, and when it began and ended."""

    id: int
    slug: str
    fingerprint: str
    started_at: int
    ended_at: int | None

    @property
    def moment(self) -> datetime:
        """When it was published: when its run began."""
        return datetime.fromtimestamp(self.started_at / 1e6, UTC)


@dataclass(frozen=True, slots=True)
class PublicIssue:
    """An issue as the archive shows it. `summary` is its preheader, `picture` the address of its first large one."""

    slug: str
    title: str
    date: date
    language: str
    published: datetime
    summary: str
    html: str
    fingerprint: str
    picture: str = ""


class Issues:
    """What was sent, from the database. For any number of threads."""

    def __init__(self, newsletter: Newsletter, reading: Reading, addresses: Addresses) -> None:
        settings = newsletter.settings
        self._reading = reading
        self._addresses = addresses
        self._newsletter = newsletter
        self._identity = Identity.of(settings)
        self._public_identity = PublicIdentity.of(settings)
        self._nobody = public_reader(load_readers(newsletter.root))
        # By what was stored and the day that `days_since` counts to: a stored text never changes under its name.
        self._merger = lru_cache(_KEPT)(self._new_merger)
        self._public = lru_cache(_KEPT)(self._new_public)
        self._is_public = lru_cache(2048)(self._new_is_public)
        self._pictures_of = lru_cache(1)(self._new_pictures_of)

    # ---- for nobody in particular

    def archive(self, most: int, skipped: int = 0) -> tuple[list[PublicIssue], bool]:
        """The public issues, the latest first, and whether there are older ones."""
        found: list[PublicIssue] = []
        for sent in self._sent():
            if not self._is_public(sent, self._newsletter.today):
                continue
            if skipped:
                skipped -= 1
            elif len(found) == most:
                return found, True
            elif issue := self._public(sent, self._newsletter.today):
                found.append(issue)
        return found, False

    def public(self, slug: str) -> PublicIssue | None:
        """An issue as anybody may read it; None when there is none, or it is not for everybody."""
        sent = next(self._sent(slug), None)
        if sent is None or not self._is_public(sent, self._newsletter.today):
            return None
        return self._public(sent, self._newsletter.today)

    # ---- for one reader

    def of_reader(self, slug: str, reader: Subscriber) -> str | None:
        """The HTML of the reader's own variant, of the text that was sent to them; None when it is not for them."""
        sent = next(self._sent(slug), None)
        if sent is None:
            return None
        merger = self._merger(self._text_for(sent, reader), self._newsletter.today, personal=True)
        try:
            if merger is None or not merger.gets(reader):
                return None
            return self._shown(merger.compiled, merger.rendering(reader, "real").html)
        except MergeError as exc:
            log.warning("%s can't be shown to a reader: %s", slug, exc.problem.code)
            return None

    # ---- stored

    def picture(self, name: str) -> Picture | None:
        """The picture called so, of any text that was sent."""
        ids = self._reading.connection.execute("SELECT id FROM runs WHERE compiled <> '' ORDER BY id").fetchall()
        return self._pictures_of(tuple(number for (number,) in ids)).get(name)

    def _new_pictures_of(self, runs: tuple[int, ...]) -> Mapping[str, Picture]:
        stored = (self._stored(number) for number in runs)
        return {picture.name: picture for compiled in stored if compiled for picture in compiled.pictures}

    def _shown(self, compiled: CompiledIssue, html: str) -> str:
        """The HTML with the pictures that are ours to show taken from this server."""
        if not self._ours(compiled):
            return html
        address = re.escape(picture_address(compiled.assets_base, "NAME")).replace("NAME", _PICTURE)
        return re.sub(address, lambda found: self._addresses.local("assets", found[1]), html)

    def _ours(self, compiled: CompiledIssue) -> bool:
        return compiled.attaches or compiled.assets_base == f"{self._addresses.base}/assets"

    def _sent(self, slug: str = "") -> Iterator[Sent]:
        where, values = (" AND slug = ?", (slug,)) if slug else ("", ())
        rows = self._reading.connection.execute(f"{_SENT}{where} ORDER BY id DESC", values).fetchall()
        return (Sent(*row) for row in rows)

    def _text_for(self, sent: Sent, reader: Subscriber) -> Sent:
        """The text that went to the reader: one that was replaced later, if theirs was accepted before."""
        db = self._reading.connection
        row = db.execute(
            "SELECT updated_at FROM deliveries WHERE run_id = ? AND subscriber_id = ? AND state = 'accepted'",
            (sent.id, reader.id),
        ).fetchone()
        earlier = row and db.execute(_TEXT_OF_READER, {"slug": sent.slug, "at": row[0]}).fetchone()
        return Sent(*earlier) if earlier else sent

    def _stored(self, number: int) -> CompiledIssue | None:
        row = self._reading.connection.execute("SELECT compiled FROM runs WHERE id = ?", (number,)).fetchone()
        try:
            return CompiledIssue.from_json(row[0]) if row else None
        except (ValueError, KeyError, TypeError) as exc:
            log.warning("run %d can't be shown: %s", number, exc)
            return None

    def _new_merger(self, sent: Sent, today: date, *, personal: bool) -> Merger | None:
        compiled = self._stored(sent.id)
        if compiled is None:
            return None
        identity = self._identity if personal else self._public_identity

        def received(number: int) -> tuple[str, ...]:  # asked by whatever thread renders, over its own connection
            return Received(self._reading.connection, compiled.received)(number)

        return Merger(
            compiled,
            identity,
            today=today,
            received=received,
            for_wire=False,
        )

    def _new_is_public(self, sent: Sent, today: date) -> bool:
        """Whether the public reader is in the audience."""
        merger = self._merger(sent, today, personal=False)
        try:
            return merger is not None and merger.gets(self._nobody)
        except MergeError as exc:  # whom an expression can't judge, it keeps out
            log.warning("%s is not public: its audience can't be asked: %s", sent.slug, exc.problem)
            return False

    def _new_public(self, sent: Sent, today: date) -> PublicIssue | None:
        merger = self._merger(sent, today, personal=False)
        if merger is None:
            return None
        try:
            seen = merger.rendering(self._nobody, "real")
        except MergeError as exc:
            log.warning("%s is not shown to the public: %s ([public] in config/readers.toml)", sent.slug, exc.problem)
            return None
        compiled = merger.compiled
        return PublicIssue(
            slug=sent.slug,
            title=_title(compiled, seen),
            date=date.fromisoformat(compiled.date),
            language=compiled.language,
            published=sent.moment,
            summary=" ".join(seen.preheader.split()),
            html=self._shown(compiled, seen.html),
            fingerprint=sent.fingerprint,
            picture=self._card(compiled, seen.html),
        )

    def _card(self, compiled: CompiledIssue, html: str) -> str:
        """The address of the first large picture that the public sees, or nothing."""
        for picture in compiled.pictures:
            if picture.width >= _LARGE and picture.name in html:
                if self._ours(compiled):
                    return self._addresses.public("assets", picture.name)
                return picture_address(compiled.assets_base, picture.name)
        return ""


def _title(compiled: CompiledIssue, seen: Rendering) -> str:
    """What the issue is called. A title may be made of its subject, with the words of all its conditions: where
    the subject has some, the public's own subject is shown."""
    conditional = "{%" in compiled.subject.source or "{{" in compiled.subject.source
    return seen.subject if conditional else compiled.title or seen.subject
