"""What tests of several rooms share."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# No example is timed: the machine may be busy. The rest is hypothesis's own profile, where CI is set that for it.
settings.register_profile("digest", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("digest")

REPOSITORY = Path(__file__).parent.parent
Digest = Callable[..., "subprocess.CompletedProcess[str]"]
PATIENCE = 60  # seconds: for what takes one, on a machine that is busy with other tests


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("DIGEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout the tests run in; never written to."""
    return REPOSITORY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the repository's newsletter: settings, readers, themes, issues and lists, no database."""
    root = tmp_path / "newsletter"
    strays = shutil.ignore_patterns("*.db", "*.db-*", "*.log", "*.rejects.csv")
    for name in ("config", "templates", "issues", "subscribers"):
        shutil.copytree(REPOSITORY / name, root / name, ignore=strays)
    return root


@pytest.fixture
def digest() -> Digest:
    """The real command in a process of its own: ``digest("check", cwd=folder)``; output is text."""
    script = Path(sys.executable).with_name("digest")
    start = [str(script)] if script.exists() else [sys.executable, "-m", "digest"]

    def run(*arguments: str | Path, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
        inherited = {k: v for k, v in os.environ.items() if not k.upper().startswith("DIGEST_")}
        inherited["PYTHONPATH"] = str(REPOSITORY)
        return subprocess.run(
            [*start, *map(str, arguments)],
            cwd=cwd,
            env=inherited | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    """Waits until what it asks is true, where an assertion that fails is not; returns it."""

    def wait(ask: Callable[[], Any], *, within: float = PATIENCE) -> Any:
        give_up = time.monotonic() + within
        while time.monotonic() < give_up:
            with suppress(AssertionError):
                if found := ask():
                    return found
            time.sleep(0.005)
        found = ask()  # an assertion of its own says more
        assert found, f"it did not come to that within {within} seconds"
        return found

    return wait


@pytest.fixture(scope="session")
def until(eventually: Callable[..., Any]) -> Callable[..., None]:
    """Waits until a relay has taken in so many messages, or the process that sends them has ended."""

    def wait(relay: Any, number: int, process: "subprocess.Popen[Any]") -> None:
        eventually(lambda: len(relay.received) >= number or process.poll() is not None)

    return wait


@pytest.fixture(scope="session")
def listening(eventually: Callable[..., Any]) -> Callable[[int], None]:
    """Waits until somebody listens on a port of 127.0.0.1."""

    def wait(port: int) -> None:
        eventually(lambda: not refused(port))

    def refused(port: int) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    return wait


@pytest.fixture(scope="session")
def free_port() -> Iterator[Callable[[], int]]:
    """A port of 127.0.0.1 for a server that takes no socket, or for none: no other test gets it meanwhile.

    It lies below those that the kernel gives out by itself (ip_local_port_range in ip(7)); of the processes that run
    tests it belongs to the one that holds the UDP port of the same number.
    """
    untried = iter(range(20_000 + os.getpid() % 10_000, 32_768))
    with ExitStack() as held:

        def claim() -> int:
            for port in untried:
                with ExitStack() as tried, closing(socket.socket()) as free:
                    ours = tried.enter_context(socket.socket(type=socket.SOCK_DGRAM))
                    with suppress(OSError):
                        ours.bind(("127.0.0.1", port))
                        free.bind(("127.0.0.1", port))
                        held.enter_context(tried.pop_all())
                        return port
            raise AssertionError("no port is free")

        yield claim


@pytest.fixture(scope="module")
def chromium(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A real Chromium. Without one the browser tests do not run, and say so.

    For one module: while Playwright is up, an event loop runs in this thread, and others can't run theirs.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(f"\nNO BROWSER: chromium is missing, {request.node.nodeid} was NOT tested in one", file=sys.stderr)
        pytest.skip("chromium is missing (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]
    # A name of somebody else's that leads here: DNS rebinding.
    arguments.append("--host-resolver-rules=MAP rebound.example 127.0.0.1")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments, timeout=1000 * PATIENCE)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Any) -> Iterator[Any]:
    """An empty tab; a script error in one of our pages, or a request that leaves this machine, fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    seen = SimpleNamespace(errors=[], requests=[])
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("request", lambda request: seen.requests.append(request))
    yield page
    context.close()
    assert seen.errors == []
    assert [f"{r.url} ({r.failure})" for r in seen.requests if _left(r)] == []


def _left(request: Any) -> bool:
    """Whether it left, or would have left, this machine; one stopped by a page's policy never did."""
    return not request.url.startswith(("http://127.0.0.1:", "data:", "about:")) and request.failure != "csp"
