"""Addresses that can be written to, and probably should not: a mistyped domain, a role, nobody's mailbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from digest.errors import Problem

MISTYPED: Mapping[str, str] = MappingProxyType(
    {
        wrong: right
        for right, wrongs in {
            "gmail.com": "gmial.com gmai.com gamil.com gmal.com gnail.com gmail.co gmail.con gmail.cm gmaill.com",
            "googlemail.com": "goglemail.com googlemail.co googlemail.con",
            "hotmail.com": "hotmial.com hotmal.com hotmil.com hotmai.com hotmail.co hotmail.con homail.com",
            "outlook.com": "outlok.com outloo.com outlook.co outlook.con oulook.com",
            "yahoo.com": "yaho.com yahooo.com yhoo.com yahoo.co yahoo.con yaoo.com",
            "icloud.com": "iclod.com icloud.co icloud.con icoud.com",
            "protonmail.com": "protonmial.com protonmail.co protonmail.con",
        }.items()
        for wrong in wrongs.split()
    }
)
"""A domain that people mean another by."""

ROLES = frozenset({"abuse", "admin", "hostmaster", "mailer-daemon", "no-reply", "noreply", "postmaster", "webmaster"})
"""Local parts read by whoever is on duty, if by anybody (RFC 2142)."""


def doubt_about(address: str) -> tuple[str, str] | None:
    """What is doubtful: ``("domain", …)`` or ``("role", …)``.

    >>> doubt_about("ann@gmial.com"), doubt_about("No-Reply@example.com"), doubt_about("ann@example.com")
    (('domain', 'gmial.com'), ('role', 'no-reply'), None)
    """
    local, _, domain = address.lower().rpartition("@")
    if domain in MISTYPED:
        return "domain", domain
    return ("role", local) if local in ROLES else None


def doubts(counts: Mapping[tuple[str, str], int]) -> Iterator[Problem]:
    """Warnings, the most frequent first."""
    for (kind, what), number in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        readers = "1 reader has" if number == 1 else f"{number:,} readers have"
        if kind == "domain":
            message, cure = f"{readers} an address at {what}", f"did they mean {MISTYPED[what]}?"
        else:
            message, cure = f"{readers} the address of a role, {what}@…", "a list is for people"
        yield Problem(None, message, cure, severity="warning", code=f"doubtful-{kind}")
