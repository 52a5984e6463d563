"""Readers looked up, messages made and signed several at once: nobody can tell, but by the time it takes."""

import sys
import time
from collections import Counter

import pytest

from digest.audience.database import open_database
from digest.audience.store import Subscribers
from digest.delivery.signing import Together
from digest.message.dkim import Signer, new_keys
from digest.message.envelope import Message


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_either_loop(bench, issue, scripted, monkeypatch, loop):
    """A run is the same with the extra "fast" and without it."""
    if loop == "asyncio":
        monkeypatch.setitem(sys.modules, "uvloop", None)
    else:
        pytest.importorskip("uvloop")
    addresses = bench.subscribe_many(40)
    relay = scripted()
    report = bench.send(issue, relay)
    assert (report.exit_code, report.accounts.accepted) == (0, 40)
    assert Counter(message.recipient for message in relay.received) == Counter(addresses)


def test_left_while_a_message_lay_ready(bench, issue, scripted):
    """Who leaves after their message was made, and before it is their turn, does not get it."""
    bench.overrides["smtp.connections"] = 1
    addresses = bench.subscribe_many(10)

    def leaves(step):
        if step.verb == "." and step.number == 1 and step.argument == addresses[0]:
            bench.leave(addresses[5])
            time.sleep(0.3)

    relay = scripted(leaves)
    report = bench.send(issue, relay)
    assert addresses[5] not in {message.recipient for message in relay.received}
    assert (report.accounts.accepted, report.accounts.withdrawn) == (9, {"unsubscribed": 1})


def test_looked_up_together(bench):
    """Many looked up at once are as one by one; who is gone is left out."""
    bench.subscribe("a@example.org", "b@example.org", name="Ada Example", tags='["x", "y"]')
    bench.subscribe("c@example.org", status="unsubscribed")
    connection = open_database(bench.database)
    subscribers = Subscribers(connection)
    found = subscribers.some([3, 1, 2, 99])
    assert found == {n: (subscribers.get(n), subscribers.exclusion(n)) for n in (1, 2, 3)}
    assert found[3][1] == "unsubscribed"
    connection.close()


def test_signed_together():
    """Messages signed at once keep their order, and each its own signature; what one raises is raised."""
    signer = Signer("news.example.com", new_keys("d2026")[1:])
    messages = [Message("b@x.example", f"{n}@x.example", f"<{n}@x>", b"From: a\r\n\r\n%d\r\n" % n) for n in range(20)]
    signed = Together(lambda message: signer.fields(message, 0))(messages)
    assert signed == [signer.fields(message, 0) for message in messages]

    def refuse(message: Message) -> bytes:
        raise ValueError(message.recipient)

    with pytest.raises(ValueError, match=r"@x\.example"):
        Together(refuse)(messages)
