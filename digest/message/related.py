"""Pictures inside the message: multipart/related around the HTML (RFC 2387), each found by its Content-ID (RFC 2392).

They are encoded once for an issue. A message carries those that its own HTML shows, and no others: what stands in
a block for some readers is not attached for the rest.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial

from digest.compose.compiled import CompiledIssue, picture_address
from digest.errors import InputError, Problem
from digest.message.quoted import SOFT

_LINE = 57  # bytes that make 76 characters of base64 (RFC 2045 section 6.8)
_KEPT = 32  # choices of pictures that are kept joined; more are joined each time


class Related:
    """The pictures of `compiled` as parts. `files`: name → (bytes, MIME type).

    `opening` stands before the header of the HTML part: the header of the whole, and its first boundary.
    """

    def __init__(self, compiled: CompiledIssue, files: Mapping[str, tuple[bytes, str]]) -> None:
        boundary = f"=_{compiled.fingerprint[32:]}"  # the other half is the message's own boundary
        base = compiled.assets_base
        self._parts = {
            p.name: _part(boundary, base, p.name, *files[p.name]) for p in compiled.pictures if p.name in files
        }
        self._missing = [p for p in compiled.pictures if p.name not in files]
        # Most pieces of a message are the same strings for every reader: each is searched once.
        self._found_in = lru_cache(maxsize=512)(partial(_found_in, tuple(p.name for p in compiled.pictures)))
        self._end = f"\r\n--{boundary}--\r\n".encode()
        self._joined: dict[frozenset[str], bytes] = {}
        self.opening = (
            f'Content-Type: multipart/related; type="text/html";\r\n boundary="{boundary}"\r\n\r\n--{boundary}\r\n'
        )

    def pictures(self, html: Iterable[str]) -> bytes:
        """The parts that one reader's HTML (pieces of quoted-printable) shows, and the end of the whole.

        Raises `InputError` when pictures of the issue were not given.
        """
        if self._missing:
            raise InputError(
                Problem(p.place, f"the picture “{p.file}” is to be attached, and is not at hand", code="picture")
                for p in self._missing
            )
        shown = frozenset().union(*map(self._found_in, html))
        if (joined := self._joined.get(shown)) is None:
            joined = b"".join([*(part for name, part in self._parts.items() if name in shown), self._end])
            if len(self._joined) < _KEPT:
                self._joined[shown] = joined
        return joined


def _found_in(names: Iterable[str], piece: str) -> frozenset[str]:
    """Those of `names` that stand in a piece of quoted-printable; none is ever cut by its end.

    The hash in a name is letters and digits: of all that encoding does, only a soft line break can stand in it.
    """
    whole = piece.replace(SOFT, "")
    return frozenset(name for name in names if name.partition(".")[0] in whole)


def _part(boundary: str, base: str, name: str, data: bytes, kind: str) -> bytes:
    address = picture_address(base, name).removeprefix("cid:")
    head = (
        f"\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n"
        f'Content-ID: <{address}>\r\nContent-Disposition: inline; filename="{name}"\r\n\r\n'
    )
    lines = (b2a_base64(data[at : at + _LINE], newline=False) for at in range(0, len(data), _LINE))
    return head.encode() + b"\r\n".join(lines)
