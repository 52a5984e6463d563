"""The commands as somebody types them, in a copy of this repository's newsletter."""

import json

import pytest


@pytest.fixture
def sample(digest, folder):
    """The sample, imported, with its relay on loopback."""
    config = folder / "config/digest.toml"
    config.write_text(config.read_text().replace("smtp.example.com", "127.0.0.1").replace('"starttls"', '"none"'))
    assert digest("subscribers", "import", "subscribers/sample.csv", cwd=folder).returncode == 0
    return folder


def test_a_date_is_set_shown_and_taken_back(digest, sample):
    """`schedule` writes and lists it with both zones and the readers; `unschedule` makes a draft of it."""
    file = sample / "issues/2025-09-12-coopetition/index.md"
    before = file.read_bytes()
    done = digest("schedule", "2025", "2099-09-11", "09:00", cwd=sample)
    assert done.stdout.startswith("2025-09-12-coopetition: Fri 2099-09-11 09:00 Europe/London (08:00 UTC), in ")
    assert b"send_at: 2099-09-11 09:00\n" in file.read_bytes()
    listed = digest("schedule", cwd=sample).stdout
    assert "09:00 Europe/London (08:00 UTC)" in listed
    assert " readers" in listed
    assert "as it is now it would be held: require_test: " in listed
    answer = json.loads(digest("--json", "schedule", cwd=sample).stdout)
    assert answer["issues"][0]["at"] == "2099-09-11T08:00:00+00:00"
    assert answer["issues"][0]["readers"] > 0
    assert answer["issues"][0]["would_be_held"][0].startswith("require_test: ")
    assert digest("unschedule", "2025", cwd=sample).returncode == 0
    assert file.read_bytes() == before.replace(b"status: ready", b"status: draft")
    assert "nothing is scheduled" in digest("schedule", cwd=sample).stdout


@pytest.mark.parametrize(
    ("when", "code", "said"),
    [
        ("2020-01-01 09:00", 1, "is in the past"),
        ("soon", 2, "is no time; write it as"),
        ("2099-02-30 09:00", 2, "is no time; write it as"),
    ],
)
def test_a_date_that_is_none(digest, sample, when, code, said):
    """It is refused with what would be right; the file stays as it was."""
    file = sample / "issues/2025-09-12-coopetition/index.md"
    before = file.read_bytes()
    done = digest("schedule", "2025", when, cwd=sample)
    assert (done.returncode, said in done.stderr) == (code, True)
    assert file.read_bytes() == before


def test_check_says_what_is_odd_about_a_date(digest, sample):
    """A wall time that does not exist is said with the line it stands on, and is no error."""
    assert digest("schedule", "2025", "2099-03-29 01:30", cwd=sample).returncode == 0
    done = digest("check", "2025", cwd=sample)
    assert "does not exist in Europe/London" in done.stdout
    assert "issues/2025-09-12-coopetition/index.md:" in done.stdout


def test_check_says_it_beside_errors(digest, sample):
    """An issue that can't be composed has its date looked at as well."""
    file = sample / "issues/2025-09-12-coopetition/index.md"
    file.write_text(
        file.read_text().replace("status: ready", "status: ready\nsend_at: 2099-03-29 01:30") + "\n::: hreo\n"
    )
    done = digest("check", "2025", cwd=sample)
    assert done.returncode == 1
    assert "hreo" in done.stdout
    assert "does not exist in Europe/London" in done.stdout


def test_an_unknown_zone(digest, sample):
    """Named with file, line and an example."""
    file = sample / "issues/2025-09-12-coopetition/index.md"
    file.write_text(file.read_text().replace("status: ready", "status: ready\ntimezone: Europe/Londno"))
    done = digest("check", "2025", cwd=sample)
    assert done.returncode == 1
    assert "“Europe/Londno” is no time zone" in done.stdout


def test_an_approval_is_asked_for_and_given(digest, sample):
    """`send` is held without one; `approve` writes a file beside the issue that is no issue."""
    guards = {"DIGEST_DELIVERY__REQUIRE_APPROVAL": "true", "DIGEST_DELIVERY__REQUIRE_TEST": "false"}
    done = digest("send", "2025", "--yes", cwd=sample, **guards)
    assert done.returncode == 3
    assert "require_approval: nobody has approved it; run: digest approve 2025-09-12-coopetition" in done.stderr
    assert digest("approve", "2025", "--as", "Ada <ada@example.com>", cwd=sample).returncode == 0
    approved = (sample / "issues/2025-09-12-coopetition.approved").read_text()
    assert 'who = "Ada <ada@example.com>"' in approved
    again = digest("send", "2025", "--yes", cwd=sample, **guards)
    assert "require_approval" not in again.stderr


def test_run_due_is_silent_with_nothing_to_do(digest, sample):
    """No output and 0, as cron likes it; with -v what comes next."""
    done = digest("run-due", cwd=sample)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "Nothing was due" in digest("-v", "run-due", cwd=sample).stdout
    assert json.loads(digest("--json", "run-due", cwd=sample).stdout)["exit_code"] == 0


def test_settings_that_are_wrong_are_told_once_an_hour(digest, sample):
    """A typo in the settings does not fill the mailbox: the line once, the code each time."""
    config = sample / "config/digest.toml"
    right = config.read_text()
    config.write_text(right.replace("max_change", "max_chaneg"))
    first, second = digest("run-due", cwd=sample), digest("run-due", cwd=sample)
    assert "max_chaneg" in first.stderr
    assert (first.returncode, second.returncode, second.stderr) == (1, 1, "")
    config.write_text(right)
    assert digest("run-due", cwd=sample).returncode == 0
    config.write_text(right.replace("max_change", "max_chaneg"))
    assert "max_chaneg" in digest("run-due", cwd=sample).stderr


def test_usage(digest, sample):
    """What makes no sense is said, with 2."""
    for arguments in (
        ("schedule", "--crontab", "--daemon"),
        ("schedule", "--out", "x"),
        ("doctor", "--nameserver", "nonsense"),
        ("run-due", "--deadline", "x"),
    ):
        done = digest(*arguments, cwd=sample)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)


def test_a_database_of_another_day(digest, bench):
    """A lost database is found out by `send` too; once it is accepted, what went out is held, the rest is free."""
    bench.subscribe_many(2)
    bench.issue("one", "2025-09-12 09:00")
    bench.run_due("2025-09-12 08:00")
    for file in bench.root.glob("subscribers/digest.db*"):
        file.unlink()
    bench.subscribe_many(2)
    done = digest("send", "one", "--yes", cwd=bench.root)
    assert done.returncode == 3
    assert "one: 2 accepted, in the database never sent" in done.stderr
    assert "digest doctor --accept-restored" in done.stderr
    accepted = digest("doctor", "--accept-restored", cwd=bench.root)
    assert accepted.returncode == 0
    assert "one: 2 accepted, in the database never sent; it is held" in accepted.stdout
    assert "one is held" in digest("send", "one", "--yes", cwd=bench.root).stderr


def test_settings_of_this_room(digest, sample):
    """Each wrong value is named with its line and with what would be right."""
    config = sample / "config/digest.toml"
    wrong = '[schedule]\nmax_late = "6"\non_late = "wait"\n[notify]\non = ["strat"]\nheartbeat = "ftp://x"\n'
    config.write_text(config.read_text() + wrong)
    said = digest("check", cwd=sample).stdout + digest("check", cwd=sample).stderr
    for name in ("schedule.max_late", "schedule.on_late", "notify.on", "notify.heartbeat"):
        assert f"error: {name}: " in said
    assert "one of: start, end, held, failed" in said
