"""From the bytes of a mail to what it says: a pure function that raises for no bytes whatever.

In this order: a report of a complaint (RFC 5965), a delivery report (RFC 3464), a wish to leave (the subject that
our ``mailto:`` asks for), a bounce in words of its own (see `digest.bounces.wording`), an answer that nobody wrote
(RFC 3834). Only the first `LONGEST` bytes are read: what a bounce has to say stands before what it returns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC
from email import message_from_bytes
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from hashlib import sha256
from itertools import islice

from digest.bounces import wording
from digest.bounces.letter import Failure, Kind, Letter
from digest.bounces.words import body, failure_of, readable, unfolded
from digest.message.identity import marks_in

LONGEST = 512 * 1024
_PARTS = 50
_ENOUGH = 20  # of whatever a mail may repeat without end

_MESSAGE_ID = re.compile(r"^(?:X-)?(?:Original-)?Message-ID:\s*(<[^<>\s]{3,250}>)", re.IGNORECASE | re.MULTILINE)
_LIST_LINK = re.compile(r"^List-Unsubscribe:(?:[^\n]|\n[ \t])*", re.IGNORECASE | re.MULTILINE)
_TOKEN = re.compile(r"(?<![a-z2-7])[a-z2-7]{24}(?![a-z2-7])")
_ASKS_TO_LEAVE = re.compile(r"(?:\w{2,4}\s?:\s*)*unsubscribe[\s:]+([a-z2-7]{24}|this-was-a-test)\W*", re.IGNORECASE)
_TO_LEAVE = re.compile(r"\+([a-z2-7]{24})@", re.IGNORECASE)


def read(data: bytes) -> Letter:
    """What a mail says. `data` are its bytes, of which the first `LONGEST` count."""
    data = data[:LONGEST]
    try:
        return _read(data)
    except Exception:  # noqa: BLE001 -- anybody may send us anything: one mail must not keep the others from being read
        return Letter(sha256(data).digest(), "unrecognised")


def _read(data: bytes) -> Letter:
    mail = message_from_bytes(data)
    parts = list(islice(mail.walk(), _PARTS))
    text = data.decode("latin-1")
    head, _, rest = text.replace("\r\n", "\n").partition("\n\n")
    kind, failures = _verdict(mail, parts)
    tokens = _leaving(mail) if kind == "leave" else _links(rest)
    marks = tuple(dict.fromkeys(islice(marks_in(unfolded(head) + "\n" + rest), _ENOUGH)))
    return Letter(
        key=_key(mail, marks, data),
        kind=kind,
        marks=marks,
        message_ids=tuple(dict.fromkeys(islice((m[1] for m in _MESSAGE_ID.finditer(_decoded(parts, rest))), _ENOUGH))),
        tokens=tokens,
        failures=failures,
        at=_moment(mail),
    )


def _verdict(mail: Message, parts: list[Message]) -> tuple[Kind, tuple[Failure, ...]]:
    types = [part.get_content_type() for part in parts]
    if "message/feedback-report" in types:
        return _complaint(parts[types.index("message/feedback-report")]), ()
    if reports := [part for part in parts if part.get_content_type() in _STATUS_TYPES]:
        return _delivery_report(reports[0])
    if "message/disposition-notification" in types:
        return "automatic", ()  # RFC 8098: that it was opened
    if _leaving(mail):
        return "leave", ()
    return wording.verdict(mail, parts)


# ---- RFC 5965


def _complaint(report: Message) -> Kind:
    fields = next(_blocks(report), Message())
    kind = str(fields.get("Feedback-Type", "abuse")).strip().lower()
    # not-spam takes one back; auth-failure (RFC 6591) and dmarc tell of forgers.
    return "automatic" if kind in ("not-spam", "auth-failure", "dmarc") else "complaint"


# ---- RFC 3464

_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")  # RFC 6533


def _delivery_report(report: Message) -> tuple[Kind, tuple[Failure, ...]]:
    failures, actions = [], set()
    for block in islice(_blocks(report), _PARTS):
        if "Final-Recipient" not in block and "Action" not in block and "Status" not in block:
            continue  # the fields of the message as a whole
        action = str(block.get("Action", "")).split("(")[0].strip().lower()
        actions.add(action)
        status = str(block.get("Status", ""))
        if action == "failed" or (not action and status.strip().startswith("5")):
            failures.append(_failure(block, status))
    if failures:
        return "bounce", tuple(failures)
    if "delayed" in actions:
        return "delay", ()
    return ("automatic", ()) if actions & {"delivered", "relayed", "expanded"} else ("unrecognised", ())


def _failure(block: Message, status: str) -> Failure:
    words = unfolded(str(block.get("Diagnostic-Code", "")))
    words = words.partition(";")[2].strip() if re.match(r"\s*[\w-]+\s*;", words) else words
    return failure_of(words, status, _recipients(block))


def _recipients(block: Message) -> frozenset[str]:
    found = (str(block.get(name, "")) for name in ("Original-Recipient", "Final-Recipient"))
    return frozenset(text.partition(";")[2].strip(" \t<>").lower() for text in found if ";" in text)


def _blocks(report: Message) -> Iterator[Message]:
    """The groups of fields of a report, however its part was taken apart."""
    payload = report.get_payload()
    if isinstance(payload, list):
        for block in payload:
            if isinstance(block, Message):
                yield block
                # A report that was encoded as a whole (RFC 3464 forbids it) is one block without fields.
                if not block.keys() and (text := body(block)).strip():
                    yield from map(_fields, re.split(r"\n\s*\n", text))
    elif isinstance(payload, str):
        yield from map(_fields, re.split(r"\n\s*\n", body(report)))


def _fields(text: str) -> Message:
    return message_from_bytes(text.strip().encode("utf-8", "replace") + b"\n\n")


# ---- whom it is about


def _leaving(mail: Message) -> tuple[str, ...]:
    """The token of a mail that asks to leave: in its subject, or in the address it went to."""
    if match := _ASKS_TO_LEAVE.fullmatch(readable(mail.get("Subject")).strip()):
        return (match[1].lower(),)
    to = [address for _, address in getaddresses(map(str, mail.get_all("To", []) + mail.get_all("Delivered-To", [])))]
    return tuple(match[1].lower() for address in to if (match := _TO_LEAVE.search(address)))


def _links(returned: str) -> tuple[str, ...]:
    """The tokens of the links to leave by in what is returned: nobody can have invented one."""
    fields = (unfolded(match[0]) for match in _LIST_LINK.finditer(returned))
    return tuple(dict.fromkeys(islice((m[0] for field in fields for m in _TOKEN.finditer(field)), _ENOUGH)))


def _decoded(parts: list[Message], rest: str) -> str:
    """What may hold headers of the message that came back, also where a part was encoded."""
    encoded = (part for part in parts if str(part.get("Content-Transfer-Encoding", "")).lower() in _ENCODINGS)
    return "\n".join([rest, *(body(part) for part in encoded if part.get_content_maintype() in ("text", "message"))])


_ENCODINGS = ("base64", "quoted-printable")


def _moment(mail: Message) -> int | None:
    try:
        moment = parsedate_to_datetime(str(mail.get("Date", "")))
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e6)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _key(mail: Message, marks: object, data: bytes) -> bytes:
    """The same for copies that came by different ways: the trace fields at their tops are left out."""
    rest = data.partition(b"\r\n\r\n" if b"\r\n\r\n" in data[:65536] else b"\n\n")[2].replace(b"\r\n", b"\n")
    names = [str(mail.get(name, "")) for name in ("Message-ID", "Date", "From", "To", "Subject")]
    return sha256(f"{names}{marks}".encode("utf-8", "replace") + rest).digest()
