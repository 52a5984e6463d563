"""What a value becomes where it stands: in text, in HTML, as an address, as a part of one.

A value comes from a reader's row, so from anybody. Wherever it is printed it is text and nothing else: no
line, no tag, no attribute, no header and no other scheme can come out of it.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

SCHEMES = ("http", "https", "mailto", "tel")
"""What an address that a reader's value begins may start with."""

THIS_READER = "this reader"

# RFC 3986: reserved and unreserved characters; "%" too, where it begins an escape.
_URL_SAFE = "%:/?#[]@!$&'()*+,;=-._~"

_PLAIN_URL = re.compile(r"(?:https?|mailto|tel):[A-Za-z0-9:/?#@!$&'()*+,;=._~-]+").fullmatch

_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_BREAKS = re.compile(r"[\t-\r\x1c-\x1e\x85\u2028\u2029]+")
_SPACES = re.compile(r"[ \t-\r\x1c-\x1e\x85\u2028\u2029]+")
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


class UnfitValueError(ValueError):
    """A value can't stand where it is printed. The message is for the author and shows no value."""


def shown(value: Any) -> str:
    """A value as it is printed: text as it is, a list with commas.

    Raises `UnfitValueError` for nothing at all, Jinja's `UndefinedError` for an absent value.
    """
    if type(value) is str:
        return value
    if value is None:
        raise UnfitValueError(f"what is printed here is nothing for {THIS_READER}")
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    return str(value)


def line(value: Any) -> str:
    """One line of text: line breaks become a space, other control characters go.

    >>> line("Ada\\r\\nBcc: x\\x07")
    'Ada Bcc: x'
    """
    text = shown(value)
    if _UNFIT.search(text) is None:
        return text
    text = _SURROGATES.sub("\ufffd", _BREAKS.sub(" ", text))
    return _UNFIT.sub("", text)


def header_text(text: str) -> str:
    """A whole header's text (RFC 5322 section 2.2): one line, runs of white space as one space.

    >>> header_text("  Ada \\n wins ")
    'Ada wins'
    """
    return _SPACES.sub(" ", line(text)).strip(" ")


def html(value: Any) -> str:
    """Escaped for text and for attributes in either kind of quotes."""
    text = line(value)
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        if char in text:
            text = text.replace(char, entity)
    return text


def url(value: Any) -> str:
    """A whole address, or its beginning: one of `SCHEMES`, what is unsafe percent-encoded.

    Raises `UnfitValueError` for any other scheme, or none.

    >>> url("https://example.com/a b?q=\\"é\\"")
    'https://example.com/a%20b?q=%22%C3%A9%22'
    >>> url("java\\nscript:alert(1)")
    Traceback (most recent call last):
    digest.message.values.UnfitValueError: the link of this reader doesn't start with http:, https:, mailto: or tel:
    """
    text = shown(value)
    if _PLAIN_URL(text):
        return text
    text = line(text).strip()
    scheme, colon, rest = text.partition(":")
    if not colon or not rest or scheme.lower() not in SCHEMES:
        raise UnfitValueError(f"the link of {THIS_READER} doesn't start with http:, https:, mailto: or tel:")
    return quote(_LONE_PERCENT.sub("%25", text), safe=_URL_SAFE)


def html_url(value: Any) -> str:
    """A whole address inside an attribute."""
    return html(url(value))


def url_part(value: Any) -> str:
    """A component of an address (RFC 3986 section 2.3: all but unreserved characters encoded).

    >>> url_part("a/b?c&d")
    'a%2Fb%3Fc%26d'
    """
    return quote(line(value), safe="")
