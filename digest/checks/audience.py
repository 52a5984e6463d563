"""An issue against its readers: the audit over the real list, or what their anonymous profile says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date

from digest.audience.database import open_database
from digest.audience.profiling import Profile
from digest.audience.readers import Readers
from digest.audience.received import Received
from digest.audience.store import Subscribers
from digest.compose.compiled import CompiledIssue
from digest.errors import Problem
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
        someone = False
        for subscriber, excluded in Subscribers(connection).candidates():
            someone = True
            if excluded is None:
                auditor.add(subscriber)
    return [*auditor.problems(), *auditor.warnings()] if someone else None


def against_profile(compiled: CompiledIssue, profile: Profile) -> Iterator[Problem]:
    """A warning for each value that is printed bare and that some readers lack: on a clone without the list.

    Which of them get the place where it is printed, only the list itself can say.
    """
    for ask in compiled.asks:
        known = profile.attributes.get(ask.attribute)
        if ask.bare and known is not None and (missing := profile.readers - known.filled) > 0:
            message = f"`{ask.attribute}` is missing for {missing:,} of {profile.readers:,} readers, no fallback"
            cure = f'if they get this place: {{{{ subscriber.{ask.attribute} | default("…") }}}}'
            yield Problem(ask.place, message, cure, severity="warning", code="missing-value")
