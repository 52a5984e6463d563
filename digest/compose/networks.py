"""Which network a link leads to, so that a theme can show its icon (``assets/icons/<network>.png``)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

_HOSTS = {
    "bluesky": ("bsky.app", "bsky.social"),
    "facebook": ("facebook.com", "fb.com", "fb.me"),
    "github": ("github.com",),
    "instagram": ("instagram.com",),
    "linkedin": ("linkedin.com", "lnkd.in"),
    "mastodon": ("mastodon.social", "mastodon.online", "fosstodon.org", "hachyderm.io", "mas.to", "chaos.social"),
    "threads": ("threads.com", "threads.net"),
    "tiktok": ("tiktok.com",),
    "whatsapp": ("whatsapp.com", "wa.me"),
    "x": ("x.com", "twitter.com"),
    "youtube": ("youtube.com", "youtu.be"),
}
NETWORKS = (*sorted(_HOSTS), "email", "rss", "website")
"""Every name that `network_of` gives: the icons a theme needs."""
_BY_HOST = {host: network for network, hosts in _HOSTS.items() for host in hosts}
_FEED = re.compile(r"(?:^|/)(?:feed|rss|atom)(?:\.xml)?/?$|\.(?:rss|atom)$", re.IGNORECASE)


def network_of(url: str, words: str, classes: Sequence[str] = ()) -> str:
    """The network of a link by its class, its words or its host; "" for none that is known.

    Anyone can run a Mastodon server under any name, and any site is someone's website: there the words tell.

    >>> network_of("https://www.youtube.com/@weekly", "Films")
    'youtube'
    >>> network_of("https://social.example.org/@weekly", "Mastodon")
    'mastodon'
    >>> network_of("https://example.org/feed.xml", "Our feed"), network_of("mailto:a@example.org", "Write")
    ('rss', 'email')
    >>> network_of("https://example.org", "Home", ["website"]), network_of("https://example.org", "A friend")
    ('website', '')
    """
    named = next((name for name in (*classes, words.strip().lower()) if name in NETWORKS), "")
    if named:
        return named
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:  # a host in broken brackets
        return ""
    if parts.scheme == "mailto":
        return "email"
    labels = host.split(".")
    known = next((_BY_HOST[end] for n in range(len(labels)) if (end := ".".join(labels[n:])) in _BY_HOST), "")
    if known or not host:
        return known
    if {"mastodon", "mstdn"} & set(labels):
        return "mastodon"
    return "rss" if _FEED.search(parts.path) else ""
