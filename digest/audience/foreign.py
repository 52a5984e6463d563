"""Exports of other newsletter systems: recognised by their headers, and written again.

Each says which of its columns are ours, which are passed over, and what its states mean here. Columns it does
not know are an author's own: they are declared, mapped or ignored like those of any list.

Where the headers come from (looked up in public sources, November 2026):

* Mailchimp: the fixtures of Ghost's migration tool (TryGhost/migrate, packages/mg-mailchimp-members: subscribed,
  unsubscribed and cleaned members are three files). Tags are a list within the cell, each in quotation marks.
* Substack: ``email_list.*.csv`` as several importers expect it (TryGhost/migrate, packages/mg-substack-members-csv);
  `plan` and `first_payment_at` came later.
* Ghost: its own end-to-end tests of the members' export (TryGhost/Ghost); `tiers` was `products`, `gift_id` is new.
* listmonk: cmd/subscribers.go of knadh/listmonk.
* beehiiv: TryGhost/migrate, packages/mg-beehiiv-members; an older form has `subscription_tier`.
* Buttondown: the subscriber object and its types of docs.buttondown.com, before and after `subscriber_type` became
  `type`; the order of the columns in its CSV is published nowhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Foreign:
    """A kind of export. `signs` are columns that only it has together; names of columns are in lower case.

    `columns` maps its names to ours, `ignored` are passed over when they are not declared as attributes.
    `statuses` maps what stands in the column that became ``status``; `status`, when set, holds for every row.
    `bag` is a column with a JSON object of more attributes. `caution` is what its export does not say.

    To write one: `header` as it is written there, `states` of ours as its words, `moment` with ``{}`` for a day.
    """

    name: str
    signs: frozenset[str]
    columns: Mapping[str, str] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    statuses: Mapping[str, str] = field(default_factory=dict)
    status: str = ""
    bag: str = ""
    caution: str = ""
    header: tuple[str, ...] = ()
    states: Mapping[str, str] = field(default_factory=dict)
    moment: str = "{}"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _mailchimp(name: str, signs: str, tail: str, status: str = "") -> Foreign:
    head = "Email Address,First Name,Last Name,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,LATITUDE"
    header = f"{head},LONGITUDE,GMTOFF,DSTOFF,TIMEZONE,CC,REGION,{tail},NOTES,TAGS"
    columns = {
        "email address": "email",
        "first name": "first_name",
        "last name": "last_name",
        "optin_time": "signed_up",
        "confirm_time": "consented_at",
        "notes": "note",
    }
    passed_over = _words(
        "member_rating optin_ip confirm_ip latitude longitude gmtoff dstoff cc region last_changed leid euid"
        " unsub_time unsub_campaign_title unsub_campaign_id unsub_reason unsub_reason_other clean_time"
        " clean_campaign_title clean_campaign_id"
    )
    return Foreign(
        name,
        _words(signs),
        columns,
        passed_over,
        status=status,
        header=tuple(header.split(",")),
        moment="{} 00:00:00",
    )


_MAILCHIMP = (
    _mailchimp(
        "Mailchimp, unsubscribed",
        "leid euid unsub_time",
        "UNSUB_TIME,UNSUB_CAMPAIGN_TITLE,UNSUB_CAMPAIGN_ID,UNSUB_REASON,UNSUB_REASON_OTHER,LEID,EUID",
        "unsubscribed",
    ),
    _mailchimp(
        "Mailchimp, cleaned",
        "leid euid clean_time",
        "CLEAN_TIME,CLEAN_CAMPAIGN_TITLE,CLEAN_CAMPAIGN_ID,LEID,EUID",
        "bounced",
    ),
    _mailchimp("Mailchimp", "leid euid member_rating", "LAST_CHANGED,LEID,EUID"),
)
_SUBSTACK = Foreign(
    "Substack",
    _words("email active_subscription email_disabled"),
    {"email_disabled": "status", "created_at": "signed_up"},
    _words("active_subscription expiry first_payment_at plan prefer_digests stripe_customer_id"),
    {"true": "unsubscribed", "false": "active"},
    header=("email", "active_subscription", "expiry", "plan", "email_disabled", "created_at", "first_payment_at"),
    states={"active": "false"} | dict.fromkeys(("pending", "unsubscribed", "bounced", "complained"), "true"),
    moment="{}T00:00:00.000Z",
)
_GHOST = Foreign(
    "Ghost",
    _words("email subscribed_to_emails complimentary_plan"),
    {"subscribed_to_emails": "status", "created_at": "signed_up", "labels": "tags"},
    _words("id complimentary_plan stripe_customer_id deleted_at tiers products gift_id"),
    {"true": "active", "false": "unsubscribed"},
    header=(
        *("id", "email", "name", "note", "subscribed_to_emails", "complimentary_plan", "stripe_customer_id"),
        *("created_at", "deleted_at", "labels", "tiers"),
    ),
    states={"active": "true"} | dict.fromkeys(("pending", "unsubscribed", "bounced", "complained"), "false"),
    moment="{}T00:00:00.000Z",
)
_LISTMONK = Foreign(
    "listmonk",
    _words("uuid email status attributes"),
    {"created_at": "signed_up"},
    _words("uuid updated_at"),
    {"enabled": "active", "disabled": "unsubscribed", "blocklisted": "blocklisted", "blacklisted": "blocklisted"},
    bag="attributes",
    # knadh/listmonk issue 2855: subscriptions to lists, and who ended one, are not in the export.
    caution="a listmonk export does not say who unsubscribed from a list: export those apart, and take them in with"
    " digest suppress import",
    header=("uuid", "email", "name", "attributes", "status", "created_at", "updated_at"),
    states={"active": "enabled", "pending": "disabled", "unsubscribed": "disabled"}
    | dict.fromkeys(("bounced", "complained"), "blocklisted"),
    moment="{}T00:00:00Z",
)
_BUTTONDOWN = Foreign(
    "Buttondown",
    _words("email creation_date subscriber_type"),
    {
        "email_address": "email",
        "subscriber_type": "status",
        "type": "status",
        "creation_date": "signed_up",
        "notes": "note",
    },
    _words("id source referrer_url secondary_id utm_campaign utm_medium utm_source ip_address"),
    dict.fromkeys(("regular", "premium", "gifted", "trialed", "unpaid", "churning", "paused", "past_due"), "active")
    | {
        "unactivated": "pending",
        "unsubscribed": "unsubscribed",
        "removed": "unsubscribed",
        "undeliverable": "bounced",
        "complained": "complained",
        "spammy": "blocklisted",
        "blocked": "blocklisted",
    },
    bag="metadata",
    header=("email", "notes", "metadata", "tags", "subscriber_type", "creation_date"),
    states={
        "active": "regular",
        "pending": "unactivated",
        "unsubscribed": "unsubscribed",
        "bounced": "undeliverable",
        "complained": "complained",
    },
    moment="{}T00:00:00Z",
)
_BEEHIIV = Foreign(
    "beehiiv",
    _words("email status tier created_at unsubscribed_at"),
    {"created_at": "signed_up", "first name": "first_name", "last name": "last_name"},
    _words(
        "id subscription_id tier subscription_tier utm_source utm_medium utm_campaign utm_channel referring_site"
        " referral_code stripe_customer_id unsubscribed_at"
    )
    | {"free tier", "premium tier", "subscription date (substack)"},
    {
        "active": "active",
        "validating": "pending",
        "pending": "pending",
        "needs_attention": "pending",
        "invalid": "bounced",
        "inactive": "unsubscribed",
        "unsubscribed": "unsubscribed",
    },
    header=(
        *("email", "First Name", "Last Name", "status", "tier", "created_at", "stripe_customer_id"),
        "unsubscribed_at",
    ),
    states={"active": "active", "pending": "pending", "unsubscribed": "inactive", "bounced": "invalid"}
    | {"complained": "inactive"},
    moment="{} 00:00:00 UTC",
)

KNOWN: tuple[Foreign, ...] = (
    *_MAILCHIMP,
    _SUBSTACK,
    _GHOST,
    _LISTMONK,
    _BUTTONDOWN,
    replace(_BUTTONDOWN, signs=_words("email_address creation_date type")),
    _BEEHIIV,
    replace(_BEEHIIV, signs=_words("email status subscription_tier")),
)
"""The more particular first."""

WRITTEN: Mapping[str, tuple[Foreign, ...]] = {
    "mailchimp": _MAILCHIMP,
    "substack": (_SUBSTACK,),
    "ghost": (_GHOST,),
    "buttondown": (_BUTTONDOWN,),
    "beehiiv": (_BEEHIIV,),
    "listmonk": (_LISTMONK,),
}
"""The systems a list can be exported for, by the name of the format; Mailchimp has a file for each state."""


def recognised(columns: Collection[str]) -> Foreign | None:
    """The system that wrote a list with these columns (lower case).

    >>> found = recognised(["uuid", "email", "name", "attributes", "status"])
    >>> found.name if found else None
    'listmonk'
    >>> recognised(["email", "name"])
    """
    return next((foreign for foreign in KNOWN if foreign.signs <= set(columns)), None)
