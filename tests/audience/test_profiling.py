from __future__ import annotations

import json

from digest.audience.profiling import profile
from digest.audience.readers import Readers
from digest.audience.subscriber import Subscriber, Value


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
