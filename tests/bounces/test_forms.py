"""What comes back looks different from every system; all of it is told apart.

The mails are made by us, after the specifications and the public documentation of each system.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

import pytest

from digest.bounces.reading import read
from digest.message.identity import mark_of

MARK = mark_of(7, "a" * 24, b"key")
VERP = f"bounces+{MARK}@news.example.com"
MESSAGE_ID = "<0123456789abcdef0123456789abcdef01234567@news.example.com>"
TOKEN = "abcdefghijklmnopqrstuvwx"
WHEN = datetime(2026, 9, 12, 9, 0, tzinfo=UTC)

RETURNED = (
    f"Return-Path: <{VERP}>\n"
    "From: Test Weekly <weekly@news.example.com>\n"
    "To: ada@example.org\n"
    "Subject: One\n"
    f"Message-ID: {MESSAGE_ID}\n"
    f"List-Unsubscribe: <https://news.example.com/u/{TOKEN}>,\n"
    f" <mailto:leave@news.example.com?subject=unsubscribe%20{TOKEN}>\n"
)


@dataclass(frozen=True)
class Form:
    """A mail, and what it says: its kind, and of a bounce its weight and enhanced code."""

    name: str
    data: bytes
    kind: str = "bounce"
    weight: str = ""
    enhanced: str = ""


def _report(
    name: str,
    status: str,
    diagnostic: str,
    weight: str = "hard",
    enhanced: str | None = None,
    *,
    action: str = "failed",
    sender: str = "MAILER-DAEMON@mx.example.net",
    subject: str = "Undelivered Mail Returned to Sender",
    per_message: str = "Reporting-MTA: dns; mx.example.net\n",
    final: str = "Final-Recipient: rfc822; ada@example.org\n",
    returned: str = "message/rfc822",
    kind: str = "bounce",
    more: str = "",
) -> Form:
    """A delivery report (RFC 3464) with this system's peculiarities."""
    fields = f"{final}Action: {action}\n" + (f"Status: {status}\n" if status else "")
    fields += f"Diagnostic-Code: {diagnostic}\n" if diagnostic else ""
    data = (
        f"Return-Path: <>\nFrom: {sender}\nTo: {VERP}\nSubject: {subject}\nDate: {format_datetime(WHEN)}\n{more}"
        'MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary="=_b"\n\n'
        "--=_b\nContent-Type: text/plain\n\nThis is the mail system. I'm sorry.\n\n"
        f"--=_b\nContent-Type: message/delivery-status\n\n{per_message}\n{fields}\n"
        f"--=_b\nContent-Type: {returned}\n\n{RETURNED}\n--=_b--\n"
    )
    return Form(name, data.encode(), kind, weight, status if enhanced is None else enhanced)


def _from_file(file: Path) -> Form:
    """A mail in a file, which says on its first line what it is."""
    first, _, text = file.read_text().partition("\n")
    kind, weight, enhanced, *_ = [*first.removeprefix("X-Expected: ").split(), "", ""]
    return Form(
        file.stem, text.replace("{verp}", VERP).replace("{returned}", RETURNED).encode(), kind, weight, enhanced
    )


def _complaint(name: str, kind: str, expected: str = "complaint", fields: str = "", returned: str = RETURNED) -> Form:
    data = (
        f"From: feedback@isp.example\nTo: abuse@news.example.com\nSubject: FW: One\nDate: {format_datetime(WHEN)}\n"
        'MIME-Version: 1.0\nContent-Type: multipart/report; report-type=feedback-report; boundary="b"\n\n'
        "--b\nContent-Type: text/plain\n\nThis is an email abuse report.\n\n"
        "--b\nContent-Type: message/feedback-report\n\n"
        f"Feedback-Type: {kind}\nUser-Agent: Loop/1.0\nVersion: 1\n{fields}"
        f"\n--b\nContent-Type: message/rfc822\n\n{returned}\nHello\n--b--\n"
    )
    return Form(name, data.encode(), expected)


def _person(name: str, kind: str, subject: str, text: str = "Hello", **fields: str) -> Form:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = "Ada <ada@example.org>"
    mail["To"] = fields.pop("To", VERP)
    mail["Subject"] = subject
    for field, value in fields.items():
        mail[field.replace("_", "-")] = value
    mail.set_content(text)
    return Form(name, mail.as_bytes(), kind)


UNKNOWN = "550 5.1.1 <ada@example.org>: Recipient address rejected: User unknown"

FORMS = [
    # ---- reports, RFC 3464
    _report("postfix", "5.1.1", f"smtp; {UNKNOWN} in\n    local recipient table"),
    _report("postfix, its own table", "5.1.1", 'x-postfix; unknown user: "ada"'),
    _report("postfix, no such domain", "5.4.4", "x-postfix; Host or domain name not found. Name service error", "soft"),
    _report("postfix, null MX", "5.1.0", "x-postfix; Domain example.org does not accept mail (nullMX)", "soft"),
    _report("postfix, gave up", "4.4.1", "x-postfix; connect to mx.example.org[192.0.2.1]:25: timed out", "soft"),
    _report(
        "postfix, delayed",
        "4.4.1",
        "x-postfix; connect to mx.example.org: refused",
        "",
        "",
        action="delayed",
        kind="delay",
    ),
    _report("postfix, delivered", "2.0.0", "smtp; 250 ok", "", "", action="delivered", kind="automatic"),
    _report("postfix, SMTPUTF8", "5.1.1", f"smtp; {UNKNOWN}", final="Final-Recipient: utf-8; ädä@example.org\n"),
    _report(
        "sendmail",
        "5.1.1",
        "SMTP; 550 5.1.1 <ada@example.org>... User unknown",
        subject="Returned mail: see transcript for details",
        returned="text/rfc822-headers",
    ),
    _report(
        "sendmail, host unknown",
        "5.1.2",
        "",
        subject="Returned mail: Host unknown (Name server: example.org: host not found)",
    ),
    _report(
        "sendmail, full",
        "4.2.2",
        "SMTP; 452 4.2.2 Over quota",
        "soft",
        subject="Returned mail: see transcript for details",
    ),
    _report(
        "exim",
        "5.0.0",
        "smtp; 550 5.1.1 User unknown",
        enhanced="5.1.1",
        subject="Mail delivery failed: returning message to sender",
        more="Auto-Submitted: auto-replied\nX-Failed-Recipients: ada@example.org\n",
    ),
    _report(
        "exim, bare code",
        "5.0.0",
        "smtp; 550 No such person at this address",
        "soft",
        "5.0.0",
        subject="Mail delivery failed: returning message to sender",
    ),
    _report(
        "exim, no route", "5.0.0", "", "soft", "5.0.0", subject="Mail delivery failed: returning message to sender"
    ),
    _report(
        "gmail",
        "5.1.1",
        "smtp; 550-5.1.1 The email account that you tried to reach does not exist. Please try\n 550 5.1.1 https://support.example/mail/?p=NoSuchUser",
        sender="Mail Delivery Subsystem <mailer-daemon@googlemail.example>",
        subject="Delivery Status Notification (Failure)",
    ),
    _report(
        "gmail, inactive",
        "5.2.1",
        "smtp; 550 5.2.1 The email account that you tried to reach is inactive.",
        sender="mailer-daemon@googlemail.example",
    ),
    _report("gmail, over quota", "4.2.2", "smtp; 452 4.2.2 The recipient's inbox is out of storage space", "soft"),
    _report(
        "gmail, too fast",
        "4.2.1",
        "smtp; 450-4.2.1 The user you are trying to contact is receiving mail at a rate that",
        "soft",
    ),
    _report(
        "gmail, unauthenticated",
        "5.7.26",
        "smtp; 550-5.7.26 This mail is unauthenticated, which poses a security risk",
        "no_verdict",
    ),
    _report(
        "gmail, spam",
        "5.7.1",
        "smtp; 550-5.7.1 Our system has detected that this message is likely unsolicited mail",
        "no_verdict",
    ),
    _report(
        "gmail, delayed",
        "4.0.0",
        "smtp; 421 try later",
        "",
        "",
        action="delayed",
        kind="delay",
        subject="Delivery Status Notification (Delay)",
    ),
    _report(
        "exchange online",
        "5.1.10",
        "smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient ada@example.org not found by SMTP address lookup",
        sender="Microsoft Outlook <postmaster@tenant.example>",
        subject="Undeliverable: One",
    ),
    _report(
        "exchange on premises",
        "5.1.1",
        "smtp;550 5.1.1 RESOLVER.ADR.RecipNotFound; not found",
        sender="postmaster@corp.example",
        subject="Undeliverable: One",
    ),
    _report(
        "exchange, edge",
        "5.4.1",
        "smtp;550 5.4.1 Recipient address rejected: Access denied. AS(201806281)",
        "soft",
        sender="postmaster@tenant.example",
    ),
    _report(
        "exchange, full",
        "5.2.2",
        "smtp;554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException",
        "soft",
        subject="Unzustellbar: One",
    ),
    _report(
        "exchange, too large", "5.3.4", "smtp;552 5.3.4 message size exceeds fixed maximum message size", "no_verdict"
    ),
    _report(
        "exchange, restricted",
        "5.7.1",
        "smtp;550 5.7.1 RESOLVER.RST.AuthRequired; authentication required",
        "no_verdict",
    ),
    _report(
        "exchange, French",
        "5.1.1",
        "smtp;550 5.1.1 RESOLVER.ADR.RecipNotFound",
        subject="=?iso-8859-1?Q?Non_remis_=3A_One?=",
    ),
    _report("exchange, hop count", "5.4.6", "smtp;554 5.4.6 Hop count exceeded - possible mail loop", "soft"),
    _report(
        "exchange 2003",
        "5.1.1",
        "",
        subject="Delivery Status Notification (Failure)",
        sender="postmaster@corp.example",
        per_message="Reporting-MTA: dns;mail.corp.example\nReceived-From-MTA: dns;x\n"
        "Arrival-Date: Sat, 12 Sep 2026 09:00:00 +0000\n",
    ),
    _report("outlook.com", "5.5.0", "smtp;550 5.5.0 Requested action not taken: mailbox unavailable", "soft"),
    _report(
        "outlook.com, blocked",
        "5.7.1",
        "smtp;550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Block list (S3140)",
        "no_verdict",
    ),
    _report(
        "yahoo",
        "5.0.0",
        "smtp; 554 delivery error: dd This user doesn't have an account (ada@example.org) [0]",
        "soft",
        "5.0.0",
    ),
    _report(
        "yahoo, deferred", "4.7.0", "smtp; 421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred", "no_verdict"
    ),
    _report("icloud", "5.1.1", "smtp; 550 5.1.1 <ada@example.org>: user does not exist"),
    _report("icloud, full", "5.2.2", "smtp; 552 5.2.2 <ada@example.org>: user is over quota", "soft"),
    _report(
        "amazon ses",
        "5.1.1",
        "smtp; 550 5.1.1 <ada@example.org>... User unknown",
        sender="MAILER-DAEMON@eu-west-1.ses.example",
        per_message="Reporting-MTA: dns; a7-12.smtp-out.ses.example\n",
        more="X-SES-Outgoing: 2026\n",
    ),
    _report(
        "sendgrid", "5.0.0", "550 5.1.1 User does not exist", enhanced="5.1.1", sender="MAILER-DAEMON@relay.example"
    ),
    _report(
        "zimbra",
        "5.1.1",
        "smtp; 550 5.1.1 <ada@example.org>: Recipient address rejected: example.org",
        subject="Undelivered Mail Returned to Sender",
    ),
    _report(
        "courier",
        "5.1.1",
        "smtp; 550 User <ada@example.org> unknown",
        sender='"Courier mail server at mx.example.net" <>',
        subject="NOTICE: mail delivery status.",
    ),
    _report("qmail with a patch", "5.1.1", "", per_message="Reporting-MTA: dns; mx.example.net\n"),
    _report(
        "opensmtpd",
        "5.1.1",
        "smtp; 550 Invalid recipient",
        sender="Mailer Daemon <MAILER-DAEMON@mx.example.net>",
        subject="Delivery status notification: failed",
    ),
    _report(
        "domino",
        "5.1.1",
        "X-Notes; User ada (ada@example.org) not listed in Domino Directory",
        subject="DELIVERY FAILURE: User ada not listed in Domino Directory",
        sender="postmaster@corp.example",
    ),
    _report(
        "groupwise",
        "5.1.1",
        "smtp; 550 Mailbox unavailable",
        subject="Mail System Error - Returned Mail",
        sender="Mailer-Daemon@corp.example",
    ),
    _report(
        "powermta",
        "5.1.1",
        "smtp;550 5.1.1 unknown user",
        more="X-PowerMTA-VirtualMTA: one\n",
        per_message="Reporting-MTA: dns;out.example\nX-PowerMTA-BounceCategory: bad-mailbox\n",
    ),
    _report("proofpoint", "5.1.1", "smtp; 550 5.1.1 User Unknown", sender="MAILER-DAEMON@pphosted.example"),
    _report(
        "mimecast",
        "5.0.0",
        "smtp; 550 Invalid Recipient - https://community.example/docs#550",
        "soft",
        "5.0.0",
        sender="postmaster@mimecast.example",
    ),
    _report(
        "barracuda",
        "5.7.1",
        "smtp; 550 permanent failure for one or more recipients (ada@example.org:blocked)",
        "no_verdict",
    ),
    _report(
        "lmtp of dovecot",
        "5.2.2",
        "smtp; 552 5.2.2 <ada@example.org> Quota exceeded (mailbox for user is full)",
        "soft",
    ),
    _report(
        "cyrus",
        "5.1.1",
        "smtp; 550-Mailbox unknown. Either there is no mailbox associated with this\n"
        " 550-name or you do not have authorization to see it.\n 550 5.1.1 User unknown",
    ),
    _report("greylisted for days", "4.7.1", "smtp; 450 4.7.1 Greylisted", "no_verdict"),
    _report("moved", "5.1.6", "smtp; 551 5.1.6 Recipient has moved"),
    _report("bad syntax", "5.1.3", "smtp; 553 5.1.3 The recipient address is not a valid RFC 5321 address"),
    _report("content", "5.6.0", "smtp; 554 5.6.0 Message contains invalid header", "no_verdict"),
    _report("the server's word counts", "5.1.1", "smtp; 550 5.7.1 Relaying denied", "no_verdict", "5.7.1"),
    _report("no status at all", "", "smtp; 550 5.1.1 unknown", enhanced="5.1.1"),
    _report(
        "action in capitals with a remark",
        "5.1.1 (bad destination mailbox address)",
        "smtp; 550 5.1.1 no",
        action="Failed (permanently)",
        enhanced="5.1.1",
    ),
    # ---- in words: a file each
    *(_from_file(file) for file in sorted((Path(__file__).parent / "forms").glob("*.eml"))),
    # ---- complaints, RFC 5965
    _complaint("feedback loop", "abuse", fields=f"Original-Mail-From: <{VERP}>\nOriginal-Rcpt-To: <ada@example.org>\n"),
    _complaint("feedback loop, redacted", "abuse", fields="Original-Rcpt-To: redacted\n"),
    _complaint("feedback loop, fraud", "fraud"),
    _complaint("feedback loop, other", "other"),
    _complaint("not spam after all", "not-spam", "automatic"),
    _complaint("authentication failure", "auth-failure", "automatic", "Auth-Failure: dmarc\n"),
    _person("complaint, older", "complaint", "complaint about message from 192.0.2.1", RETURNED),
    # ---- answers that nobody wrote, RFC 3834
    _person("vacation", "automatic", "Re: One", Auto_Submitted="auto-replied (vacation)"),
    _person(
        "exchange, out of office",
        "automatic",
        "Automatic reply: One",
        "I am away. For 550 reasons.",
        X_Auto_Response_Suppress="All",
    ),
    _person("out of office", "automatic", "Out of Office: One"),
    _person("Abwesenheit", "automatic", "Abwesenheitsnotiz: One"),
    _person("réponse", "automatic", "Réponse automatique : One"),
    _person("japanese", "automatic", "自動返信: One"),
    _person("autoresponder of old", "automatic", "Thanks for writing", Precedence="auto_reply", X_Autorespond="One"),
    # ---- wishes to leave
    _person("mailto of List-Unsubscribe", "leave", f"unsubscribe {TOKEN}", To="leave@news.example.com"),
    _person("a client's Re:", "leave", f"Re: Unsubscribe {TOKEN.upper()}", To="leave@news.example.com"),
    _person("by address", "leave", "", To=f"leave+{TOKEN}@news.example.com"),
    # ---- people
    _person("a question", "unrecognised", "Where is page 4?"),
    _person("a wish without a token", "unrecognised", "unsubscribe"),
    _person("our own words", "unrecognised", "One", RETURNED),
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_every_form_is_told(form: Form) -> None:
    """Its kind, how much it weighs, and the server's own code."""
    letter = read(form.data)
    assert letter.kind == form.kind
    if form.kind == "bounce":
        failure = letter.failure("ada@example.org")
        assert (failure.weight, failure.enhanced) == (form.weight, form.enhanced)


def test_there_are_enough_of_them() -> None:
    """At least sixty bounces, and no name twice."""
    names = [form.name for form in FORMS]
    assert len(set(names)) == len(names)
    assert sum(form.kind == "bounce" for form in FORMS) >= 60


@pytest.mark.parametrize("form", [f for f in FORMS if f.kind in ("bounce", "delay")], ids=lambda form: form.name)
def test_every_bounce_names_its_reader(form: Form) -> None:
    """The mark of the envelope sender is found in each, whatever its headers are called."""
    assert (7, MARK) in read(form.data).marks


def test_what_is_returned_names_the_message() -> None:
    """Its Message-ID, and the token of its link to leave, also where the envelope sender was lost."""
    bounce = next(form for form in FORMS if form.name == "postfix").data.replace(VERP.encode(), b"bounces@x.example")
    letter = read(bounce)
    assert letter.marks == ()
    assert letter.message_ids[0] == MESSAGE_ID
    assert letter.tokens == (TOKEN,)
    assert letter.at == int(WHEN.timestamp() * 1e6)


def test_an_alias_of_many_is_not_dead_for_one_of_them() -> None:
    """Of several recipients' parts the reader's own counts, else the mildest."""
    part = "Final-Recipient: rfc822; {}\nAction: failed\nStatus: {}\n\n"
    data = (
        'MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\n"
        + part.format("one@example.net", "5.1.1")
        + part.format("two@example.net", "5.2.2")
        + "--b--\n"
    ).encode()
    assert read(data).failure("all@example.net").weight == "soft"
    assert read(data).failure("one@example.net").weight == "hard"


def test_copies_are_one_mail() -> None:
    """A second copy that came another way is known again; another mail is not."""
    data = next(form for form in FORMS if form.name == "postfix").data
    again = b"Received: from elsewhere by here\nX-Spam: no\n" + data.replace(b"\n", b"\r\n")
    assert read(again).key == read(data).key
    assert read(data.replace(b"I'm sorry", b"I'm very sorry")).key != read(data).key
