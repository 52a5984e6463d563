"""What is known of a provider's relay: what it rewrites, what it wants to be told, how fast it takes mail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from digest.quantities import Rate

Name = Literal["generic", "ses", "postmark"]


@dataclass(frozen=True, slots=True)
class Provider:
    """`unsigned` fields are overwritten on the way, so no signature may cover them; `headers` are sent along
    where the settings have no others; `rate` holds where the settings name none."""

    unsigned: frozenset[str] = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict)
    rate: Rate | None = None


PROVIDERS: Mapping[Name, Provider] = {
    "generic": Provider(),
    # SES writes a Message-ID and a Date of its own, and adds the two others; its identifier is in the 250
    # reply. 14 a second is what an account out of the sandbox begins with.
    "ses": Provider(frozenset({"message-id", "date", "return-path", "bounces-to"}), rate=Rate(14, 1)),
    # Postmark sends a newsletter only in a stream made for it, and writes its own Message-ID.
    "postmark": Provider(frozenset({"message-id"}), {"X-PM-Message-Stream": "broadcast"}),
}
