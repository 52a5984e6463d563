"""The sections of ``config/digest.toml``: what each setting is called, may be, and is when left out."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from digest.audience.address import AddressError, parse_address
from digest.quantities import Rate, parse_age, parse_duration, parse_rate, parse_share

# Written by digest itself; a second one would contradict it (RFC 5322 section 3.6 allows one of each).
_OWN_HEADERS = frozenset(
    {
        *("from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "return-path"),
        *("mime-version", "content-type", "content-transfer-encoding", "dkim-signature"),
        *("list-id", "list-unsubscribe", "list-unsubscribe-post"),
    }
)
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine itself.

    >>> [is_loopback(h) for h in ("localhost", "127.0.0.1", "[::1]", "smtp.example.com")]
    [True, True, True, False]
    """
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.casefold().rstrip(".") == "localhost"


def _line(text: str) -> str:
    # A line break in a header would begin another header (RFC 5322 section 2.2).
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise ValueError("has a line break or control character; write it on one line")
    if not text:
        raise ValueError("is empty")
    return text


def _address(text: str) -> str:
    try:
        parse_address(_line(text))
    except AddressError as error:
        raise ValueError(f"“{text}” {error}; write one such as weekly@news.example.com") from error
    return text


def _domain(text: str) -> str:
    if not re.fullmatch(rf"{_LABEL}(?:\.{_LABEL})*", text) or len(text) > 253:
        raise ValueError(f"“{text}” is no domain; write one such as news.example.com (international: xn--…)")
    return text


def split_mailbox(text: str) -> tuple[str, str]:
    """The display name (or nothing) and the bare address of a mailbox (RFC 5322 section 3.4).

    >>> split_mailbox('"Smith, J." <j@example.com>'), split_mailbox("j@example.com")
    (('Smith, J.', 'j@example.com'), ('', 'j@example.com'))
    >>> split_mailbox("Smith, J. <j@example.com>")
    Traceback (most recent call last):
    ValueError: “Smith, J.” needs double quotes around it: "Smith, J." <j@example.com>
    """
    match = re.fullmatch(r"(.*?)\s*<([^<>]*)>", _line(text))
    if match is None:
        return "", _address(text)
    name, address = match[1], _address(match[2].strip())
    if quoted := re.fullmatch(r'"((?:[^"\\]|\\.)*)"', name):
        return re.sub(r"\\(.)", r"\1", quoted[1]), address
    if re.search(r'[()<>\[\]:;@\\,"]', name):
        bare = name.replace("\\", "").replace('"', "")
        raise ValueError(f'“{name}” needs double quotes around it: "{bare}" <{address}>')
    return name, address


def _mailbox(text: str) -> str:
    split_mailbox(text)
    return text


def _url(text: str) -> str:
    _line(text)
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("https", "http") or re.search(r"[\s<>\"]", text):
        raise ValueError(f"“{text}” is no web address; write one such as https://news.example.com")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(f"“{text}” is not encrypted; write https:// (http:// is for this machine only)")
    return text


def _base_url(text: str) -> str:
    return _url(text).rstrip("/")


def _timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"“{text}” is no time zone; write an IANA name such as Europe/London") from error
    return text


def _language(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*", text):
        raise ValueError(f"“{text}” is no language tag; write one such as en or pt-BR (RFC 5646)")
    return text


def check_database(text: str) -> str:
    """The address of a SQLite file. Raises `ValueError` for anything else."""
    scheme, separator, path = text.partition(":///")
    if scheme != "sqlite" or not separator or not path.strip("/"):
        raise ValueError("is not of the form sqlite:///subscribers/digest.db (a path in the newsletter's folder)")
    return _line(text)


def _host(text: str) -> str:
    bare = text.strip("[]")
    try:
        ip_address(bare)
    except ValueError:
        if not re.fullmatch(rf"{_LABEL}(?:\.{_LABEL})*\.?", bare):
            raise ValueError(
                f"“{text}” is no host; write a name such as smtp.example.com (the port stands in port)"
            ) from None
    return bare


def _folder_relay(text: str) -> str:
    kind, colon, folder = text.partition(":")
    if text and not (colon and kind in ("maildir", "file") and folder):
        raise ValueError(f"“{text}” is no folder for messages; write maildir:DIR or file:DIR")
    return _line(text) if text else text


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not re.fullmatch(r"[!-9;-~]+", name):  # RFC 5322 section 2.2, ftext
            raise ValueError(f"“{name}” is no header name; letters, digits and - only, such as X-Campaign")
        if name.casefold() in _OWN_HEADERS:
            raise ValueError(f"{name} is written by digest itself; leave it out")
        if not re.fullmatch(r"[ -~]{1,900}", value):
            raise ValueError(f"the value of {name} must be one line of ASCII")
    return headers


Line = Annotated[str, AfterValidator(_line)]
Address = Annotated[str, AfterValidator(_address)]
Mailbox = Annotated[str, AfterValidator(_mailbox)]
Domain = Annotated[str, AfterValidator(_domain)]
Url = Annotated[str, AfterValidator(_url)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]


def _parsed(parse: Callable[[str], object]) -> BeforeValidator:
    """What is written as text is parsed; what is typed already (an option) stays."""

    def validate(value: object) -> object:
        return parse(value.strip()) if isinstance(value, str) else value

    return BeforeValidator(validate)


class Section(BaseModel):
    """Frozen; an unknown key is an error; an error never shows the value."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, str_strip_whitespace=True, validate_default=False
    )


class NewsletterSection(Section):
    """``[newsletter]``: who writes, and from where."""

    name: Line = Field(examples=["The Sample Weekly"])
    sender: Mailbox = Field(examples=["The Sample Weekly <weekly@news.example.com>"])
    reply_to: Mailbox | None = None
    domain: Domain = Field(examples=["news.example.com"])
    base_url: BaseUrl = Field(examples=["https://news.example.com"])
    postal_address: str = ""
    language: Annotated[str, AfterValidator(_language)] = "en"
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"


class UnsubscribeSection(Section):
    """``[unsubscribe]``: how one leaves."""

    url: Url | None = None
    mailto: Address | None = None
    one_click: bool = False

    @model_validator(mode="after")
    def _one_click_is_a_post_to_https(self) -> Self:
        if self.one_click and not (self.url or "").startswith("https://"):
            # RFC 8058 section 3.1: the URI must be HTTPS.
            raise ValueError("one_click needs an https:// url under [unsubscribe]")
        return self


def _mailbox_address(text: str) -> str:
    kind, colon, rest = _line(text).partition(":")
    if kind in ("maildir", "file") and colon and rest:
        return text
    parts = urlsplit(text)
    if kind not in ("imap", "imaps", "pop3", "pop3s") or not parts.hostname or "@" in parts.netloc:
        raise ValueError(
            f"“{text}” is no mailbox; write one such as imaps://mail.example.com, imaps://mail.example.com/Bounces,"
            " pop3s://mail.example.com, maildir:DIR or file:FILE"
        )
    _ = parts.port  # raises where it is none
    return text


class BouncesSection(Section):
    """``[bounces]``: where failures of the relay come back to, and when they end a subscription.

    `mailbox` is a Maildir, a file or a server's; the login's password is read from the environment or ``.env``.
    Of soft bounces `soft_limit` within `soft_days` days count as a dead address.
    """

    return_path: Address | None = None
    mailbox: Annotated[str, AfterValidator(_mailbox_address)] | None = None
    username: Line | None = None
    password: SecretStr | None = None
    soft_limit: int = Field(default=5, ge=2, le=1000)
    soft_days: int = Field(default=14, ge=1, le=365)


class SmtpSection(Section):
    """``[smtp]``: the relay."""

    host: Annotated[str, AfterValidator(_host)] = "localhost"
    port: int = Field(default=587, ge=1, le=65535)
    tls: Literal["implicit", "starttls", "none"] = "starttls"
    username: Line | None = None
    password: SecretStr | None = None
    provider: Literal["generic", "ses", "postmark"] = "generic"
    connections: int = Field(default=10, ge=1, le=200)
    rate: Annotated[Rate | None, _parsed(parse_rate)] = None
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = Field(default_factory=dict)
    timeout: float = Field(default=60.0, gt=0, le=3600)
    messages_per_connection: int = Field(default=1000, ge=1)

    @model_validator(mode="after")
    def _login_is_whole_and_safe(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together; set both or neither")
        if self.password is not None and self.tls == "none" and not is_loopback(self.host):
            raise ValueError(
                f'tls = "none" would send the password readable by anyone on the way to {self.host}; '
                'use "starttls" or "implicit"'
            )
        return self


class AssetsSection(Section):
    """``[assets]``: where pictures are shown from."""

    mode: Literal["hosted", "cid"] = "hosted"
    base_url: BaseUrl | None = None
    publish: tuple[str, ...] = ()


class DeliverySection(Section):
    """``[delivery]``: how a run goes on, and what holds it."""

    on_unknown: Literal["hold", "resend", "drop"] = "hold"
    retry_for: Annotated[timedelta, _parsed(parse_duration)] = timedelta(hours=24)
    require_test: bool = True
    require_check: bool = False
    require_approval: bool = False
    max_change: Annotated[float, _parsed(parse_share)] = 0.2
    durability: Literal["process", "power"] = "process"
    max_attempts: int = Field(default=40, ge=1)
    wait_for_relay: Annotated[timedelta, _parsed(parse_duration)] = timedelta(minutes=10)
    relay: Annotated[str, AfterValidator(_folder_relay)] = ""


class WarmUpSection(Section):
    """``[warm_up]``: how many messages a new domain sends a day until it is known, `growth` more each day."""

    start: Annotated[Rate | None, _parsed(parse_rate)] = None
    growth: Annotated[float, _parsed(parse_share)] = 0.5
    end: Annotated[Rate, _parsed(parse_rate)] = Rate(50_000, 86_400)

    @model_validator(mode="after")
    def _by_the_day_and_upwards(self) -> Self:
        if {rate.seconds for rate in (self.start, self.end) if rate} - {86_400}:
            raise ValueError("start and end are by the day; write such as 50/day")
        if self.start and self.growth <= 0:
            raise ValueError("growth is nothing; write a share such as 50%")
        return self


class ScheduleSection(Section):
    """``[schedule]``: what becomes of an issue, or of a reader in their own zone, that is later than `max_late`."""

    max_late: Annotated[timedelta, _parsed(parse_duration)] = timedelta(hours=6)
    on_late: Literal["hold", "skip", "send"] = "hold"
    late_readers: Literal["send", "skip"] = "send"


_EVENTS = ("start", "end", "held", "failed")


def _events(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in _EVENTS:
            raise ValueError(f"“{name}” is nothing that is told; one of: {', '.join(_EVENTS)}")
    return names


class NotifySection(Section):
    """``[notify]``: who hears of what `digest run-due` does; `heartbeat` is fetched (GET) after it went well."""

    editor: Address | None = None
    on: Annotated[tuple[str, ...], AfterValidator(_events)] = _EVENTS
    heartbeat: Url | None = None


class PaceSection(Section):
    """``[pace."gmail.com"]``: how fast one provider's readers are sent to."""

    rate: Annotated[Rate, _parsed(parse_rate)]


def _networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        try:
            ip_network(text, strict=False)
        except ValueError as error:
            raise ValueError(f"“{text}” is no address; write one such as 127.0.0.1 or 10.0.0.0/8") from error
    return texts


class WebSection(Section):
    """``[web]``: the public pages of ``digest serve``.

    `proxies` are addresses whose ``X-Forwarded-For`` is believed; `tags` those that readers may choose for
    themselves; `pictures` the folder whose files are shown under ``/assets``.
    """

    host: Annotated[str, AfterValidator(_host)] = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    proxies: Annotated[tuple[str, ...], AfterValidator(_networks)] = ()
    theme: Line | None = None
    tags: tuple[Line, ...] = ()
    pictures: Path = Path("pictures")


class SignupSection(Section):
    """``[signup]``: joining by the public page.

    `per_client` and `overall` bound how many may ask; `wording` is what they agree to, else the page's own words.
    """

    enabled: bool = False
    per_client: Annotated[Rate, _parsed(parse_rate)] = Rate(5, 3_600)
    overall: Annotated[Rate, _parsed(parse_rate)] = Rate(600, 3_600)
    wording: str = ""


class PrivacySection(Section):
    """``[privacy]``: how long it is kept who got what, and whether addresses are shown in full to whoever looks on."""

    keep_deliveries: Annotated[timedelta | None, _parsed(parse_age)] = None
    log_addresses: Literal["full", "masked"] = "full"


class DkimSection(Section):
    """``[dkim]``: the key messages are signed with (RFC 6376)."""

    selector: Domain | None = None
    key_file: Path | None = None
    key: SecretStr | None = None


class Author(Section):
    """``[authors.<id>]``: who is named by ``by="<id>"`` and in an issue's front matter."""

    name: Line
    role: str = ""
    url: Url | None = None
