"""Only this server's own pages are answered, and nothing outside the newsletter is served."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Any

import pytest


def _ask(site: Any, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """One request exactly as given: no library tidies the path or the Host."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    connection.putrequest(method, path, skip_host=True)
    sent = {"Host": f"127.0.0.1:{site.port}"} | {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in sent.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", ""])
def test_foreign_host_is_refused(standing: Any, host: str) -> None:
    """A request for another name is answered 421 and shows nothing (DNS rebinding)."""
    status, _, body = _ask(standing, "/", Host=host.format(port=standing.port))
    assert status == 421
    assert b"Sample Weekly" not in body


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_own_names_are_answered(standing: Any, host: str) -> None:
    """Each name of loopback with the right port is this server."""
    assert _ask(standing, "/", Host=host.format(port=standing.port))[0] == 200


@pytest.mark.parametrize("origin", [{}, {"Origin": "null"}, {"Origin": "http://evil.example"}])
def test_foreign_origin_cannot_post(standing: Any, origin: dict[str, str]) -> None:
    """A POST from another site, or from nowhere, is refused."""
    assert _ask(standing, "/u/token", "POST", **origin)[0] == 403


def test_own_origin_can_post(standing: Any) -> None:
    """A POST from our own page is taken."""
    assert _ask(standing, "/u/token", "POST", Origin=f"http://127.0.0.1:{standing.port}")[0] == 200


@pytest.mark.parametrize("path", ["/", "/issues/first", "/inbox", "/static/workbench.css", "/nothing", "/issues/x"])
def test_every_answer_is_guarded(standing: Any, path: str) -> None:
    """Pages, files and errors all carry the policy, and nothing is cached or sniffed."""
    _, headers, _ = _ask(standing, path)
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


def test_email_may_run_and_fetch_nothing(standing: Any) -> None:
    """The email's own document allows no script, and pictures only from here."""
    _, headers, _ = _ask(standing, "/issues/first/html")
    policy = headers["content-security-policy"]
    assert "script-src 'none'" in policy
    assert "sandbox allow-same-origin" in policy
    assert f"img-src 'self' data: http://127.0.0.1:{standing.port}" in policy
    assert "frame-ancestors 'self'" in policy


@pytest.mark.parametrize(
    "path",
    [
        "/assets/first/../../.env",
        "/assets/first/..%2f..%2f.env",
        "/assets/first/%2e%2e/%2e%2e/.env",
        "/assets/first/.env",
        "/assets/first/index.md",
        "/assets/first/field.png",
        "/assets/../.env",
        "/static/../../../.env",
        "/static/..%2f..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/issues/..%2f..%2fetc/html",
        "//etc/passwd",
    ],
)
def test_nothing_else_is_served(standing: Any, path: str) -> None:
    """Only published pictures of an issue and our own static files have an address."""
    status, _, body = _ask(standing, path)
    assert status == 404
    assert b"quite-secret" not in body
    assert b"import " not in body


def test_picture_that_leads_outside_is_refused(site: Any) -> None:
    """A picture that was replaced by a link out of the folder after composing is not followed."""
    picture = site.workbench.look("first").compiled.pictures[0]
    address = f"/assets/first/{picture.name}"
    assert _ask(site, address)[:2][0] == 200
    outside = Path(site.root).parent / "outside.png"
    outside.write_bytes(b"outside")
    file = site.root / picture.file
    file.unlink()
    file.symlink_to(outside)
    assert _ask(site, address)[0] == 404


def test_secrets_are_never_in_a_problem(site: Any, folder: Path) -> None:
    """A mistake in the settings is named, but its line is not shown: it may hold a secret."""
    config = folder / "config" / "digest.toml"
    config.write_text(config.read_text().replace("\n[smtp]\n", '\n[smtp]\npassword = "very-secret"\nunheard = 1\n'))
    site.workbench.changed([config])
    _, _, body = _ask(site, "/issues/first")
    assert b"unheard" in body
    assert b"very-secret" not in body
    assert b"quite-secret" not in body
