"""`digest check`: all problems in one pass, for people and for other programs."""

from __future__ import annotations

import json
from datetime import date
from xml.etree import ElementTree as ET

import pytest

from digest.checks.issues import check
from digest.newsletter import Newsletter

TODAY = date(2025, 9, 12)


def _told(folder, issue: str | None = None) -> list[str]:
    return [str(problem) for problem in check(Newsletter.open(folder), issue, today=TODAY)]


def _write(folder, text: str, head: str = '---\nsubject: "s"\npreheader: p\ndate: 2025-09-12\n---\n') -> None:
    (folder / "issues" / "x.md").write_text(head + text)


def test_the_sample_has_no_problems(folder) -> None:
    """What the repository ships is clean: no error, no warning."""
    assert _told(folder) == []


def test_every_issue_is_checked(folder) -> None:
    """Without a name, each issue's problems are told; with one, only its own."""
    _write(folder, "::: hreo\n:::")
    (folder / "issues" / "y.md").write_text("no front matter")
    assert {line.split(":")[0] for line in _told(folder)} == {"issues/x.md", "issues/y.md"}
    assert {line.split(":")[0] for line in _told(folder, "y")} == {"issues/y.md"}


def test_readers_and_the_test_list_are_checked(folder) -> None:
    """A bad declaration and a bad row of the test list are told with their lines."""
    with (folder / "subscribers" / "test.csv").open("a") as rows:
        rows.write("not an address,,,\n")
    assert any(line.startswith("subscribers/test.csv:") for line in _told(folder))
    readers = folder / "config" / "readers.toml"
    readers.write_text(readers.read_text().replace("[segments]", '[segments]\nodd = "subscriber.plann"'))
    assert any("config/readers.toml" in line and "plann" in line for line in _told(folder))


@pytest.mark.parametrize(("paragraphs", "expected"), [(100, ""), (1_750, "warning"), (2_100, "error")])
def test_the_size_that_gmail_clips(folder, paragraphs: int, expected: str) -> None:
    """A warning when it gets tight, an error when the end would be cut off."""
    _write(folder, "\n\n".join(f"Paragraph {n:04}." for n in range(paragraphs)))
    found = [p.severity for p in check(Newsletter.open(folder), "x", today=TODAY) if p.code == "size"]
    assert found == ([expected] if expected else [])


def test_a_value_without_a_fallback_is_a_warning(folder) -> None:
    """Whether real readers have it, the audit before a send knows; here it is worth a word."""
    _write(folder, "At {{ subscriber.company }}.")
    (line,) = [line for line in _told(folder, "x") if "company" in line]
    assert line.startswith("issues/x.md:6:4: warning:")


@pytest.mark.parametrize(
    "head", ['---\nsubject: "s"\ndate: 2025-09-12\n---\n', '---\nsubject: "s"\npreheader: p\n---\n']
)
def test_what_an_inbox_would_lack(folder, head: str) -> None:
    """No preheader, no date: told, with the line to add."""
    _write(folder, "Words.", head)
    (told,) = _told(folder, "x")
    assert "add a line" in told


@pytest.mark.parametrize("slug", ["u", "healthz", "feed.xml"])
def test_a_name_that_another_page_has(folder, slug: str) -> None:
    """An issue that a public page of the same address would hide: a warning, with a name that is free."""
    (folder / "issues" / f"{slug}.md").write_text('---\nsubject: "s"\npreheader: p\ndate: 2025-09-12\n---\nWords.')
    (told,) = _told(folder, slug)
    assert told.startswith(f"issues/{slug}.md:1: warning: nobody can read it in the archive: ")
    assert f"such as 2025-09-12-{slug}" in told


def test_the_command_speaks_json_sarif_and_junit(folder, digest) -> None:
    """Each format is whole and names the same problem at the same line; exit code 1."""
    _write(folder, "::: hreo\n:::")
    runs = {form: digest("check", "x", "--format", form, cwd=folder) for form in ("text", "json", "sarif", "junit")}
    assert {run.returncode for run in runs.values()} == {1}
    assert "issues/x.md:6: error: unknown block “hreo” (did you mean “hero”?)\n1 error" in runs["text"].stdout
    (problem,) = json.loads(runs["json"].stdout)["problems"]
    (result,) = json.loads(runs["sarif"].stdout)["runs"][0]["results"]
    (failure,) = ET.fromstring(runs["junit"].stdout).iter("failure")
    assert problem["line"] == result["locations"][0]["physicalLocation"]["region"]["startLine"] == 6
    assert failure.attrib["type"] == problem["code"] == result["ruleId"] == "unknown-kind"


def test_strict_fails_on_warnings(folder, digest) -> None:
    """For a pipeline that wants none."""
    _write(folder, "Words.", '---\nsubject: "s"\ndate: 2025-09-12\n---\n')
    assert [digest("check", "x", *strict, cwd=folder).returncode for strict in ([], ["--strict"])] == [0, 1]


def test_no_traceback_for_anything_broken(folder, digest) -> None:
    """Files missing, not text, not YAML, not TOML: each a line with a place."""
    (folder / "issues" / "a.md").write_bytes(b"\xff\xfe\x00")
    (folder / "issues" / "b.md").write_text("---\na: [\n---\n")
    (folder / "config" / "readers.toml").write_text("[attributes\n")
    (folder / "templates" / "median" / "theme.toml").write_text("name = \n")
    run = digest("check", cwd=folder)
    assert run.returncode == 1
    assert "Traceback" not in run.stdout + run.stderr
    for place in ("issues/a.md:1", "issues/b.md:", "config/readers.toml:1", "templates/median/theme.toml:1"):
        assert place in run.stdout


def test_a_named_issue_is_tried_for_the_whole_list(folder, digest) -> None:
    """With a list its readers decide, not made-up ones: errors and warnings are the audit's, with numbers."""
    _write(folder, "At {{ subscriber.company }}.")
    rows = folder / "rows.csv"
    rows.write_text("email,company\n" + "".join(f"r{n}@example.com,{'Co' * (n > 2)}\n" for n in range(30)))
    assert digest("subscribers", "import", rows, cwd=folder).returncode == 0
    told = digest("check", "x", cwd=folder)
    assert told.returncode == 1
    assert "issues/x.md:6:4: error: `company` is missing for 3 of 30 readers, no fallback" in told.stdout
    _write(folder, "All.", "---\nsubject: s\npreheader: p\ndate: 2025-09-12\naudience: received('y')\n---\n")
    assert "x.md:1: warning: nobody would get it: its audience is none of 30" in digest("check", "x", cwd=folder).stdout
    assert "error" not in digest("check", cwd=folder).stdout  # without a name nobody's list is gone through


def test_a_clone_without_the_list_knows_its_profile(folder) -> None:
    """The committed profile says how many lack a value; only a warning, since the place may not be for them."""
    _write(folder, "At {{ subscriber.company }}, {{ subscriber.city | default('here') }}, {{ subscriber.role }}.")
    known = {n: {"type": "string", "filled": f, "values": {}} for n, f in (("company", 70), ("city", 1), ("role", 100))}
    (folder / "config" / "profile.json").write_text(json.dumps({"readers": 100, "attributes": known}))
    (line,) = [line for line in _told(folder, "x") if "missing" in line]
    assert line.startswith("issues/x.md:6:4: warning: `company` is missing for 30 of 100 readers, no fallback")


def test_a_profile_knows_segments_that_hardly_anybody_is_in(folder) -> None:
    """A segment of the issue whose value is no frequent one, by itself, in a list or through another, is warned of at
    its declaration; where the profile can't tell, nothing is said."""
    issue = folder / "issues" / "x.md"
    names = ("enterprise", "pro", "large_teams", "paying", "beta", "dach", "chips")
    asked = "".join(f'{{segments="{name}"}}\nText.\n\n' for name in names)
    issue.write_text("---\nsubject: S\npreheader: P\ndate: 2025-09-12\n---\n\nAll.\n\n" + asked)
    known = {
        "plan": {"type": "string", "filled": 100, "values": {"free": 60, "pro": 40}},
        "tags": {"type": "list", "filled": 0, "values": {}},
        "interests": {"type": "list", "filled": 90, "values": {}},
        "country": {"type": "string", "filled": 90, "values": {"FR": 90}},
    }
    (folder / "config" / "profile.json").write_text(json.dumps({"readers": 100, "attributes": known}))
    found = [p for p in check(Newsletter.open(folder), "x", today=TODAY) if p.code == "rare-segment"]
    assert {p.message.partition("“")[2].partition("”")[0] for p in found} == {"enterprise", "large_teams", "beta"}
    assert all(p.severity == "warning" and p.place.file == "config/readers.toml" and p.place.line for p in found)
