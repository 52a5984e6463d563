"""Debian's own mail servers for relays: `smtp-sink` with every fault it can play, and a real postfix.

Nothing here is ours but the sender: what these servers say and when they hang up is theirs.
"""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from digest.delivery.deliver import deliver

SBIN = "/usr/sbin:/usr/bin:/sbin"
STATES = ("accepted", "bounced", "rejected", "deferred", "unknown", "waiting")

pytestmark = pytest.mark.skipif(
    shutil.which("smtp-sink", path=SBIN) is None, reason="smtp-sink (Debian package postfix) is missing"
)


class Sink:
    """One `smtp-sink` with these options; `taken` counts the messages it has written down, by recipient."""

    def __init__(self, folder: Path, port: int, options: tuple[str, ...]) -> None:
        self.folder, self.port = folder, port
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        command = [
            str(shutil.which("smtp-sink", path=SBIN)),
            *user,
            *options,
            "-d",
            "m.",
            f"127.0.0.1:{self.port}",
            "50",
        ]
        self.process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)

    def taken(self) -> Counter[str]:
        texts = [file.read_text("utf-8", "replace") for file in self.folder.iterdir()]
        whole = [text for text in texts if "\nTo: " in text]
        return Counter(re.findall(r"(?m)^X-Rcpt-Args: <([^>]*)>", "".join(whole)))

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter: pytest's own is closed again by every session that begins."""
    with tempfile.TemporaryDirectory(prefix="digest-mail-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def sink(open_folder: Path, free_port: Any, listening: Any) -> Iterator[Callable[..., Sink]]:
    """Starts a sink with options; stopped when the test ends."""
    with ExitStack() as stack:

        def start(*options: str) -> Sink:
            port = free_port()
            started = Sink(open_folder / f"sink{port}", port, options)
            stack.callback(started.stop)
            listening(port)
            return started

        yield start


def send(bench, issue, port: int, **wishes: Any) -> tuple[int, dict[str, int], str]:
    from digest.delivery.agenda import Wishes

    bench.overrides |= {"smtp.port": port, "smtp.timeout": 30.0}
    report = deliver(bench.newsletter, issue.slug, issue, Wishes(**wishes))
    assert report.accounts.problems() == []
    assert bench.accounts() == report.accounts
    numbers = {state: number for state in STATES if (number := report.accounts.number(state))}
    return report.exit_code, numbers, str(report.trouble)


# What the sink plays, the exit code, the states of all 12 readers, and words of the trouble.
FAULTS = [
    (("-f", "connect"), 3, {"waiting": 12}, "500 5.3.0"),
    (("-f", "ehlo,helo"), 3, {"waiting": 12}, "to EHLO"),
    (("-f", "mail"), 3, {"waiting": 12}, "nobody was marked as bounced"),
    (("-f", "rcpt"), 3, {"deferred": 10, "waiting": 2}, "refused 10 readers in a row"),
    (("-f", "data"), 3, {"deferred": 10, "waiting": 2}, "refused 10 readers in a row"),
    (("-f", "."), 3, {"deferred": 10, "waiting": 2}, "refused 10 readers in a row"),
    (("-f", "rcpt", "-B", "554 5.7.1 relay access denied"), 3, {"deferred": 10, "waiting": 2}, "554 5.7.1"),
    (("-f", "rcpt", "-B", "550 5.1.1 no such user"), 3, {"deferred": 10, "waiting": 2}, "550 5.1.1"),
    (("-r", "connect"), 75, {"waiting": 12}, "450 4.3.0"),
    (("-r", "mail"), 75, {"deferred": 12}, "None"),
    (("-r", "rcpt"), 75, {"deferred": 12}, "None"),
    (("-r", "data"), 75, {"deferred": 12}, "None"),
    (("-r", "."), 75, {"deferred": 12}, "None"),
    (("-r", "rcpt", "-b", "451 4.7.1 greylisted"), 75, {"deferred": 1, "waiting": 11}, "example.org have to wait"),
    (("-q", "connect"), 75, {"waiting": 12}, "lost"),
    (("-q", "mail"), 75, {"deferred": 10, "waiting": 2}, "10 messages in a row broke off"),
    (("-q", "rcpt"), 75, {"deferred": 10, "waiting": 2}, "10 messages in a row broke off"),
    (("-q", "data"), 75, {"deferred": 10, "waiting": 2}, "10 messages in a row broke off"),
    (("-q", "."), 3, {"unknown": 10, "waiting": 2}, "10 messages in a row broke off"),
    (("-Q", "connect"), 75, {"waiting": 12}, "421"),
    (("-Q", "mail"), 75, {"deferred": 1, "waiting": 11}, "example.org have to wait"),
    (("-Q", "rcpt"), 75, {"deferred": 1, "waiting": 11}, "example.org have to wait"),
    (("-Q", ".", "-p"), 75, {"deferred": 1, "waiting": 11}, "example.org have to wait"),
    (("-w", "1", "-m", "50"), 0, {"accepted": 12}, "None"),
    (("-W", "rcpt:1", "-p"), 0, {"accepted": 12}, "None"),
    (("-e",), 0, {"accepted": 12}, "None"),
    (("-P",), 0, {"accepted": 12}, "None"),
    (("-p", "-8", "-E", "-N"), 0, {"accepted": 12}, "None"),
    (("-T", "512", "-H", "1"), 0, {"accepted": 12}, "None"),
    (("-m", "1"), 0, {"accepted": 12}, "None"),
]


@pytest.mark.parametrize(("options", "code", "states", "words"), FAULTS, ids=[" ".join(row[0]) for row in FAULTS])
def test_every_fault_of_the_sink(bench, issue, sink, monkeypatch, eventually, options, code, states, words):
    """A sink that refuses, hangs up or dawdles at any verb: each reader is where DESIGN has them, nobody is
    suppressed, and a sink without faults then takes exactly those who are missing."""
    monkeypatch.setattr("digest.delivery.deliver.PATIENCE", 1.0)  # for a provider that asked for less
    bench.overrides["smtp.connections"] = 12 if options[0] in ("-w", "-W", "-T") else 1
    addresses = bench.subscribe_many(12)
    faulty = sink(*options)
    found = send(bench, issue, faulty.port)
    assert found[:2] == (code, states), found
    assert words in found[2]
    assert bench.suppressed() == []
    accepted = {entry.email for entry in bench.entries("accepted")}
    eventually(lambda: accepted <= set(faulty.taken()))
    taken = Counter() if "." in options else faulty.taken()  # it writes a message down before it refuses its end
    assert set(taken) == accepted
    good = sink()
    bench.execute("DELETE FROM paces")  # the rest of a provider is over
    code, numbers, _ = send(bench, issue, good.port, unknown="resend")
    assert (code, numbers) == (0, {"accepted": 12})
    eventually(lambda: (taken + good.taken()).total() >= len(addresses))
    assert taken + good.taken() == Counter(addresses)


def test_aborted_before_the_end(bench, issue, sink):
    """A sink that says 550 before a message has ended: whatever of it was heard first, nobody counts as accepted
    or in doubt without reason, and nobody is suppressed."""
    bench.subscribe_many(12)
    _, numbers, _ = send(bench, issue, sink("-A", "0").port)
    assert set(numbers) <= {"rejected", "deferred", "waiting"}
    assert bench.suppressed() == []


POSTFIX = """
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = relay.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relay_domains = example.org
relay_transport = {transport}
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
smtpd_recipient_restrictions = permit_mynetworks, reject
mynetworks = {networks}
smtpd_error_sleep_time = 0
default_process_limit = 20
{more}
"""

MASTER = """
{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
tlsmgr unix - - n 1000? 1 tlsmgr
"""


class Postfix:
    """A postfix of its own in a temporary folder, on a port of its own, that accepts for example.org."""

    def __init__(
        self, folder: Path, port: int, more: str = "", networks: str = "127.0.0.0/8", transport: str = "discard:"
    ) -> None:
        self.folder, self.port = folder, port
        for name in ("etc", "spool", "data"):
            (folder / name).mkdir(parents=True)
        os.chown(folder / "data", pwd.getpwnam("postfix").pw_uid, -1)
        folder.chmod(0o755)  # its daemons run as postfix
        settings = POSTFIX.format(folder=folder, networks=networks, transport=transport, more=more)
        (folder / "etc/main.cf").write_text(settings)
        (folder / "etc/master.cf").write_text(MASTER.format(port=f"127.0.0.1:{self.port}"))

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["/usr/sbin/postfix", "-c", str(self.folder / "etc"), *words], capture_output=True, text=True, timeout=120
        )

    def start(self) -> None:
        done = self.command("start")
        if done.returncode:
            pytest.skip(f"postfix does not start here: {(done.stdout + done.stderr + self.log()).strip()[-300:]}")

    def stop(self) -> None:
        self.command("stop")

    def log(self) -> str:
        file = self.folder / "log"
        return file.read_text() if file.exists() else ""


@pytest.fixture
def postfix(open_folder: Path, free_port: Any, listening: Any) -> Iterator[Callable[..., Postfix]]:
    """Starts a postfix; stopped when the test ends. Skips where there is none, or nobody may start it."""
    if os.geteuid() != 0 or shutil.which("postfix", path=SBIN) is None:
        pytest.skip("a postfix of one's own needs root and Debian's package postfix")
    with ExitStack() as stack:

        def start(**options: str) -> Postfix:
            port = free_port()
            server = Postfix(open_folder / f"pf{port}", port, **options)
            stack.callback(server.stop)
            server.start()
            listening(port)
            return server

        yield start


def test_postfix_takes_everything(bench, issue, postfix, eventually):
    """A stock postfix takes a whole pipelined run; each reader's message is in its log once, under our Message-ID."""
    bench.subscribe_many(40)
    server = postfix()
    assert send(bench, issue, server.port) == (0, {"accepted": 40}, "None")
    identifiers = {entry.message_id for entry in bench.entries("accepted")}
    assert len(identifiers) == 40
    # A process of its own writes the log.
    eventually(lambda: identifiers <= set(re.findall(r"message-id=(<[^>]*>)", server.log())))
    assert all(re.match(r"2\.0\.0 Ok: queued as \w+", entry.reply) for entry in bench.entries("accepted"))


def test_postfix_refuses_strangers(bench, issue, postfix):
    """A postfix that relays for others only: the run stops with its words, nobody is bounced or suppressed."""
    bench.subscribe_many(15)
    server = postfix(networks="192.0.2.1/32")
    code, numbers, trouble = send(bench, issue, server.port)
    assert code == 3
    assert set(numbers) <= {"deferred", "waiting"}
    assert "554 5.7.1" in trouble
    assert bench.suppressed() == []


def test_postfix_with_limits(bench, issue, postfix):
    """A postfix with a limit on connections and on the size of messages: fewer lanes do it all; what is too large
    is rejected before it is sent."""
    bench.overrides["smtp.connections"] = 10
    addresses = bench.subscribe_many(60)
    server = postfix(more="smtpd_client_connection_count_limit = 2\nsmtpd_client_event_limit_exceptions =\n")
    code, numbers, _ = send(bench, issue, server.port)
    assert (code, numbers) == (0, {"accepted": len(addresses)})
    small = postfix(more="message_size_limit = 300\n")
    bench.execute("UPDATE deliveries SET state = 'waiting', next_attempt_at = NULL WHERE subscriber_id <= 3")
    code, numbers, trouble = send(bench, issue, small.port)
    assert numbers["rejected"] == 3, trouble
    assert "more than the relay takes (300)" in bench.entries("rejected")[0].reply


def test_postfix_is_restarted(bench, issue, postfix, eventually):
    """A postfix that is stopped in the middle of a run and started again: the run goes on by itself."""
    bench.overrides |= {"smtp.connections": 3, "delivery.wait_for_relay": "120s", "smtp.messages_per_connection": 50}
    bench.subscribe_many(700)
    server = postfix()
    done: list[tuple[int, dict[str, int], str]] = []
    run = threading.Thread(target=lambda: done.append(send(bench, issue, server.port)))
    run.start()
    eventually(lambda: server.log().count("message-id") >= 100 or done)
    server.command("stop")
    time.sleep(1)
    server.start()
    run.join()
    ((_code, numbers, trouble),) = done
    assert trouble == "None"
    assert numbers["accepted"] >= 690
    assert sum(numbers.values()) == 700
