"""Pictures before a real run: published by a command, or seen where readers will look; else the run is held."""

from __future__ import annotations

import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from digest.compose.compiled import CompiledIssue
from digest.compose.composer import compile_issue
from digest.compose.pictures import picture_files
from digest.delivery import publishing
from digest.delivery.publishing import publish_pictures, run_publish, why_unseen
from digest.errors import HeldError
from digest.newsletter import Newsletter

Opened = Callable[..., Newsletter]


@dataclass
class Site:
    """A web server on loopback: what it answers to each path, and what it was asked."""

    address: str = ""
    answers: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    wait: Callable[[], object] = lambda: None

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append((handler.command, handler.path))
        self.ranges.append(handler.headers.get("Range"))
        self.wait()
        status, headers = self.answers.get(handler.path, (404, {}))
        if handler.command == "HEAD" and "No-Head" in headers:
            status = int(headers["No-Head"])
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            site.answer(self)

        def do_GET(self) -> None:
            site.answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.address = f"http://127.0.0.1:{server.server_port}"
    yield site
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def opened(folder: Path, site: Site) -> Opened:
    """The newsletter with an issue of two pictures, a relay elsewhere, and its pictures on the site."""
    (folder / ".env").write_text("DIGEST_SMTP__USERNAME=weekly\nDIGEST_SMTP__PASSWORD=open-sesame\n")
    for name, make in (("a.png", Image.linear_gradient), ("b.png", Image.radial_gradient)):
        make("L").save(folder / "issues" / name)
    (folder / "issues" / "x.md").write_text('---\nsubject: "s"\ndate: 2025-09-12\n---\n![a](a.png)\n\n![b](b.png)\n')

    def run(**overrides: object) -> Newsletter:
        named = {name.replace("__", "."): value for name, value in overrides.items()}
        fixed = {"smtp.host": "relay.example.com", "smtp.tls": "starttls", "assets.base_url": f"{site.address}/assets"}
        return Newsletter.open(folder, fixed | named)

    return run


def composed(newsletter: Newsletter) -> CompiledIssue:
    return compile_issue(newsletter, newsletter.root / "issues" / "x.md")


def shown(site: Site, compiled: CompiledIssue, **headers: str) -> list[str]:
    """Let the site have all pictures; returns their paths."""
    paths = [f"/assets/{p.name}" for p in compiled.pictures]
    site.answers |= dict.fromkeys(paths, (200, {"Content-Type": "image/png", **headers}))
    return paths


# ---- asking


def test_each_picture_is_asked_for_once(opened: Opened, site: Site) -> None:
    """One HEAD to each; what was seen in this process is not asked for again."""
    compiled = composed(opened())
    paths = shown(site, compiled)
    for _ in range(3):
        publish_pictures(opened(), compiled)
    assert sorted(site.asked) == sorted(("HEAD", path) for path in paths)


def test_a_picture_that_can_not_be_seen_holds_the_run(opened: Opened, site: Site) -> None:
    """Every one of them is named with its file, its address, the reason and what to do; asked again next time."""
    compiled = composed(opened())
    first, second = shown(site, compiled)
    site.answers[first] = (404, {})
    site.answers[second] = (200, {"Content-Type": "text/html; charset=utf-8"})
    for _ in range(2):
        with pytest.raises(HeldError) as caught:
            publish_pictures(opened(), compiled)
        told = str(caught.value)
        assert f"issues/a.png: {site.address}{first} is answered with 404 Not Found" in told
        assert f"issues/b.png: {site.address}{second} is text/html, not a picture" in told
        assert "digest build x --out DIR" in told
    assert len(site.asked) == 4


@pytest.mark.parametrize("status", ["405", "501"])
def test_a_server_without_head_is_asked_for_one_byte(opened: Opened, site: Site, status: str) -> None:
    """GET with a range of one byte."""
    compiled = composed(opened())
    paths = shown(site, compiled, **{"No-Head": status})
    publish_pictures(opened(), compiled)
    assert sorted(site.asked) == sorted((method, path) for path in paths for method in ("HEAD", "GET"))
    assert [r for (method, _), r in zip(site.asked, site.ranges, strict=True) if method == "GET"] == ["bytes=0-0"] * 2


def test_a_server_that_is_silent_or_gone_is_told(site: Site) -> None:
    """Neither hangs the run; both are told in words."""
    told = threading.Event()
    site.wait = lambda: told.wait(60)
    assert why_unseen(f"{site.address}/a.png", 0.2) == "did not answer within 0.2 seconds"
    told.set()
    assert why_unseen("http://127.0.0.1:1/a.png", 2).startswith("can't be reached: ")


def test_pictures_are_asked_for_side_by_side(opened: Opened, site: Site) -> None:
    """Two slow answers take the time of one: neither comes before both are asked for."""
    compiled = composed(opened())
    shown(site, compiled)
    site.wait = threading.Barrier(2, timeout=60).wait
    publish_pictures(opened(), compiled)
    assert len(site.asked) == 2


@pytest.mark.parametrize("url", ["http://example.com/a.png", "file:///etc/passwd", "ftp://127.0.0.1/a", "cid:a@b"])
def test_only_encrypted_addresses_and_this_machine_are_asked(url: str) -> None:
    """No other scheme is ever opened."""
    assert why_unseen(url) == "is no https:// address"


def test_a_detour_is_followed_only_where_it_is_safe(site: Site) -> None:
    """A redirect on this machine is followed with HEAD; one that leads out unencrypted is not."""
    site.answers = {
        "/here.png": (302, {"Location": f"{site.address}/there.png"}),
        "/there.png": (200, {"Content-Type": "image/png"}),
        "/away.png": (302, {"Location": "http://example.com/a.png"}),
        "/file.png": (302, {"Location": "file:///etc/passwd"}),
    }
    assert why_unseen(f"{site.address}/here.png") == ""
    assert site.asked == [("HEAD", "/here.png"), ("HEAD", "/there.png")]
    assert "http://example.com/a.png, which is not encrypted" in why_unseen(f"{site.address}/away.png")
    assert why_unseen(f"{site.address}/file.png")


def test_nothing_is_asked_where_nobody_is_written_to(opened: Opened, site: Site) -> None:
    """A relay on loopback, pictures that travel in the message, an issue without any."""
    newsletter = opened()
    compiled = composed(newsletter)
    publish_pictures(opened(smtp__host="127.0.0.1"), compiled)
    carrying = opened(assets__mode="cid")
    publish_pictures(carrying, composed(carrying))
    (newsletter.root / "issues" / "x.md").write_text('---\nsubject: "s"\ndate: 2025-09-12\n---\nWords.\n')
    publish_pictures(newsletter, composed(newsletter))
    assert site.asked == []


# ---- the command

COPY = """
import pathlib, shutil, sys
shutil.copytree(sys.argv[-1], sys.argv[1])
"""


def python(script: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", script, *map(str, arguments)]


@pytest.mark.parametrize("named", [True, False])
def test_the_command_is_given_the_pictures(opened: Opened, site: Site, tmp_path: Path, named: bool) -> None:
    """In a folder that is the last argument, or stands where {folder} does; then nothing is asked for."""
    target = tmp_path / "site"
    script = COPY if not named else COPY.replace("sys.argv[-1]", "sys.argv[2]")
    command = python(script, target, "{folder}/", "end") if named else python(script, target)
    newsletter = opened(assets__publish=command)
    compiled = composed(newsletter)
    publish_pictures(newsletter, compiled)
    files = {file.name: file.read_bytes() for file in target.iterdir()}
    assert files == {name: data for name, (data, _) in picture_files(newsletter, compiled).items()}
    assert stat.S_IMODE(target.stat().st_mode) == 0o755
    assert {stat.S_IMODE(file.stat().st_mode) for file in target.iterdir()} == {0o644}
    assert site.asked == []


def test_the_command_runs_without_a_shell_and_without_secrets(opened: Opened, tmp_path: Path) -> None:
    """Each argument arrives as it is written; no DIGEST_ variable does; the working directory is the newsletter's."""
    out = tmp_path / "said"
    script = "import os, sys; open(sys.argv[1], 'w').write(repr((sys.argv[2:-1], os.getcwd(), sorted(os.environ))))"
    newsletter = opened(assets__publish=python(script, out, "$HOME; touch x", "*", "a b"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIGEST_SMTP__PASSWORD", "open-sesame")
        publish_pictures(newsletter, composed(newsletter))
    arguments, folder, names = eval(out.read_text())
    assert arguments == ["$HOME; touch x", "*", "a b"]
    assert folder == str(newsletter.root)
    assert not [name for name in names if name.startswith("DIGEST_")]


def test_a_failing_command_holds_the_run_with_its_own_words(opened: Opened) -> None:
    """What it said last, on both outputs, without secrets and control characters."""
    script = "import sys; print('x' * 50_000); print('no \\x1b[31mroom open-sesame', file=sys.stderr); sys.exit(23)"
    newsletter = opened(assets__publish=python(script))
    with pytest.raises(HeldError) as caught:
        publish_pictures(newsletter, composed(newsletter))
    told = str(caught.value)
    assert "left with 23" in told
    assert "room …" in told
    assert "open-sesame" not in told
    assert "\x1b" not in told
    assert len(told) < 4_000


def test_a_command_that_is_not_there_holds_the_run(opened: Opened) -> None:
    """Named, with the setting it comes from."""
    newsletter = opened(assets__publish=["no-such-command", "-a"])
    with pytest.raises(HeldError, match=r"no-such-command -a \(assets.publish\) can't be run: No such file"):
        publish_pictures(newsletter, composed(newsletter))


def running(process: int) -> bool:
    """Whether a process still runs; one that ended and was not asked for its code ("zombie") does not."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_a_command_that_never_ends_is_stopped_with_all_it_started(
    opened: Opened, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    """After its time, the children too, also those that hold its output open."""
    pid = tmp_path / "pid"
    script = "sleep 600 & echo $! > $0; echo waiting; sleep 600"  # sh is there much sooner than the time is over
    begun = time.monotonic()
    with pytest.raises(HeldError, match=r"still running after 2 seconds(?s:.*)waiting"):
        run_publish(opened(), ["sh", "-c", script, str(pid)], {}, patience=2)
    assert time.monotonic() - begun < 60
    # The signal is sent; the kernel ends a process when it comes to it.
    eventually(lambda: not running(int(pid.read_text())))


def test_nothing_is_left_behind(opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder the command was given is gone afterwards, also when it failed."""
    monkeypatch.setattr(publishing.tempfile, "tempdir", str(tmp_path))
    for code in (0, 1):
        newsletter = opened(assets__publish=python(f"import sys; sys.exit({code})"))
        try:
            publish_pictures(newsletter, composed(newsletter))
        except HeldError:
            assert code
    assert not list(tmp_path.glob("digest-pictures-*"))
