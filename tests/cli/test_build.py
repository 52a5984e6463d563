"""`digest build` and `digest blocks`: what they write and say."""

from __future__ import annotations

import hashlib
import json
import shutil
from email import message_from_bytes
from email.policy import default

SLUG = "2025-09-12-coopetition"


def test_every_variant_is_written_three_ways(folder, digest) -> None:
    """HTML, text and a message that holds both, with the pictures and a manifest of hashes."""
    run = digest("build", SLUG, "--out", "out", "--json", cwd=folder)
    assert run.returncode == 0, run.stderr
    out = folder / "out"
    manifest = json.loads((out / "manifest.json").read_text())
    assert json.loads(run.stdout) == manifest
    for name, sha in manifest["files"].items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == sha
    for name in manifest["variants"]:
        message = message_from_bytes((out / f"{name}.eml").read_bytes(), policy=default)
        for kind, suffix in (("html", "html"), ("plain", "txt")):
            content = message.get_body((kind,)).get_content().replace("\r\n", "\n")
            assert content.rstrip() == (out / f"{name}.{suffix}").read_text().rstrip()
    outcomes = [tuple(v["conditions"].values()) for v in manifest["variants"].values()]
    assert len(set(outcomes)) == len(outcomes) > 10


def test_building_twice_gives_the_same_bytes(folder, digest) -> None:
    """Nothing of the clock or of chance is in a build."""
    for out in ("one", "two"):
        assert digest("build", SLUG, "--out", out, cwd=folder).returncode == 0
    assert (folder / "one" / "manifest.json").read_bytes() == (folder / "two" / "manifest.json").read_bytes()


def test_a_build_takes_away_only_its_own(folder, digest) -> None:
    """Files of an earlier build that are no more go; whatever else is in the folder stays."""
    out = folder / "out"
    digest("build", SLUG, "--out", "out", cwd=folder)
    before = {file.name for file in out.iterdir()}
    (out / "variant-notes.txt").write_text("mine")
    (out / "assets" / "mine.png").write_text("mine")
    (folder / "issues" / "x.md").write_text("---\nsubject: s\ndate: 2025-09-12\n---\nWords.\n")
    assert digest("build", "x", "--out", "out", cwd=folder).returncode == 0
    after = {file.name for file in out.iterdir()}
    assert after < before | {"variant-notes.txt"}
    assert {"variant-notes.txt", "assets", "variant-01.html"} <= after
    assert [file.name for file in (out / "assets").iterdir()] == ["mine.png"]


def test_real_readers_are_counted(folder, digest) -> None:
    """With `--real` each variant that somebody gets, and by how many; without a list, what to do."""
    missing = digest("build", SLUG, "--out", "out", "--real", cwd=folder)
    assert missing.returncode == 1
    assert "digest subscribers import" in missing.stderr
    assert digest("subscribers", "import", "subscribers/sample.csv", cwd=folder).returncode == 0
    assert digest("build", SLUG, "--out", "out", "--real", cwd=folder).returncode == 0
    variants = json.loads((folder / "out" / "manifest.json").read_text())["variants"]
    assert sum(variant["readers"] for variant in variants.values()) == 30


def test_what_a_made_up_reader_lacks_is_a_warning(folder, digest) -> None:
    """A bare value stops no build that `digest check` lets pass: the same warning, once, and every variant."""
    (folder / "issues" / "x.md").write_text(
        "---\nsubject: s\npreheader: p\ndate: 2025-09-12\n---\n"
        'At {{ subscriber.company }}.\n\n{segments="pro"}\nPro {{ subscriber.seats }}.\n'
    )
    checked = digest("check", "x", cwd=folder)
    built = digest("build", "x", "--out", "out", "--web", "web", cwd=folder)
    assert (checked.returncode, built.returncode) == (0, 0), checked.stdout + built.stderr
    (line,) = built.stderr.splitlines()
    assert line.startswith("issues/x.md:6:4: warning: `company` is missing for a made-up reader, no fallback")
    assert line in checked.stdout.splitlines()
    variants = json.loads((folder / "out" / "manifest.json").read_text())["variants"]
    assert sorted(set(v["conditions"].values()) == {True} for v in variants.values()) == [False, True]
    assert (folder / "web" / "index.html").is_file()


def test_what_a_real_reader_lacks_stops_a_build(folder, digest) -> None:
    """With `--real` a missing value is an error, as it is for a send, and nothing is written."""
    (folder / "issues" / "x.md").write_text(
        "---\nsubject: s\npreheader: p\ndate: 2025-09-12\n---\nAt {{ subscriber.company }}.\n"
    )
    (folder / "list.csv").write_text("email\nada@example.com\n")
    assert digest("subscribers", "import", "list.csv", cwd=folder).returncode == 0
    run = digest("build", "x", "--out", "out", "--real", cwd=folder)
    assert run.returncode == 1
    assert "issues/x.md:6:4: error: `company` is missing for this reader" in run.stderr
    assert not (folder / "out").exists()


def test_a_broken_issue_writes_nothing(folder, digest) -> None:
    """All its problems, exit code 1, and no folder."""
    (folder / "issues" / "x.md").write_text("---\nsubject: s\n---\n::: hreo\n:::\n")
    run = digest("build", "x", "--out", "out", cwd=folder)
    assert run.returncode == 1
    assert "issues/x.md:4" in run.stderr
    assert not (folder / "out").exists()


def test_files_of_a_shipped_theme_are_named_as_in_a_newsletter(folder, digest) -> None:
    """A part of a theme that is not in the newsletter's folder is `templates/…`, wherever digest is installed."""
    shutil.rmtree(folder / "templates")
    assert digest("build", SLUG, "--out", "out", cwd=folder).returncode == 0
    files = {size["place"]["file"] for size in json.loads((folder / "out" / "compiled.json").read_text())["sizes"]}
    assert "templates/median/layout.mjml" in files
    assert all(file.startswith(("templates/", "issues/")) for file in files)


def test_blocks_names_every_kind_of_the_theme(folder, digest) -> None:
    """Each file of the theme's blocks is a kind, with its fields; dropping one in adds one."""
    (folder / "templates" / "median" / "blocks" / "mine.mjml").write_text(
        "---\nhelp: My own.\nfields:\n  body: {from: body, help: The words.}\n---\n<mj-section></mj-section>\n"
    )
    found = json.loads(digest("blocks", "--json", cwd=folder).stdout)["blocks"]
    assert found.keys() == {file.stem for file in (folder / "templates" / "median" / "blocks").iterdir()}
    assert found["mine"] == {
        "help": "My own.",
        "file": "templates/median/blocks/mine.mjml",
        "fields": {"body": {"from": "body", "required": False, "help": "The words."}},
    }
