"""Test sends: who is rendered for whom, what is marked, what is recorded."""

import pytest

from digest.delivery.trial import send_test
from digest.errors import HeldError, InputError, LaterError


@pytest.fixture
def trial(bench, issue, scripted):
    """Sends a test of the issue to a relay; gives the report and the relay."""

    def go(*addresses: str, script=lambda _step: None, **options: object):
        relay = scripted(script)
        bench.overrides["smtp.port"] = relay.port
        return send_test(bench.newsletter, issue, addresses, **options), relay

    return go


def test_list_of_testers(bench, trial, issue):
    """Without an address everybody in subscribers/test.csv gets it, each with their own row, marked, recorded."""
    (bench.root / "subscribers").mkdir(exist_ok=True)
    (bench.root / "subscribers/test.csv").write_text("email,first_name\ned@example.org,Ed\nada@example.org,Ada\n")
    report, relay = trial()
    assert report.exit_code == 0
    assert [m.header("Subject") for m in relay.received] == [
        "[Test] The first one, Ed",
        "[Test] The first one, Ada",
    ]
    assert len({m.header("Message-ID") for m in relay.received}) == 2
    assert bench.execute("SELECT slug, fingerprint, address, outcome FROM tests") == [
        ("one", issue.fingerprint, "ed@example.org", "accepted"),
        ("one", issue.fingerprint, "ada@example.org", "accepted"),
    ]
    assert bench.execute("SELECT count(*) FROM runs") == [(0,)]


def test_who_is_rendered(bench, trial):
    """An address is rendered as its own row of the list, else of the test list, else as the largest variant's
    reader."""
    bench.subscribe("own@example.org", first_name="Own")
    bench.subscribe("big@example.org", "big2@example.org")
    (bench.root / "subscribers/test.csv").write_text("email,first_name\nown@example.org,Not\nrow@example.org,Row\n")
    _, relay = trial("own@example.org", "row@example.org", "else@example.org")
    subjects = [m.header("Subject") for m in relay.received]
    assert subjects == ["[Test] The first one, Own", "[Test] The first one, Row", "[Test] The first one"]
    assert b"big@example.org" in relay.received[2].data
    assert [m.recipient for m in relay.received][2] == "else@example.org"


def test_as_a_reader(bench, trial):
    """--as wins over whatever rows the addresses have: each gets the chosen reader's copy."""
    bench.subscribe("own@example.org", first_name="Own")
    bench.subscribe("chosen@example.org", first_name="Cho")
    (bench.root / "subscribers/test.csv").write_text("email,first_name\nrow@example.org,Row\n")
    addresses = ["own@example.org", "row@example.org", "else@example.org"]
    report, relay = trial(*addresses, as_reader="chosen@example.org")
    assert [m.recipient for m in relay.received] == addresses
    assert {m.header("Subject") for m in relay.received} == {"[Test] The first one, Cho"}
    assert {copy.because for copy, _ in report.results} == {"as chosen@example.org"}
    _, relay = trial(as_reader="chosen@example.org")
    assert [m.header("Subject") for m in relay.received] == ["[Test] The first one, Cho"]


def test_every_variant(bench, trial):
    """--every-segment sends a copy of every variant to each address, the largest first."""
    bench.subscribe("a@example.org", "b@example.org")
    bench.subscribe("c@example.org", first_name="Cy")
    report, relay = trial("ed@example.com", every_variant=True)
    assert [m.header("Subject") for m in relay.received] == ["[Test] The first one", "[Test] The first one, Cy"]
    assert "2 readers" in report.results[0][0].because


def test_fresh_folder(trial):
    """Before there is any list, an address gets the issue as a made-up reader."""
    report, relay = trial("ed@example.com")
    assert report.exit_code == 0
    assert relay.received[0].recipient == "ed@example.com"


def test_bad_input(bench, trial):
    """A bad address, no test list and an unknown reader are told before the relay is called."""
    bench.subscribe_many(1)
    with pytest.raises(InputError, match=r"(?s)no.*nowhere"):
        trial("no", "nowhere")
    with pytest.raises(InputError, match=r"subscribers/test.csv.*there is no test list"):
        trial()
    with pytest.raises(InputError, match=r"no reader “who@example.org”"):
        trial("ed@example.org", as_reader="who@example.org")


@pytest.mark.parametrize(
    ("script", "code", "outcome"),
    [
        ({"RCPT": "550 5.1.1 no"}, 1, "bounced"),
        ({"RCPT": "451 later"}, 75, "deferred"),
        ({".": "what?"}, 3, "unknown"),
        ({".": "554 5.7.1 spam"}, 1, "rejected"),
    ],
)
def test_refused(bench, trial, script, code, outcome):
    """A test the relay does not take is told, recorded as what it is, and suppresses nobody."""
    bench.subscribe_many(1)
    report, _ = trial("reader0001@example.org", script=lambda step: script.get(step.verb))
    assert report.exit_code == code
    assert bench.execute("SELECT outcome FROM tests") == [(outcome,)]
    assert bench.suppressed() == []


def test_relay_trouble(bench, trial):
    """A relay that refuses us, or is not there, ends the test with 3 or 75."""
    bench.subscribe_many(1)
    with pytest.raises(HeldError, match="550 not you"):
        trial("ed@example.org", script=lambda step: "550 not you" if step.verb == "MAIL" else None)
    with pytest.raises(LaterError):
        trial("ed@example.org", script=lambda step: "421 busy" if step.verb == "connect" else None)
