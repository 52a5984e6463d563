"""What one mail of the bounce mailbox says, before anybody is looked up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from digest.delivery.classify import suppresses
from digest.delivery.outcome import Bounced

Kind = Literal["bounce", "delay", "complaint", "leave", "automatic", "unrecognised"]
"""What it is: a message that failed, one that is still tried, a report of the recipient's provider, a wish to leave,
an answer that nobody wrote (also a notice that all went well), or none of these."""

Weight = Literal["hard", "soft", "no_verdict"]


@dataclass(frozen=True, slots=True)
class Failure:
    """One recipient's part of a bounce.

    `recipients` are the addresses it names for the recipient, lower case; `code` (0: none) and `enhanced` (empty:
    none) are what the refusing server answered; `text` its words.
    """

    recipients: frozenset[str] = frozenset()
    code: int = 0
    enhanced: str = ""
    text: str = ""

    @property
    def weight(self) -> Weight:
        """What it says of the address.

        ``hard``: it is dead, by the codes that also end it while sending (`digest.delivery.classify.suppresses`).
        ``soft``: out of reach now; often enough, and it counts as dead. ``no_verdict``: x.7.z (policy), x.6.z (the
        message), x.5.z (the protocol, but for 5.5.0, by which some mean an unknown mailbox) and 5.3.4 (too large)
        speak of the sender or the message, so that being blocked somewhere never ends a list. A bare 550 is soft:
        nobody knows whom it means.

        >>> [Failure(enhanced=code).weight for code in ("5.1.1", "5.2.1", "5.2.2", "4.4.1", "5.7.1", "5.6.0", "5.3.4")]
        ['hard', 'hard', 'soft', 'soft', 'no_verdict', 'no_verdict', 'no_verdict']
        >>> Failure(code=550).weight, Failure(code=550, enhanced="5.1.10").weight
        ('soft', 'hard')
        """
        if suppresses(Bounced(self.code, self.enhanced, self.text), accepted_another=False):
            return "hard"
        _, _, detail = self.enhanced.partition(".")
        about_us = detail[:1] in ("5", "6", "7") and detail != "5.0"
        return "no_verdict" if about_us or detail == "3.4" else "soft"

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.code or ""), self.enhanced, self.text)))


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail.

    `key` is the same for every copy of it. `marks` are what looks like ours in envelope senders it names (see
    `digest.message.identity.marks_in`), `message_ids` those of messages it returns, `tokens` those of links to
    leave by in what it returns or, for ``leave``, in what it asks; all in the order in which they count. `at` is
    when it was written, in microseconds since the epoch, or None.
    """

    key: bytes
    kind: Kind
    marks: tuple[tuple[int, str], ...] = ()
    message_ids: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    at: int | None = None

    def failure(self, address: str) -> Failure:
        """What failed for a reader: the part that names their address, else the mildest of all.

        An address may be an alias for several, of which one is dead: that is not the reader's address then.
        """
        own = [failure for failure in self.failures if address in failure.recipients]
        return min(own or self.failures or (Failure(),), key=lambda f: _GRAVITY[f.weight])


_GRAVITY: dict[Weight, int] = {"no_verdict": 0, "soft": 1, "hard": 2}
