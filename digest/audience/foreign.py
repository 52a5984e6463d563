"""Exports of other newsletter systems, recognised by their headers.

Each says which of its columns are ours, which are passed over, and what its states mean here. Columns it does
not know are an author's own: they are declared, mapped or ignored like those of any list.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Foreign:
    """A kind of export. `signs` are columns that only it has together; all names are in lower case.

    `columns` maps its names to ours, `ignored` are passed over when they are not declared as attributes.
    `statuses` maps what stands in the column that became ``status``; `status`, when set, holds for every row.
    """

    name: str
    signs: frozenset[str]
    columns: Mapping[str, str] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    statuses: Mapping[str, str] = field(default_factory=dict)
    status: str = ""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MAILCHIMP = {
    "email address": "email",
    "first name": "first_name",
    "optin_time": "signed_up",
    "confirm_time": "consented_at",
    "tags": "tags",
    "notes": "note",
}
_MAILCHIMP_REST = _words(
    "member_rating optin_ip confirm_ip latitude longitude gmtoff dstoff timezone cc region last_changed leid euid"
    " unsub_time unsub_campaign_title unsub_campaign_id unsub_reason unsub_reason_other clean_time"
    " clean_campaign_title clean_campaign_id"
)

KNOWN: tuple[Foreign, ...] = (
    Foreign(
        "Mailchimp, unsubscribed",
        _words("leid euid unsub_time"),
        _MAILCHIMP,
        _MAILCHIMP_REST,
        status="unsubscribed",
    ),
    Foreign("Mailchimp, cleaned", _words("leid euid clean_time"), _MAILCHIMP, _MAILCHIMP_REST, status="bounced"),
    Foreign("Mailchimp", _words("leid euid member_rating"), _MAILCHIMP, _MAILCHIMP_REST),
    Foreign(
        "Substack",
        _words("email active_subscription email_disabled"),
        {"email_disabled": "status", "created_at": "signed_up"},
        _words("active_subscription expiry first_payment_at plan stripe_customer_id"),
        {"true": "unsubscribed", "false": "active"},
    ),
    Foreign(
        "Ghost",
        _words("email subscribed_to_emails complimentary_plan"),
        {"subscribed_to_emails": "status", "created_at": "signed_up", "labels": "tags"},
        _words("id complimentary_plan stripe_customer_id deleted_at tiers"),
        {"true": "active", "false": "unsubscribed"},
    ),
    Foreign(
        "listmonk",
        _words("uuid email status attributes"),
        {"created_at": "signed_up"},
        _words("uuid attributes updated_at"),
        {"enabled": "active", "disabled": "unsubscribed", "blocklisted": "unsubscribed", "blacklisted": "unsubscribed"},
    ),
    Foreign(
        "Buttondown",
        _words("email creation_date subscriber_type"),
        {"subscriber_type": "status", "creation_date": "signed_up", "notes": "note"},
        _words("id metadata source referrer_url secondary_id utm_campaign utm_medium utm_source ip_address"),
        {
            "regular": "active",
            "premium": "active",
            "gifted": "active",
            "trialed": "active",
            "unactivated": "pending",
            "unpaid": "active",
            "unsubscribed": "unsubscribed",
            "removed": "unsubscribed",
            "undeliverable": "bounced",
            "complained": "complained",
            "spammy": "unsubscribed",
        },
    ),
    Foreign(
        "beehiiv",
        _words("email status subscription_tier"),
        {"created_at": "signed_up", "created": "signed_up"},
        _words(
            "id subscription_id subscription_tier utm_source utm_medium utm_campaign utm_channel referring_site"
            " referral_code stripe_customer_id unsubscribed_at"
        ),
        {
            "active": "active",
            "validating": "pending",
            "pending": "pending",
            "needs_attention": "pending",
            "invalid": "bounced",
            "inactive": "unsubscribed",
            "unsubscribed": "unsubscribed",
        },
    ),
)
"""The more particular first."""


def recognised(columns: Collection[str]) -> Foreign | None:
    """The system that wrote a list with these columns (lower case).

    >>> found = recognised(["uuid", "email", "name", "attributes", "status"])
    >>> found.name if found else None
    'listmonk'
    >>> recognised(["email", "name"])
    """
    return next((foreign for foreign in KNOWN if foreign.signs <= set(columns)), None)
