"""`digest demo`: the sample composed, sent over real SMTP, counted, shown; nothing left, nothing touched."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from email import message_from_bytes, policy
from email.message import EmailMessage
from itertools import takewhile
from pathlib import Path
from typing import Any

import httpx
import pytest

from digest.audience.address import parse_address
from digest.compose.composer import compile_issue
from digest.delivery.desk import open_desk
from digest.preview.demo import SAMPLE, demo
from digest.preview.server import listen, port_of

Digest = Callable[..., "subprocess.CompletedProcess[str]"]

# A user's shell with settings of their own, none of which may matter.
FOREIGN = {
    "DIGEST_SMTP__HOST": "smtp.invalid",
    "DIGEST_SMTP__USERNAME": "weekly",
    "DIGEST_SMTP__PASSWORD": "quite-secret",
    "PYTHONWARNINGS": "error",
}


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where the demo makes its copy."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


@pytest.fixture
def run(digest: Digest, temporary: Path) -> Digest:
    """``digest demo --exit`` with more options."""

    def demo_exit(*options: str) -> subprocess.CompletedProcess[str]:
        database = f"sqlite:///{temporary.parent}/real.db"
        own = {"TMPDIR": str(temporary), "DIGEST_DATABASE": database}
        return digest("demo", "--exit", *options, cwd=temporary, **FOREIGN, **own)

    return demo_exit


def test_exit_sends_and_counts(run: Digest, temporary: Path) -> None:
    """With --exit it composes, tests, sends, verifies the count, says so, and leaves nothing behind."""
    done = run()
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    accepted = re.search(r"sent +(\d+) accepted by the relay", done.stdout)
    assert accepted is not None
    assert f"exactly one message for each of the {accepted[1]} planned readers" in done.stdout
    assert re.search(r"composed +\d+ sections, [\d,]+ words, [\d,]+ bytes of HTML", done.stdout)
    assert "quite-secret" not in done.stdout + done.stderr
    assert list(temporary.iterdir()) == []
    assert not (temporary.parent / "real.db").exists()


def test_two_runs_are_the_same(run: Digest) -> None:
    """Two runs give the same accounts, in one JSON object that adds up."""
    answers = [json.loads(run("--json").stdout) for _ in range(2)]
    for answer in answers:
        assert answer["candidates"] == answer["planned"] + answer["excluded"]
        assert answer["accepted"] == answer["planned"] > 0
        assert answer["one_message_each"] is True
        for varying in ("compose_seconds", "send_seconds", "inbox", "preview", "smtp_port"):
            del answer[varying]
    assert answers[0] == answers[1]


def test_port_in_use_is_named(run: Digest, temporary: Path) -> None:
    """A wanted port that is in use is a usage error; nothing is left behind."""
    with closing(listen(0, 0)) as taken:
        done = run("--port", str(port_of(taken)))
        assert done.returncode == 2
        assert f"port {port_of(taken)} is in use" in done.stderr
    assert list(temporary.iterdir()) == []


def test_keep_keeps_the_copy(run: Digest, temporary: Path) -> None:
    """With --keep the copy stays, and where it is is said."""
    done = run("--keep")
    [kept] = temporary.iterdir()
    assert str(kept) in done.stderr
    assert (kept / "issues" / SAMPLE / "index.md").is_file()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_stopped(repository: Path, temporary: Path, stop: signal.Signals) -> None:
    """Without --exit it prints where inbox and preview are, serves them, and ends cleanly when stopped."""
    own = {"TMPDIR": str(temporary), "PYTHONPATH": str(repository), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "digest", "demo", "--port", "0", "--smtp-port", "0"],
        env=os.environ | FOREIGN | own,
        cwd=temporary,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = "".join(takewhile("Ctrl+C ends it. Nothing is kept.\n".__ne__, process.stdout))  # or its end
        inbox, preview = re.findall(r"http://127\.0\.0\.1:\d+/\S+", said)
        assert "received over SMTP" in httpx.get(inbox, timeout=60).text
        assert httpx.get(preview, timeout=60).status_code == 200
        process.send_signal(stop)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "Traceback" not in errors
    assert list(temporary.iterdir()) == []


@pytest.fixture(scope="module")
def sent() -> Iterator[Any]:
    """A demo of this process, with its inbox, its readers by address, and its page."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as temporary:
        patch.setattr(tempfile, "tempdir", temporary)
        with demo(port=0, smtp_port=0) as running:
            compiled, _ = running.compose()
            result = running.send(compiled)
            yield running, result


def _real(running: Any, result: Any) -> list[tuple[str, EmailMessage]]:
    """Recipient and message of everything the run sent; the tests came before it."""
    received = running.inbox.all()[result.tested :]
    return [(m.recipient, message_from_bytes(m.data, policy=policy.default)) for m in received]


def test_one_message_each(sent: Any) -> None:
    """Each planned reader has exactly one message, addressed to them alone; the tests are marked."""
    running, result = sent
    real = _real(running, result)
    assert len(real) == result.accounts.planned == len({recipient for recipient, _ in real})
    tests = running.inbox.all()[: result.tested]
    assert len(tests) > 0
    assert all(message.header("Subject").startswith("[Test] ") for message in tests)
    assert not any(message["Subject"].startswith("[Test]") for _, message in real)


def test_each_message_is_whole(sent: Any) -> None:
    """Each message parses without a defect, has both parts, and lines of at most 76 characters."""
    running, result = sent
    for received in running.inbox.all()[result.tested :]:
        message = message_from_bytes(received.data, policy=policy.default)
        assert [part.get_content_type() for part in message.walk()] == [
            "multipart/alternative",
            "text/plain",
            "text/html",
        ]
        assert all(not part.defects for part in message.walk())
        html, text = message.get_body(("html",)), message.get_body(("plain",))
        assert html is not None
        assert text is not None
        assert html.get_content().startswith("<!DOCTYPE html>")
        assert len(text.get_content()) > 1000
        body = received.data.partition(b"\r\n\r\n")[2]
        assert max(len(line) for line in body.split(b"\r\n")) <= 76


def test_each_reader_has_their_variant(sent: Any) -> None:
    """What each reader got fits their row of the list: plan, country, name, both parts and the subject."""
    running, result = sent
    with (running.newsletter.root / "subscribers" / "sample.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {parse_address(row["email"]).wire: row for row in csv.DictReader(file)}
    kinds = set()
    for recipient, message in _real(running, result):
        row = rows[recipient]
        pays = row["plan"] in ("pro", "enterprise")
        for kind in ("html", "plain"):
            body = " ".join(message.get_body((kind,)).get_content().split())
            assert ("Tidewater" in body) is not pays
            assert ("Three things the memo leaves open" in body) is pays
            assert ("Antworten auf Deutsch" in body) is (row["country"] in ("DE", "AT", "CH"))
        assert message["Subject"].startswith("Your briefing") is (row["plan"] == "pro")
        kinds.add((pays, row["plan"] == "pro", row["country"] in ("DE", "AT", "CH")))
    assert len(kinds) > 3


def test_each_message_is_that_reader_s_rendering(sent: Any) -> None:
    """The HTML each reader got is, to the letter, what merging the issue for them gives."""
    running, result = sent
    compiled = compile_issue(running.newsletter, running.newsletter.find_issue(SAMPLE))
    with open_desk(running.newsletter) as desk:
        merger = desk.merger(compiled)
        readers = {parse_address(reader.email).wire: reader for reader in desk.subscribers.all()}
        variants = set()
        for recipient, message in _real(running, result):
            html = message.get_body(("html",)).get_content().replace("\r\n", "\n")
            assert html == merger.rendering(readers[recipient], "real").html
            variants.add(merger.variant(readers[recipient]))
    assert len(variants) == result.variants > 3


def test_links_of_the_message_work(sent: Any) -> None:
    """Pictures, “view in browser” and the way out lead to the demo's own pages, which answer."""
    running, result = sent
    _, message = _real(running, result)[0]
    html = message.get_body(("html",)).get_content()
    site = f"http://127.0.0.1:{running.web_port}"
    pictures = set(re.findall(rf'src="({site}/assets/[^"]+)"', html))
    assert len(pictures) >= 2
    for picture in pictures:
        assert httpx.get(picture, timeout=60).headers["content-type"].startswith("image/")
    for path in ("view", "u"):
        [address] = set(re.findall(rf'href="({site}/{path}/[^"]+)"', html))
        assert httpx.get(address, timeout=60).status_code == 200
    leave = re.search(r"<(http[^>]+)>", message["List-Unsubscribe"])
    assert leave is not None
    assert "takes" in httpx.get(leave[1], timeout=60).text
