"""A date is written into an issue's file and taken out again, and nothing else of it changes."""

from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digest.errors import InputError
from digest.schedule.hands import set_schedule, unset_schedule
from digest.schedule.planned import read_front, schedule_problems

NINE = datetime(2025, 9, 12, 9)
FRIDAY = "2025-09-12 09:00"


@pytest.fixture
def write(bench):
    def write(text: str):
        file = bench.root / "issues/one.md"
        file.write_bytes(text.encode())
        return file

    return write


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("---\nsubject: x\n---\ntext\n", f"---\nsubject: x\nsend_at: {FRIDAY}\nstatus: ready\n---\ntext\n"),
        (
            "---\nsubject: x\nsend_at: '2024-01-01 08:00' # early\nstatus: \"draft\"\n---\n",
            f"---\nsubject: x\nsend_at: '{FRIDAY}' # early\nstatus: \"ready\"\n---\n",
        ),
        (
            "\ufeff---\r\nstatus: draft   # not yet\r\nsubject: x\r\n---\r\ntext\r\n",
            f"\ufeff---\r\nstatus: ready   # not yet\r\nsubject: x\r\nsend_at: {FRIDAY}\r\n---\r\ntext\r\n",
        ),
        (
            "---\nsubject: x\nsend_at: # when?\n---\n",
            f"---\nsubject: x\nsend_at: {FRIDAY} # when?\nstatus: ready\n---\n",
        ),
        ("---\nsubject: x\nstatus: never\n---\n", f"---\nsubject: x\nstatus: ready\nsend_at: {FRIDAY}\n---\n"),
        (
            "---\nsubject: >-\n  send_at\n  status\nstatus: draft\n---\nsend_at: 1\n",
            f"---\nsubject: >-\n  send_at\n  status\nstatus: ready\nsend_at: {FRIDAY}\n---\nsend_at: 1\n",
        ),
    ],
    ids=["added", "quotes and a comment", "a mark and CRLF", "empty", "mended", "words in a text"],
)
def test_two_values_and_nothing_else(bench, write, before, after):
    """Comments, quotes, line ends, a byte order mark and everything else stay."""
    file = write(before)
    set_schedule(bench.newsletter, file, NINE)
    assert file.read_bytes().decode() == after


LINES = st.lists(
    st.sampled_from(
        ["# a comment", "title: 'It''s'", 'preheader: "a: b"', "date: 2025-01-01  # a day", "authors: [a, b]", ""]
    ),
    unique=True,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LINES, LINES, st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from(["", "\ufeff"]), st.text(max_size=30))
def test_there_and_back_again(bench, write, above, below, end, mark, body):
    """A draft that is scheduled and unscheduled is the same file, byte for byte."""
    below = [line for line in below if line not in above or not line]
    front = ["---", *above, "subject: x", "status: draft", *below, "---"]
    text = mark + end.join([*front, body])
    try:
        file = write(text)
    except UnicodeEncodeError:
        return
    set_schedule(bench.newsletter, file, NINE)
    front_matter = read_front(bench.newsletter, file)
    assert front_matter is not None
    assert (front_matter.send_at, front_matter.status) == (NINE, "ready")
    unset_schedule(bench.newsletter, file)
    assert file.read_bytes() == text.encode()


@pytest.mark.parametrize(
    "text",
    [
        "no front matter",
        "---\n{subject: x}\n---\n",
        "---\nsubject: 'x\n---\n",
        "---\nsubject: x\n...\n---\n",
        "---\n- x\n---\n",
    ],
)
def test_what_cannot_be_edited_is_left_alone(bench, write, text):
    """A problem with a place; the file is as it was."""
    file = write(text)
    with pytest.raises(InputError, match=r"issues/one\.md"):
        set_schedule(bench.newsletter, file, NINE)
    assert file.read_text() == text


def test_the_mode_of_the_file_and_a_link_stay(bench, write, tmp_path):
    """A file is replaced as a whole, with its mode; a link to it stays a link."""
    real = tmp_path / "elsewhere.md"
    real.write_text("---\nsubject: x\n---\n")
    real.chmod(0o640)
    link = bench.root / "issues/one.md"
    link.symlink_to(real)
    set_schedule(bench.newsletter, link, NINE)
    assert link.is_symlink()
    assert "status: ready" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.glob(".*.part")) == []


@pytest.mark.parametrize(
    ("wall", "zone", "said"),
    [
        ("2025-03-30 01:30", "Europe/London", "does not exist in Europe/London"),
        ("2025-10-26 01:30", "Europe/London", "comes twice in Europe/London"),
        ("2025-01-01 09:00", "Europe/London", "is in the past"),
    ],
)
def test_what_check_says_of_a_date(bench, wall, zone, said):
    """A wall time that is none, or two, or past, is named with its line and with what becomes of it."""
    file = bench.issue("one", wall, timezone=zone)
    now = datetime.fromisoformat("2025-02-01T00:00:00+00:00")
    (problem,) = schedule_problems(bench.newsletter, file, now)
    assert said in problem.message
    assert problem.cure
    assert problem.place.line == 5
    assert problem.severity == "warning"


def test_what_check_says_of_one_that_was_sent_and_of_two_at_once(bench):
    """An issue that went out is not sent again; two at one moment go out in the order of their names."""
    one, _ = bench.issue("one", "2025-09-12 09:00"), bench.issue("two", "2025-09-12 10:00", timezone="Europe/Paris")
    now = datetime.fromisoformat("2025-02-01T00:00:00+00:00")
    assert "two is due at the same moment" in next(schedule_problems(bench.newsletter, one, now)).message
    bench.subscribe_many(1)
    bench.run_due("2025-09-12 08:00")
    (problem,) = schedule_problems(bench.newsletter, one, now)
    assert "sent already" in problem.message
