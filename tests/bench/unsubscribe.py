"""Leaving while a send runs, on one database: who is lost, how long it takes, and what it costs the send.

Run it alone: ``PYTHONPATH=. python tests/bench/unsubscribe.py [readers] [--rate 500] [--seconds 20]``. It needs
Debian's ``postfix`` for ``smtp-sink``. One send of 40 KB messages goes to the sink at full speed; its rate is read
from the ledger in spans of two seconds, in turn

* alone;
* while one-click POSTs come in at a fixed rate, over kept-open connections, each of another reader of its list;
* while as many come in for another newsletter: client and server are as busy, only the database is not shared;
* while as many go to a peer that reads them, answers, and does nothing: what the client alone takes from the send.

So what the machine does besides is in all four alike. Where client, servers, sender and sink share two cores they
take time from each other whatever the database does: what sharing the database costs lies between the second and the
third, what the whole of ``digest serve`` costs between the second and the last. A POST counts from when it was due.
The plan of the run is written before, in one transaction, and is not measured.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import delivery

from digest.audience.database import open_database
from digest.newsletter import Newsletter

CONNECTIONS = 50
HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
LIMIT_MS = 250
LIMIT_SLOWER = 0.10
BUSY_MS = 50  # a peer that does nothing answers within a few


SPAN = 2.0  # seconds


async def post_all(port: int, tokens: list[str], rate: float) -> list[tuple[int, float]]:
    """One POST for each token, at `rate` a second: status and seconds since it was due."""
    begun = time.perf_counter() + 0.02
    lanes = [_lane(port, tokens, rate, begun, lane) for lane in range(min(CONNECTIONS, len(tokens)))]
    return [answer for answers in await asyncio.gather(*lanes) for answer in answers]


async def _lane(port: int, tokens: list[str], rate: float, begun: float, lane: int) -> list[tuple[int, float]]:
    answers = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(lane, len(tokens), CONNECTIONS):
        due = begun + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        body = b"List-Unsubscribe=One-Click"
        writer.write(
            b"POST /u/%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (tokens[number].encode(), len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        answers.append((int(head[9:12]), time.perf_counter() - due))
    writer.close()
    return answers


PEER = """
import asyncio
class Peer(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n" * data.count(b"POST "))
async def main():
    server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@contextlib.contextmanager
def peer() -> Iterator[int]:
    """A server that does nothing, in a process of its own; its port."""
    process = subprocess.Popen([sys.executable, "-c", PEER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(30)


def processor_seconds(process: int) -> float:
    """What a process has taken of the processors so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def serving(root: Path) -> Iterator[tuple[int, int]]:
    """``digest serve`` in a process of its own; its port and its number."""
    command = [sys.executable, "-m", "digest", "--project", str(root), "--json", "serve", "--port", "0", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment())
    assert process.stdout is not None
    text = ""
    while not text.rstrip().endswith("}"):
        text += process.stdout.readline()
    try:
        yield int(json.loads(text)["port"]), process.pid
    finally:
        process.terminate()
        process.wait(30)


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{HERE.parent}"}


def prepare(folder: Path, name: str, readers: int, leavers: int) -> tuple[Path, list[str]]:
    """A newsletter with readers; of `leavers` who do not get the issue, the tokens.

    Those who leave are others than those who get the issue, so that every send has the same to do.
    """
    root = delivery.newsletter(folder / name, readers + leavers)
    shutil.copytree(ROOT / "templates" / "median", root / "templates" / "median")
    with contextlib.closing(open_database(Newsletter.open(root).database)) as connection:
        connection.execute("UPDATE subscribers SET status = 'pending' WHERE id > ?", (readers,))
        tokens = [t for (t,) in connection.execute("SELECT token FROM subscribers WHERE id > ?", (readers,))]
    return root, tokens


def start_send(root: Path, folder: Path, port: int) -> subprocess.Popen[str]:
    """A whole run in a process of its own."""
    stored = folder / "issue.json"
    stored.write_text(delivery.issue().to_json())
    command = [sys.executable, delivery.__file__, "--send", str(root), str(stored), str(port)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment())


class Ledger:
    """How far the send is."""

    def __init__(self, root: Path) -> None:
        self._connection = open_database(Newsletter.open(root).database)

    def accepted(self) -> int:
        query = "SELECT count(*) FROM deliveries WHERE run_id = 1 AND state = 'accepted'"
        return int(self._connection.execute(query).fetchone()[0])

    def left(self) -> int:
        query = "SELECT count(*) FROM subscribers WHERE status = 'unsubscribed'"
        return int(self._connection.execute(query).fetchone()[0])


def span(ledger: Ledger, port: int, tokens: list[str], rate: int) -> tuple[float, list[tuple[int, float]]]:
    """Messages a second while these POSTs come in (none: in silence), and their answers."""
    before, begun = ledger.accepted(), time.monotonic()
    answers = asyncio.run(post_all(port, tokens, rate)) if tokens else []
    time.sleep(max(0.0, SPAN - (time.monotonic() - begun)))
    return (ledger.accepted() - before) / (time.monotonic() - begun), answers


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("readers", type=int, nargs="?", default=300_000)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=20)
    wishes = parser.parse_args()
    each = int(wishes.rate * SPAN)
    rounds = int(wishes.seconds / SPAN)
    rates: dict[str, list[float]] = {"alone": [], "own": [], "other": [], "peer": []}
    answers: dict[str, list[tuple[int, float]]] = {"own": [], "other": [], "peer": []}
    with tempfile.TemporaryDirectory(prefix="digest-bench-") as temporary, delivery.sink() as sink:
        folder = Path(temporary)
        own, own_tokens = prepare(folder, "own", wishes.readers, each * rounds)
        other, other_tokens = prepare(folder, "other", 1, each * rounds)
        with serving(own) as (own_port, server), serving(other) as (other_port, _), peer() as peer_port:
            ports = {"own": own_port, "other": other_port, "peer": peer_port}
            taken = 0.0
            ledger = Ledger(own)
            sending = start_send(own, folder, sink)
            while not ledger.accepted():
                if sending.poll() is not None:
                    sys.exit("the send ended before it began")
                time.sleep(0.1)
            for number in range(rounds):
                of = slice(number * each, (number + 1) * each)
                rates["alone"].append(span(ledger, 0, [], wishes.rate)[0])
                for name, tokens in (("own", own_tokens), ("other", other_tokens), ("peer", other_tokens)):
                    before = processor_seconds(server)
                    rate, more = span(ledger, ports[name], tokens[of], wishes.rate)
                    taken += processor_seconds(server) - before if name == "own" else 0
                    rates[name].append(rate)
                    answers[name] += more
            ran_on = sending.poll() is None
            sending.terminate()
            sending.communicate()
            left = ledger.left()
    report(
        wishes.rate,
        answers,
        taken,
        left,
        {name: statistics.median(found) for name, found in rates.items()},
        ran_on=ran_on,
    )


def report(
    rate: int,
    answers: dict[str, list[tuple[int, float]]],
    taken: float,
    left: int,
    rates: dict[str, float],
    *,
    ran_on: bool,
) -> None:
    """Print the figures; leaves with 1 when one was lost."""
    own = answers["own"]
    good = sum(status == 200 for status, _ in own)
    print(f"{len(own):,} one-click POSTs at {rate}/s; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(f"answered with 200: {good:,}; readers who have left: {left:,}; lost: {good - left}")
    for name, what in (("own", "its own list"), ("other", "another list"), ("peer", "a peer that does nothing")):
        times = sorted(seconds * 1000 for _, seconds in answers[name])
        p50, p99, worst = times[len(times) // 2], times[int(len(times) * 0.99)], times[-1]
        print(f"answers, {what}: p50 {p50:.0f} ms, p99 {p99:.0f} ms (limit {LIMIT_MS}), longest {worst:.0f} ms")
    if p99 > BUSY_MS:  # of the peer, the last
        print("what does nothing is as late: other work holds this machine's processors, and these figures are its own")
    each = taken / len(own)
    print(f"a POST takes the server {each * 1000:.2f} ms of a processor: {each * rate:.0%} of one at this rate")
    print(f"the send alone                 {rates['alone']:6,.0f} messages/s (medians of spans)")
    for name, what in (("own", "for its own list"), ("other", "for another list"), ("peer", "to a peer")):
        slower = 1 - rates[name] / rates["alone"]
        print(f"beside POSTs {what:17} {rates[name]:6,.0f} messages/s, {slower:.0%} slower than alone")
    print(f"from digest serve, client set aside: {1 - rates['own'] / rates['peer']:.0%} slower")
    print(f"from sharing the database: {1 - rates['own'] / rates['other']:.0%} slower (limit: {LIMIT_SLOWER:.0%})")
    if not ran_on:
        print("the send ended before the last span: give it more readers")
    if good - left:
        sys.exit(1)


if __name__ == "__main__":
    main()
