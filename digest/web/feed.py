"""The archive as an Atom feed (RFC 4287): titles, summaries and links; an issue itself is read on its page."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from xml.sax.saxutils import escape, quoteattr

from digest.sections import NewsletterSection
from digest.web.addresses import Addresses
from digest.web.issues import PublicIssue

# What XML 1.0 cannot hold, not even escaped (section 2.2).
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def atom(newsletter: NewsletterSection, addresses: Addresses, issues: Sequence[PublicIssue]) -> tuple[str, str]:
    """The feed of these issues, the latest first, and its entity tag (RFC 9110 section 8.8.3)."""
    updated = max((issue.published for issue in issues), default=datetime(2000, 1, 1, tzinfo=UTC))
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<feed xmlns="http://www.w3.org/2005/Atom" xml:lang={quoteattr(newsletter.language)}>',
        _element("id", addresses.public()),
        _element("title", newsletter.name),
        _element("updated", _moment(updated)),
        f"<author>{_element('name', newsletter.name)}</author>",
        f'<link rel="self" type="application/atom+xml" href={quoteattr(addresses.public("feed.xml"))}/>',
        f'<link rel="alternate" type="text/html" href={quoteattr(addresses.public())}/>',
        *(_entry(addresses, issue) for issue in issues),
        "</feed>",
    ]
    text = "\n".join(lines) + "\n"
    return text, f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def _entry(addresses: Addresses, issue: PublicIssue) -> str:
    address = addresses.public(issue.slug)
    parts = [
        _element("id", address),
        _element("title", issue.title),
        _element("published", _moment(issue.published)),
        _element("updated", _moment(issue.published)),
        f'<link rel="alternate" type="text/html" hreflang={quoteattr(issue.language)} href={quoteattr(address)}/>',
        _element("summary", issue.summary) if issue.summary else "",
    ]
    return f"<entry>{''.join(parts)}</entry>"


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(_NOT_XML.sub('', text))}</{name}>"


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
