"""PIPELINING (RFC 2920): what goes out together, what waits for its mark, and what a refusal in a group means."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.delivery.classify import Reply
from digest.delivery.outcome import Accepted, Bounced, Deferred, Outcome, Rejected, Unknown
from digest.delivery.relay import SmtpRelay
from digest.delivery.replies import LONGEST_LINE, ReplyParser
from digest.delivery.scripted import Act, ScriptedRelay, Step
from digest.message.envelope import Message
from digest.sections import SmtpSection

OK = Accepted(250, "2.0.0 taken in")


def message(number: int, data: bytes = b"Subject: x\r\n\r\nHello\r\n") -> Message:
    return Message("b@news.example.com", f"r{number}@example.org", f"<m{number}@news.example.com>", data)


def relay_at(port: int) -> SmtpRelay:
    return SmtpRelay(SmtpSection(host="127.0.0.1", port=port, tls="none", timeout=30.0), hello="x.example", patience=1)


def hand_over(
    port: int, messages: list[Message], marked: Any = lambda _message: None, *, ahead: bool = True
) -> list[Any]:
    """All messages over one connection, each known to it while the one before is marked (`ahead`)."""

    async def go() -> list[Any]:
        connection = await relay_at(port).connect()
        outcomes = []
        for number, this in enumerate(messages, 1):

            async def mark(this: Message = this, number: int = number) -> Message | None:
                marked(this)
                return messages[number] if ahead and number < len(messages) else None

            outcomes.append(await connection.send(this, mark))
        await connection.close()
        return outcomes

    return asyncio.run(go())


@pytest.fixture
def pipelined() -> Iterator[Any]:
    """Starts a scripted relay that offers PIPELINING."""
    started = []

    def start(script: Any = lambda _step: None) -> ScriptedRelay:
        started.append(ScriptedRelay(script, ("PIPELINING", "SIZE 1000000")).__enter__())
        return started[-1]

    yield start
    for relay in started:
        relay.__exit__(None, None, None)


class Group:
    """A bare server that shows what came in together: it answers only when nothing more comes for a while."""

    def __init__(self, keyword: str) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._keyword = keyword

    def serve(self) -> list[list[str]]:
        """The groups of commands, until the client goes; content is shown as ``content``."""
        client, _ = self._listener.accept()
        client.settimeout(0.3)
        client.sendall(b"220 hello\r\n")
        groups: list[list[str]] = []
        inside = False
        while True:
            data = b""
            try:
                while more := client.recv(65536):
                    data += more
                break
            except TimeoutError:
                pass
            group, answers = [], []
            for line in data.decode().splitlines():
                verb = line.split(" ")[0].rstrip(":")
                if inside and line != ".":
                    continue
                inside = verb == "DATA"
                group.append("content" if verb == "." else verb)
                answers.append("354 go" if inside else f"250-x\r\n250 {self._keyword}" if verb == "EHLO" else "250 ok")
            if group:
                groups.append(group)
                client.sendall("".join(f"{answer}\r\n" for answer in answers).encode())
        client.close()
        self._listener.close()
        return groups


@pytest.mark.parametrize(
    ("keyword", "groups"),
    [
        ("PIPELINING", [["MAIL", "RCPT", "DATA"], ["content", "MAIL", "RCPT", "DATA"], ["content"]]),
        ("SIZE", [["MAIL"], ["RCPT"], ["DATA"], ["content"], ["MAIL"], ["RCPT"], ["DATA"], ["content"]]),
    ],
)
def test_what_goes_out_together(keyword, groups):
    """With PIPELINING an envelope is one group, the next one behind the final dot; without it all wait in turn."""

    async def go() -> list[list[str]]:
        server = Group(keyword)
        served = asyncio.create_task(asyncio.to_thread(server.serve))
        connection = await relay_at(server.port).connect()
        first, second = message(1), message(2)

        async def then_second() -> Message:
            return second

        async def then_nobody() -> None:
            return None

        await connection.send(first, then_second)
        await connection.send(second, then_nobody)
        await connection.close()
        return await served

    said = asyncio.run(go())
    assert [group for group in said if group not in (["EHLO"], ["QUIT"])] == groups


def test_each_mark_before_its_content(pipelined):
    """Each message is marked after its own 354 and before a byte of it has left, also behind another's dot."""
    relay = pipelined()
    at: list[tuple[str, int, int]] = []

    def marked(this: Message) -> None:
        time.sleep(0.02)  # were the content on its way already, it would arrive meanwhile
        at.append((this.recipient, len(relay.verbs("DATA")), len(relay.verbs("."))))

    assert hand_over(relay.port, [message(n) for n in (1, 2, 3)], marked) == [OK] * 3
    assert at == [("r1@example.org", 1, 0), ("r2@example.org", 2, 1), ("r3@example.org", 3, 2)]


@pytest.mark.parametrize(("verb", "answer"), [("RCPT", "550 5.1.1 no"), ("RCPT", "451 later"), ("MAIL", "451 later")])
def test_refused_in_the_middle(pipelined, verb, answer):
    """A refusal in a group is one reader's; the messages before and behind it are taken, each once."""
    relay = pipelined(lambda step: answer if step.verb == verb and step.number == 1 and _is(step, 2) else None)
    outcomes = hand_over(relay.port, [message(n, b"X: " + b"y" * n + b"\r\n\r\n.\r\n") for n in (1, 2, 3)])
    assert [type(outcome) for outcome in outcomes] == [Accepted, Bounced if answer[0] == "5" else Deferred, Accepted]
    assert [m.recipient for m in relay.received] == ["r1@example.org", "r3@example.org"]
    assert [m.data[3:6] for m in relay.received] == [b"y\r\n", b"yyy"]
    assert relay.connections == 1


def _is(step: Step, number: int) -> bool:
    size = len(b"X: \r\n\r\n.\r\n") + number
    return step.argument in (f"TO:<r{number}@example.org>", f"FROM:<b@news.example.com> SIZE={size}")


def test_invited_without_a_recipient(pipelined):
    """354 although the only recipient was refused: a lone dot ends it (RFC 2920 section 3.1), nobody gets it."""
    relay = pipelined(
        lambda step: {"RCPT": "550 5.1.1 no", "DATA": "354 go on"}.get(step.verb) if not relay.verbs(".") else None
    )
    refused, taken = hand_over(relay.port, [message(1), message(2)])
    assert (refused, taken) == (Bounced(550, "5.1.1", "5.1.1 no"), OK)
    assert [m.recipient for m in relay.received] == ["r2@example.org"]
    assert relay.connections == 1


def test_invited_without_a_sender(pipelined):
    """MAIL refused, yet RCPT and DATA answered well: no dot, which would send an empty message to the reader."""
    odd = {"MAIL": "451 later", "RCPT": "250 ok", "DATA": "354 go on"}
    relay = pipelined(lambda step: odd.get(step.verb) if step.connection == 1 else None)
    refused, taken = hand_over(relay.port, [message(1), message(2)])
    assert (refused, taken) == (Deferred(451, "later"), OK)
    assert relay.verbs(".") == ["r2@example.org"]
    assert relay.connections == 2


@pytest.mark.parametrize(
    ("answer", "first"),
    [
        ("554 5.7.1 spam", Rejected(554, "5.7.1", "5.7.1 spam")),
        ("452 4.3.1 full", Deferred(452, "4.3.1 full")),
        ("421 4.3.2 bye", Deferred(421, "4.3.2 bye")),
        (Act.HANG_UP, None),
        ("what?", None),
    ],
)
def test_trouble_at_the_end(pipelined, answer, first):
    """Whatever becomes of one message, the one whose envelope travelled behind it loses no attempt."""
    relay = pipelined(lambda step: answer if step.verb == "." and "r1@" in step.argument else None)
    outcomes = hand_over(relay.port, [message(1), message(2)])
    assert outcomes[1] == OK
    assert outcomes[0] == first if first else isinstance(outcomes[0], Unknown)
    assert [m.recipient for m in relay.received] == ["r2@example.org"]


def test_one_reply_too_many(pipelined):
    """A reply that nothing asked for shifts no other reply to the wrong message: the connection ends there."""
    relay = pipelined(lambda step: "250 ok\r\n250 and more" if step.verb == "RCPT" and "r2@" in step.argument else None)
    outcomes = hand_over(relay.port, [message(n) for n in (1, 2, 3)])
    assert (outcomes[0], outcomes[2]) == (OK, OK)
    assert isinstance(outcomes[1], Deferred)
    assert Counter(m.recipient for m in relay.received) == {"r1@example.org": 1, "r3@example.org": 1}


def test_a_reply_to_nothing(pipelined):
    """What a relay says when nothing was asked ends the connection: it would be taken for the next answer."""
    relay = pipelined(lambda step: "250 taken\r\n250 twice" if step.verb == "." and step.connection == 1 else None)
    outcomes = hand_over(relay.port, [message(1), message(2)], ahead=False)
    assert outcomes == [Accepted(250, "taken"), OK]
    assert relay.connections == 2


def test_replies_trickle_in(pipelined, monkeypatch):
    """Replies in single bytes are the same replies."""
    from digest.delivery import scripted

    async def drip(self: Any, said: Any) -> None:
        for byte in f"{said}\r\n".encode():
            self._writer.write(bytes([byte]))
            await self._writer.drain()
            await asyncio.sleep(0)

    monkeypatch.setattr(scripted._Session, "_say", drip)
    relay = pipelined()
    assert hand_over(relay.port, [message(n) for n in (1, 2, 3)]) == [OK] * 3


REPLIES = st.lists(
    st.tuples(st.integers(200, 599), st.lists(st.from_regex(r"[!-~]{0,20}", fullmatch=True), min_size=1, max_size=4)),
    max_size=6,
)


@given(REPLIES, st.data())
def test_any_cut_gives_the_same_replies(replies, data):
    """However the bytes of some replies are cut into pieces, the parser makes the same replies of them."""
    wire = b"".join(
        f"{code}{' ' if last else '-'}{text}\r\n".encode()
        for code, texts in replies
        for last, text in [(n == len(texts), text) for n, text in enumerate(texts, 1)]
    )
    parser, found, rest = ReplyParser(), [], wire
    while rest:
        cut = data.draw(st.integers(1, len(rest)))
        found += parser.feed(rest[:cut])
        rest = rest[cut:]
    assert found == [Reply(code, " ".join(texts).strip()) for code, texts in replies]
    assert not parser.broken


@given(st.binary(max_size=300))
def test_any_bytes_are_survived(noise):
    """Whatever a server says becomes replies or a broken end; nothing is raised, and nothing is kept for ever."""
    parser = ReplyParser()
    replies = parser.feed(noise) + parser.feed(b"x" * (LONGEST_LINE + 1))
    assert parser.broken
    assert replies[-1].code == -1
    assert parser.feed(b"250 ok\r\n") == []


def test_who_leaves_at_the_last_moment(bench, issue, pipelined, monkeypatch):
    """A reader who leaves while their envelope waits behind another message, at a slow relay, gets nothing."""
    monkeypatch.setattr("digest.delivery.queue._FRESH", 0.05)
    bench.overrides["smtp.connections"] = 1
    bench.subscribe_many(3)

    def script(step: Step) -> None:
        if step.verb == "." and not relay.received:
            bench.leave("reader0002@example.org")
            time.sleep(0.2)

    relay = pipelined(script)
    report = bench.send(issue, relay)
    assert report.accounts.withdrawn == {"unsubscribed": 1}
    assert [m.recipient for m in relay.received] == ["reader0001@example.org", "reader0003@example.org"]


def test_smtp_sink(free_port, listening):
    """Debian's smtp-sink, which is no server of ours, takes a whole pipelined run; each outcome is Accepted."""
    sink = shutil.which("smtp-sink", path="/usr/sbin:/usr/bin")
    if sink is None:
        pytest.skip("smtp-sink (Debian package postfix) is missing: pipelining was not tested against it")
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen([sink, *user, f"127.0.0.1:{port}", "10"], stderr=subprocess.DEVNULL)
    try:
        listening(port)
        outcomes: list[Outcome] = hand_over(port, [message(n, b"X: y\r\n\r\n" + b".x\r\n" * 9999) for n in range(20)])
    finally:
        process.kill()
        process.wait()
    assert [type(outcome) for outcome in outcomes] == [Accepted] * 20
