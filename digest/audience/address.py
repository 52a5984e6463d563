"""Addresses: checked once at the border, compared in one normal form.

The practical part of an addr-spec (RFC 5321 section 4.1.2, RFC 5322 section 3.4.1, RFC 6531 for letters
outside ASCII): ``local@domain`` with a dot-atom or a quoted string before the ``@`` and a host name after
it. Comments, folding white space, display names and address literals (``[192.0.2.1]``) are refused: none
of them belongs into a subscriber list. Every check is one pass over the text.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from unicodedata import normalize

LONGEST_LOCAL = 64  # octets, RFC 5321 section 4.5.3.1.1
LONGEST = 254  # octets, RFC 3696 erratum 1690: a path of 256 less its angle brackets

# The address of nearly everybody: no check below would say no, and it is its own IDNA form.
_PLAIN = re.compile(
    r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@(?:[A-Za-z0-9](?:-?[A-Za-z0-9])*\.)+[A-Za-z]{2,24}", re.ASCII
)
# RFC 2047 section 5 forbids it in an address, and mail programs decode it all the same: into another address.
_ENCODED_WORD = re.compile(r"=\?[^?]*\?[^?]*\?[^?]*\?=")
_ADDRESS = re.compile(r"([^\s<>()\[\]\",;:@\\])[^\s<>()\[\]\",;:@\\]*@([\w-]+(?:\.[\w-]+)+)")
_ATEXT = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+/=?^_`{|}~-")


class AddressError(ValueError):
    """A text is no address; the message completes “<text> …”."""


class Address(NamedTuple):  # the cheapest frozen value: a million of them are made
    """A checked address.

    `text` is what was given (spaces around it gone), `key` its normal form: case-folded local part, `@`,
    domain as lower-case A-labels (UTS 46). Two spellings of one mailbox share a key. `ascii_only` is false
    when the local part needs SMTPUTF8 (RFC 6531).
    """

    text: str
    local: str
    domain: str

    @property
    def key(self) -> str:
        """The normal form.

        >>> parse_address("Ann.Lee@Bücher.Example.org").key
        'ann.lee@xn--bcher-kva.example.org'
        """
        local = self.local
        if local.isascii() and not local.startswith('"'):
            return f"{local.lower()}@{self.domain}"
        if local.startswith('"') and _is_atom(bare := local[1:-1]):
            local = bare  # the quotation marks say nothing: RFC 5321 section 4.1.2
        return f"{normalize('NFC', local.casefold())}@{self.domain}"

    @property
    def ascii_only(self) -> bool:
        """Whether every relay can carry it, its domain written as A-labels."""
        return self.local.isascii()

    @property
    def wire(self) -> str:
        """As it is written into an envelope: the local part as given, the domain as A-labels."""
        return f"{self.local}@{self.domain}"


def parse_address(text: str) -> Address:
    """The address in `text`, white space around it ignored. Raises `AddressError` with the reason.

    >>> parse_address(" Ann+news@Example.com ").key
    'ann+news@example.com'
    >>> parse_address("ann@example")
    Traceback (most recent call last):
    digest.audience.address.AddressError: has a domain without a dot
    """
    text = text.strip(" \t\r\n")
    if len(text) <= LONGEST_LOCAL and _PLAIN.fullmatch(text):
        local, _, domain = text.rpartition("@")
        return Address(text, local, domain.lower())
    _check_characters(text)
    local, at, domain = text.rpartition("@")
    if not at:
        raise AddressError("has no @")
    if not local:
        raise AddressError("has nothing before the @")
    _check_local(local)
    ascii_domain = _domain(domain)
    if len(local.encode()) > LONGEST_LOCAL:
        raise AddressError(f"has more than {LONGEST_LOCAL} characters before the @")
    if len(local.encode()) + 1 + len(ascii_domain) > LONGEST:
        raise AddressError(f"is longer than {LONGEST} characters")
    return Address(text, local, ascii_domain)


def masked(text: str) -> str:
    """`text` with the addresses in it told by their first letter and their domain.

    >>> masked("ann@example.com: <bo.b+x@mail.example> is full; 5@ is none")
    'a***@example.com: <b***@mail.example> is full; 5@ is none'
    """
    return _ADDRESS.sub(r"\1***@\2", text)


def _check_characters(text: str) -> None:
    if not text:
        raise AddressError("is empty")
    if len(text) > 4 * LONGEST:
        raise AddressError(f"is longer than {LONGEST} characters")
    if text.endswith(">") or text.startswith("<"):
        raise AddressError("has a name or angle brackets around it; the bare address is needed")
    if "\r" in text or "\n" in text:
        raise AddressError("holds a line break")
    for char in text:
        if not char.isprintable() and char != " ":
            raise AddressError(f"holds the invisible character U+{ord(char):04X}")


def _check_local(local: str) -> None:
    if _ENCODED_WORD.search(local):
        raise AddressError("holds an encoded word (=?…?=), which mail programs take for something else")
    if local.startswith('"'):
        _check_quoted(local)
        return
    for char in local:
        if char == " ":
            raise AddressError("holds a space")
        if char != "." and char not in _ATEXT and char.isascii():
            raise AddressError(f"holds “{char}” before the @")
    if not _is_atom(local):
        raise AddressError("has a misplaced dot before the @")


def _is_atom(local: str) -> bool:
    return all(word and all(c in _ATEXT or not c.isascii() for c in word) for word in local.split("."))


def _check_quoted(local: str) -> None:
    inner, escaped = local[1:-1], False
    if len(local) < 3 or not local.endswith('"'):
        raise AddressError("has a quotation mark that is never closed")
    for char in inner:
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            raise AddressError("has a quotation mark inside the quoted part")
    if escaped:
        raise AddressError("has a quotation mark that is never closed")


def _domain(domain: str) -> str:
    if not domain:
        raise AddressError("has nothing after the @")
    if " " in domain:
        raise AddressError("holds a space")
    if domain.startswith("["):
        raise AddressError("has a number in place of a domain")
    import idna  # a megabyte, which few addresses need

    try:
        ascii_domain = idna.encode(domain, uts46=True, transitional=False).decode("ascii")
    except (idna.IDNAError, UnicodeError) as exc:
        raise AddressError("has an invalid domain") from exc
    if "." not in ascii_domain:
        raise AddressError("has a domain without a dot")
    if ascii_domain.endswith("."):
        raise AddressError("has a dot at its end")
    if ascii_domain.rpartition(".")[2].isdigit():
        raise AddressError("has a number in place of a domain")
    return ascii_domain.lower()
