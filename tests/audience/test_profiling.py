from __future__ import annotations

import json
from pathlib import Path

import pytest

from digest.audience.profiling import PROFILE, load_profile, profile
from digest.audience.readers import Readers
from digest.audience.subscriber import Subscriber, Value
from digest.errors import InputError


def test_nobody_can_be_made_out(readers: Readers) -> None:
    """Values of twenty readers or more are counted; rarer ones, names and addresses are nowhere in it."""
    people = []
    for n in range(60):
        values: dict[str, Value] = {
            "email": f"ann{n}@example.com",
            "name": f"Ann{n}",
            "tags": ("beta",) if n < 19 else (),
        }
        people.append(Subscriber(n, f"t{n}", "", values=values | {"plan": "pro" if n < 40 else "free", "seats": n}))
    found = profile(readers, iter(people))
    attributes = found["attributes"]
    assert isinstance(attributes, dict)
    assert found["readers"] == 60
    assert attributes["plan"] == {"type": "string", "filled": 60, "values": {"free": 20, "pro": 40}}
    assert attributes["tags"] == {"type": "list", "filled": 0, "values": {}}
    assert attributes["seats"] == {"type": "integer", "filled": 60, "values": {}}
    assert "ann1" not in json.dumps(found).lower()


def test_many_values_are_not_kept(readers: Readers) -> None:
    """Of an attribute that nearly everybody has another value of, only how often it is filled is said."""
    people = (Subscriber(n, f"t{n}", "", values={"city": f"City {n % 1100}", "tags": ()}) for n in range(30_000))
    attributes = profile(readers, people)["attributes"]
    assert isinstance(attributes, dict)
    assert attributes["city"] == {"type": "string", "filled": 30_000, "values": {}}


def test_a_committed_profile_is_read(readers: Readers, declared: Path) -> None:
    """What was written is read again; without a file there is none; a broken one is said."""
    assert load_profile(declared) is None
    people = [Subscriber(n, f"t{n}", "", values={"plan": "pro", "tags": ()}) for n in range(40)]
    people += [Subscriber(n, f"t{n}", "", values={"seats": n, "tags": ()}) for n in range(60)]
    (declared / PROFILE).write_text(json.dumps(profile(readers, people)))
    found = load_profile(declared)
    assert found
    assert found.readers == 100
    assert (found.fill_rate("plan"), found.fill_rate("city"), found.fill_rate("shoe")) == (0.4, 0.0, None)
    assert found.attributes["plan"].values == {"pro": 40}
    for broken in ("{", "[]", '{"readers": "x", "attributes": {}}', '{"readers": 3, "attributes": {"a": 1}}'):
        (declared / PROFILE).write_text(broken)
        with pytest.raises(InputError, match="digest subscribers profile --save"):
            load_profile(declared)
