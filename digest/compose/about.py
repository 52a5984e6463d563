"""What an issue says of itself and of its readers: its names, who gets it, what it asks of whom."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from digest.audience.conditions import needed_segments
from digest.audience.readers import check_expression
from digest.audience.trees import issues_asked
from digest.compose.branches import content_of
from digest.compose.compiled import Condition
from digest.compose.names import asks_for_arm, issues_asked_by, names_read, segments_of
from digest.compose.workspace import Workspace
from digest.errors import Place, Problem, nearest
from digest.expressions import parse_expression
from digest.issue.model import Tag


@dataclass(frozen=True, slots=True)
class About:
    """Reads the front matter and the tags of the issue at `work`; what is wrong is noted there."""

    work: Workspace

    def _place(self, key: str) -> Place:
        """Where the front matter says it, else the first line."""
        return self.work.issue.front.places.get(key, Place(self.work.issue.file, 1))

    def mark(self, *keys: str) -> str:
        """The token before words that the front matter says, in the first of `keys` that is there."""
        written = next((key for key in keys if key in self.work.issue.front.places), "")
        return self.work.place_token(self._place(written)) if written else ""

    def title(self) -> str:
        """What the issue is called where no reader is in sight: lists, the archive."""
        front = self.work.issue.front
        return front.title or " ".join(self.work.table.pattern.sub("", front.subject).split())

    def subject(self) -> str:
        """The subject, with those of segments as conditions before it."""
        front, place = self.work.issue.front, self._place("subject_for")
        out, word = "", "if"
        for written, text in front.subject_for.items():
            source = self.work.segments_expression(written, place)
            out += self.work.table.add("if" if word == "if" else "elif", f"{word} {source}", place) + text
            word = "elif"
        if not out:
            return front.subject
        table = self.work.table
        return f"{out}{table.add('else', 'else', place)}{front.subject}{table.add('endif', 'endif', place)}"

    def audience(self) -> str:
        """Who gets it, as an expression."""
        front, readers = self.work.issue.front, self.work.readers
        place = self._place("audience")
        written = front.audience
        if written == "all":
            return "true"
        if re.fullmatch(r"\w+", written) and written not in readers.segments:
            cure = nearest(written, [*readers.segments, "all"])
            self.work.wrong(place, f"unknown segment “{written}”", cure, code="unknown-segment")
            return "true"
        self.work.problems.extend(check_expression(written, readers, place))
        return written

    def used_tags(self) -> list[Tag]:
        """The tags of the text, without those in code, in the order of their places."""
        tags = {tag.token: tag for tag in self.work.table.tags.values() if tag.source}
        return list(tags.values())

    def segments_used(self, audience: str) -> set[str]:
        """The segments that conditions, expressions and the audience name."""
        declared = self.work.readers.segments
        named = (segments_of(tag) for tag in self.used_tags())
        return set().union(needed_segments(audience, declared), *named) & declared.keys()

    def content(self, local: frozenset[str]) -> str:
        """Who gets any of it; what the issue sets itself is not known before it is merged: then everybody."""
        source = content_of(self.work, self.work.issue.body)
        return "true" if names_read(source) & local else source

    def arms(self) -> tuple[tuple[str, int], ...]:
        """The arms of the A/B test, where something asks for them."""
        if any(asks_for_arm(tag) for tag in self.used_tags()):
            return tuple(self.work.arms.items())
        if self.work.issue.front.arms:
            place = self._place("arms")
            cure = 'write {% if arm == "a" %}, or segments="arm.a"'
            self.work.warnings.append(
                Problem(place, "nothing in this issue differs by “arms”", cure, severity="warning", code="arms")
            )
        return ()

    def arm_conditions(self, arms: Iterable[tuple[str, int]]) -> list[Condition]:
        """One for each arm: so that a variant says which one its readers are in."""
        place = self._place("arms")
        return [Condition(f'arm == "{name}"', place) for name, _ in arms]

    def received(self, audience: str) -> tuple[str, ...]:
        """The issues of which something asks whether the reader received them; an unknown one is a warning."""
        work = self.work
        asked = {slug: tag.place for tag in self.used_tags() for slug in issues_asked_by(tag)}
        place = self._place("audience")
        closure = work.readers.closure(self.segments_used(audience))
        for source, where in [(audience, place), *((closure[name], work.readers.places.get(name)) for name in closure)]:
            for slug in issues_asked(parse_expression(source)) if "received" in source else ():
                asked.setdefault(slug, where or place)
        known = work.newsletter.issue_files() if asked else {}
        work.warnings += [
            Problem(at, f"there is no issue “{slug}”", nearest(slug, known), severity="warning", code="unknown-issue")
            for slug, at in asked.items()
            if slug not in known
        ]
        return tuple(sorted(asked))

    def constants(self) -> dict[str, dict[str, str]]:
        """`newsletter` and `issue` as the author's own expressions read them."""
        newsletter = self.work.newsletter.settings.newsletter
        front = self.work.issue.front
        about = ("name", "sender", "reply_to", "domain", "base_url", "postal_address", "language")
        return {
            "newsletter": {name: str(getattr(newsletter, name) or "") for name in about},
            "issue": {
                "slug": self.work.issue.slug,
                "title": self.title(),
                "date": front.date.isoformat(),
                "language": self.work.language,
            },
        }
