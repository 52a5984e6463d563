"""CompiledIssue × Subscriber → bytes: compiled once, merged per reader in some tens of microseconds.

    merger = Merger(compiled, Identity.of(settings), today=date.today())
    message = merger.message(subscriber, date=now)

A message is a list of header fields and a body; what signs (DKIM) stands between the two and the bytes.
A dry run, a test and a real one are made here by the same calls: they differ in To, Date, Message-ID, the
[Test] mark, and in the token of the reader's links, which leads nowhere unless the run is real.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date as day
from datetime import datetime
from typing import Any, Literal, NoReturn
from urllib.parse import quote

from jinja2 import TemplateSyntaxError, nodes
from jinja2.runtime import Context

from digest.audience.address import Address, AddressError, parse_address
from digest.audience.arms import arm_of
from digest.audience.compiling import Outcomes
from digest.audience.segments import Condition, Segments
from digest.audience.subscriber import Subscriber, Value
from digest.compose.compiled import CompiledIssue
from digest.errors import InputError, Place, Problem
from digest.expressions import ARM, RECEIVED, ReaderView
from digest.localized import ISSUE_LANGUAGE, LANGUAGE
from digest.message import headers, quoted, templates, values
from digest.message.envelope import Message
from digest.message.identity import TOKEN, Identity, mark_of, verp
from digest.message.related import Related
from digest.message.templates import Merged, MergeError
from digest.sections import split_mailbox

__all__ = ["INERT_TOKEN", "Identity", "MergeError", "Merger", "Purpose", "Rendering"]

Purpose = Literal["real", "test", "dry"]

Received = Callable[[int], tuple[str, ...]]
"""Asks the ledger: a subscriber's number in, the issues (of those that matter) the relay accepted for them out."""

INERT_TOKEN = "this-was-a-test"  # noqa: S105  # no secret: it is public, and opens nothing
"""Stands for the reader's token in every link of a test, a preview and a dry run."""

TEST_MARK = "[Test] "

_KNOWN = " known"  # no attribute's name: the values hold what `Merger.known` adds


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a mail client shows of a message: decoded, with plain line feeds."""

    subject: str
    preheader: str
    html: str
    text: str


class Merger:
    """Makes the messages of one issue. `today` is the day that ``days_since`` counts to.

    `attachments` are the pictures of an issue that carries them: name → (bytes, MIME type); renderings do
    without. `received` says for a subscriber's number which of ``compiled.received`` the relay accepted for
    them; without it, none. One that is not `for_wire` makes renderings and no `message`: half the work, where
    somebody waits. Raises `InputError` when a template or a condition of `compiled` can't be compiled,
    or an address of the sender can't be written.
    """

    def __init__(
        self,
        compiled: CompiledIssue,
        identity: Identity,
        *,
        today: day,
        attachments: Mapping[str, tuple[bytes, str]] | None = None,
        received: Received | None = None,
        for_wire: bool = True,
    ) -> None:
        self.compiled = compiled
        self._received = received if compiled.received else None
        self._identity = identity
        self.today = today
        self.environment = templates.MergeEnvironment(today)
        self._segments, self._audience = _who(compiled, today)
        self._constants = {name: dict(of) for name, of in compiled.constants.items()}
        self._subject = self._merged("subject", templates.HEADER)
        if for_wire:
            self._text = self._merged("text", templates.WIRE_TEXT)
            self._html = self._merged("html", templates.WIRE_HTML)
        self._plain: dict[str, Merged] = {}
        self._conditions = templates.decisions(self.environment, compiled.conditions, self._constants)
        self._outcomes = self.outcomes([condition.expression for condition in compiled.conditions])
        self._related = Related(compiled, attachments or {}) if compiled.attaches and compiled.pictures else None
        self._set_frame()

    def message(
        self, subscriber: Subscriber, *, date: datetime, purpose: Purpose = "real", recipient: str | None = None
    ) -> Message:
        """The finished message for one reader.

        `date` is the Date field (with an offset). `recipient` is another address to send to, for tests.
        All bytes are ASCII, but for an address whose local part is not (then `smtputf8`, RFC 6532).
        Raises `MergeError`; `InputError` when the issue carries pictures that `Merger` was not given.
        """
        token = _token(subscriber, purpose)
        to = self.address(subscriber.email if recipient is None else recipient)
        context = self.context(subscriber, token)
        # The seam for signing: a list of fields, then the body.
        body, pictures = self._body(context)
        identifier = self._identifier(subscriber, date, purpose)
        fields = (
            self._from,
            headers.mailbox("To", subscriber.name if recipient is None else "", to.wire),
            headers.unstructured("Subject", self._subject_text(context, purpose)),
            headers.date(date),
            headers.message_id(identifier, self._identity.domain),
            self._leave.replace(TOKEN, token) + self._fixed,
        )
        # One join and one encoding: a message of 64 KB is copied twice, and no more.
        data = "".join(["\r\n".join(fields), *body]).encode()
        return Message(
            sender=verp(self._return_path, self._mark(subscriber) if purpose == "real" else token),
            recipient=to.wire,
            message_id=f"<{identifier}@{self._identity.domain}>",
            data=b"".join([data, pictures, self._ending]) if pictures else data,
            smtputf8=not to.ascii_only,
            dotless=True,  # no field's name and no line of quoted-printable or base64 begins with one
        )

    def rendering(self, subscriber: Subscriber, purpose: Purpose = "dry") -> Rendering:
        """What a client shows of `message` for the same reader and purpose. Raises `MergeError`."""
        plain = self._plain_templates()  # before the context: it holds what they have in common
        context = self.context(subscriber, _token(subscriber, purpose))
        texts = {name: "".join(_run(plain[name], context)) for name in ("preheader", "html", "text")}
        return Rendering(
            subject=values.header_text(self._subject_text(context, purpose)),
            preheader=values.header_text(texts["preheader"]),
            html=texts["html"],
            text=texts["text"],
        )

    def gets(self, subscriber: Subscriber) -> bool:
        """Whether the reader belongs to the issue's audience. Raises `MergeError`."""
        known = self.known(subscriber).values
        try:
            return self._audience(known, self._segments.view(known))
        except Exception as exc:  # an author's expression may raise anything; it is explained
            raise MergeError(templates.explained(exc, None)) from exc

    def variant(self, subscriber: Subscriber) -> tuple[bool, ...]:
        """The outcome of each of the issue's conditions for this reader, in order. Raises `MergeError`."""
        try:
            return self._outcomes(self.known(subscriber).values)
        except Exception:  # noqa: BLE001  # whatever it is: asked one by one, it is located
            return tuple(map(bool, _run(self._conditions, self.context(subscriber, INERT_TOKEN))))

    def known(self, subscriber: Subscriber) -> Subscriber:
        """The reader with what only this issue knows of them: their arm, and what of its asking they received."""
        if (not self.compiled.arms and self._received is None) or _KNOWN in subscriber.values:
            return subscriber
        more: dict[str, Value] = {_KNOWN: True}
        if self.compiled.arms:
            more[ARM] = arm_of(self.compiled.arms, self.compiled.slug, subscriber.token)
        if self._received is not None and RECEIVED not in subscriber.values:  # a made-up reader brings theirs along
            more[RECEIVED] = self._received(subscriber.id)
        return replace(subscriber, values={**subscriber.values, **more})

    def outcomes(self, expressions: Sequence[str | nodes.Expr]) -> Outcomes:
        """Conditions of this issue as one fast function of a reader's values.

        It raises whatever goes wrong, also in a segment that nobody needs; always, when an expression has a
        form that can't be compiled so (it reads ``links``, or a name that the issue sets).
        """
        try:
            return self._segments.outcomes(expressions, self._constants)
        except ValueError as exc:
            return _never(exc)

    def context(self, subscriber: Subscriber, token: str, **more: Any) -> Context:
        """What the templates read for one reader; `token` is the one in the reader's links."""
        links = {name: pattern.replace(TOKEN, token) for name, pattern in self._links.items()}
        known = self.known(subscriber).values
        return self.environment.context(
            {
                **self._constants,
                "subscriber": ReaderView(known),
                "segment": self._segments.view(known),
                "links": links,
                "arm": known.get(ARM),
                RECEIVED: known.get(RECEIVED),
                LANGUAGE: known.get("language"),
                ISSUE_LANGUAGE: self.compiled.language,
                **more,
            }
        )

    def _merged(self, name: str, style: templates.Style) -> Merged:
        return templates.merged(self.environment, getattr(self.compiled, name), style, self._constants)

    def _plain_templates(self) -> dict[str, Merged]:
        if not self._plain:  # only preview and tests need these
            styles = {"preheader": templates.HEADER, "html": templates.HTML, "text": templates.TEXT}
            self._plain = {name: self._merged(name, style) for name, style in styles.items()}
        return self._plain

    def _set_frame(self) -> None:
        """All of a message that is the same for every reader."""
        compiled, identity = self.compiled, self._identity
        sender = _mailbox(compiled.sender or identity.sender, "sender")
        self._from = headers.mailbox("From", *sender)
        self._return_path = identity.return_path or sender[1]
        boundary = f"=_{compiled.fingerprint[:32]}"  # "=_" occurs in no quoted-printable text
        self._links = {
            "unsubscribe": identity.unsubscribe_pattern(),
            "view": identity.view_pattern(compiled.slug),
        }
        self._leave = "".join(f"{field}\r\n" for field in _leave(identity))
        fixed = []
        if reply_to := compiled.reply_to or identity.reply_to:
            fixed.append(headers.mailbox("Reply-To", *_mailbox(reply_to, "reply_to")))
        fixed.append(headers.list_id(identity.list_name, identity.domain))
        if compiled.language:
            fixed.append(headers.unstructured("Content-Language", compiled.language))
        fixed += [f"{name}: {value}" for name, value in identity.headers.items()]
        fixed += ["MIME-Version: 1.0", f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"']
        self._fixed = "\r\n".join(fixed)
        self._opening = f"\r\n\r\n--{boundary}\r\n{_part('plain')}"
        related = self._related.opening if self._related else ""
        self._between = f"\r\n--{boundary}\r\n{related}{_part('html')}"
        self._closing = f"\r\n--{boundary}--\r\n"
        self._ending = self._closing.encode()

    def _body(self, context: Context) -> tuple[list[str], bytes]:
        """The pieces of the body, and the pictures that follow them: with pictures the end is not yet there."""
        text = _run(self._text, context)
        html = _run(self._html, context)
        pictures = self._related.pictures(html) if self._related else b""
        quoted.closed(text)
        quoted.closed(html)
        ending = () if pictures else (self._closing,)
        return [self._opening, *text, self._between, *html, *ending], pictures

    def _subject_text(self, context: Context, purpose: Purpose) -> str:
        subject = "".join(_run(self._subject, context))
        return TEST_MARK + subject if purpose == "test" else subject

    def _identifier(self, subscriber: Subscriber, date: datetime, purpose: Purpose) -> str:
        """The left side of Message-ID: from the opaque token, so the same for every attempt of a run."""
        material = [subscriber.token, self.compiled.slug]
        if purpose == "test":  # each test is a message of its own
            material += ["test", date.isoformat()]
        return hashlib.sha256("\0".join(material).encode()).hexdigest()[:40]

    def _mark(self, subscriber: Subscriber) -> str:
        return mark_of(subscriber.id, subscriber.token, self._identity.verp_key)

    def address(self, text: str) -> Address:
        """A recipient's address, checked. Raises `MergeError`."""
        try:
            return parse_address(text)
        except AddressError as exc:
            raise MergeError(
                Problem(None, f"the address of {templates.THIS_READER} {exc}", code="bad-address")
            ) from exc


def _who(compiled: CompiledIssue, today: day) -> tuple[Segments, Condition]:
    """The segments and the audience as functions."""
    try:
        segments = Segments(compiled.segments, today)
        return segments, segments.condition(compiled.audience)
    except (ValueError, TemplateSyntaxError) as exc:  # composing checked them: the stored issue was changed
        raise InputError(Problem(None, f"the segments or the audience: {exc}", code="bad-expression")) from exc


def _never(reason: Exception) -> Outcomes:
    def outcomes(_values: Mapping[str, Value]) -> NoReturn:
        raise reason

    return outcomes


def _token(subscriber: Subscriber, purpose: Purpose) -> str:
    return quote(subscriber.token, safe="") if purpose == "real" else INERT_TOKEN


def _leave(identity: Identity) -> list[str]:
    """The fields by which a mail client offers to unsubscribe, with `TOKEN`; none when nothing is set up."""
    url = identity.unsubscribe_pattern() if identity.unsubscribe_url else ""
    mail = identity.mail_pattern()
    if not url and not mail:
        return []
    field = headers.list_unsubscribe(url, mail)
    one_click = identity.one_click and url.startswith("https://")
    return [field, headers.ONE_CLICK] if one_click else [field]


def _part(subtype: str) -> str:
    return f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"


def _run(function: Merged, context: Context) -> list[str]:
    try:
        return function(context)
    except Exception as exc:  # an author's expression may raise anything; it is explained
        raise MergeError(function.problem(exc)) from exc


def _mailbox(text: str, setting: str) -> tuple[str, str]:
    try:
        return split_mailbox(text)
    except ValueError as exc:
        place = Place("config/digest.toml")
        raise InputError(Problem(place, f"{setting}: {exc}", code="bad-address")) from exc
