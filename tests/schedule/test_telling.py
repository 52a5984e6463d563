"""The editor hears of what happens, once, by mail over the newsletter's own relay; a monitor hears a heartbeat."""

import threading
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from digest.delivery.desk import open_desk
from digest.delivery.scripted import ScriptedRelay

EDITOR = "editor@example.com"
NINE = "2025-09-12 08:00"


@pytest.fixture
def relay(bench):
    with ScriptedRelay() as relay:
        bench.overrides |= {"smtp.port": relay.port, "notify.editor": EDITOR}
        yield relay


def over_smtp(bench, moment, **more):
    tools = bench.tools(moment, **more)
    from dataclasses import replace

    from digest.schedule.run_due import run_due

    return run_due(bench.newsletter, replace(tools, relay=None))


def mails(relay):
    return [message_from_bytes(m.data, policy=default) for m in relay.received if m.recipient == EDITOR]


def test_start_and_end_with_the_account(bench, relay):
    """One mail when it starts, one when it is done, with the numbers."""
    bench.subscribe_many(3)
    bench.issue("one", "2025-09-12 09:00")
    over_smtp(bench, NINE)
    over_smtp(bench, "2025-09-12 08:01")
    start, end = mails(relay)
    assert (start["Subject"], end["Subject"]) == ("[Test Weekly] one goes out", "[Test Weekly] one is sent")
    assert "3 readers" in start.get_content()
    assert "accepted    3" in end.get_content()
    assert end["Auto-Submitted"] == "auto-generated"
    assert end["From"] == "Test Weekly <weekly@news.example.com>"


def test_held_with_all_that_is_wrong(bench, relay):
    """The mail has every line; it comes once, and again when it is held a second time."""
    bench.subscribe_many(1)
    bench.issue("one", "2025-09-12 09:00")
    bench.broken["one"] = "block “hreo” is unknown"
    for minute in ("08:00", "08:01", "08:02"):
        over_smtp(bench, f"2025-09-12 {minute}")
    (held,) = mails(relay)
    assert held["Subject"] == "[Test Weekly] one is held"
    assert "issues/one.md:7: error: block “hreo” is unknown" in held.get_content()
    assert "digest release one" in held.get_content()
    with open_desk(bench.newsletter) as desk:
        desk.runs.set_flag(desk.runs.latest("one").id, None)
    over_smtp(bench, "2025-09-12 08:03")
    assert len(mails(relay)) == 2


def test_only_what_is_asked_for(bench, relay):
    """`on` chooses; without an editor nobody is written to."""
    bench.overrides["notify.on"] = ("end",)
    bench.subscribe_many(1)
    bench.issue("one", "2025-09-12 09:00")
    over_smtp(bench, NINE)
    assert [m["Subject"] for m in mails(relay)] == ["[Test Weekly] one is sent"]
    bench.overrides["notify.editor"] = None
    bench.issue("two", "2025-09-12 10:00")
    over_smtp(bench, "2025-09-12 09:00")
    assert len(mails(relay)) == 1


def test_a_relay_that_is_away_hears_it_later(bench, relay):
    """What could not be told is told by a later call."""
    bench.overrides |= {"smtp.port": 9, "delivery.wait_for_relay": "0s"}
    bench.subscribe_many(1)
    bench.issue("one", "2025-09-12 09:00")
    bench.broken["one"] = "broken"
    over_smtp(bench, NINE)
    bench.overrides["smtp.port"] = relay.port
    over_smtp(bench, "2025-09-12 08:01")
    assert [m["Subject"] for m in mails(relay)] == ["[Test Weekly] one is held"]


def test_after_a_day_it_is_tried_once_more(bench, relay):
    """A hold is told however long the machine was off since; what can't be told even then is not tried again."""
    bench.overrides |= {"smtp.port": 9, "delivery.wait_for_relay": "0s"}
    bench.subscribe_many(1)
    for slug, date, next_port in (("one", "2025-09-12", relay.port), ("two", "2025-09-15", 9)):
        bench.issue(slug, f"{date} 09:00")
        bench.broken[slug] = "broken"
        bench.overrides["smtp.port"] = 9
        over_smtp(bench, f"{date} 08:00")
        bench.overrides["smtp.port"] = next_port
        over_smtp(bench, f"{date[:-2]}{int(date[-2:]) + 2} 08:00")
    bench.overrides["smtp.port"] = relay.port
    over_smtp(bench, "2025-09-17 08:01")
    assert [m["Subject"] for m in mails(relay)] == ["[Test Weekly] one is held"]


def test_refused_by_the_relay_it_is_held_and_told_as_failed(bench):
    """A login refused stops the run; the next call does not try again, and the editor is told when mail goes."""
    refusing = lambda step: "554 5.7.1 you are blocked" if step.verb == "MAIL" else None  # noqa: E731
    with ScriptedRelay(refusing) as relay:
        bench.overrides |= {"smtp.port": relay.port, "notify.editor": EDITOR, "notify.on": ("failed",)}
        bench.subscribe_many(2)
        bench.issue("one", "2025-09-12 09:00")
        done = over_smtp(bench, NINE)
        assert (done.exit_code, done.held) == (3, ["one"])
        assert "you are blocked" in done.told[0]
        assert over_smtp(bench, "2025-09-12 08:01").told == []
    with ScriptedRelay() as relay:
        bench.overrides["smtp.port"] = relay.port
        over_smtp(bench, "2025-09-12 08:02")
        (mail,) = mails(relay)
        assert "you are blocked" in mail.get_content()
        assert len(relay.received) == 1


@pytest.fixture
def monitor():
    beats = []

    class Monitor(BaseHTTPRequestHandler):
        def do_GET(self):
            beats.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Monitor) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/beat", beats
        server.shutdown()


def test_a_heartbeat_after_every_call_that_went_well(bench, monitor):
    """Also where nothing was due; not where something was held."""
    url, beats = monitor
    bench.overrides["notify.heartbeat"] = url
    bench.subscribe_many(1)
    bench.run_due("2025-09-12 07:00")
    assert beats == ["/beat"]
    bench.issue("one", "2025-09-12 09:00")
    bench.broken["one"] = "broken"
    bench.run_due(NINE)
    assert beats == ["/beat"]


def test_a_monitor_that_is_away_stops_nothing(bench):
    """The issue goes out all the same."""
    bench.overrides["notify.heartbeat"] = "http://127.0.0.1:9/beat"
    bench.subscribe_many(1)
    bench.issue("one", "2025-09-12 09:00")
    assert bench.run_due(NINE).ended == ["one"]
