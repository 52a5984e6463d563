from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Digest = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def call(digest: Digest, folder: Path) -> Digest:
    """The real command in a copy of the repository's newsletter."""
    return lambda *arguments, **more: digest(*arguments, cwd=folder, **more)


def test_import_and_export(call: Digest, folder: Path) -> None:
    """The sample list goes in, comes out, and the second time nothing changes."""
    first = call("subscribers", "import", "subscribers/sample.csv")
    assert first.returncode == 0, first.stderr
    assert "30 rows: 30 added, 0 updated, 0 unchanged, 0 rejected" in first.stdout
    exported = call("subscribers", "export")
    assert exported.stdout.count("\n") == 31
    (folder / "out.csv").write_text(exported.stdout, encoding="utf-8")
    second = call("--json", "subscribers", "import", "out.csv")
    report = json.loads(second.stdout)
    assert (report["unchanged"], report["updated"], report["added"]) == (30, 0, 0)


def test_rejected_rows_are_noticed(call: Digest, folder: Path) -> None:
    """A bad row is said on standard error with its place, the good ones go in, and the exit code is 1."""
    (folder / "new.csv").write_text("email,plan\nann@example.com,gold\nbob@example.com,pro\n")
    done = call("subscribers", "import", "new.csv")
    assert done.returncode == 1
    assert done.stderr.startswith("new.csv:2:2: plan “gold” is not among the declared values")
    assert "2 rows: 1 added" in done.stdout
    assert "new.csv.rejects.csv" in done.stdout
    listed = json.loads(call("subscribers", "list", "--json").stdout)
    assert [s["email"] for s in listed["subscribers"]] == ["bob@example.com"]


def test_a_wrong_file_is_no_traceback(call: Digest, folder: Path) -> None:
    """A list without an email column, or that is not there, is one located error and exit code 1."""
    (folder / "new.csv").write_text("Name,Mail\nAnn,ann@example.com\n")
    for name, message in (("new.csv", "no “email” column"), ("nowhere.csv", "cannot be read")):
        done = call("subscribers", "import", name)
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


def test_one_reader_by_hand(call: Digest) -> None:
    """Added, changed, shown, unsubscribed: each says what it did, and `show` shows all that is held."""
    assert call("subscribers", "add", "Ann@example.com", "plan=pro", "seats=3").returncode == 0
    assert call("subscribers", "add", "ann@example.com").returncode == 1
    wrong = call("subscribers", "set", "ann@example.com", "plan=gold", "sets=4", "seats")
    assert wrong.returncode == 1
    assert call("subscribers", "set", "ann@example.com", "seats=4").stdout == "ann@example.com changed\n"
    assert call("subscribers", "unsubscribe", "ANN@example.com", "--note", "by phone").returncode == 0
    shown = json.loads(call("subscribers", "show", "ann@example.com", "--json").stdout)
    assert (shown["subscriber"]["status"], shown["subscriber"]["note"]) == ("unsubscribed", "by phone")
    assert shown["attributes"] == {"plan": "pro", "seats": 4}
    for command in ("show", "unsubscribe"):
        missing = call("subscribers", command, "bob@example.com")
        assert missing.returncode == 1
        assert "bob@example.com" in missing.stderr
    assert call("subscribers", "show", "no address").returncode == 1


def test_suppressions(call: Digest) -> None:
    """An address is suppressed, listed, and taken off again; adding it twice is no error."""
    assert "suppressed" in call("suppress", "add", "Ann@example.com", "--note", "lawyer").stdout
    assert "already" in call("suppress", "add", "ann@EXAMPLE.com").stdout
    assert json.loads(call("suppress", "list", "--json").stdout) == {
        "suppressions": [{"address": "ann@example.com", "reason": "by hand", "note": "lawyer"}]
    }
    added = call("subscribers", "add", "ann@example.com")
    assert "suppressed" in added.stderr
    assert "no more" in call("suppress", "remove", "ann@example.com").stdout
    assert json.loads(call("suppress", "list", "--json").stdout) == {"suppressions": []}


def test_a_block_list_is_imported(call: Digest, folder: Path) -> None:
    """Addresses one a line or in a table are suppressed; a line that is none is said, with its place."""
    (folder / "block.txt").write_text("ann@example.com\nnobody\nbob@example.com\n")
    done = call("suppress", "import", "block.txt")
    assert done.returncode == 1
    assert done.stderr.startswith("block.txt:2: error: “nobody” has no @")
    assert done.stdout == "2 suppressed, 0 were already, 1 are no addresses\n"
    (folder / "block.csv").write_text("Reason;Email\nx;BOB@example.com\ny;cat@example.com\n")
    again = json.loads(call("suppress", "import", "block.csv", "--json").stdout)
    assert (again["suppressed"], again["already"]) == (1, 1)


def test_forgetting_by_command(call: Digest) -> None:
    """A person is forgotten, and nothing is held on them then but that they were."""
    call("subscribers", "add", "ann@example.com")
    assert call("subscribers", "forget", "Ann@example.com").stdout == "forgotten\n"
    shown = json.loads(call("subscribers", "show", "ann@example.com", "--json").stdout)
    assert shown.pop("forgotten")
    assert not any(shown.values())


def test_counting_segments(call: Digest) -> None:
    """Each segment and each variant of an issue is counted; the variants add up to the readers."""
    call("subscribers", "import", "subscribers/sample.csv")
    call("subscribers", "unsubscribe", "sam@example.com")
    plain = json.loads(call("segments", "--json").stdout)
    assert plain["readers"] == 29
    assert plain["excluded"] == {"unsubscribed": 1}
    segments = plain["segments"]
    assert segments["free"] + segments["pro"] + segments["enterprise"] == 29
    assert segments["paying"] == segments["pro"] + segments["enterprise"]
    done = call("segments", "2025-09-12-coopetition", "--json")
    assert done.returncode == 0, done.stderr
    variants = json.loads(done.stdout)["variants"]
    assert sum(v["readers"] for v in variants) == 29
    assert len({tuple(v["conditions"]) for v in variants}) > 2
    unknown = call("segments", "2024-nothing")
    assert unknown.returncode == 1


def test_a_saved_mapping_is_used_again(call: Digest, folder: Path) -> None:
    """What --map and --ignore say is saved under a name, listed, used by it, and removed."""
    (folder / "crm.csv").write_text("E-Mail,Town,Fax\nann@example.com,Ulm,1\n")
    wrong = call("subscribers", "import", "crm.csv")
    assert wrong.returncode == 1
    assert "--map E-Mail=email says which it is" in wrong.stderr
    options = ("--map", "E-Mail=email", "--map", "Town=city", "--ignore", "Fax", "--save-map", "crm")
    assert "next time --mapping crm" in call("subscribers", "import", "crm.csv", *options).stdout
    expected = {"mappings": {"crm": {"map": {"E-Mail": "email", "Town": "city"}, "ignore": ["Fax"]}}}
    assert json.loads(call("subscribers", "mappings", "--json").stdout) == expected
    again = json.loads(call("subscribers", "import", "crm.csv", "--mapping", "crm", "--dry-run", "--json").stdout)
    assert (again["unchanged"], [c["becomes"] for c in again["columns"]]) == (1, ["email", "city", None])
    assert "did you mean “crm”" in call("subscribers", "import", "crm.csv", "--mapping", "crn").stderr
    assert call("subscribers", "mappings", "--remove", "crm").stdout == "no mappings are saved\n"


def test_columns_are_printed_before_the_import(call: Digest) -> None:
    """A person sees what each column becomes, its type, how full it is and an example."""
    lines = call("subscribers", "import", "subscribers/sample.csv", "--dry-run").stdout.splitlines()
    assert lines[0].split() == ["column", "becomes", "type", "filled", "example"]
    assert lines[1].split() == ["email", "email", "address", "100%", "maya.lindqvist@example.com"]
    assert "seats       seats       integer   63.3%  1" in "\n".join(lines)


def test_readers_are_listed_in_pages(call: Digest) -> None:
    """By status, tag and segment, so many a page; a typing mistake names the right word."""
    call("subscribers", "import", "subscribers/sample.csv")
    first = call("subscribers", "list", "--limit", "3")
    assert first.stdout.splitlines()[-1] == "… 1 to 3 of 30; --page 2 goes on"
    second = json.loads(call("subscribers", "list", "--limit", "3", "--page", "2", "--json").stdout)
    assert (second["count"], len(second["subscribers"])) == (30, 3)
    assert not any(row["email"] in first.stdout for row in second["subscribers"])
    beta = json.loads(call("subscribers", "list", "--segment", "beta and pro", "--json").stdout)
    assert 0 < beta["count"] < 30
    assert all("beta" in row["tags"] for row in beta["subscribers"])
    assert "did you mean “seats”" in call("subscribers", "list", "--segment", "subscriber.seatz > 1").stderr


def test_exports_for_other_systems(call: Digest, folder: Path) -> None:
    """A list written as another system does is recognised as its export."""
    call("subscribers", "import", "subscribers/sample.csv")
    for form in ("ghost", "listmonk"):
        assert call("subscribers", "export", "--format", form, "--out", "out.csv").returncode == 0
        again = json.loads(call("subscribers", "import", "out.csv", "--dry-run", "--json").stdout)
        assert again["format"].lower().endswith(f"an export of {form}")
        assert again["rejected"] == again["added"] == 0


def test_the_profile_is_put_where_check_looks(call: Digest, folder: Path) -> None:
    """`--save` writes it beside the declarations."""
    call("subscribers", "import", "subscribers/sample.csv")
    assert call("subscribers", "profile", "--save").stdout == "written to config/profile.json\n"
    assert json.loads((folder / "config/profile.json").read_text())["readers"] == 30
