"""Of runs long ago the numbers stay, and add up; who got them is gone."""

from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from digest.audience.database import now, open_database
from digest.delivery.scripted import ScriptedRelay, Step
from digest.errors import HeldError
from digest.keeping import reducing
from digest.keeping.reducing import reduce_old

MONTH = 31 * 86_400_000_000


def _reduce(weekly: Any, moment: int) -> int:
    with closing(open_database(weekly.database)) as connection:
        return reduce_old(connection, timedelta(days=31), moment)


def test_the_accounts_stay_and_the_names_go(weekly: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accepted, bounced, withdrawn by reason, and what came later, in chunks or not."""
    monkeypatch.setattr(reducing, "_TOGETHER", 3)
    weekly.subscribe(*(f"r{n}@example.org" for n in range(10)))

    def script(step: Step) -> str | None:
        return "550 5.2.2 full" if step.verb == "RCPT" and "r3@" in step.argument else None

    with ScriptedRelay(script) as relay:
        weekly.overrides["smtp.port"] = relay.port
        weekly.send("one")
    weekly.execute("UPDATE deliveries SET state = 'withdrawn', reply = 'unsubscribed' WHERE subscriber_id IN (1, 6)")
    weekly.execute(
        "INSERT INTO later (run_id, subscriber_id, kind, at) VALUES (1, 2, 'bounced', 0), (1, 9, 'bounced', 0)"
    )
    before = weekly.accounts()
    assert (before.accepted, before.bounced, dict(before.withdrawn)) == (7, 1, {"unsubscribed": 2})

    assert _reduce(weekly, now()) == 0
    assert _reduce(weekly, now() + 2 * MONTH) == 1
    assert weekly.accounts() == before
    assert weekly.accounts().problems() == []
    assert weekly.execute("SELECT count(*) FROM deliveries") == [(0,)]
    assert weekly.execute("SELECT count(*) FROM later") == [(0,)]
    assert _reduce(weekly, now() + 2 * MONTH) == 0


def test_nobody_gets_an_old_issue_again(weekly: Any) -> None:
    """It is not known any more who has it: a further send is refused, and newcomers get none."""
    weekly.subscribe("a@example.org")
    weekly.send("one")
    _reduce(weekly, now() + 2 * MONTH)
    weekly.subscribe("b@example.org")
    with pytest.raises(HeldError, match="keep_deliveries"):
        weekly.send("one")
    assert len(weekly.relay.received) == 1


def test_a_run_that_goes_on_is_kept(weekly: Any) -> None:
    """However old it is."""
    weekly.subscribe("a@example.org")
    with ScriptedRelay(lambda step: "451 later" if step.verb == "RCPT" else None) as relay:
        weekly.overrides["smtp.port"] = relay.port
        weekly.send("one")
    assert _reduce(weekly, now() + 20 * MONTH) == 0
    assert weekly.execute("SELECT count(*) FROM deliveries") == [(1,)]
