"""Telling a relay that refuses everybody from readers who are refused one by one."""

from __future__ import annotations

from dataclasses import dataclass, field

LIMIT = 10


@dataclass(slots=True)
class Streak:
    """Equal refusals in a row with nothing accepted between them; at `limit` of them the run stops.

    Once the relay has accepted somebody in this process, replies that call the address itself dead do not
    count: a company that closed its domain may well have ten neighbours on a list.

    >>> streak = Streak(limit=3)
    >>> [streak.refused("554 5.7.1", reader, dead=False) for reader in (1, 2)]
    [False, False]
    >>> streak.accepted(); streak.refused("554 5.7.1", 3, dead=False), streak.readers
    (False, [3])
    >>> [streak.refused("554 5.7.1", reader, dead=False) for reader in (4, 5)]
    [False, True]
    """

    limit: int = LIMIT
    any_accepted: bool = False
    readers: list[int] = field(default_factory=list)
    """The readers of the present streak, who were not refused for their own sake if it goes on."""
    _reply: str = ""

    def accepted(self) -> None:
        """The relay took a message."""
        self.any_accepted = True
        self.readers.clear()
        self._reply = ""

    def refused(self, reply: str, reader: int, *, dead: bool) -> bool:
        """The relay refused, with this code; true when it refuses everybody."""
        if dead and self.any_accepted:
            return False
        if reply != self._reply:
            self.readers.clear()
            self._reply = reply
        self.readers.append(reader)
        return len(self.readers) >= self.limit
