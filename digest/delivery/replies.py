"""Reading a relay's replies (RFC 5321 section 4.2), from one that may be broken, or hostile."""

from __future__ import annotations

from digest.delivery.classify import Reply

LONGEST_LINE = 2048
"""Octets. RFC 5321 section 4.5.3.1.5 allows 512; some relays say more than that to a refusal."""

LONGEST_REPLY = 65536
"""Octets of all lines of one reply."""


class ReplyParser:
    """Makes replies of the bytes as they come.

    What is no reply (no code, lines of different codes, too long) becomes one whose code is -1, and ends
    the parsing: where the next reply would begin is anybody's guess.

    >>> parser = ReplyParser()
    >>> parser.feed(b"250-mx.example\\r\\n250 SIZE\\r\\n35"), parser.feed(b"4 go on\\r\\n")
    ([Reply(code=250, text='mx.example SIZE')], [Reply(code=354, text='go on')])
    >>> parser.feed(b"250-one\\r\\n550 two\\r\\n250 three\\r\\n"), parser.broken
    ([Reply(code=-1, text='one 550 two')], True)
    """

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[str] = []
        self._code = 0
        self._size = 0
        self.broken = False

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that are complete now. Nothing is kept of what comes after a broken one."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        replies = [reply for line in lines if not self.broken and (reply := self._line(line))]
        if len(self._rest) > LONGEST_LINE and not self.broken:
            replies.append(self._broken(self._rest))
        return replies

    def _line(self, line: bytes) -> Reply | None:
        """One line without its line feed; the reply, if it ends one."""
        code, separator = line[:3], line[3:4]
        if separator == b" " and not self._lines and code.isdigit() and len(line) <= LONGEST_LINE:
            return Reply(int(code), _text(line[4:]))  # nearly all of them
        self._size += len(line)
        if (
            not (len(code) == 3 and code.isdigit() and separator in (b" ", b"-", b"\r", b""))
            or (self._lines and int(code) != self._code)
            or len(line) > LONGEST_LINE
            or self._size > LONGEST_REPLY
        ):
            return self._broken(line)
        self._code = int(code)
        self._lines.append(_text(line[4:]))
        if separator == b"-":
            return None
        reply = Reply(self._code, " ".join(self._lines).strip())
        self._lines, self._size = [], 0
        return reply

    def _broken(self, line: bytes) -> Reply:
        self.broken, self._rest = True, b""
        return Reply(-1, " ".join([*self._lines, _text(line[:LONGEST_LINE])]).strip())


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").strip()
