"""How fast and how small a run is, against the limit of the machine and against the usual way of sending.

Run it alone: ``python tests/bench/delivery.py [readers] [--dkim KEY] [--tls] [--plain N]`` (more with ``--help``).
It needs Debian's ``postfix`` for two tools: ``smtp-sink`` takes everything in, ``smtp-source -d -s 20`` is the
limit: it sends the same bytes to everybody and knows nothing about them. Ours sends a message of 40 KB of its
own to each reader, over 20 connections, with the ledger on, in a process of its own. All go to the same sink in
the same run, one after the other, several times: the best of each, since other work on the machine only ever
slows one down.

``--away 50``: instead of all that, the sink is behind a proxy that delays both directions by half of that time.
``--tls``: ours goes through a proxy that ends TLS before the sink, which takes processor time from both.
``--nodemailer DIR``: beside it nodemailer's pool with Handlebars does the same work, without a ledger; made with
``npm install --prefix DIR nodemailer handlebars``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiosmtplib
import merge

from digest.audience.database import now, open_database
from digest.audience.store import Subscribers, new_token
from digest.compose.compiled import CompiledIssue
from digest.delivery.deliver import deliver
from digest.message.merge import Merger
from digest.newsletter import Newsletter

CONNECTIONS = 20
MESSAGE_SIZE = 40_000
SBIN = "/usr/sbin:/usr/bin"

SETTINGS = """
[newsletter]
name = "The Sample Weekly"
sender = "The Sample Weekly <weekly@news.example.com>"
domain = "news.example.com"
base_url = "https://news.example.com"
[bounces]
return_path = "bounces@news.example.com"
[smtp]
host = "127.0.0.1"
port = 2
tls = "{tls}"
connections = {connections}
[delivery]
require_test = false
"""


def tool(name: str) -> str:
    """One of postfix's tools."""
    found = shutil.which(name, path=SBIN)
    if found is None:
        sys.exit(f"{name} is missing: install Debian's postfix")
    return found


@contextlib.contextmanager
def sink() -> Iterator[int]:
    """A server that takes everything; its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen([tool("smtp-sink"), *user, f"127.0.0.1:{port}", "500"])
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def issue() -> CompiledIssue:
    """The issue of the merging bench, at the size of this one."""
    merge.HTML_SIZE = 28_500  # makes MESSAGE_SIZE, headers and plain text included
    return merge.sample_issue()


def newsletter(root: Path, readers: int, more: str = "", *, tls: bool = False) -> Path:
    """A folder with its list."""
    (root / "config").mkdir(parents=True)
    (root / "issues").mkdir()
    (root / "config/digest.toml").write_text(
        SETTINGS.format(connections=CONNECTIONS, tls="implicit" if tls else "none") + more
    )
    connection = open_database(Newsletter.open(root).database)
    connection.execute("BEGIN")
    moment = now()
    connection.executemany(
        "INSERT INTO subscribers (token, address_key, email, name, attributes, status, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, 'active', ?, ?)",
        (
            (
                new_token(),
                s.email,
                s.email,
                s.name,
                json.dumps({k: s.values[k] for k in ("company", "plan")}),
                moment,
                moment,
            )
            for s in merge.readers(readers)
        ),
    )
    connection.execute("COMMIT")
    connection.close()
    return root


def signing_rate(key: str) -> float:
    """What one core signs a second, and does nothing else."""
    from digest.message.dkim import Signer, new_keys  # not in the process whose memory is measured

    keys = [k for k in new_keys("d2026") if k.algorithm.startswith(key)]
    merger = Merger(issue(), merge.IDENTITY, today=merge.NOW.date())
    message = merger.message(next(iter(merge.readers(1))), date=merge.NOW)
    signer = Signer("news.example.com", keys)
    begun = time.process_time()
    for _ in range(1000):
        signer(message)
    return 1000 / (time.process_time() - begun)


def send(root: Path, stored: Path, port: int) -> None:
    """The sending process: one whole run; prints what it measured."""
    begun = time.monotonic()
    compiled = CompiledIssue.from_json(stored.read_text())
    report = deliver(Newsletter.open(root, {"smtp.port": port}), compiled.slug, compiled)
    heaviest = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert heaviest is not None
    print(
        json.dumps(
            {
                "accepted": report.accounts.accepted,
                "problems": report.accounts.problems(),
                "phase": report.seconds,
                "run": time.monotonic() - begun,
                "processor": time.process_time(),
                "kilobytes": int(heaviest[1]),
            }
        )
    )


def ours(root: Path, stored: Path, port: int, readers: int) -> dict[str, float]:
    """One run in a process of its own: rates in messages a second, memory in MB."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, __file__, "--send", root, stored, str(port)], check=True, stdout=subprocess.PIPE, text=True
    )
    whole = time.monotonic() - begun
    told = json.loads(done.stdout)
    assert (told["accepted"], told["problems"]) == (readers, []), told
    return {
        "phase": readers / told["phase"],
        "run": readers / told["run"],
        "whole": readers / whole,
        "processor": told["processor"] / readers * 1e6,
        "megabytes": told["kilobytes"] / 1024,
    }


def limit(port: int, messages: int) -> float:
    """What ``smtp-source`` sends a second, with the same connections and size."""
    begun = time.monotonic()
    subprocess.run(
        [
            tool("smtp-source"),
            "-d",
            "-s",
            str(CONNECTIONS),
            "-m",
            str(messages),
            "-l",
            str(MESSAGE_SIZE),
            f"127.0.0.1:{port}",
        ],
        check=True,
    )
    return messages / (time.monotonic() - begun)


def plain(root: Path, port: int, readers: int) -> float:
    """The usual way: Jinja, EmailMessage, aiosmtplib's `send_message`, no ledger."""
    slow = merge.SlowWay(issue())

    async def lane(connection: aiosmtplib.SMTP, work: Iterator[merge.Subscriber]) -> None:
        await connection.connect()
        for subscriber in work:
            await connection.sendmail("bounces@news.example.com", subscriber.email, slow.message(subscriber))
        await connection.quit()

    async def run() -> None:
        connection = open_database(Newsletter.open(root).database)
        work = (s for _, s in zip(range(readers), Subscribers(connection).all(), strict=False))
        lanes = [
            aiosmtplib.SMTP(hostname="127.0.0.1", port=port, use_tls=False, start_tls=False) for _ in range(CONNECTIONS)
        ]
        await asyncio.gather(*(lane(c, work) for c in lanes))
        connection.close()

    begun = time.monotonic()
    asyncio.run(run())
    return readers / (time.monotonic() - begun)


def nodemailer(root: Path, tools: Path, port: int, readers: int) -> float:
    """The same issue, readers and connections with nodemailer and Handlebars, in a second."""
    compiled = issue()

    def handlebars(source: str) -> str:
        for pattern, ours in (
            (r"\{\{ subscriber\.(\w+) \}\}", r"{{\1}}"),
            (r"\{\{ \(subscriber\.(\w+)\) \| urlpart \}\}", r"{{urlpart \1}}"),
            (r"\{\{ \(links\.(\w+)\) \| link \}\}", r"{{\1}}"),
            (r"\{% if segment\['(\w+)'\] %\}", r"{{#if \1}}"),
            (r"\{% else %\}", r"{{else}}"),
            (r"\{% endif %\}", r"{{/if}}"),
        ):
            source = re.sub(pattern, ours, source)
        assert "{%" not in source
        return source

    fields = {"from": merge.IDENTITY.sender, "return_path": merge.IDENTITY.return_path}
    parts = {name: handlebars(getattr(compiled, name).source) for name in ("subject", "html", "text")}
    links = {"unsubscribe": merge.IDENTITY.unsubscribe_pattern(), "view": merge.IDENTITY.view_pattern(compiled.slug)}
    (root / "issue.json").write_text(json.dumps(fields | parts))
    with (root / "readers.jsonl").open("w") as file:
        for s in merge.readers(readers):
            own = {name: link.replace(merge.TOKEN, s.token) for name, link in links.items()}
            print(json.dumps(dict(s.values) | own | {"pro": s.values["plan"] == "pro"}), file=file)
    (root / "node_modules").symlink_to((tools / "node_modules").resolve())
    script = Path(__file__).parent / "nodemailer" / "send.mjs"
    return float(subprocess.check_output(["node", script, root, str(port), str(CONNECTIONS)], text=True))


def certificate(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1, in one file."""
    file = folder / "relay.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=relay -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*make.split(), "-keyout", file, "-out", folder / "relay.crt"], check=True, capture_output=True)
    file.write_text(file.read_text() + (folder / "relay.crt").read_text())
    return file


async def unveil(target: int, pem: str) -> None:
    """A proxy that ends TLS; prints its port. Runs until it is killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 18):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(passed_on(reader, far_writer), passed_on(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def delay(target: int, seconds: float) -> None:
    """A proxy that keeps every byte for so long; prints its port. Runs until it is killed."""
    loop = asyncio.get_running_loop()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 18):
            loop.call_later(seconds, writer.write, data)
        loop.call_later(seconds, writer.close)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(late(reader, far_writer), late(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def proxy(kind: str, port: int, what: str) -> Iterator[int]:
    """A proxy before `port`, in a process of its own; its port."""
    process = subprocess.Popen([sys.executable, __file__, kind, str(port), what], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def far_away(root: Path, stored: Path, port: int, readers: int, milliseconds: float) -> None:
    """Print how many messages a connection hands over in the time of a round trip."""
    with proxy("--late", port, str(milliseconds / 2000)) as away:
        rate = ours(root, stored, away, readers)["phase"]
    each = rate / CONNECTIONS * milliseconds / 1000
    print(f"{milliseconds:g} ms away: {rate:,.0f} a second, {each:.2f} messages a connection and round trip")


def main() -> None:
    """Print the figures."""
    if sys.argv[1:2] == ["--send"]:
        send(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
        return
    if sys.argv[1:2] == ["--late"]:
        asyncio.run(delay(int(sys.argv[2]), float(sys.argv[3])))
        return
    if sys.argv[1:2] == ["--unveil"]:
        asyncio.run(unveil(int(sys.argv[2]), sys.argv[3]))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("readers", type=int, nargs="?", default=20_000)
    parser.add_argument("--plain", type=int, default=1_000, metavar="N", help="readers of the usual way (0: not run)")
    parser.add_argument("--away", type=float, metavar="MS", help="milliseconds to the relay and back")
    parser.add_argument("--nodemailer", type=Path, metavar="DIR", help="where npm installed nodemailer and handlebars")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="the best of so many")
    parser.add_argument("--tls", action="store_true", help="over TLS")
    parser.add_argument("--dkim", choices=("rsa", "ed25519"), help="sign with such a key")
    asked = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder, port = stack.enter_context(tempfile.TemporaryDirectory()), stack.enter_context(sink())
        relay = port
        if asked.tls:
            pem = certificate(Path(folder))
            os.environ["SSL_CERT_FILE"] = str(Path(folder) / "relay.crt")
            relay = stack.enter_context(proxy("--unveil", port, str(pem)))
        stored = Path(folder) / "issue.json"
        stored.write_text(issue().to_json())
        settings = ""
        if asked.dkim:
            from digest.message.dkim import new_keys

            key = next(k for k in new_keys("d2026") if k.algorithm.startswith(asked.dkim))
            (Path(folder) / "key.pem").write_text(key.pem())
            settings = f'[dkim]\nselector = "d2026"\nkey_file = "{folder}/key.pem"\n'
        if asked.away:
            root = newsletter(Path(folder) / "away", asked.readers, settings)
            far_away(root, stored, port, asked.readers, asked.away)
            return
        roots = [newsletter(Path(folder) / str(n), asked.readers, settings, tls=asked.tls) for n in range(asked.rounds)]
        limits, runs = [], []
        for root in roots:
            limits.append(limit(port, asked.readers))
            runs.append(ours(root, stored, relay, asked.readers))
        best = {name: max(run[name] for run in runs) for name in runs[0]}
        top = max(limits)
        print(f"{asked.readers:,} readers, {CONNECTIONS} connections, load {os.getloadavg()[0]:.1f}")
        print(f"smtp-source            {top:10,.0f} a second {[round(n) for n in limits]}")
        for name, what in (("phase", "send phase"), ("run", "plan and send"), ("whole", "whole process")):
            each = [round(run[name]) for run in runs]
            print(f"{what:<22} {best[name]:10,.0f} a second, {best[name] / top:.2f} of it {each}")
        print(f"processor              {min(run['processor'] for run in runs):10.0f} µs each")
        print(f"memory (VmHWM)         {best['megabytes']:10.1f} MB")
        if asked.dkim:
            core = signing_rate(asked.dkim)
            print(f"one core signs         {core:10,.0f} a second; the send phase is {best['phase'] / core:.2f} of it")
        if asked.plain:
            usual = plain(roots[0], port, asked.plain)
            print(f"the usual way          {usual:10,.0f} a second; ours is {best['phase'] / usual:.1f} times as fast")
        if asked.nodemailer:
            theirs = nodemailer(roots[0], asked.nodemailer, port, min(asked.readers, 5_000))
            times = best["phase"] / theirs
            print(f"nodemailer             {theirs:10,.0f} a second; ours is {times:.1f} times as fast")


if __name__ == "__main__":
    main()
