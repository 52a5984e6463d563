"""A relay, or somebody on the way to it, that says what nobody asked for: before, within and after TLS."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from digest.delivery.outcome import Accepted, Deferred, Rejected, Unknown
from digest.delivery.relay import SmtpRelay, unmarked
from digest.delivery.replies import LONGEST_LINE, LONGEST_REPLY
from digest.delivery.scripted import ScriptedRelay
from digest.errors import DigestError
from digest.message.envelope import Message
from digest.sections import SmtpSection

DATA = b"Subject: x\r\n\r\nHello\r\n"


def message(recipient: str = "ada@example.org", *, smtputf8: bool = False) -> Message:
    return Message("b@news.example.com", recipient, "<m1@news.example.com>", DATA, smtputf8)


def hand_over(port: int, *messages: Message, **settings: Any) -> list[Any]:
    section = SmtpSection(**{"host": "127.0.0.1", "port": port, "tls": "none", "timeout": 20.0} | settings)

    async def go() -> list[Any]:
        connection = await SmtpRelay(section, hello="x.example", patience=1).connect()
        try:
            return [await connection.send(m, unmarked) for m in messages]
        finally:
            await connection.close()

    return asyncio.run(go())


class Injecting:
    """Offers STARTTLS, answers it together with words of its own in the clear, then speaks TLS without AUTH."""

    def __init__(self, certificate: Path, words: bytes) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._words = words
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.heard: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        client.settimeout(30)
        try:
            client.sendall(b"220 hello\r\n")
            client.recv(1000)
            client.sendall(b"250-x\r\n250 STARTTLS\r\n")
            client.recv(1000)
            client.sendall(b"220 go on\r\n" + self._words)
            with self._context.wrap_socket(client, server_side=True) as secured:
                while line := secured.recv(1000):
                    self.heard.append(line)
                    secured.sendall(b"250-x\r\n250 SIZE 1000000\r\n" if b"EHLO" in line else b"250 ok\r\n")
        except OSError:
            pass

    def close(self) -> None:
        self._thread.join()
        self._listener.close()


@pytest.fixture
def injecting(certificate) -> Iterator[Any]:
    started: list[Injecting] = []

    def start(words: bytes) -> Injecting:
        started.append(Injecting(certificate, words))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.mark.parametrize("words", [b"250-x\r\n250 AUTH PLAIN LOGIN\r\n", b"250 x\r\n", b"2"])
def test_nothing_said_in_the_clear_counts_after_starttls(injecting, certificate, monkeypatch, words):
    """What was slipped in behind the answer to STARTTLS is no answer to what is asked under TLS (RFC 3207
    section 6; CVE-2011-0411): no password is said on its word."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = injecting(words)
    with pytest.raises(DigestError):
        hand_over(server.port, message(), tls="starttls", username="u", password="correct horse")
    assert not [line for line in server.heard if b"AUTH" in line]


def test_an_endless_greeting():
    """A greeting without an end is given up, not kept."""
    endless = ScriptedRelay(lambda step: "220-" + "x" * 200_000 if step.verb == "connect" else None)
    with endless as relay, pytest.raises(DigestError):
        hand_over(relay.port, message())


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("250 " + "x" * LONGEST_LINE, Deferred),
        ("\r\n".join(["250-" + "x" * 1000] * (LONGEST_REPLY // 1000 + 2)), Deferred),
        ("250-one\r\n550 two", Deferred),
        ("25", Deferred),
        ("250", None),
        ("250-\r\n250 ", None),
        ("250 \xff\xfe caf\xe9", None),
        ("250 \x00\x1b[2J", None),
    ],
)
@pytest.mark.parametrize("keyword", ["SIZE", "PIPELINING"])
def test_odd_replies(keyword, answer, kind):
    """Replies that are too long, contradict themselves or break off end the connection; odd bytes in their text
    do not. The reader who is next is sent to in either case."""

    def script(step: Any) -> str | None:
        return answer if step.verb == "RCPT" and "ada@" in step.argument else None

    with ScriptedRelay(script, (keyword,)) as relay:
        first, second = hand_over(relay.port, message(), message("bob@example.org"))
        assert isinstance(first, kind or Accepted)
        assert isinstance(second, Accepted)
        assert [m.recipient for m in relay.received][-1] == "bob@example.org"


@pytest.mark.parametrize("answer", ["250 " + "x" * LONGEST_LINE, "250-taken\r\n451 or not", "garbage"])
def test_odd_replies_at_the_end(answer):
    """The same at the end of the data leave the message in doubt: neither sent again nor forgotten."""
    with ScriptedRelay(lambda step: answer if step.verb == "." else None) as relay:
        assert isinstance(hand_over(relay.port, message())[0], Unknown)


@pytest.mark.parametrize(
    ("offered", "recipient", "said"),
    [
        (("SIZE 1000", "8BITMIME", "SMTPUTF8"), "jörg@example.org", f" SIZE={len(DATA)} SMTPUTF8 BODY=8BITMIME"),
        (("SMTPUTF8",), "jörg@example.org", " SMTPUTF8"),
        (("SIZE 1000", "8BITMIME", "SMTPUTF8"), "ada@example.org", f" SIZE={len(DATA)}"),
        ((), "ada@example.org", ""),
    ],
)
def test_what_mail_says(offered, recipient, said):
    """MAIL carries SIZE, SMTPUTF8 and BODY only where they are offered and needed (RFC 1870, 6531, 6152)."""
    with ScriptedRelay(extensions=offered) as relay:
        outcome = hand_over(relay.port, message(recipient, smtputf8=not recipient.isascii()))[0]
        assert isinstance(outcome, Accepted)
        assert relay.verbs("MAIL") == [f"FROM:<b@news.example.com>{said}"]
        assert relay.received[0].recipient == recipient


def test_what_can_not_be_carried():
    """An address or a size that a relay can't carry never reaches it."""
    with ScriptedRelay(extensions=("SIZE 5",)) as relay:
        outcomes = hand_over(relay.port, message(), message("jörg@example.org", smtputf8=True))
        assert [outcome.enhanced for outcome in outcomes if isinstance(outcome, Rejected)] == ["5.3.4", "5.6.7"]
        assert relay.verbs("MAIL") == []
