from __future__ import annotations

import time
import unicodedata
from email.headerregistry import Address as MailAddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.audience.address import LONGEST, AddressError, parse_address


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("ann@example.com", "ann@example.com"),
        ("  ann@example.com\n", "ann@example.com"),
        ("Ann.Lee+News@EXAMPLE.Com", "ann.lee+news@example.com"),
        ("o'connor&sons@example.co.uk", "o'connor&sons@example.co.uk"),
        ('"ann lee"@example.com', '"ann lee"@example.com'),
        ('"ann"@example.com', "ann@example.com"),
        (r'"a\"b"@example.com', r'"a\"b"@example.com'),
        ("ann@bücher.example.org", "ann@xn--bcher-kva.example.org"),
        ("ann@XN--BCHER-KVA.example.org", "ann@xn--bcher-kva.example.org"),
        ("ann@例え.example", "ann@xn--r8jz45g.example"),
        ("用户@example.com", "用户@example.com"),
        ("Jose\u0301@example.com", "josé@example.com"),
        ("a@b-c.example", "a@b-c.example"),
    ],
)
def test_normal_form(text: str, key: str) -> None:
    """An address is accepted with its normal form; two spellings of a mailbox have the same one."""
    assert parse_address(text).key == key


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("ann", "has no @"),
        ("@example.com", "nothing before"),
        ("ann@", "nothing after"),
        ("ann@example", "without a dot"),
        ("ann@example..com", "invalid domain"),
        ("ann@.example.com", "invalid domain"),
        ("ann@-x.example.com", "invalid domain"),
        ("ann@ex_ample.com", "invalid domain"),
        ("ann@xn--zzzzzz999999.example", "invalid domain"),
        ("ann@" + "a" * 64 + ".example", "invalid domain"),
        ("ann@[192.0.2.1]", "number"),
        ("ann@192.0.2.1", "number"),
        (".ann@example.com", "misplaced dot"),
        ("ann..lee@example.com", "misplaced dot"),
        ("ann lee@example.com", "space"),
        ("ann@exam ple.com", "space"),
        ("ann,bob@example.com", "“,”"),
        ("a@b@example.com", "“@”"),
        ('"ann@example.com', "never closed"),
        ('"a"b"@example.com', "inside the quoted part"),
        ("Ann Lee <ann@example.com>", "bare address"),
        ("<ann@example.com>", "bare address"),
        ("ann@example.com\r\nBcc: eve@example.com", "line break"),
        ("an\nn@example.com", "line break"),
        ("ann\0@example.com", "U+0000"),
        ("ann\u202e@example.com", "U+202E"),
        ("a" * 65 + "@example.com", "more than 64"),
        ("ä" * 33 + "@example.com", "more than 64"),
        ("a@" + ".".join(["b" * 60] * 5) + ".com", ""),
        ("=?utf-8?q?eve?=@example.com", "encoded word"),
        ('"=?utf-8?b?ZXZl?="@example.com', "encoded word"),
    ],
)
def test_refused_with_its_reason(text: str, reason: str) -> None:
    """What is no address is refused, and the reason is said."""
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert reason in str(caught.value)


@given(st.text(max_size=300) | st.text(alphabet='ab.@"\\ -ü\u3002\r\n<>,xn', max_size=80))
def test_never_anything_but_an_address_or_its_error(text: str) -> None:
    """Any text gives an address or an `AddressError`; an address has no white space at its ends, no controls,
    and its normal form is an address with the same normal form."""
    try:
        address = parse_address(text)
    except AddressError:
        return
    assert not any(ord(c) < 32 or ord(c) == 127 for c in address.wire)
    assert len(address.wire.encode()) <= LONGEST
    assert parse_address(address.key).key == address.key


IDN = (
    ("bücher.example", "BÜCHER.example", "xn--bcher-kva.example", "XN--BCHER-KVA.Example", "bu\u0308cher.example"),
    ("例え.example", "xn--r8jz45g.example", "例え。example"),
    ("example.com", "EXAMPLE.com", "ｅｘａｍｐｌｅ.com"),
)

label = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,5}[a-zA-Z0-9])?", fullmatch=True)


@given(st.from_regex(r"[a-zA-Z0-9_+-]{1,6}(\.[a-z]{1,3})?", fullmatch=True), st.lists(label, min_size=1, max_size=3))
def test_the_quick_way_agrees_with_the_long_one(local: str, labels: list[str]) -> None:
    """An everyday address has the same normal form when a quoted local part sends it the long way round."""
    domain = ".".join([*labels, "example"])
    try:
        long = parse_address(f'"{local}"@{domain}').key
    except AddressError:
        long = ""
    try:
        short = parse_address(f"{local}@{domain}").key
    except AddressError:
        short = ""
    assert short == long


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1, max_size=8), st.sampled_from(IDN))
def test_case_and_spelling_make_no_difference(local: str, domains: tuple[str, ...]) -> None:
    """An address in capitals, decomposed, or with its domain as U-labels or A-labels is the same mailbox."""
    keys = set()
    for spelled in (local, local.upper(), local.casefold(), unicodedata.normalize("NFD", local)):
        for domain in domains:
            try:
                keys.add(parse_address(f"{spelled}@{domain}").key)
            except AddressError:
                continue  # too long in one of the forms
    # Capitals of some letters have no way back: Turkish ı becomes I, which folds to i.
    assert len(keys) <= 1 or local.upper().casefold() != local.casefold()


@given(st.from_regex(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,20}", fullmatch=True))
def test_agrees_with_the_standard_library(local: str) -> None:
    """A dot-atom that Python's own parser takes is taken here, and the other way round."""
    try:
        MailAddress(addr_spec=f"{local}@example.com")
        expected = True
    except (ValueError, IndexError):
        expected = False
    try:
        parse_address(f"{local}@example.com")
        found = True
    except AddressError:
        found = False
    assert found == expected


@pytest.mark.parametrize("text", ["a." * 500_000 + "@", "a@" + "b-" * 500_000, '"' + "\\" * 1_000_000, "ü@" * 400_000])
def test_long_nonsense_is_refused_at_once(text: str) -> None:
    """A megabyte of nonsense costs no more than looking at its length."""
    begun = time.process_time()
    with pytest.raises(AddressError, match="longer"):
        parse_address(text)
    assert time.process_time() - begun < 0.2
