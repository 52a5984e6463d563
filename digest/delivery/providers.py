"""What is known of a provider's relay: what it rewrites, what it wants to be told, how fast it takes mail."""

from __future__ import annotations

import re
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

_IDENTIFIER = re.compile(r"(?i)\b(?:queued as|ok:?(?:\s+queued as)?|accepted:?|id=)\s*<?([\w.+/=-]{6,})>?")


def identifier(reply: str) -> str:
    """What a relay calls a message it has accepted, from its reply; nothing where it says nothing of the kind.

    Its logs, its support and its reports of bounces know the message by this name.

    >>> identifier("Ok 0102018f0c2e1a2b-5d0c6f3e-000000"), identifier("2.0.0 Ok: queued as 4VbT7k3Jq0z1")
    ('0102018f0c2e1a2b-5d0c6f3e-000000', '4VbT7k3Jq0z1')
    >>> identifier("2.0.0 taken in")
    ''
    """
    found = _IDENTIFIER.findall(reply)
    return found[-1] if found else ""
