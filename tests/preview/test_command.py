"""`digest preview` from the shell: where it listens, what it says, how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

from digest.cli.preview import FIRST_PORT
from digest.errors import UsageError
from digest.preview.server import listen, port_of


@contextmanager
def _preview(folder: Path, repository: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "digest", "preview", *options],
        env=os.environ | {"PYTHONPATH": str(repository), "PYTHONUNBUFFERED": "1"},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


def test_opens_at_the_issue_and_ends_with_ctrl_c(folder: Path, repository: Path) -> None:
    """It prints the issue's address, serves it there, and Ctrl+C is its normal end."""
    with _preview(folder, repository, "fir", "--port", "0") as (process, said):
        address = re.search(r"http://127\.0\.0\.1:\d+/issues/first", said)
        assert address is not None, said
        assert "Three stories" in httpx.get(address[0], timeout=60).text
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")


def test_inbox_takes_the_tests(folder: Path, repository: Path) -> None:
    """With --inbox the page's tests go to the embedded server, whatever relay the settings name."""
    with _preview(folder, repository, "--port", "0", "--inbox") as (process, said):
        [site] = re.findall(r"http://127\.0\.0\.1:\d+", said)
        assert process.stdout is not None
        assert f"{site}/inbox" in process.stdout.readline()
        token = re.search(r'name="csrf" value="([^"]+)"', httpx.get(f"{site}/issues/first", timeout=60).text)
        assert token is not None
        form = {"csrf": token[1], "to": "address", "address": "me@example.com"}
        answer = httpx.post(f"{site}/issues/first/test", data=form, headers={"Origin": site}, timeout=60)
        assert "accepted by the relay" in answer.text
        assert "[Test] Three stories" in httpx.get(f"{site}/inbox", timeout=60).text


def test_editor_must_be_there(folder: Path, repository: Path) -> None:
    """An editor that can't be started is told at once, not at the first click."""
    with _preview(folder, repository, "--editor", "no-such-editor") as (process, _):
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 2
        assert "no program “no-such-editor”" in errors


def test_editor_of_a_terminal_is_refused(folder: Path, repository: Path, tmp_path: Path) -> None:
    """An editor that would need a terminal is refused at the start, with what does instead."""
    vim = tmp_path / "vim"
    vim.write_text("#!/bin/sh\n")
    vim.chmod(0o755)
    with _preview(folder, repository, "--editor", f"{vim} -n") as (process, _):
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 2
        assert "needs a terminal" in errors
        assert "gvim" in errors


def test_newcomer_sees_the_first_change(chromium: Any, repository: Path, tmp_path: Path, capsys: Any) -> None:
    """From `digest init` to the first paragraph of one's own in the browser, as a newcomer goes; it says how long."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "digest", "init", "news"]
    own = os.environ | {"PYTHONPATH": str(repository)}
    subprocess.run(command, cwd=tmp_path, env=own, check=True, capture_output=True)
    with _preview(tmp_path / "news", repository, "--port", "0") as (_, said):
        [site] = re.findall(r"http://127\.0\.0\.1:\d+/", said)
        page = chromium.new_page()
        page.goto(site)
        page.get_by_role("link", name="Hello").click()
        page.locator("#live[data-state=on]").wait_for()
        email = page.frame_locator("#email:not(.coming)")
        email.get_by_text("Good morning").first.click()
        written = page.locator("#where code").inner_text()
        file, _, line = written.rpartition(":")
        path = tmp_path / "news" / file
        lines = path.read_text().splitlines(keepends=True)
        assert "Good morning" in lines[int(line) - 1]
        lines[int(line) - 1] = "These are my own words.\n"
        path.write_text("".join(lines))
        email.get_by_text("These are my own words.").wait_for()
        seconds = time.perf_counter() - begun
        page.close()
    with capsys.disabled():
        print(f"\nfrom digest init to the first edited paragraph: {seconds:.1f} s of the machine's time")


def test_next_port_is_said(folder: Path, repository: Path) -> None:
    """When the usual port is in use it takes the next free one and says so."""
    try:
        taken = listen(FIRST_PORT, FIRST_PORT)
    except UsageError:  # somebody else's: as good
        taken = listen(0, 0)
    with closing(taken), _preview(folder, repository) as (_, said):
        assert f"port {FIRST_PORT} is in use" in said
        assert f":{FIRST_PORT}/" not in said


def test_wrong_calls_are_told(folder: Path, repository: Path) -> None:
    """A port in use, an issue there is none of, and a folder without a newsletter are told and leave at once."""
    with closing(listen(0, 0)) as taken, _preview(folder, repository, "--port", str(port_of(taken))) as (process, _):
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 2
        assert "in use" in errors
    with _preview(folder, repository, "frist") as (process, _):
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "did you mean “first”?" in errors
    with _preview(folder.parent, repository) as (process, _):
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "digest init" in errors
