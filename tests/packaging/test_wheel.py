"""The wheel carries the theme, the starter and the sample, and nothing that merely lies beside them."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

STRAYS = (
    ".env",
    "config/.env",
    "digest/notes.txt",
    "digest/preview/pages/secret.txt",
    "issues/2025-09-12-coopetition/draft.pdf",
    "subscribers/digest.db",
    "subscribers/digest.db-wal",
    "subscribers/readers.csv",
    "templates/median/secret.txt",
    "templates/ours/theme.toml",
)
SECRET = "ann.secret@example.com"


def tracked(repository: Path) -> list[str]:
    """The files of the commit-to-be: in git, or new and not ignored."""
    if not (repository / ".git").exists():
        pytest.skip("not a git checkout: nothing to compare with")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted({f for f in listed.stdout.split("\0") if f and (repository / f).is_file()})


def is_carried(file: str) -> bool:
    """Whether a tracked file belongs in the wheel: all but how the sample's pictures were drawn."""
    top, _, rest = file.partition("/")
    return top in ("config", "issues", "subscribers", "templates") and bool(rest) and "/pictures/" not in file


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with wheel and sdist, built from a copy of the repository that has private files beside its own."""
    repository = Path(__file__).parents[2]
    copy = tmp_path_factory.mktemp("copy") / "repository"
    for file in tracked(repository):
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(repository / file, copy / file)
    for stray in STRAYS:
        (copy / stray).parent.mkdir(parents=True, exist_ok=True)
        (copy / stray).write_text(SECRET)
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", str(out)],
        cwd=copy,
        check=True,
        capture_output=True,
        timeout=120,
    )
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    """The wheel, open."""
    return zipfile.ZipFile(next(built.glob("*.whl")))


def test_the_list_is_what_git_has(repository: Path) -> None:
    """Each tracked file of theme, starter and sample is in the list of pyproject.toml, and nothing else is."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())
    listed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert sorted(listed) == [f for f in tracked(repository) if is_carried(f)]
    assert all(target == f"digest/_shipped/{source}" for source, target in listed.items())


def test_the_wheel_holds_every_file_of_the_package(repository: Path, wheel: zipfile.ZipFile) -> None:
    """Code, pages and starter of digest/, and what is carried: exactly the tracked files."""
    files = tracked(repository)
    expected = [f for f in files if f.startswith("digest/")]
    expected += [f"digest/_shipped/{f}" for f in files if is_carried(f)]
    assert sorted(n for n in wheel.namelist() if ".dist-info/" not in n) == sorted(expected)


def test_private_files_are_not_carried(built: Path, wheel: zipfile.ZipFile) -> None:
    """A database, a list, .env and strays beside the carried files are in neither wheel nor sdist."""
    assert not [name for name in wheel.namelist() if SECRET.encode() in wheel.read(name)]
    source = built / "source"
    shutil.unpack_archive(next(built.glob("*.tar.gz")), source, filter="data")
    assert not [f for f in source.rglob("*") if f.is_file() and SECRET.encode() in f.read_bytes()]


def test_the_sdist_makes_the_same_wheel(built: Path, wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """Building from the sdist carries the same files as building from the checkout."""
    shutil.unpack_archive(next(built.glob("*.tar.gz")), tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "again")],
        cwd=source,
        check=True,
        capture_output=True,
        timeout=120,
    )
    again = zipfile.ZipFile(next((tmp_path / "again").glob("*.whl")))
    assert sorted(again.namelist()) == sorted(wheel.namelist())


def test_the_metadata_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    """Another name than the package, Python 3.11, the licence, the readme, and the command."""
    (name,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    metadata = message_from_bytes(wheel.read(name))
    assert (metadata["Name"], metadata["Requires-Python"]) == ("digest-newsletter", ">=3.11")
    assert metadata["License-Expression"] == "MIT"
    assert len(metadata.get_payload()) > 500
    entry_points = wheel.read(name.replace("METADATA", "entry_points.txt")).decode()
    assert "digest = digest.cli:main" in entry_points


def test_the_wheel_works_outside_a_checkout(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """From the unpacked wheel alone, `init` writes a newsletter whose theme is found and whose draft is made."""
    wheel.extractall(tmp_path / "site")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DIGEST_")}
    environment |= {"PYTHONPATH": str(tmp_path / "site"), "PYTHONSAFEPATH": "1"}

    def run(*arguments: str, cwd: Path) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("-m", "digest", "init", "mine", cwd=tmp_path)
    assert run("-m", "digest", "new", "A title", cwd=tmp_path / "mine").endswith("-a-title.md\n")
    code = "from digest.newsletter import Newsletter; print(Newsletter.open().theme_folder('median'))"
    found = run("-c", code, cwd=tmp_path / "mine").strip()
    assert found == str(tmp_path / "site/digest/_shipped/templates/median")
