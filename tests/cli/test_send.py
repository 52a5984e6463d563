"""The commands about sending, as a person or a script calls them: output, exit codes, no traceback."""

import email
import email.policy
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from digest.delivery.scripted import Script, ScriptedRelay

SLUG = "2025-09-12-coopetition"


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedRelay]]:
    """Starts a relay with a script; stopped when the test ends."""
    with ExitStack() as stack:

        def start(script: Script = lambda _step: None, **options: object) -> ScriptedRelay:
            return stack.enter_context(ScriptedRelay(script, **options))  # type: ignore[arg-type]

        yield start


@pytest.fixture
def call(digest, folder):
    """The command in the sample newsletter, with the sample list in its database, through a given relay."""
    imported = digest("subscribers", "import", "subscribers/sample.csv", cwd=folder)
    assert imported.returncode == 0, imported.stderr

    def run(*arguments: str, port: int = 1, **environment: str):
        result = digest(*arguments, cwd=folder, **relay_at(port), **environment)
        assert "Traceback" not in result.stderr + result.stdout
        return result

    return run


def relay_at(port: int) -> dict[str, str]:
    return {"DIGEST_SMTP__HOST": "127.0.0.1", "DIGEST_SMTP__PORT": str(port), "DIGEST_SMTP__TLS": "none"}


def test_from_test_to_done(call, scripted):
    """Test, send, send again: each reader has one whole message, and the second send says nothing is missing."""
    relay = scripted()
    refused = call("send", SLUG, "--yes", port=relay.port)
    assert refused.returncode == 3
    assert f"digest test {SLUG}" in refused.stderr
    tested = call("test", SLUG, port=relay.port)
    assert tested.returncode == 0, tested.stderr
    assert tested.stdout.count("accepted by the relay") == 3
    assert all(m.header("Subject").startswith("[Test]") for m in relay.received)
    relay.received.clear()
    sent = call("send", SLUG[:4], "--yes", port=relay.port)
    assert sent.returncode == 0, sent.stderr
    assert "30 of 30" in sent.stderr
    assert len({m.recipient for m in relay.received}) == len(relay.received) == 30
    for received in relay.received:
        message = email.message_from_bytes(received.data, policy=email.policy.default)
        assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
        assert message.defects == []
        assert max(map(len, received.data.split(b"\r\n"))) <= 998
    again = call("send", SLUG, "--yes", port=relay.port)
    assert again.returncode == 0
    assert "nothing is missing" in again.stdout
    assert len(relay.received) == 30
    for text in (tested.stdout, sent.stdout, sent.stderr, again.stdout):
        assert "delivered" not in text


def test_status_as_json(call, scripted):
    """--json prints one object whose members are DESIGN's and add up, also with readers in every state."""
    replies = iter(["550 5.1.1 no", "451 later", "450 later"])
    relay = scripted(lambda step: next(replies, None) if step.verb == "RCPT" else None)
    call("test", SLUG, "me@example.com", port=scripted().port)
    sent = call("send", SLUG, "--yes", "--json", port=relay.port)
    assert sent.returncode == 75
    assert json.loads(sent.stdout)["deferred"] == 2
    status = json.loads(call("status", SLUG, "--json").stdout)
    final = ["accepted", "bounced", "rejected", "expired", "dropped", "deferred", "unknown", "withdrawn", "waiting"]
    assert status["candidates"] == status["planned"] + status["excluded"] == 30
    assert status["planned"] == sum(status[name] for name in final)
    assert (status["bounced"], status["deferred"], status["accepted"]) == (1, 2, 27)
    listed = json.loads(call("status", SLUG, "--readers", "bounced", "--json").stdout)
    assert [reader["code"] for reader in listed["readers"]] == [550]
    shown = call("status", SLUG)
    assert "next attempt" in shown.stdout
    assert "accepted    27  (by the relay)" in shown.stdout
    assert json.loads(call("status", "--json").stdout)["runs"][0]["accepted"] == 27


def test_dry_run(call, scripted, tmp_path):
    """--dry-run needs no test and no relay, says the whole plan and writes samples; nothing is recorded."""
    out = tmp_path / "samples"
    result = call("send", SLUG, "--dry-run", "--json", "--out", str(out))
    assert result.returncode == 0, result.stderr
    plan = json.loads(result.stdout)
    assert (plan["candidates"], plan["planned"]) == (30, 30)
    assert sum(v["readers"] for v in plan["variants"]) == 30
    assert len(list(out.glob("*.eml"))) == len(plan["variants"]) > 3
    assert plan["largest"] == max(plan["largest"], *(f.stat().st_size for f in out.iterdir()))
    assert call("status", SLUG).returncode == 1


def test_nobody_to_ask(call, scripted):
    """Without a terminal and without --yes nothing is sent: 3, and the hint."""
    relay = scripted()
    call("test", SLUG, "me@example.com", port=relay.port)
    relay.received.clear()
    result = call("send", SLUG, port=relay.port)
    assert result.returncode == 3
    assert "--yes" in result.stderr
    assert relay.received == []


@pytest.mark.parametrize(("typed", "code", "sent"), [("30", 0, 30), ("29", 3, 0), ("", 3, 0), ("yes", 3, 0)])
def test_the_number_is_typed(call, folder, scripted, typed, code, sent):
    """On a terminal the number of readers must be typed, and be right."""
    relay = scripted()
    call("test", SLUG, "me@example.com", port=relay.port)
    relay.received.clear()
    parent, child = pty.openpty()
    os.write(parent, f"{typed}\n".encode())
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DIGEST_")} | relay_at(relay.port)
    result = subprocess.run(
        [sys.executable, "-m", "digest", "send", SLUG],
        stdin=child,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=60,
        check=False,
    )
    os.close(parent)
    os.close(child)
    assert result.returncode == code, result.stderr
    assert len(relay.received) == sent


def test_relay_absent(call):
    """No server: 75, the address and the reason, and everybody waits."""
    with ScriptedRelay() as gone:
        pass
    with ScriptedRelay() as relay:
        call("test", SLUG, "me@example.com", port=relay.port)
    result = call("send", SLUG, "--yes", port=gone.port)
    assert result.returncode == 75
    assert f"127.0.0.1:{gone.port}: connection refused" in result.stderr
    assert f"go on with: digest send {SLUG}" in result.stderr
    assert json.loads(call("status", SLUG, "--json").stdout)["waiting"] == 30


def test_login_refused(call, scripted):
    """A refused login: 3, the relay's words, no password anywhere."""
    relay = scripted(
        lambda step: "535 5.7.8 bad credentials" if step.verb == "AUTH" else None, extensions=("AUTH PLAIN",)
    )
    login = {"DIGEST_SMTP__USERNAME": "weekly", "DIGEST_SMTP__PASSWORD": "swordfish9"}
    result = call("test", SLUG, "me@example.com", port=relay.port, **login)
    assert result.returncode == 3
    assert "535 5.7.8 bad credentials" in result.stderr
    assert "swordfish9" not in result.stderr + result.stdout


def test_unknown_is_settled(call, scripted):
    """A message in doubt is held with what to do; --unknown resend completes the run."""
    from digest.delivery.scripted import Act

    lost: list[str] = []

    def script(step):
        if step.verb == "." and not lost:
            lost.append(step.argument)
            return Act.TAKE_AND_HANG_UP
        return None

    relay = scripted(script)
    call("test", SLUG, "me@example.com", port=scripted().port)
    first = call("send", SLUG, "--yes", port=relay.port)
    assert first.returncode == 3
    assert f"digest send {SLUG} --unknown resend" in first.stderr
    assert call("send", SLUG, "--yes", port=relay.port).returncode == 3
    assert len(relay.received) == 30
    assert call("send", SLUG, "--yes", "--unknown", "resend", port=relay.port).returncode == 0
    assert len({m.header("Message-ID") for m in relay.received}) == 30
    assert len(relay.received) == 31


def test_changed_file(call, folder, scripted):
    """An issue edited in the middle of its run: the rest gets the stored text, and that is said."""
    relay = scripted(lambda step: "451 later" if step.verb == "RCPT" else None)
    call("test", SLUG, "me@example.com", port=scripted().port)
    assert call("send", SLUG, "--yes", port=relay.port).returncode == 75
    file = folder / "issues" / SLUG / "index.md"
    file.write_text(file.read_text() + "\nAn afterthought of the editor.\n")
    relay.script = lambda _step: None
    result = call("send", SLUG, "--yes", port=relay.port)
    assert result.returncode == 0
    assert "was changed since" in result.stderr
    assert not any(b"afterthought" in m.data for m in relay.received)


def test_broken_file_in_the_middle(call, folder, scripted):
    """An issue that does not parse any more does not keep its run from being finished."""
    relay = scripted(lambda step: "451 later" if step.verb == "RCPT" else None)
    call("test", SLUG, "me@example.com", port=scripted().port)
    call("send", SLUG, "--yes", port=relay.port)
    (folder / "issues" / SLUG / "index.md").write_text("---\nsubject: [\n---\n::: hreo\n")
    relay.script = lambda _step: None
    result = call("send", SLUG, "--yes", port=relay.port)
    assert (result.returncode, len(relay.received)) == (0, 30)
    assert "can't be composed" in result.stderr


def test_hold_release_cancel(call, scripted):
    """hold keeps an issue from being sent, release lets it go, cancel ends it for good."""
    relay = scripted()
    call("test", SLUG, "me@example.com", port=relay.port)
    relay.received.clear()
    assert call("hold", SLUG).returncode == 0
    held = call("send", SLUG, "--yes", port=relay.port)
    assert (held.returncode, relay.received) == (3, [])
    assert f"digest release {SLUG}" in held.stderr
    assert call("cancel", SLUG).returncode == 1
    assert call("release", SLUG).returncode == 0
    relay.script = lambda step: "451 later" if step.verb == "RCPT" else None
    assert call("send", SLUG, "--yes", port=relay.port).returncode == 75
    cancelled = call("cancel", SLUG, "--json")
    assert json.loads(cancelled.stdout)["withdrawn_by_reason"] == {"cancelled": 30}
    assert call("send", SLUG, "--yes", port=relay.port).returncode == 3


def test_log_for_machines(call, scripted):
    """--log-format json: every line on standard error that tells progress is an object, the last one the sum."""
    relay = scripted()
    call("test", SLUG, "me@example.com", port=relay.port)
    sent = call("send", SLUG, "--yes", "--log-format", "json", port=relay.port)
    assert sent.returncode == 0, sent.stderr
    lines = [json.loads(line) for line in sent.stderr.splitlines() if line.startswith("{")]
    assert (lines[-1]["event"], lines[-1]["accepted"], lines[-1]["total"]) == ("ended", 30, 30)


def test_watched(call, scripted, folder, until):
    """status --watch follows a running send, and ends with its accounts."""
    watched = threading.Event()

    def waits_for_us(_step):
        if len(relay.received) == 4:
            watched.wait(60)

    relay = scripted(waits_for_us)
    call("test", SLUG, "me@example.com", port=relay.port)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DIGEST_")} | relay_at(relay.port)
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2]), "DIGEST_SMTP__CONNECTIONS": "1"}

    def start(*arguments: str, **options: int) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "digest", *arguments]
        return subprocess.Popen(command, cwd=folder, env=environment, text=True, **options)

    with start("send", SLUG, "--yes") as sender:
        until(relay, 4, sender)
        with start("status", SLUG, "--watch", stdout=subprocess.PIPE) as watching:
            assert " of 30: " in watching.stdout.readline()
            watched.set()
            last, _ = watching.communicate(timeout=60)
    assert (sender.returncode, watching.returncode) == (0, 0)
    assert "accepted    30  (by the relay)" in last
    assert call("status", "--watch").returncode == 2


def test_sender_is_lean():
    """What composes is not loaded by the process that sends."""
    heavy = {"premailer", "cssutils", "lxml", "mjml", "PIL", "nh3", "starlette", "markdown_it", "cryptography"}
    code = f"import sys, digest.cli.send, digest.cli.status; sys.exit(' '.join({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_usage(call):
    """Options that make no sense together, and an issue that is not there, say so."""
    assert call("send", SLUG, "--override", "max_change").returncode == 2
    assert call("send", SLUG, "--out", "x").returncode == 2
    assert call("test", SLUG, "--as", "ann@example.com", "--every-segment").returncode == 2
    assert call("send", SLUG, "--override", "nothing", "--yes").returncode == 2
    nowhere = call("send", "2025-09-12-coopetitoin")
    assert nowhere.returncode == 1
    assert SLUG in nowhere.stderr
    assert call("test", SLUG, "no address").returncode == 1


def test_no_list_yet(digest, folder):
    """Without subscribers the cure is named."""
    result = digest("send", SLUG, "--yes", cwd=folder, **relay_at(1))
    assert result.returncode == 1
    assert "digest subscribers import" in result.stderr
