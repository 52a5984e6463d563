"""How often one client, and all of them together, may ask for something: token buckets in bounded memory."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv4Address, ip_address

from digest.quantities import Rate

CLIENTS = 10_000
"""Clients remembered at a time; of more, the one that was silent longest is forgotten."""

_V6_NETWORK = 64  # bits: what one customer of a provider has to himself (RFC 6177)


class Limits:
    """At most `per_client` from one address, and `overall` from all; `clock` gives seconds."""

    def __init__(self, per_client: Rate, overall: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._per_client = per_client
        self._all = _Bucket(overall, clock())
        self._clients: OrderedDict[str, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def allow(self, client: str) -> bool:
        """Whether this client may ask once more now; if so, it counts."""
        with self._lock:
            moment, key = self._clock(), client_key(client)
            bucket = self._clients.pop(key, None) or _Bucket(self._per_client, moment)
            self._clients[key] = bucket  # the latest at the end
            if len(self._clients) > CLIENTS:
                self._clients.popitem(last=False)
            # Who is over the own limit takes nothing from the others.
            return bucket.has(moment) and self._all.take(moment) and bucket.take(moment)


class _Bucket:
    __slots__ = ("_at", "_left", "_rate")

    def __init__(self, rate: Rate, moment: float) -> None:
        self._rate = rate
        self._left = float(rate.count)
        self._at = moment

    def has(self, moment: float) -> bool:
        self._left = min(float(self._rate.count), self._left + (moment - self._at) * self._rate.per_second)
        self._at = moment
        return self._left >= 1

    def take(self, moment: float) -> bool:
        if not self.has(moment):
            return False
        self._left -= 1
        return True


def client_key(client: str) -> str:
    """What counts as one client: an IPv4 address, or the network of an IPv6 one.

    >>> client_key("192.0.2.7"), client_key("2001:db8:1:2::7"), client_key("::ffff:192.0.2.7")
    ('192.0.2.7', '2001:db8:1:2::', '192.0.2.7')
    """
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(type(address)(int(address) >> _V6_NETWORK << _V6_NETWORK))
