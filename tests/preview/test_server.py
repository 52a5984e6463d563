"""The server's ports and its end; its colours."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.errors import UsageError
from digest.newsletter import Newsletter
from digest.preview.app import create_app
from digest.preview.colours import as_scheme
from digest.preview.live import Live
from digest.preview.server import LocalServer, listen, port_of
from digest.preview.workbench import Workbench


def test_next_free_port_is_taken() -> None:
    """Without a wish, a taken port is passed over for the next one."""
    with closing(listen(0, 0)) as taken, closing(listen(None, port_of(taken))) as found:
        assert port_of(taken) < port_of(found) or port_of(taken) > 65000


def test_wanted_port_in_use_is_an_error() -> None:
    """A port that was asked for and is in use is an error that names it."""
    with closing(listen(0, 0)) as taken:
        number = port_of(taken)
        with pytest.raises(UsageError, match=f"port {number} is in use"):
            listen(number, 0)


def test_only_loopback_is_served() -> None:
    """The socket is bound to 127.0.0.1, not to every interface."""
    with closing(listen(0, 0)) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


def test_open_pages_do_not_keep_it_up(folder: Path) -> None:
    """The server ends within a few seconds though a page listens for changes, and its port is free again."""
    web, live = listen(0, 0), Live()
    port = port_of(web)
    app = create_app(Workbench(Newsletter.open(folder)), live, port=port)
    with ExitStack() as browser:
        with LocalServer(app, web, live) as server:
            listening = browser.enter_context(httpx.stream("GET", f"http://127.0.0.1:{port}/live", timeout=60))
            assert next(listening.iter_lines()) == "retry: 500"
        assert not server._thread.is_alive()  # it is waited for, but not for ever
    with closing(socket.socket()) as again:
        assert again.connect_ex(("127.0.0.1", port)) != 0


def test_dark_styles_apply_on_request() -> None:
    """The email's dark rules hold in the dark view and not in the light one, whatever the machine prefers."""
    html = "<head><style>@media (prefers-color-scheme: dark) and (max-width:480px){p{color:red}}</style></head>"
    assert "@media (min-width:0px) and (max-width:480px)" in as_scheme(html, "dark")
    assert "@media (max-width:0px) and (max-width:480px)" in as_scheme(html, "light")
    source = '<head></head><source media="(prefers-color-scheme:dark)" srcset="d.png">'
    assert 'media="(min-width:0px)"' in as_scheme(source, "dark")


@given(st.text(max_size=100))
def test_words_are_left_alone(words: str) -> None:
    """Text outside styles and media attributes is never changed."""
    words = words.replace("<", "").replace(">", "").replace("=", "")
    assert words in as_scheme(f"<head></head><p>{words} (prefers-color-scheme: dark)</p>", "dark")
    assert "<p>" + words + " (prefers-color-scheme: dark)</p>" in as_scheme(
        f"<head></head><p>{words} (prefers-color-scheme: dark)</p>", "light"
    )


@pytest.mark.parametrize("path", ["/", "/issues/first", "/issues/first?show=text&width=full&scheme=dark"])
def test_pages_hold_no_inline_code(standing: Any, path: str) -> None:
    """Our own pages carry no inline script, style or handler, as their policy demands."""
    page = standing.get(path).text
    assert "<style" not in page
    assert " style=" not in page
    assert " onclick" not in page
    assert "<script>" not in page
