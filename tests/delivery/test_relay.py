"""The relay by itself: what is said on the wire, and what becomes of every reply, TLS and login included."""

import asyncio
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from hypothesis import given
from hypothesis import strategies as st

from digest.delivery.classify import Reply, classify, printable, storable
from digest.delivery.folder import FolderRelay
from digest.delivery.outcome import Accepted, Bounced, Deferred, Outcome, Rejected, Unknown
from digest.delivery.relay import SmtpRelay, unmarked
from digest.delivery.scripted import Act
from digest.errors import HeldError, LaterError
from digest.message.envelope import Message
from digest.sections import SmtpSection

DATA = b"Subject: x\r\n\r\nOne.\r\n.\r\n..Two\r\n.Three\r\n"


def message(recipient: str = "ada@example.org", data: bytes = DATA, *, smtputf8: bool = False) -> Message:
    return Message("bounces+k1@news.example.com", recipient, "<m1@news.example.com>", data, smtputf8)


def smtp(port: int, **settings: Any) -> SmtpRelay:
    values = {"host": "127.0.0.1", "port": port, "tls": "none", "timeout": 30.0} | settings
    return SmtpRelay(SmtpSection(**values), hello="news.example.com", patience=1)


TAKES_ALL_FOR_CONTENT = "250 whatever"  # as the answer to DATA


def patient(act: Any) -> float:
    """A timeout that is short only where it is waited for: these tests share the machine."""
    return 1.0 if act in (Act.SAY_NOTHING, TAKES_ALL_FOR_CONTENT) else 30.0


def hand_over(relay: SmtpRelay, *messages: Message, mark: Any = unmarked) -> list[Any]:
    async def go() -> list[Any]:
        connection = await relay.connect()
        try:
            return [await connection.send(m, mark) for m in messages]
        finally:
            await connection.close()

    return asyncio.run(go())


def test_bytes_arrive_as_they_are(scripted):
    """Envelope and data reach the relay byte for byte, lines of dots too; SIZE is said."""
    relay = scripted()
    assert hand_over(smtp(relay.port), message()) == [Accepted(250, "2.0.0 taken in")]
    (received,) = relay.received
    assert received.data == DATA
    assert (received.sender, received.recipient) == ("bounces+k1@news.example.com", "ada@example.org")
    assert relay.verbs("MAIL") == [f"FROM:<bounces+k1@news.example.com> SIZE={len(DATA)}"]
    assert relay.verbs("EHLO") == ["news.example.com"]
    assert relay.verbs("QUIT") == [""]


def test_another_server(free_port):
    """aiosmtpd, which is no server of ours, takes the same bytes in."""
    taken = []

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 -- its name
            taken.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
            return "250 2.0.0 ok"

    port = free_port()
    controller = Controller(Handler(), hostname="127.0.0.1", port=port, ready_timeout=60)
    controller.start()
    try:
        assert hand_over(smtp(port), message(), message("bob@example.org")) == [Accepted(250, "2.0.0 ok")] * 2
    finally:
        controller.stop()
    assert taken[1] == ("bounces+k1@news.example.com", ["bob@example.org"], DATA)


@pytest.mark.parametrize(
    ("verb", "answer", "outcome"),
    [
        ("MAIL", "451 4.3.2 later", Deferred(451, "4.3.2 later")),
        ("MAIL", "552 5.3.4 too big", Rejected(552, "5.3.4", "5.3.4 too big")),
        ("RCPT", "450 4.2.1 greylisted", Deferred(450, "4.2.1 greylisted")),
        ("RCPT", "550 5.1.1 <ada@example.org> unknown", Bounced(550, "5.1.1", "5.1.1 <address> unknown")),
        ("RCPT", "550-5.1.1 no\r\n550 5.1.1 one", Bounced(550, "5.1.1", "5.1.1 no 5.1.1 one")),
        ("DATA", "451 later", Deferred(451, "later")),
        ("DATA", "554 5.5.1 no", Rejected(554, "5.5.1", "5.5.1 no")),
        ("DATA", TAKES_ALL_FOR_CONTENT, Deferred(0, "unreadable reply to DATA: whatever")),
        (".", "452 4.3.1 full", Deferred(452, "4.3.1 full")),
        (".", "554 5.7.1 spam", Rejected(554, "5.7.1", "5.7.1 spam")),
        (".", "421 4.3.2 going down", Deferred(421, "4.3.2 going down")),
    ],
)
def test_each_reply(scripted, verb, answer, outcome):
    """Each reply becomes its outcome, and the connection carries the next message on."""
    seen: list[str] = []
    relay = scripted(lambda step: _once(seen, verb, answer) if step.verb == verb else None)
    first, second = hand_over(smtp(relay.port, timeout=patient(answer)), message(), message("bob@example.org"))
    assert first == outcome
    assert second == Accepted(250, "2.0.0 taken in")
    assert [m.recipient for m in relay.received] == ["bob@example.org"]


def _once(seen: list[str], verb: str, answer: str) -> str | None:
    seen.append(verb)
    return answer if len(seen) == 1 else None


def test_mark_comes_between(scripted):
    """`mark` runs after the relay's 354 and before it has a byte of the message."""
    relay = scripted()
    at = []

    async def mark() -> None:
        at.append([s.verb for s in relay.steps])

    hand_over(smtp(relay.port), message(), mark=mark)
    assert at == [["connect", "EHLO", "MAIL", "RCPT", "DATA"]]


def test_no_mark_no_message(scripted):
    """When the mark can't be made nothing is sent, and the transaction is broken off."""
    relay = scripted()

    async def fail() -> None:
        raise HeldError("the disk is full")

    with pytest.raises(HeldError, match="disk is full"):
        hand_over(smtp(relay.port), message(), mark=fail)
    time.sleep(0.05)  # for one that would come late
    assert "." not in [step.verb for step in relay.steps]


def test_no_mark_for_the_refused(scripted):
    """A reader refused at RCPT is never marked."""
    marks: list[int] = []
    relay = scripted(lambda step: "550 no" if step.verb == "RCPT" else None)

    async def mark() -> None:
        marks.append(1)

    hand_over(smtp(relay.port), message(), mark=mark)
    assert marks == []
    assert relay.verbs("RSET") == [""]


@pytest.mark.parametrize("act", [Act.HANG_UP, Act.TAKE_AND_HANG_UP, Act.SAY_NOTHING, "what?", "999 odd"])
def test_in_doubt_after_the_end(scripted, act):
    """Whatever is no reply to end-of-data leaves the message unknown, never deferred."""
    relay = scripted(lambda step: act if step.verb == "." else None)
    (outcome,) = hand_over(smtp(relay.port, timeout=patient(act)), message())
    assert isinstance(outcome, Unknown)


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("act", [Act.HANG_UP, Act.SAY_NOTHING, "what?", "250\x00", "9" * 40000])
def test_no_doubt_before_the_end(scripted, verb, act):
    """Connection trouble before end-of-data defers; nothing was sent."""
    relay = scripted(lambda step: act if step.verb == verb else None)
    (outcome,) = hand_over(smtp(relay.port, timeout=patient(act)), message())
    assert isinstance(outcome, Deferred) or act == "250\x00"
    assert relay.received == [] or act == "250\x00"


def test_needs_smtputf8(scripted):
    """An address outside ASCII is rejected locally by a relay without SMTPUTF8, and sent by one with it."""
    plain, able = scripted(), scripted(extensions=("SMTPUTF8", "SIZE"))
    to_zoe = message("zoë@example.org", smtputf8=True)
    (refused,) = hand_over(smtp(plain.port), to_zoe)
    assert refused == Rejected(0, "5.6.7", "the address needs SMTPUTF8, which the relay does not offer")
    assert plain.verbs("MAIL") == []
    assert isinstance(hand_over(smtp(able.port), to_zoe)[0], Accepted)
    assert able.received[0].recipient == "zoë@example.org"
    assert able.verbs("MAIL")[0].endswith("SMTPUTF8")


def test_too_large_for_the_relay(scripted):
    """A message above the relay's SIZE is rejected without asking; SIZE 0 is no limit."""
    small, unlimited = scripted(extensions=("SIZE 20",)), scripted(extensions=("SIZE 0",))
    (refused,) = hand_over(smtp(small.port), message())
    assert refused == Rejected(0, "5.3.4", f"{len(DATA)} bytes are more than the relay takes (20)")
    assert isinstance(hand_over(smtp(unlimited.port), message())[0], Accepted)


def test_no_injection(scripted):
    """An address with a line break in it reaches no relay."""
    relay = scripted()
    (outcome,) = hand_over(smtp(relay.port), message("a@example.org>\r\nRCPT TO:<b@example.org"))
    assert isinstance(outcome, Rejected)
    assert relay.verbs("MAIL") == []


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ({"connect": "554 5.7.1 not you"}, HeldError, "554 5.7.1 not you"),
        ({"connect": "421 4.3.2 too busy"}, LaterError, "421 4.3.2 too busy"),
        ({"connect": "SSH-2.0-OpenSSH_9.2"}, HeldError, "does not speak SMTP: .*SSH-2.0"),
        ({"connect": Act.HANG_UP}, LaterError, "the connection was lost at connect"),
        ({"connect": Act.SAY_NOTHING}, LaterError, "no answer in time at connect"),
        ({"EHLO": "550 5.7.1 who?"}, HeldError, "550 5.7.1 who\\? \\(to EHLO\\)"),
        ({"EHLO": "421 no", "HELO": "421 no"}, LaterError, "421 no"),
        ({"AUTH": "535 5.7.8 wrong"}, HeldError, "535 5.7.8 wrong .*DIGEST_SMTP__PASSWORD"),
        ({"AUTH": "454 4.7.0 throttled"}, LaterError, "454 4.7.0 throttled"),
        ({"AUTH": Act.HANG_UP}, LaterError, "the connection was lost at AUTH"),
    ],
)
def test_no_connection(scripted, script, error, words):
    """What the relay says before the first message stops the run, or puts it off, in its own words."""
    relay = scripted(lambda step: script.get(step.verb), extensions=("AUTH PLAIN LOGIN",))
    with pytest.raises(error, match=words) as caught:
        hand_over(
            smtp(relay.port, timeout=patient(script.get("connect")), username="u", password="top secret"), message()
        )
    assert f"127.0.0.1:{relay.port}" in str(caught.value)
    assert "top secret" not in str(caught.value)
    assert "dG9wIHNlY3JldA" not in str(caught.value)


def test_old_server_without_ehlo(scripted):
    """A server that knows no EHLO gets HELO."""
    relay = scripted(lambda step: "502 5.5.1 never heard of it" if step.verb == "EHLO" else None)
    assert isinstance(hand_over(smtp(relay.port), message())[0], Accepted)
    assert relay.verbs("HELO") == ["news.example.com"]


def test_login_not_offered(scripted):
    """A relay that offers no login, where one is set, is a person's business."""
    with pytest.raises(HeldError, match="AUTH"):
        hand_over(smtp(scripted().port, username="u", password="p"), message())


def test_nobody_there(free_port):
    """Connection refused says where, and is for later."""
    port = free_port()
    with pytest.raises(LaterError, match=f"127.0.0.1:{port}: connection refused; is the relay running"):
        hand_over(smtp(port), message())


def test_no_such_host():
    """A host that does not resolve is for later, and named."""
    with pytest.raises(LaterError, match=r"relay.invalid:25"):
        hand_over(smtp(25, host="relay.invalid"), message())


def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_encrypted(scripted, certificate, monkeypatch, tls):
    """With a trusted certificate both ways of TLS work, login included; the password is never in the clear."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    relay = scripted(tls=serving(certificate), implicit=tls == "implicit", extensions=("STARTTLS", "AUTH PLAIN"))
    outcomes = hand_over(smtp(relay.port, tls=tls, username="u", password="p"), message())
    assert isinstance(outcomes[0], Accepted)
    verbs = [step.verb for step in relay.steps]
    if tls == "starttls":
        assert verbs.index("STARTTLS") < verbs.index("AUTH")


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_certificate_is_verified(scripted, certificate, tls):
    """A certificate nobody vouches for is refused, on loopback too, before any login."""
    relay = scripted(tls=serving(certificate), implicit=tls == "implicit", extensions=("STARTTLS", "AUTH PLAIN"))
    with pytest.raises(HeldError, match="certificate is not trusted: self-signed certificate"):
        hand_over(smtp(relay.port, tls=tls, username="u", password="p"), message())
    assert relay.verbs("AUTH") == []


def test_stripped_starttls(scripted):
    """A relay (or somebody between) that does not offer STARTTLS gets neither password nor message."""
    relay = scripted(extensions=("AUTH PLAIN",))
    with pytest.raises(HeldError, match="STARTTLS"):
        hand_over(smtp(relay.port, tls="starttls", username="u", password="p"), message())
    assert relay.verbs("AUTH") == relay.verbs("MAIL") == []


@pytest.mark.parametrize(("answer", "error"), [("454 4.7.0 not now", LaterError), ("502 no", HeldError)])
def test_refused_starttls(scripted, answer, error):
    """A refused STARTTLS never falls back to plain text."""
    relay = scripted(lambda step: answer if step.verb == "STARTTLS" else None, extensions=("STARTTLS",))
    with pytest.raises(error, match=answer):
        hand_over(smtp(relay.port, tls="starttls"), message())
    assert relay.verbs("MAIL") == []


def test_tls_at_a_plain_port(scripted):
    """Implicit TLS against a plain server says which port goes with what."""
    with pytest.raises((HeldError, LaterError), match="465 goes with implicit"):
        hand_over(smtp(scripted().port, tls="implicit"), message())


def test_folder(tmp_path):
    """The folder relay writes the very bytes, under the Message-ID, for its owner only."""
    hand_over(FolderRelay(tmp_path / "out"), message())  # type: ignore[arg-type] # any relay will do
    (file,) = (tmp_path / "out").iterdir()
    assert (file.name, file.read_bytes()) == ("m1.eml", DATA)
    assert (tmp_path / "out").stat().st_mode & 0o77 == 0


VERBS = ["connect", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "end-of-data"]


@given(st.sampled_from(VERBS), st.integers(-1, 1000), st.text())
def test_any_reply_has_a_meaning(verb, code, text):
    """Every code and text at every verb is classified; what is kept is one line and names no address."""
    outcome = classify(verb, Reply(code, text))
    if isinstance(outcome, Accepted):
        assert (verb, code // 100) == ("end-of-data", 2)
    if isinstance(outcome, Outcome):
        kept = outcome.reason if isinstance(outcome, Unknown) else outcome.reply
        assert "@" not in kept
        kept.encode()
    assert len(printable(text).splitlines()) <= 1
    assert "@" not in storable(text)
