"""Settings: which source wins, and what every kind of bad setting gets."""

import contextlib
import json
import logging
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from digest.errors import InputError
from digest.quantities import Rate
from digest.sections import split_mailbox
from digest.settings import Settings, load_settings

SECRET = "correct-horse-battery"
MINIMAL = """\
[newsletter]
name = "The Test Weekly"
sender = "The Test Weekly <weekly@news.example.com>"
domain = "news.example.com"
base_url = "https://news.example.com/"
"""
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write config/digest.toml (the minimum and `more`) and, if given, .env; returns the folder."""

    def written(more: str = "", env: str | None = None, base: str = MINIMAL) -> Path:
        (tmp_path / "config").mkdir(exist_ok=True)
        (tmp_path / "config/digest.toml").write_text(base + more)
        if env is not None:
            (tmp_path / ".env").write_text(env)
        return tmp_path

    return written


def problems(root: Path, **overrides: object) -> list[str]:
    with pytest.raises(InputError) as caught:
        load_settings(root, overrides)
    return [str(p) for p in caught.value.problems]


# Precedence


def test_each_source_outranks_the_one_before(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """config/digest.toml < .env < environment < option, key by key."""
    root = write(
        '[smtp]\nhost = "toml.example"\nport = 1\nconnections = 1\nprovider = "ses"\n',
        "DIGEST_SMTP__PORT=2\nDIGEST_SMTP__CONNECTIONS=2\nDIGEST_SMTP__PROVIDER=postmark\n",
    )
    monkeypatch.setenv("DIGEST_SMTP__CONNECTIONS", "3")
    monkeypatch.setenv("DIGEST_SMTP__PROVIDER", "postmark")
    smtp = load_settings(root, {"smtp.provider": "generic"}).smtp
    assert (smtp.host, smtp.port, smtp.connections, smtp.provider) == ("toml.example", 2, 3, "generic")


def test_defaults_are_those_of_the_contract(write: Write) -> None:
    """A minimal file gives the documented defaults."""
    s = load_settings(write())
    assert s.database == "sqlite:///subscribers/digest.db"
    assert (s.smtp.port, s.smtp.tls, s.smtp.connections, s.smtp.rate) == (587, "starttls", 10, None)
    assert (s.delivery.on_unknown, s.delivery.require_test) == ("hold", True)
    assert (s.delivery.retry_for, s.delivery.max_change) == (timedelta(hours=24), 0.2)
    assert (s.assets.mode, s.assets.publish, s.unsubscribe.one_click) == ("hosted", (), False)
    assert s.newsletter.base_url == "https://news.example.com"


def test_the_sample_is_the_file_of_the_contract(repository: Path) -> None:
    """The repository's own settings load, with its authors."""
    assert load_settings(repository).authors["ada"].name


def test_written_quantities_become_values(write: Write) -> None:
    """Rates, durations, percentages and lists are typed."""
    s = load_settings(
        write(
            '[smtp]\nrate = "10000/day"\nheaders = {X-Campaign = "a"}\n'
            '[delivery]\nretry_for = "2d"\nmax_change = "5%"\n[assets]\npublish = ["rsync", "-a"]\n'
        )
    )
    assert s.smtp.rate == Rate(10000, 86400)
    assert s.smtp.headers == {"X-Campaign": "a"}
    assert (s.delivery.retry_for, s.delivery.max_change) == (timedelta(days=2), 0.05)
    assert s.assets.publish == ("rsync", "-a")


def test_the_environment_reaches_lists_and_authors(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists and tables are JSON in a variable; an author's name is a key below another."""
    monkeypatch.setenv("DIGEST_ASSETS__PUBLISH", '["rsync", "-a"]')
    monkeypatch.setenv("DIGEST_SMTP__HEADERS", '{"X-Campaign": "a"}')
    monkeypatch.setenv("DIGEST_AUTHORS__ADA__ROLE", "Editor")
    s = load_settings(write('[authors.ada]\nname = "Ada"\n'))
    assert s.assets.publish == ("rsync", "-a")
    assert s.smtp.headers == {"X-Campaign": "a"}
    assert (s.authors["ada"].name, s.authors["ada"].role) == ("Ada", "Editor")


def test_a_rate_can_be_set_in_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that the file has as text is the same text in a variable, and wrong ones are named."""
    monkeypatch.setenv("DIGEST_SIGNUP__PER_CLIENT", "7/h")
    assert load_settings(write()).signup.per_client.count == 7
    monkeypatch.setenv("DIGEST_SIGNUP__PER_CLIENT", "seven")
    with pytest.raises(InputError, match=r"^DIGEST_SIGNUP__PER_CLIENT: error: signup.per_client: "):
        load_settings(write())


def test_an_empty_variable_is_not_set(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """CI passes unset secrets as empty variables: they override nothing."""
    monkeypatch.setenv("DIGEST_SMTP__HOST", "")
    assert load_settings(write('[smtp]\nhost = "toml.example"\n')).smtp.host == "toml.example"


def test_a_dollar_in_env_file_is_a_dollar(write: Write) -> None:
    """A password in .env is taken as it stands, quotes removed and nothing expanded."""
    root = write('[smtp]\nusername = "u"\n', 'DIGEST_SMTP__PASSWORD="a${HOME}#b"\nOTHER=x\n')
    password = load_settings(root).smtp.password
    assert password is not None
    assert password.get_secret_value() == "a${HOME}#b"


def test_settings_are_frozen_and_read_nothing_by_themselves(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """A value of Settings is what it was given: no attribute can be set, no variable is looked at."""
    s = load_settings(write())
    with pytest.raises(ValueError, match="frozen"):
        s.smtp.port = 1  # type: ignore[misc]
    monkeypatch.setenv("DIGEST_SMTP__PORT", "25")
    assert Settings(newsletter=s.newsletter).smtp.port == 587


# Bad settings

BAD_VALUES = {
    "prot = 1": "config/digest.toml:7: error: unknown setting “prot” in [smtp] (did you mean “port”?)",
    "port = 0": "config/digest.toml:7: error: smtp.port: should be greater than or equal to 1",
    "port = 65536": "smtp.port: should be less than or equal to 65535",
    'port = "x"': "smtp.port: should be an integer",
    'tls = "ssl"': "smtp.tls: “ssl” is not possible (one of: implicit, none, starttls)",
    'tls = "start-tls"': "did you mean “starttls”?",
    'rate = "14"': "smtp.rate: “14” is no rate (write a number, a slash",
    'host = "smtp.example.com:587"': "is no host",
    "connections = 0": "smtp.connections: should be greater",
    'headers = {Subject = "x"}': "smtp.headers: Subject is written by digest itself",
    'headers = {"X Y" = "x"}': "“X Y” is no header name",
    'headers = {X-A = "a\\r\\nBcc: b@example.com"}': "the value of X-A must be one line",
    'username = "u"': "config/digest.toml:6: error: smtp: username and password belong together",
}


@pytest.mark.parametrize("line", BAD_VALUES)
def test_a_bad_relay_setting_names_its_line_and_the_cure(write: Write, line: str) -> None:
    """Each bad value under [smtp] is one problem, at its line, with what would be right."""
    (problem,) = problems(write(f"[smtp]\n{line}\n"))
    assert BAD_VALUES[line] in problem
    assert problem.startswith("config/digest.toml:")


BAD_ELSEWHERE = {
    'database = "postgresql://x"\n' + MINIMAL: "digest.toml:1: error: database: is not of the form sqlite:///",
    MINIMAL.replace("The Test Weekly <w", "Test, Weekly <w"): "needs double quotes around it",
    MINIMAL.replace("weekly@", "weekly"): "digest.toml:3: error: newsletter.sender",
    MINIMAL.replace('"The Test Weekly"', '"a\\r\\nBcc: b@example.com"'): "has a line break",
    MINIMAL.replace("Weekly <", "Weekly\\n <"): "has a line break",
    MINIMAL.replace("https:", "http:"): "is not encrypted (write https://",
    MINIMAL.replace('"https://news.example.com/"', '"news.example.com"'): "is no web address",
    MINIMAL.replace('domain = "', 'domain = "-'): "is no domain",
    MINIMAL + 'timezone = "Mars/Olympus"\n': "digest.toml:6: error: newsletter.timezone: “Mars/Olympus”",
    MINIMAL + 'language = "English please"\n': "is no language tag",
    MINIMAL + '[delivery]\nretry_for = "24"\n': "is no span of time",
    MINIMAL + '[delivery]\nmax_change = "0.2"\n': "is no percentage",
    MINIMAL + '[delivery]\non_unknown = "ignore"\n': "one of: drop, hold, resend",
    MINIMAL + "[delivery]\nrequire_test = 3\n": "delivery.require_test: should be a boolean",
    MINIMAL + '[unsubscribe]\nmailto = "leave"\n': "unsubscribe.mailto: “leave” has no @",
    MINIMAL + "[unsubscribe]\none_click = true\n": "one_click needs an https:// url",
    MINIMAL + '[assets]\nmode = "inline"\n': "one of: cid, hosted",
    MINIMAL + "[authors.ada]\nrole = 'x'\n": "digest.toml:6: error: authors.ada.name: is missing",
    MINIMAL + "[smpt]\nhost = 'x'\n": "digest.toml:6: error: unknown setting “smpt” (did you mean “smtp”?)",
    MINIMAL.replace('domain = "news.example.com"\n', ""): 'write domain = "news.example.com" under [newsletter]',
    MINIMAL + "[smtp\n": "digest.toml:6:",
    MINIMAL + "[smtp]\nhost = smtp.example.com\n": "digest.toml:7:",
    "": "newsletter: is missing",
}


@pytest.mark.parametrize("text", BAD_ELSEWHERE, ids=range(len(BAD_ELSEWHERE)))
def test_a_bad_file_names_its_line_and_the_cure(write: Write, text: str) -> None:
    """Each bad file is one problem that says where and what would be right."""
    (problem,) = problems(write(base=text))
    assert BAD_ELSEWHERE[text] in problem
    assert problem.startswith("config/digest.toml")


def test_unknown_variables_are_named_with_their_place(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt DIGEST_ name is an error in the environment and in .env; foreign names in .env are not."""
    monkeypatch.setenv("DIGEST_SMPT__HOST", "x")
    monkeypatch.setenv("DIGEST_SMTP", "{}")
    found = problems(write("", "FOO=1\n\n# a comment\nDIGEST_SMTP__PROT=1\nDATABASE_URL=x\n"))
    assert ".env:4: error: unknown setting DIGEST_SMTP__PROT (did you mean “DIGEST_SMTP__PORT”?)" in found
    assert any(p.startswith("DIGEST_SMPT__HOST: error: unknown") and "DIGEST_SMTP__HOST" in p for p in found)
    assert any(p.startswith("DIGEST_SMTP: error: unknown") for p in found)
    assert len(found) == 3


def test_a_bad_variable_is_named_where_it_was_set(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The problem stands at the source whose value won."""
    monkeypatch.setenv("DIGEST_SMTP__PORT", "many")
    monkeypatch.setenv("DIGEST_ASSETS__PUBLISH", "rsync -a")
    found = problems(write("[smtp]\nport = 0\n", "DIGEST_DELIVERY__MAX_CHANGE=lots\n"), **{"smtp.connections": 0})
    assert found[0].startswith("error: smtp.connections: should be greater")
    assert [p.partition(": error")[0] for p in found[1:]] == [
        ".env:1",
        "DIGEST_ASSETS__PUBLISH",
        "DIGEST_SMTP__PORT",
    ]


def test_all_problems_come_at_once(write: Write) -> None:
    """Four mistakes in three sections are four problems, in the order of the file."""
    found = problems(write('[smtp]\nport = 0\ntls = "x"\n[delivery]\nretry_for = "1"\n[assets]\nmodus = "cid"\n'))
    assert [p.split(":")[1] for p in found] == ["7", "8", "10", "12"]


def test_without_a_newsletter_it_says_how_to_make_one(tmp_path: Path) -> None:
    """A folder without config/digest.toml gets `digest init`."""
    (problem,) = problems(tmp_path)
    assert "digest init DIR" in problem


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    """Latin-1 in config/digest.toml is an error with its line; a byte-order mark is none."""
    (tmp_path / "config").mkdir()
    file = tmp_path / "config/digest.toml"
    file.write_bytes(MINIMAL.replace("Test", "Tést").encode("latin-1"))
    (problem,) = problems(tmp_path)
    assert problem.startswith("config/digest.toml:2: error: is not UTF-8")
    file.write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
    assert load_settings(tmp_path).newsletter.name == "The Test Weekly"


# Secrets


@pytest.mark.parametrize(
    ("host", "tls", "fine"),
    [
        ("smtp.example.com", "starttls", True),
        ("smtp.example.com", "implicit", True),
        ("smtp.example.com", "none", False),
        ("localhost", "none", True),
        ("127.0.0.1", "none", True),
        ("[::1]", "none", True),
        ("localhost.example.com", "none", False),
        ("10.0.0.1", "none", False),
    ],
)
def test_a_password_travels_encrypted(
    write: Write, monkeypatch: pytest.MonkeyPatch, host: str, tls: str, fine: bool
) -> None:
    """tls = "none" with a password is for this machine only."""
    monkeypatch.setenv("DIGEST_SMTP__PASSWORD", SECRET)
    root = write(f'[smtp]\nhost = "{host}"\ntls = "{tls}"\nusername = "u"\n')
    if fine:
        load_settings(root)
    else:
        (problem,) = problems(root)
        assert "would send the password readable" in problem


@pytest.mark.parametrize(
    ("section", "name"), [("[smtp]\nusername='u'\npassword", "smtp.password"), ("[dkim]\nkey", "dkim.key")]
)
def test_a_secret_in_the_shared_file_is_refused(write: Write, section: str, name: str) -> None:
    """The password and the DKIM key belong in the environment or .env."""
    found = problems(write(f'{section} = "{SECRET}"\n'))
    assert f"{name} is a secret" in found[0]
    assert "in the environment or in .env" in found[0]
    assert SECRET not in str(found)


def test_a_secret_is_in_no_form_of_the_settings(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """repr, str, dump and JSON of the settings show no secret; only asking for it does."""
    monkeypatch.setenv("DIGEST_SMTP__PASSWORD", SECRET)
    monkeypatch.setenv("DIGEST_DKIM__KEY", SECRET + "-key")
    s = load_settings(write('[smtp]\nusername = "u"\n'))
    for form in (repr(s), str(s), s.model_dump_json(), json.dumps(s.model_dump(), default=str), f"{s.smtp}"):
        assert SECRET not in form
        assert "**********" in form or "SecretStr" in form
    assert s.secrets() == (SECRET, SECRET + "-key")


@pytest.mark.parametrize(
    "toml",
    [
        "[smtp]\nport = 0\n",
        '[smtp]\ntls = "none"\nusername = "u"\nhost = "smtp.example.com"\n',
        "[smtp]\n",
        f'[smtp]\nusername = "u"\npassword = "{SECRET}"\nport = "x"\n',
        f'[smtp]\npassword = ["{SECRET}"]\n',
        f'smtp = "{SECRET}"\n',
    ],
)
def test_no_traceback_of_bad_settings_shows_a_secret(
    write: Write, monkeypatch: pytest.MonkeyPatch, toml: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The whole traceback, chained causes and all, is free of the password."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("DIGEST_SMTP__PASSWORD", SECRET)
    root = write(
        base=toml + MINIMAL if toml.startswith("smtp") else MINIMAL + toml, env=f"DIGEST_SMTP__PASWORD={SECRET}\n"
    )
    with pytest.raises(InputError) as caught:
        load_settings(root)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=False).format())
    assert SECRET not in shown + caplog.text
    assert SECRET not in "".join(str(p) for p in caught.value.problems)


# Open-ended input


@given(name=st.text(min_size=1, max_size=30), address=st.just("weekly@news.example.com"))
def test_every_quoted_name_is_read_back(name: str, address: str) -> None:
    """A display name in double quotes comes back as it was, or is refused for a control character."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    try:
        assert split_mailbox(f'"{escaped}" <{address}>') == (name, address)
    except ValueError:
        assert any(ord(c) < 32 or ord(c) == 127 for c in name)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(junk=st.text(max_size=60))
def test_any_text_is_settings_or_problems(write: Write, junk: str) -> None:
    """Whatever stands in the file, the answer is settings or an InputError, never another exception."""
    with contextlib.suppress(InputError):
        load_settings(write(junk.encode("utf-8", "replace").decode()))
