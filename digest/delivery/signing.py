"""The keys of the settings, and what signs with them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from digest.errors import InputError, Place, Problem
from digest.message.envelope import Message
from digest.settings import Settings

if TYPE_CHECKING:
    from digest.message.dkim import Key, Signer

_HELPERS_AT_MOST = 3

_KEYGEN = "make one with: digest dkim keygen SELECTOR"


def signing(settings: Settings, root: Path, unsigned: Collection[str]) -> Signer | None:
    """Signs as ``[dkim]`` says, leaving out the fields `unsigned`; None where it says nothing.

    Raises what `own_keys` raises. May be called from any thread.
    """
    keys = own_keys(settings, root)
    if not keys:
        return None
    from digest.message.dkim import Signer

    return Signer(settings.newsletter.domain, keys, unsigned)


def own_keys(settings: Settings, root: Path) -> tuple[Key, ...]:
    """The private keys of the settings; none where they name none.

    Raises `InputError` when a key is not there, is none, or has no selector.
    """
    section = settings.dkim
    if section.key is None and section.key_file is None:
        return ()
    place = Place("config/digest.toml")
    if section.selector is None:
        cure = 'set selector under [dkim], such as "d2026": the name of the key in the DNS'
        raise InputError(Problem(place, "there is a DKIM key, but no selector", cure, code="no-selector"))
    if section.key is not None:
        name, text = "DIGEST_DKIM__KEY", section.key.get_secret_value()
    else:
        name = str(section.key_file)
        text = _read(root / name)
    from digest.message.dkim import read_keys  # loads `cryptography`: only for those who sign

    try:
        return read_keys(text, section.selector)
    except ValueError as exc:
        raise InputError(Problem(Place(name), f"{name} {exc}", _KEYGEN, code="bad-dkim-key")) from exc


class Together:
    """Signs several messages at once: on this thread and on as many others as there are cores.

    `fields` makes the fields of one message's signatures. Nearly all of the work is done without the interpreter's
    lock. A thread that signed while this one does something else would have to wait for the lock after each
    signature; while this one signs too, it is free.
    """

    def __init__(self, fields: Callable[[Message], bytes]) -> None:
        self._fields = fields
        self._helpers = min((os.cpu_count() or 1) - 1, _HELPERS_AT_MOST)
        self._pool = ThreadPoolExecutor(max(1, self._helpers), "signing")

    def __call__(self, messages: Sequence[Message]) -> list[bytes]:
        """The fields of each message, in their order."""
        fields = [b""] * len(messages)
        left = deque(range(len(messages)))

        def work() -> None:
            while left:
                try:
                    number = left.popleft()
                except IndexError:  # another thread was quicker
                    return
                fields[number] = self._fields(messages[number])

        helpers = [self._pool.submit(work) for _ in range(min(self._helpers, len(messages) - 1))]
        work()
        for helper in helpers:
            helper.result()
        return fields


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is no text"
        raise InputError(Problem(Place(str(file)), f"no DKIM key: {reason}", _KEYGEN, code="bad-dkim-key")) from exc
