"""What tests of several rooms share."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
Digest = Callable[..., "subprocess.CompletedProcess[str]"]


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
            timeout=60,
            check=False,
        )

    return run
