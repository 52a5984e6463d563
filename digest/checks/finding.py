"""One thing that `digest doctor` looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "error", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it stands, in words, and what would mend it."""

    name: str
    verdict: Verdict
    message: str
    cure: str = ""
