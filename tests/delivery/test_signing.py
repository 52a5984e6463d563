"""Signed runs: what reaches the relay verifies; a key that is none stops the run before it begins."""

import dkim
import pytest

from digest.errors import InputError
from digest.message.dkim import new_keys

KEYS = new_keys("d2026")
DNS = {f"{key.selector}._domainkey.news.example.com.": key.record().encode() for key in KEYS}


def verified(data: bytes, index: int) -> bool:
    return bool(dkim.DKIM(data).verify(index, dnsfunc=lambda name, timeout=5: DNS.get(name.decode())))


@pytest.fixture
def keyed(bench):
    """The newsletter with both keys in a file."""
    (bench.root / "config/dkim.pem").write_text("".join(key.pem() for key in KEYS))
    bench.overrides |= {"dkim.selector": "d2026", "dkim.key_file": "config/dkim.pem"}
    return bench


def test_every_message_is_signed(keyed, issue, scripted):
    """Each message of a run reaches the relay with two signatures that verify; retries keep the Message-ID."""
    keyed.subscribe_many(30)
    relay = scripted()
    assert keyed.send(issue, relay).exit_code == 0
    assert len({m.recipient for m in relay.received}) == 30
    for received in relay.received:
        assert verified(received.data, 0)
        assert verified(received.data, 1)


def test_tests_are_signed_too(keyed, issue, scripted):
    """A test takes the same path."""
    from digest.delivery.trial import send_test

    relay = scripted()
    keyed.overrides["smtp.port"] = relay.port
    send_test(keyed.newsletter, issue, ["ed@example.org"])
    assert verified(relay.received[0].data, 0)


def test_a_provider_that_rewrites(keyed, issue, scripted):
    """For SES the fields it writes itself are not signed."""
    keyed.overrides["smtp.provider"] = "ses"
    keyed.subscribe_many(1)
    relay = scripted()
    keyed.send(issue, relay)
    data = relay.received[0].data
    assert verified(data.replace(b"Message-ID: <", b"Message-ID: <other"), 0)


def test_postmark_wants_a_stream(bench, issue, scripted):
    """Postmark gets the header of its stream for newsletters, unless the settings name another."""
    bench.overrides["smtp.provider"] = "postmark"
    bench.subscribe_many(1)
    relay = scripted()
    bench.send(issue, relay)
    assert relay.received[0].header("X-PM-Message-Stream") == "broadcast"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"dkim.key_file": "config/none.pem", "dkim.selector": "x"}, "no DKIM key: No such file"),
        ({"dkim.key_file": "config/dkim.pem", "dkim.selector": None}, "no selector"),
        ({"dkim.key_file": "config/digest.toml", "dkim.selector": "x"}, "holds no private key"),
        ({"dkim.key": "not a key", "dkim.selector": "x"}, "DIGEST_DKIM__KEY holds no private key"),
    ],
)
def test_no_key_no_run(keyed, issue, scripted, overrides, words):
    """A key that is missing or none is the input's mistake, found before anything is planned or sent."""
    keyed.overrides |= overrides
    keyed.overrides = {k: v for k, v in keyed.overrides.items() if v is not None}
    keyed.subscribe_many(1)
    relay = scripted()
    with pytest.raises(InputError, match=words):
        keyed.send(issue, relay)
    assert keyed.execute("SELECT count(*) FROM runs") == [(0,)]
    assert relay.steps == []
