"""DKIM: what we sign is verified by dkimpy, which is no code of ours, and by nobody once it was changed."""

import base64
import re
import subprocess
import sys

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.errors import InputError
from digest.message.dkim import SIGNED, Signer, new_keys, read_keys
from digest.message.envelope import Message

KEYS = new_keys("d2026")
DNS = {f"{key.selector}._domainkey.news.example.com.": key.record().encode() for key in KEYS}

HEAD = (
    b"From: Weekly <weekly@news.example.com>\r\nTo: ada@example.org\r\nSubject: One\r\n  folded\r\n"
    b"Date: Fri, 12 Sep 2025 09:00:00 +0000\r\nMessage-ID: <1@news.example.com>\r\n"
    b"List-Unsubscribe: <https://news.example.com/u/1>,\r\n <mailto:leave@news.example.com>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n"
)


def message(data: bytes = HEAD + b"\r\nHello\r\n") -> Message:
    return Message("b@news.example.com", "ada@example.org", "<1@news.example.com>", data)


def verified(data: bytes, index: int = 0) -> bool:
    try:
        return bool(dkim.DKIM(data).verify(index, dnsfunc=lambda name, timeout=5: DNS.get(name.decode())))
    except dkim.DKIMException:
        return False


def signed(this: Message, **options: object) -> bytes:
    return Signer("news.example.com", KEYS, **options)(this).data  # type: ignore[arg-type]


def names(data: bytes) -> list[str]:
    listed = re.search(rb"h=([^;]*);", data)
    assert listed
    return [name.strip() for name in listed[1].decode().split(":")]


def test_both_are_verified():
    """RSA and Ed25519 sign the same message at once, and each signature verifies."""
    data = signed(message())
    assert [b"a=rsa-sha256" in data, b"a=ed25519-sha256" in data] == [True, True]
    assert verified(data, 0)
    assert verified(data, 1)
    assert max(map(len, data.split(b"\r\n"))) <= 78


def test_a_whole_message(workshop):
    """A message as it is merged, with its encoded and folded fields, verifies."""
    data = signed(workshop.message(workshop.reader(name="Zoë “Z” Łukasz-Example with a long name, and more of it")))
    assert verified(data, 0)
    assert verified(data, 1)
    assert {"list-unsubscribe", "list-id", "content-type"} <= set(names(data))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Hello", b"Hellp"),
        (b"Subject: One", b"Subject: Two"),
        (b"=One-Click", b"=Two-Click"),
        (b"/u/1>", b"/u/2>"),
        (b"From: Weekly", b"From: Mallory <m@evil.example>\r\nFrom: Weekly"),
        (b"<1@news", b"<2@news"),
    ],
)
def test_changed_on_the_way(old, new):
    """A change of the body, of a signed field, or another From beside the first breaks both signatures."""
    data = signed(message())
    head, found, rest = data.partition(old)
    assert found
    changed = head + new + rest
    assert not verified(changed, 0)
    assert not verified(changed, 1)


def test_what_is_signed():
    """Every field of the list that the message has is signed, From twice over; both of RFC 8058 are there."""
    listed = names(signed(message()))
    present = {line.partition(b":")[0].decode().lower() for line in HEAD.split(b"\r\n") if line[:1].isalpha()}
    assert set(listed) == present & set(SIGNED)
    assert listed.count("from") == 2
    assert {"list-unsubscribe", "list-unsubscribe-post"} <= set(listed)


def test_fields_the_relay_rewrites():
    """Fields a provider overwrites are left out, and may change."""
    data = signed(message(), unsigned={"Message-ID", "Date"})
    assert {"message-id", "date"} & set(names(data)) == set()
    assert verified(data.replace(b"<1@news.example.com>", b"<9@relay.example>"))


FIELD = st.from_regex(r"[!-~]{1,20}(?:[ \t]{1,3}[!-~]{1,20}){0,3}", fullmatch=True)


@settings(max_examples=40)
@given(FIELD, st.lists(st.from_regex(rb"[ -~]{0,70}", fullmatch=True), max_size=5), st.integers(0, 3))
def test_any_text(subject, lines, ends):
    """Whatever spaces stand in a field, and however the body ends, the signature verifies."""
    body = b"\r\n".join(lines) + b"\r\n" * ends
    assert verified(signed(message(HEAD.replace(b"One", subject.encode()) + b"\r\n" + body)), 1)


def test_keys_are_read():
    """PEM in a file or in a variable, one key or both in their order, PKCS #1 too."""
    both = "".join(key.pem() for key in KEYS)
    for text in (both, both.replace("\n", "\\n")):
        assert [key.selector for key in read_keys(text, "d2026")] == ["d2026", "d2026-ed25519"]
    (alone,) = read_keys(KEYS[1].pem(), "x")
    assert (alone.selector, alone.algorithm) == ("x", "ed25519-sha256")
    old = KEYS[0].private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    assert read_keys(old.decode(), "x")[0].record() == KEYS[0].record()


def other(key: object, password: bytes | None = None) -> str:
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock).decode()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no private key"),
        ("-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----", "can't be read"),
        (other(ec.generate_private_key(ec.SECP256R1())), "neither RSA nor Ed25519"),
        (other(KEYS[1].private, b"secret"), "without a password"),
        (KEYS[1].pem() + KEYS[0].pem(), "the second is not of Ed25519"),
        (KEYS[1].pem() * 3, "holds 3 keys"),
    ],
)
def test_no_key(text, words):
    """What is no key says so, and shows nothing of it."""
    with pytest.raises(ValueError, match=words) as caught:
        read_keys(text, "x")
    assert "MII" not in str(caught.value)


def test_record():
    """The record is one a zone file can hold: strings of at most 255, which join to the public key."""
    for key in KEYS:
        strings = re.findall(r'"([^"]*)"', key.zone_line("news.example.com"))
        assert max(map(len, strings)) <= 255
        assert "".join(strings) == key.record()
    assert len(base64.b64decode(KEYS[1].record().rpartition("p=")[2])) == 32
    assert KEYS[0].zone_line("news.example.com").startswith("d2026._domainkey.news.example.com. IN TXT (")


def keygen(folder, *arguments: str):
    from click.testing import CliRunner

    from digest.cli.dkim import cli
    from digest.cli.options import Session

    return CliRunner().invoke(cli, ["keygen", *arguments], obj=Session(project=folder))


def test_keygen(folder):
    """`digest dkim keygen` writes both keys for their owner only, and prints the records that verify them."""
    result = keygen(folder, "d2030")
    assert result.exit_code == 0, result.output
    file = folder / "config/dkim-d2030.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    keys = read_keys(file.read_text(), "d2030")
    assert all(key.zone_line("news.example.com") in result.output for key in keys)
    assert "PRIVATE" not in result.output
    data = Signer("news.example.com", keys)(message()).data
    published = dict(re.findall(r"^(\S+) IN TXT \( (.*) \)$", result.output, re.MULTILINE))
    records = {name: "".join(re.findall('"([^"]*)"', text)).encode() for name, text in published.items()}
    assert dkim.DKIM(data).verify(0, dnsfunc=lambda name, timeout=5: records.get(name.decode()))


def test_keygen_overwrites_nothing(folder):
    """A key that is there is never written over, and a bad selector makes no file."""
    keygen(folder, "d2030")
    before = (folder / "config/dkim-d2030.pem").read_bytes()
    again = keygen(folder, "d2030")
    assert isinstance(again.exception, InputError)
    assert (folder / "config/dkim-d2030.pem").read_bytes() == before
    assert isinstance(keygen(folder, "../x").exception, InputError)
    assert [f.name for f in (folder / "config").glob("*.pem")] == ["dkim-d2030.pem"]


def test_loaded_only_where_needed():
    """A process that sends without DKIM does not load `cryptography`."""
    code = "import sys, digest.delivery.deliver; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
