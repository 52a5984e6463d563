from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from digest.audience.importing import import_list
from digest.audience.readers import Readers
from digest.audience.store import Subscribers
from digest.errors import InputError

Write = Callable[..., Path]

MAILCHIMP = (
    '"Email Address","First Name","MEMBER_RATING","OPTIN_TIME","OPTIN_IP","CONFIRM_TIME","CONFIRM_IP","LATITUDE",'
    '"LONGITUDE","GMTOFF","DSTOFF","TIMEZONE","CC","REGION","LAST_CHANGED","LEID","EUID","NOTES","TAGS"'
)
MAILCHIMP_ROW = "ann@example.com,Ann,2,2024-05-06 10:00:00,,2024-05-07 10:00:00,,,,,,,,,,1,e1,,a"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("Mailchimp", f"{MAILCHIMP}\n{MAILCHIMP_ROW}\n", {"ann": "active"}),
        (
            "Mailchimp, unsubscribed",
            f'{MAILCHIMP},"UNSUB_TIME","UNSUB_REASON"\n{MAILCHIMP_ROW},2024-06-01 10:00:00,too many\n',
            {"ann": "unsubscribed"},
        ),
        ("Mailchimp, cleaned", f'{MAILCHIMP},"CLEAN_TIME"\n{MAILCHIMP_ROW},2024-06-01 10:00:00\n', {"ann": "bounced"}),
        (
            "Substack",
            "email,active_subscription,expiry,email_disabled,created_at\n"
            "ann@example.com,false,,false,2024-05-06T10:00:00.000Z\nbob@example.com,true,,true,2024-05-06\n",
            {"ann": "active", "bob": "unsubscribed"},
        ),
        (
            "Ghost",
            "id,email,name,note,subscribed_to_emails,complimentary_plan,stripe_customer_id,created_at,deleted_at,labels\n"
            '1,ann@example.com,Ann,,true,false,,2024-05-06T10:00:00.000Z,,"a,b"\n'
            "2,bob@example.com,Bob,,false,false,,2024-05-06T10:00:00.000Z,,\n",
            {"ann": "active", "bob": "unsubscribed"},
        ),
        (
            "listmonk",
            "uuid,email,name,attributes,status,created_at,updated_at\n"
            "u,ann@example.com,Ann,{},enabled,2024-05-06,\nu,bob@example.com,Bob,{},blocklisted,2024-05-06,\n",
            {"ann": "active", "bob": "unsubscribed"},
        ),
        (
            "Buttondown",
            "email,notes,metadata,tags,subscriber_type,source,creation_date\n"
            "ann@example.com,,{},,regular,api,2024-05-06\nbob@example.com,,{},,unactivated,api,2024-05-06\n"
            "cat@example.com,,{},,undeliverable,api,2024-05-06\n",
            {"ann": "active", "bob": "pending", "cat": "bounced"},
        ),
        (
            "beehiiv",
            "email,status,subscription_tier,created_at,utm_source\n"
            "ann@example.com,active,free,2024-05-06,\nbob@example.com,validating,free,2024-05-06,\n"
            "cat@example.com,inactive,free,2024-05-06,\n",
            {"ann": "active", "bob": "pending", "cat": "unsubscribed"},
        ),
    ],
)
def test_exports_are_recognised(
    connection: sqlite3.Connection, readers: Readers, write: Write, name: str, text: str, expected: dict[str, str]
) -> None:
    """An export goes in as it is: said whose it is, its states as ours, its days as days."""
    report = import_list(connection, write(text), readers)
    assert report.rejects == ()
    assert report.description.endswith(f"an export of {name}")
    found = list(Subscribers(connection).all())
    assert {s.email.partition("@")[0]: s.status for s in found} == expected
    assert {s.values["signed_up"] for s in found} == {date(2024, 5, 6)}


def test_a_declared_column_wins(connection: sqlite3.Connection, readers: Readers, write: Write) -> None:
    """What an export has and the declarations know is an attribute, not passed over."""
    import_list(
        connection,
        write("email,active_subscription,email_disabled,plan,created_at\nann@example.com,true,false,pro,2024-05-06\n"),
        readers,
    )
    assert next(Subscribers(connection).all()).values["plan"] == "pro"


def test_columns_are_mapped(connection: sqlite3.Connection, readers: Readers, write: Write) -> None:
    """A column is what it is mapped to, in any case of its letters, in CSV and in JSON Lines."""
    renamed = {"E-Mail Address": "email", "town": "City"}
    for content, name in (
        ("E-MAIL ADDRESS,Town\nann@example.com,Ulm\n", "list.csv"),
        ('{"E-Mail Address": "bob@example.com", "Town": "Bonn"}\n', "list.jsonl"),
    ):
        assert import_list(connection, write(content, name), readers, renamed=renamed).rejects == ()
    found = {s.email: s.values["city"] for s in Subscribers(connection).all()}
    assert found == {"ann@example.com": "Ulm", "bob@example.com": "Bonn"}


def test_a_mapping_of_nothing_is_an_error(connection: sqlite3.Connection, readers: Readers, write: Write) -> None:
    """A column that is to be mapped and is not there is said, with the nearest."""
    with pytest.raises(InputError, match="there is no column “e-male” to map"):
        import_list(connection, write("E-Mail,City\na@example.com,Ulm\n"), readers, renamed={"E-Male": "email"})


def test_an_unknown_column_is_said_with_its_type(
    connection: sqlite3.Connection, readers: Readers, write: Write
) -> None:
    """The error for a column that is not declared says what declaration its cells look like."""
    text = "email,Shoe size,Score 2,Since,Ok,Desk,Nickname\na@example.com,43,2.5,2024-01-01,yes,https://a.example/,Al\n"
    with pytest.raises(InputError) as caught:
        import_list(connection, write(text + "b@example.com,,,,,,\n"), readers)
    kinds = ["shoe_size = ", "score_2 = ", "since = ", "ok = ", "desk = ", "nickname = "]
    types = ["integer", "number", "date", "boolean", "url", "string"]
    for problem, name, kind in zip(caught.value.problems, kinds, types, strict=True):
        assert f'{name}"{kind}"' in problem.cure
