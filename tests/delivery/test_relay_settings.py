"""The settings of several relays, of warm-up and of patience: read, checked, and never printed where secret."""

import pytest

from digest.errors import InputError
from digest.settings import load_settings


@pytest.fixture
def written(bench):
    """Adds text to the settings; returns the folder."""

    def write(more: str):
        file = bench.root / "config/digest.toml"
        file.write_text(file.read_text() + more)
        return bench.root

    return write


def test_relays_in_their_order(written, monkeypatch):
    """Relays keep the order of the file; the environment adds to them, also a password."""
    root = written('\n[relays.second]\nhost = "b.example"\n[relays.third]\nhost = "c.example"\n')
    monkeypatch.setenv("DIGEST_RELAYS__SECOND__USERNAME", "weekly")
    monkeypatch.setenv("DIGEST_RELAYS__SECOND__PASSWORD", "correct horse")
    settings = load_settings(root)
    assert [(name, relay.host) for name, relay in settings.relays.items()] == [
        ("second", "b.example"),
        ("third", "c.example"),
    ]
    assert "correct horse" in settings.secrets()
    assert "correct horse" not in repr(settings)


WRONG = {
    '[relays.b]\npassword = "x"': "relays.b.password is a secret and has no place in a file",
    '[relays.b]\nhots = "x"': "unknown setting “hots”",
    "[relays.b]\nport = 0": "relays.b.port: should be greater than or equal to 1",
    '[warm_up]\nstart = "5/s"': "start and end are by the day",
    '[warm_up]\nstart = "5/day"\ngrowth = "0%"': "growth is nothing",
    '[warm_up]\nstart = "many"': "is no rate",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_named(written, text):
    """A mistake is told with its line and what would be right."""
    with pytest.raises(InputError, match=WRONG[text]) as caught:
        load_settings(written(f"\n{text}\n"))
    assert caught.value.problems[0].place is not None
    assert caught.value.problems[0].place.line > 15


def test_the_environment_keeps_its_secret(monkeypatch):
    """The password of a further relay is redacted even before the settings are read."""
    from digest.cli.options import Session

    monkeypatch.setenv("DIGEST_RELAYS__BACKUP__PASSWORD", "correct horse")
    assert "correct" not in Session().redacted("the password is correct horse")
