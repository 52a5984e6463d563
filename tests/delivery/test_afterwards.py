"""What is known of a run afterwards: later events, the report, metrics for machines."""

import json
import re
import time

import pytest
from click.testing import CliRunner

from digest.audience.database import now, open_database
from digest.compose.compiled import Condition
from digest.delivery.afterwards import KINDS, look_back
from digest.delivery.desk import open_desk
from digest.delivery.later import record_later
from digest.delivery.metrics import prometheus, sample
from digest.errors import Place


def note(bench, email: str, kind, run_id: int | None = None, detail: str = "", at: int | None = None) -> int | None:
    connection = open_database(bench.database)
    (number,) = connection.execute("SELECT id FROM subscribers WHERE email = ?", (email,)).fetchone()
    found = record_later(connection, run_id, number, kind, now() if at is None else at, detail)
    connection.close()
    return found


def test_later_is_beside_accepted(bench, issue, scripted):
    """What comes later is counted once for each kind, beside *accepted*, which stays as it was; no address is kept."""
    bench.subscribe_many(3)
    bench.send(issue, scripted())
    assert note(bench, "reader0001@example.org", "bounced", detail="550 <reader0001@example.org>\n gone") == 1
    assert note(bench, "reader0001@example.org", "bounced") == 1
    assert note(bench, "reader0001@example.org", "complained") == 1
    accounts = bench.accounts()
    assert (accounts.accepted, accounts.accepted_later) == (3, {"bounced": 1, "complained": 1})
    assert accounts.to_dict()["accepted_later"] == 2
    assert bench.execute("SELECT detail FROM later WHERE kind = 'bounced'") == [("550 <address> gone",)]


def test_later_counts_for_the_run_that_reached_them(bench, compiled, scripted):
    """Without a run it is the last one that had the reader accepted by then; nobody who was not is counted."""
    bench.subscribe("a@example.org", "b@example.org")
    bench.send(
        compiled("one"), scripted(lambda step: "550 5.7.1 no" if step.argument == "TO:<b@example.org>" else None)
    )
    between = now()
    bench.send(compiled("two", text="Two."), scripted())
    assert note(bench, "a@example.org", "unsubscribed") == 2
    assert note(bench, "a@example.org", "unsubscribed", at=between) == 1
    assert note(bench, "b@example.org", "complained", run_id=1) is None
    assert bench.accounts("one").accepted_later == {"unsubscribed": 1}


@pytest.fixture
def sent(bench, compiled, scripted):
    """An issue with conditions, sent to four readers of whom two have a first name; one left later."""
    (bench.root / "config/readers.toml").write_text('[segments]\nnamed = "subscriber.first_name"\n')
    bench.subscribe("a@example.org", "b@example.org", first_name="Ada")
    bench.subscribe("c@example.org", "d@example.org")
    bench.send(compiled("one"), scripted())
    note(bench, "a@example.org", "unsubscribed")
    return bench


def test_report(sent):
    """The report has the accounts, what came later by segment, and how long sending took."""
    with open_desk(sent.newsletter) as desk:
        found = look_back(desk, sent.run())
    assert KINDS == ("bounced", "complained", "unsubscribed")
    assert [(line.name, line.accepted, line.later) for line in found.segments] == [
        ("everybody", 4, (0, 0, 1)),
        ("named", 2, (0, 0, 1)),
    ]
    assert (found.processes, found.tried) == (1, 4)
    assert 0 < found.seconds < 30
    assert found.rate > 0


PLACES = [Place("issues/one.md", line) for line in range(2)]

METRIC = re.compile(r'[a-z_]+(\{[a-z_]+="(?:[^"\\]|\\.)*"(,[a-z_]+="(?:[^"\\]|\\.)*")*\})? [0-9.e+]+')


def test_metrics(sent):
    """Every line of the metrics is a comment or a sample in Prometheus' grammar, and the numbers are the accounts'."""
    with open_desk(sent.newsletter) as desk:
        text = prometheus([sample(desk, sent.run())])
    assert text.endswith("\n")
    lines = [line for line in text.splitlines() if not line.startswith("# ")]
    assert all(METRIC.fullmatch(line) for line in lines)
    assert 'digest_readers{issue="one",state="accepted"} 4' in lines
    assert 'digest_accepted_later{issue="one",kind="unsubscribed"} 1' in lines
    assert 'digest_sending{issue="one"} 0' in lines


def call(bench, *arguments: str) -> str:
    from digest.cli import root

    result = CliRunner().invoke(root, [*arguments, "--project", str(bench.root)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_report_command(sent):
    """digest report prints it for people, and as one object."""
    text = call(sent, "report", "one")
    assert re.search(r"everybody +4 +0 +0 +1", text)
    assert "by the relay; later 1 unsubscribed" in text
    answer = json.loads(call(sent, "report", "one", "--json"))
    assert (answer["accepted"], answer["accepted_later_by_kind"]) == (4, {"unsubscribed": 1})
    assert answer["segments"][1] == {"name": "named", "accepted": 2, "bounced": 0, "complained": 0, "unsubscribed": 1}


def test_status_of_many(sent):
    """status --readers streams the same object for machines; --format prometheus prints every run's metrics."""
    answer = json.loads(call(sent, "status", "one", "--readers", "accepted", "--json"))
    assert [reader["email"][0] for reader in answer["readers"]] == ["a", "b", "c", "d"]
    assert json.loads(call(sent, "status", "one", "--readers", "bounced", "--json"))["readers"] == []
    assert 'digest_planned{issue="one"} 4' in call(sent, "status", "--format", "prometheus")


def test_status_shows_who_rests(sent):
    """A domain that asked for less is named with the moment it is left alone until."""
    sent.execute(
        "INSERT INTO paces (name, rest_until, rests) VALUES ('domain slow.example', ?, 1)",
        int((time.time() + 60) * 1e6),
    )
    assert "slow.example asked for less, and is left alone until" in call(sent, "status", "one")
    assert list(json.loads(call(sent, "status", "one", "--json"))["resting"]) == ["slow.example"]


def test_metrics_file(bench, issue, scripted, tmp_path):
    """The metrics of a run are in their file while it is sent and at its end, always whole."""
    from digest.delivery.deliver import deliver
    from digest.delivery.metrics import Metered

    bench.subscribe_many(5)
    file = tmp_path / "digest.prom"
    relay = scripted()
    bench.overrides["smtp.port"] = relay.port
    seen: list[str] = []

    def watch(_progress: object, _at_end: bool) -> None:
        seen.append(file.read_text())

    metered = Metered(bench.newsletter, "one", file, watch)
    metered.write()
    deliver(bench.newsletter, "one", issue, watch=metered)
    metered.write()
    assert 'digest_readers{issue="one",state="accepted"} 5' in file.read_text()
    assert all(text.endswith("\n") for text in seen)
    assert [path.name for path in tmp_path.iterdir() if "prom" in path.name] == ["digest.prom"]


def test_reach_of_two_texts(bench, compiled, scripted):
    """A run whose rest got another text has the reach of each, by the variants each reader had under it."""
    bench.subscribe("a@example.org", "b@example.org", first_name="Ada")
    bench.send(compiled("one"), scripted(lambda step: "451 no" if "b@" in step.argument else None))
    other = compiled("one", text="New.")
    from dataclasses import replace

    other = replace(other, conditions=(Condition("subscriber.language", PLACES[1]), *other.conditions))
    report = bench.send(other, scripted(), accept_change=True)
    assert report.exit_code == 0
    variants = bench.execute("SELECT variant FROM deliveries ORDER BY subscriber_id")
    assert variants == [("1",), ("01",)]
    with open_desk(bench.newsletter) as desk:
        assert [text.accepted for text in look_back(desk, bench.run()).texts] == [1, 1]


def test_what_the_relay_calls_it(bench, issue, scripted):
    """The identifier that a provider gives in its 250 reply is kept, and told to machines."""
    bench.overrides["smtp.provider"] = "ses"
    bench.subscribe_many(1)
    bench.send(issue, scripted(lambda step: "250 Ok 0102018f0c2e1a2b-5d0c6f3e-000000" if step.verb == "." else None))
    (reader,) = json.loads(call(bench, "status", "one", "--readers", "accepted", "--json"))["readers"]
    assert reader["relay_id"] == "0102018f0c2e1a2b-5d0c6f3e-000000"
