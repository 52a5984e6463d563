"""An approval: somebody's word for one text of an issue, in a file beside it, so that it travels with the files.

``issues/<slug>.approved`` holds the fingerprint of what was approved, by whom and when. Another text has another
fingerprint, and needs another approval; a new date (`send_at`) and `status` do not.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from digest.errors import HeldError


@dataclass(frozen=True, slots=True)
class Approval:
    """Of the text with this fingerprint; `when` is a moment in UTC (RFC 3339)."""

    fingerprint: str
    who: str
    when: str

    def __str__(self) -> str:
        """
        >>> print(Approval("ab12", "Ada", "2025-09-12T08:00:00Z"))
        fingerprint = "ab12"
        who = "Ada"
        when = "2025-09-12T08:00:00Z"
        """
        fields = {"fingerprint": self.fingerprint, "who": self.who, "when": self.when}
        # A JSON string is a basic string of TOML.
        return "\n".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items())


def approval_file(root: Path, slug: str) -> Path:
    """Where the approval of an issue is kept, whether the issue is a file or a folder."""
    return root / "issues" / f"{slug}.approved"


def read_approval(root: Path, slug: str) -> Approval | None:
    """The approval of an issue, if there is one. Raises `HeldError` for a file that is none."""
    file = approval_file(root, slug)
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
        return Approval(str(data["fingerprint"]), str(data["who"]), str(data["when"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as exc:
        cure = f"approve it again: digest approve {slug}"
        raise HeldError(f"held, nothing was sent: issues/{file.name} is no approval ({exc}); {cure}") from exc
