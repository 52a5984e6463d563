"""DKIM signatures (RFC 6376), RSA and Ed25519 (RFC 8463), over a finished message.

A message of ours is ASCII in short lines that no relay has reason to change, and ends in one line break:
so its body is signed as it is ("simple"), its fields in their relaxed form. From is named once more than it
occurs, so that nobody can add another one (RFC 6376 section 8.15). `cryptography` lets go of the interpreter
while it signs: `Signer.fields` is meant for threads, and makes no copy of a message there.
"""

from __future__ import annotations

import hashlib
import re
import textwrap
import time
from base64 import b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from digest.message.envelope import Message

SIGNED = (
    *("from", "to", "subject", "date", "message-id", "reply-to", "sender"),
    *("list-id", "list-unsubscribe", "list-unsubscribe-post"),  # RFC 8058 section 4 wants both of the latter
    *("mime-version", "content-type", "content-transfer-encoding", "content-language"),
)
"""The fields that are signed where a message has them, in lower case."""

RSA_BITS = 2048
_SMALLEST_RSA = 1024  # bits; verifiers refuse less (RFC 8301 section 3.2)
_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL)
_SPACE = re.compile(r"(?:\r\n)?[ \t]+")
_STRING = 255  # octets of one string of a TXT record (RFC 1035 section 3.3)


@dataclass(frozen=True, slots=True)
class Key:
    """A private key, under the name that its public half has in the DNS."""

    selector: str
    private: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

    @property
    def algorithm(self) -> str:
        """The value of the tag ``a=``."""
        return "rsa-sha256" if isinstance(self.private, rsa.RSAPrivateKey) else "ed25519-sha256"

    def sign(self, data: bytes) -> bytes:
        """The signature over `data`."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self.private.sign(hashlib.sha256(data).digest())  # RFC 8463 section 3

    def record(self) -> str:
        """The text of the DNS record with the public half (RFC 6376 section 3.6.1, RFC 8463 section 4)."""
        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            return f"v=DKIM1; k=rsa; p={_base64(public.public_bytes(encoding, form))}"
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return f"v=DKIM1; k=ed25519; p={_base64(raw)}"

    def zone_line(self, domain: str) -> str:
        """The record as a line of a zone file, its text in strings that are short enough."""
        strings = " ".join(f'"{part}"' for part in textwrap.wrap(self.record(), _STRING, break_on_hyphens=False))
        return f"{self.selector}._domainkey.{domain}. IN TXT ( {strings} )"

    def pem(self) -> str:
        """The private key, unencrypted (PKCS #8)."""
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()


def new_keys(selector: str) -> tuple[Key, Key]:
    """Fresh keys: RSA, which everybody verifies, and Ed25519 beside it."""
    numbers = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    return Key(selector, numbers), Key(ed25519_selector(selector), ed25519.Ed25519PrivateKey.generate())


def ed25519_selector(selector: str) -> str:
    """The name of the Ed25519 key beside an RSA one: a selector has one key (RFC 8463 section 6).

    >>> ed25519_selector("d2026")
    'd2026-ed25519'
    """
    return f"{selector}-ed25519"


def read_keys(text: str, selector: str) -> tuple[Key, ...]:
    r"""The private keys of a PEM text (line breaks may be written ``\n``): the first under `selector`.

    An Ed25519 key that follows goes by `ed25519_selector`. Raises `ValueError` with what is wrong.
    """
    blocks = [match[0] for match in _PEM.finditer(text.replace("\\n", "\n"))]
    if not blocks:
        raise ValueError("holds no private key; it begins with -----BEGIN PRIVATE KEY-----")
    if len(blocks) > 2:
        raise ValueError(f"holds {len(blocks)} keys; one of RSA, one of Ed25519, or both in this order")
    first, *others = [_private(block) for block in blocks]
    if any(not isinstance(other, ed25519.Ed25519PrivateKey) for other in others):
        raise ValueError("holds two keys, and the second is not of Ed25519")
    return (Key(selector, first), *(Key(ed25519_selector(selector), other) for other in others))


def _private(block: str) -> rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(block.encode(), password=None)
    except (ValueError, TypeError) as exc:  # an encrypted key is a TypeError
        raise ValueError("holds a key that can't be read: a private key in PEM, without a password") from exc
    match key:
        case ed25519.Ed25519PrivateKey():
            return key
        case rsa.RSAPrivateKey() if key.key_size >= _SMALLEST_RSA:
            return key
        case rsa.RSAPrivateKey():
            raise ValueError(f"holds an RSA key of {key.key_size} bits; {RSA_BITS} are right")
    raise ValueError("holds a key that is neither RSA nor Ed25519")


class Signer:
    """Signs for `domain` with every key of `keys`; `unsigned` are fields that the relay rewrites."""

    def __init__(self, domain: str, keys: Sequence[Key], unsigned: Collection[str] = ()) -> None:
        self._domain = domain
        self._keys = tuple(keys)
        self._names = tuple(name for name in SIGNED if name not in {u.lower() for u in unsigned})

    def __call__(self, message: Message) -> Message:
        """The message with its signatures in front."""
        return message.with_fields(self.fields(message))

    def fields(self, message: Message, moment: float | None = None) -> bytes:
        """The fields of the signatures; `moment` (seconds since the epoch) is now by default."""
        end = message.data.find(b"\r\n\r\n")
        fields = _relaxed_fields(message.data[:end] if end >= 0 else message.data)
        names = [name for name in self._names if name in fields]
        body = memoryview(message.data)[end + 4 if end >= 0 else len(message.data) :]
        body_hash = _base64(hashlib.sha256(_simple_body(body)).digest())
        at = int(time.time() if moment is None else moment)
        signed = "".join(f"{fields[name]}\r\n" for name in names)
        over = signed.encode()
        lines = []
        for key in self._keys:
            field = self._field(key, (*names, "from"), body_hash, at)
            signature = key.sign(over + _relaxed(field).encode())
            lines.append(field + _folded(_base64(signature)))
        return "".join(f"{line}\r\n" for line in lines).encode()

    def _field(self, key: Key, names: tuple[str, ...], body_hash: str, at: int) -> str:
        """The field up to the empty ``b=`` at its end."""
        return (
            f"DKIM-Signature: v=1; a={key.algorithm}; c=relaxed/simple;\r\n"
            f" d={self._domain}; s={key.selector}; t={at};\r\n"
            f" {_listed(names)}\r\n bh={body_hash};\r\n b="
        )


@lru_cache(maxsize=16)
def _listed(names: tuple[str, ...]) -> str:
    return textwrap.fill(f"h={' : '.join(names)};", 74, break_on_hyphens=False).replace("\n", "\r\n ")


def _folded(text: str) -> str:
    return "\r\n ".join(text[start : start + 70] for start in range(0, len(text), 70))


def _relaxed_fields(head: bytes) -> dict[str, str]:
    """Name → canonical field; the last one of a name, as a verifier takes it (RFC 6376 section 5.4.2)."""
    lines = head.decode().replace("\r\n ", " ").replace("\r\n\t", "\t").split("\r\n")
    return {line.partition(":")[0].strip().lower(): _relaxed(line) for line in lines}


def _relaxed(field: str) -> str:
    """RFC 6376 section 3.4.2.

    >>> _relaxed("Subject:  one\\r\\n  two ")
    'subject:one two'
    """
    name, _, value = field.partition(":")
    if "  " in value or "\t" in value or "\n" in value:
        value = _SPACE.sub(" ", value)
    return f"{name.strip().lower()}:{value.strip()}"


def _simple_body(body: memoryview) -> memoryview | bytes:
    """RFC 6376 section 3.4.3: one line break at the end, whatever was there."""
    end = bytes(body[-4:])
    if len(end) > 2 and end.endswith(b"\r\n") and not end.endswith(b"\r\n\r\n"):
        return body  # as we make them
    return bytes(body).rstrip(b"\r\n") + b"\r\n"


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
