"""What the DNS says of a sender: SPF, DKIM, DMARC, where bounces go, and the relay's name. Only this knows dnspython.

Asked only by ``digest doctor``. Gmail, Yahoo and Microsoft want SPF and DKIM to pass and DMARC to be there
from whoever sends in bulk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from digest.checks.finding import Finding
from digest.message.dkim import Key

PATIENCE = 5.0  # seconds for one question


class NoAnswerError(Exception):
    """The DNS could not be asked."""


Lookup = Callable[[str, str], list[str]]
"""Name and type of a record → its values as text; nothing where there is none. Raises `NoAnswerError`."""


def lookup(nameserver: str | None = None) -> Lookup | None:
    """Asks the system's resolvers, or `nameserver` (see `nameserver_address`); None without dnspython."""
    try:
        import dns.exception
        import dns.resolver
    except ImportError:
        return None
    resolver = dns.resolver.Resolver(configure=nameserver is None)
    if nameserver is not None:
        address, resolver.port = nameserver_address(nameserver)
        resolver.nameservers = [address]
    resolver.lifetime = PATIENCE

    def ask(name: str, kind: str) -> list[str]:
        try:
            answer = resolver.resolve(name, kind, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return []
        except dns.exception.Timeout as exc:
            raise NoAnswerError(f"{kind} of {name}, asked for {PATIENCE:.0f} s") from exc
        except dns.resolver.NoNameservers as exc:
            raise NoAnswerError(f"{kind} of {name}: it refused, or failed") from exc
        except dns.exception.DNSException as exc:
            raise NoAnswerError(f"{kind} of {name}: {type(exc).__name__}") from exc
        if kind == "TXT":  # strings of one record belong together (RFC 7208 section 3.3)
            return [b"".join(record.strings).decode(errors="replace") for record in answer]
        return [record.to_text() for record in answer]

    return ask


def nameserver_address(text: str) -> tuple[str, int]:
    """Address and port of a nameserver. Raises `ValueError`.

    >>> [nameserver_address(text) for text in ("9.9.9.9", "127.0.0.1:5353", "2620:fe::fe", "[::1]:5353")]
    [('9.9.9.9', 53), ('127.0.0.1', 5353), ('2620:fe::fe', 53), ('::1', 5353)]
    """
    address, port = text, "53"
    if found := re.fullmatch(r"\[([^\]]+)\]:(\d+)|([\d.]+):(\d+)", text, re.ASCII):
        address, port = found[1] or found[3], found[2] or found[4]
    try:
        known = str(ip_address(address))
    except ValueError:
        known = ""
    if not known or not 0 < int(port) < 65536:
        raise ValueError(f"“{text}” is no address; write one such as 9.9.9.9 or 127.0.0.1:5353")
    return known, int(port)


@dataclass(frozen=True, slots=True)
class Names:
    """Whose records are asked for: From's domain, the envelope's, the keys (None: those can't be used), the relay's."""

    sender: str
    envelope: str
    keys: Sequence[Key] | None = ()
    relay: str = ""


def findings(ask: Lookup, names: Names) -> Iterator[Finding]:
    """What is found of each record, in the order they matter."""
    steps: tuple[tuple[str, Callable[[], Iterable[Finding]]], ...] = (
        ("SPF", lambda: _spf(ask, names.envelope)),
        ("DKIM", lambda: _dkim(ask, names)),
        ("DMARC", lambda: _dmarc(ask, names.sender)),
        ("bounces", lambda: _bounces(ask, names.envelope)),
        ("PTR", lambda: _ptr(ask, names.relay)),
    )
    for name, step in steps:
        try:
            yield from step()
        except NoAnswerError as exc:
            yield Finding(name, "warning", f"the DNS did not answer: {exc}", "try again, or another --nameserver")


def _spf(ask: Lookup, domain: str) -> Iterator[Finding]:
    found = [text for text in ask(domain, "TXT") if text.lower().split(" ")[0] == "v=spf1"]
    if not found:
        yield Finding("SPF", "error", f"{domain} has no SPF record", "ask your relay which TXT record it wants there")
    elif len(found) > 1:  # RFC 7208 section 4.5: a permanent error
        yield Finding("SPF", "error", f"{domain} has {len(found)} SPF records, and so none counts", "make one of them")
    elif re.search(r"(?:^|\s)\+?all\b", found[0]):
        yield Finding("SPF", "error", f"{domain}: {found[0]} lets everybody send", "end it with ~all or -all")
    else:
        yield Finding("SPF", "ok", f"{domain}: {found[0]}")


def _dkim(ask: Lookup, names: Names) -> Iterator[Finding]:
    if names.keys == ():
        told = "messages are not signed here"
        yield Finding("DKIM", "warning", told, "your relay may sign them; else: digest dkim keygen")
    for key in names.keys or ():
        name = f"{key.selector}._domainkey.{names.sender}"
        found = ask(name, "TXT")
        ours, theirs = _tag(key.record(), "p"), [_tag(text, "p") for text in found]
        if not found:
            yield Finding("DKIM", "error", f"{name} is not there", f"publish: {key.zone_line(names.sender)}")
        elif ours not in theirs:
            yield Finding("DKIM", "error", f"{name} is of another key", f"publish: {key.zone_line(names.sender)}")
        else:
            yield Finding("DKIM", "ok", f"{name} fits the key ({key.algorithm})")


def _tag(record: str, name: str) -> str:
    found = re.search(rf"(?:^|;)\s*{name}\s*=([^;]*)", record)
    return re.sub(r"\s", "", found[1]) if found else ""


def _dmarc(ask: Lookup, domain: str) -> Iterator[Finding]:
    # RFC 7489 section 6.6.3: the domain's own, else that of the organisation above it.
    parts = domain.split(".")
    for start in range(max(1, len(parts) - 1)):
        name = f"_dmarc.{'.'.join(parts[start:])}"
        found = [text for text in ask(name, "TXT") if _tag(text, "v") == "DMARC1"]
        if found and _tag(found[0], "p") in ("none", "quarantine", "reject"):
            yield Finding("DMARC", "ok", f"{name}: {found[0]}")
            return
        if found:
            yield Finding("DMARC", "error", f"{name}: {found[0]} has no policy", "write p=none, quarantine or reject")
            return
    cure = f'publish at _dmarc.{domain}: "v=DMARC1; p=none; rua=mailto:postmaster@{domain}"'
    yield Finding("DMARC", "error", f"{domain} has no DMARC record", cure)


def _bounces(ask: Lookup, domain: str) -> Iterator[Finding]:
    if found := ask(domain, "MX"):
        yield Finding("bounces", "ok", f"{domain} takes mail at {found[0].split()[-1].rstrip('.')}")
    elif ask(domain, "A") or ask(domain, "AAAA"):
        yield Finding(
            "bounces", "warning", f"{domain} has no MX record", "bounces go to the host itself; is that meant?"
        )
    else:
        yield Finding("bounces", "error", f"{domain} takes no mail: bounces are lost", "publish an MX record")


def _ptr(ask: Lookup, host: str) -> Iterator[Finding]:
    if not host:
        return
    try:
        addresses = [str(ip_address(host))]
    except ValueError:
        addresses = [*ask(host, "A"), *ask(host, "AAAA")]
    if not addresses:
        yield Finding("PTR", "error", f"{host} has no address", "see host under [smtp]")
    for address in addresses:
        names = [name.rstrip(".") for name in ask(ip_address(address).reverse_pointer, "PTR")]
        back = [name for name in names if address in (*ask(name, "A"), *ask(name, "AAAA"))]
        if back:
            yield Finding("PTR", "ok", f"{address} is {back[0]}, and back")
        else:
            told = f"{address} ({host}) has no name that leads back to it"
            cure = "matters where this host itself delivers to readers' servers; a relay's own business else"
            yield Finding("PTR", "warning", told, cure)
