"""What must be so before a real run begins; each guard not met is told with what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from digest.compose.compiled import CompiledIssue
from digest.delivery.approval import read_approval
from digest.delivery.runs import Runs
from digest.errors import HeldError, Problem
from digest.newsletter import Newsletter
from digest.sections import is_loopback
from digest.settings import Settings

Guard = Literal["require_test", "require_check", "require_approval", "max_change", "unsubscribe"]
GUARDS: tuple[Guard, ...] = get_args(Guard)


@dataclass(frozen=True, slots=True)
class Unmet:
    """A guard that is not met, and what to do."""

    guard: Guard
    message: str


def require(unmet: Collection[Unmet], overridden: Collection[str]) -> frozenset[Guard]:
    """The guards that were overridden and needed it. Raises `HeldError` naming all the others."""
    standing = [u for u in unmet if u.guard not in overridden]
    if standing:
        reasons = "\n".join(f"  {u.guard}: {u.message}" for u in standing)
        options = " ".join(f"--override {u.guard}" for u in standing)
        raise HeldError(f"held, nothing was sent:\n{reasons}\n(in an emergency: {options} --yes)")
    return frozenset(u.guard for u in unmet)


Check = Callable[[], Sequence[Problem]]
"""Finds the problems of the issue that is to be sent."""


def before_run(
    newsletter: Newsletter, runs: Runs, compiled: CompiledIssue, planned: int, check: Check | None = None
) -> list[Unmet]:
    """What stands against beginning a run of `planned` readers. `check` is called where it is asked for."""
    settings = newsletter.settings
    return [
        *untested(settings, runs, compiled),
        *_unchecked(settings, compiled.slug, check),
        *_unapproved(newsletter, compiled),
        *_changed_audience(settings.delivery.max_change, runs, compiled.slug, planned),
        *_no_way_out(settings),
    ]


def untested(settings: Settings, runs: Runs, compiled: CompiledIssue) -> Iterator[Unmet]:
    """The issue as it is now was never sent as a test."""
    if settings.delivery.require_test and not runs.tested(compiled.fingerprint):
        yield Unmet(
            "require_test",
            f"no test of this text was accepted by the relay; run: digest test {compiled.slug}",
        )


def _unchecked(settings: Settings, slug: str, check: Check | None) -> Iterator[Unmet]:
    if not settings.delivery.require_check:
        return
    if check is None:
        yield Unmet("require_check", f"nobody has checked it; run: digest check {slug}")
    elif errors := [problem for problem in check() if problem.severity == "error"]:
        more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
        yield Unmet("require_check", f"{errors[0]}{more}; run: digest check {slug}")


def _unapproved(newsletter: Newsletter, compiled: CompiledIssue) -> Iterator[Unmet]:
    if not newsletter.settings.delivery.require_approval:
        return
    approval = read_approval(newsletter.root, compiled.slug)
    if approval is None:
        yield Unmet("require_approval", f"nobody has approved it; run: digest approve {compiled.slug}")
    elif approval.fingerprint != compiled.fingerprint:
        yield Unmet(
            "require_approval",
            f"{approval.who} approved another text of it ({approval.when}); run: digest approve {compiled.slug}",
        )


def _changed_audience(most: float, runs: Runs, slug: str, planned: int) -> Iterator[Unmet]:
    last = runs.previous(slug)
    if last is None or last.planned == 0:
        return
    if (change := abs(planned - last.planned) / last.planned) > most:
        yield Unmet(
            "max_change",
            f"{planned} readers, where {last.slug} had {last.planned}: a change of {change:.0%}, more than"
            f" {most:.0%}; is it the right database, and the right audience?",
        )


def _no_way_out(settings: Settings) -> Iterator[Unmet]:
    leave = settings.unsubscribe
    if not (leave.url or leave.mailto or is_loopback(settings.smtp.host)):
        yield Unmet("unsubscribe", "readers could not leave; set url or mailto under [unsubscribe]")


def same_content(runs: Runs, compiled: CompiledIssue) -> None:
    """Raises `HeldError` when the same content has gone out under another slug."""
    if earlier := runs.sent_as(compiled.fingerprint, compiled.slug):
        raise HeldError(f"the same content went out as {earlier.slug}; a renamed file is sent again only with --again")
