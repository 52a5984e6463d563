"""An issue against its readers: the audit over the real list, or what their anonymous profile says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date

from jinja2 import nodes

from digest.audience.database import open_database
from digest.audience.profiling import LEAST, PROFILE, Profile
from digest.audience.readers import Readers
from digest.audience.received import Received
from digest.audience.store import Subscribers
from digest.audience.trees import parsed, read_attribute
from digest.audience.values import text_of
from digest.compose.compiled import CompiledIssue
from digest.errors import Place, Problem
from digest.message.audit import Auditor
from digest.message.merge import Identity, Merger
from digest.newsletter import Newsletter


def audit_list(newsletter: Newsletter, compiled: CompiledIssue, readers: Readers, today: date) -> list[Problem] | None:
    """What fails for whom, and what is worth a look; None where nobody is on the list yet.

    Streams the list: a million readers take a minute. Raises `InputError` for an issue that can't be merged.
    """
    if not newsletter.database.is_file():
        return None
    with closing(open_database(newsletter.database)) as connection:
        received = Received(connection, compiled.received)
        merger = Merger(compiled, Identity.of(newsletter.settings), today=today, received=received)
        auditor = Auditor(merger, readers)
        found, looked_at = 0, 0
        for subscriber, excluded in Subscribers(connection).candidates():
            found += 1
            if excluded is None:
                looked_at += 1
                auditor.add(subscriber)
    problems = [*auditor.problems(), *auditor.warnings()]
    if looked_at and not auditor.total:
        place = Place(newsletter.shown(newsletter.issue_files()[compiled.slug]), 1)
        told = f"nobody would get it: its audience is none of {looked_at:,} readers"
        problems.append(Problem(place, told, "look at “audience”", severity="warning", code="for-nobody"))
    return problems if found else None


def against_profile(compiled: CompiledIssue, profile: Profile, readers: Readers) -> Iterator[Problem]:
    """What the profile of the list says, on a clone without it: a warning for each value that is printed bare and
    that some readers lack, and for each segment of the issue that hardly anybody is in.

    Which of them get the place where it is printed, only the list itself can say.
    """
    for name, source in compiled.segments.items():
        if profile.readers and _is_rare(parsed(source), profile, compiled.segments):
            message = f"fewer than {LEAST} of {profile.readers:,} readers are in segment “{name}”, by {PROFILE}"
            yield Problem(readers.places.get(name), message, severity="warning", code="rare-segment")
    for ask in compiled.asks:
        known = profile.attributes.get(ask.attribute)
        if ask.bare and known is not None and (missing := profile.readers - known.filled) > 0:
            message = f"`{ask.attribute}` is missing for {missing:,} of {profile.readers:,} readers, no fallback"
            cure = f'if they get this place: {{{{ subscriber.{ask.attribute} | default("…") }}}}'
            yield Problem(ask.place, message, cure, severity="warning", code="missing-value")


def _is_rare(tree: nodes.Node, profile: Profile, segments: Mapping[str, str]) -> bool:
    """Whether the counts of values alone say that the condition holds for fewer than `LEAST` readers."""
    match tree:
        case nodes.And():
            return _is_rare(tree.left, profile, segments) or _is_rare(tree.right, profile, segments)
        case nodes.Or():
            return _is_rare(tree.left, profile, segments) and _is_rare(tree.right, profile, segments)
        case nodes.Name(name=name) if name in segments:
            return _is_rare(parsed(segments[name]), profile, segments)
        case nodes.Compare(ops=[nodes.Operand(op="eq" | "in" as op, expr=other)]):
            if op == "in" and isinstance(tree.expr, nodes.Const):  # "beta" in subscriber.tags
                return _are_rare(other, [tree.expr], profile)
            members = other.items if isinstance(other, nodes.List | nodes.Tuple) else [other]
            return _are_rare(tree.expr, members, profile)
        case nodes.Getattr():
            known = profile.attributes.get(read_attribute(tree))
            return known is not None and not known.filled
    return False


def _are_rare(attribute: nodes.Expr, wanted: Sequence[nodes.Node], profile: Profile) -> bool:
    """Whether none of the values is a frequent one. Where no value is counted there may be too many of them."""
    known = profile.attributes.get(read_attribute(attribute))
    if known is None or not all(isinstance(value, nodes.Const) for value in wanted):
        return False
    asked = {text_of(value.value) for value in wanted if isinstance(value, nodes.Const) and value.value is not None}
    return not known.filled or (bool(known.values) and len(wanted) == 1 and not asked & known.values.keys())
