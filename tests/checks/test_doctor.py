"""What `digest doctor` finds: against a DNS server, a relay and a page of our own on loopback."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from digest.checks.dns_records import Names, findings, lookup
from digest.checks.doctor import examine
from digest.delivery.scripted import ScriptedRelay
from digest.message.dkim import new_keys
from digest.newsletter import Newsletter

DOMAIN = "news.weekly.test"


class NameServer:
    """Answers over UDP from a table: (name, type) → texts."""

    def __init__(self, records):
        self.records = records
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self):
        while True:
            try:
                data, sender = self._socket.recvfrom(4096)
            except OSError:
                return
            if not data:
                return
            query = dns.message.from_wire(data)
            question = query.question[0]
            name, kind = question.name.to_text().rstrip("."), dns.rdatatype.to_text(question.rdtype)
            answer = dns.message.make_response(query)
            texts = self.records.get((name, kind), [])
            if texts:
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *texts))
            elif not any(known == name for known, _ in self.records):
                answer.set_rcode(dns.rcode.NXDOMAIN)
            self._socket.sendto(answer.to_wire(), sender)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()


@pytest.fixture(scope="module")
def keys():
    return new_keys("d2026")


def text(value):
    return " ".join(f'"{value[at : at + 200]}"' for at in range(0, len(value), 200))


def healthy(keys):
    return {
        (DOMAIN, "TXT"): ['"a note"', '"v=spf1 include:relay.test -all"'],
        (DOMAIN, "MX"): ["10 mx.weekly.test."],
        ("_dmarc.weekly.test", "TXT"): ['"v=DMARC1; p=none"'],
        ("d2026._domainkey." + DOMAIN, "TXT"): [text(keys[0].record())],
        ("d2026-ed25519._domainkey." + DOMAIN, "TXT"): [text(keys[1].record())],
        ("relay.test", "A"): ["192.0.2.7"],
        ("7.2.0.192.in-addr.arpa", "PTR"): ["relay.test."],
    }


def found(records, keys):
    with NameServer(records) as server:
        ask = lookup(server.address)
        assert ask is not None
        return [(f.name, f.verdict, f.message) for f in findings(ask, Names(DOMAIN, DOMAIN, keys, "relay.test"))]


def test_all_is_well(keys):
    """Records of several strings, a policy of the organisation above, a name that leads back: each is ok."""
    verdicts = found(healthy(keys), keys)
    assert [(name, verdict) for name, verdict, _ in verdicts] == [
        ("SPF", "ok"),
        ("DKIM", "ok"),
        ("DKIM", "ok"),
        ("DMARC", "ok"),
        ("bounces", "ok"),
        ("PTR", "ok"),
    ]


@pytest.mark.parametrize(
    ("name", "kind", "values", "said"),
    [
        (DOMAIN, "TXT", [], "has no SPF record"),
        (DOMAIN, "TXT", ['"v=spf1 -all"', '"v=spf1 a -all"'], "has 2 SPF records, and so none counts"),
        (DOMAIN, "TXT", ['"v=spf1 +all"'], "lets everybody send"),
        ("_dmarc.weekly.test", "TXT", [], "has no DMARC record"),
        ("_dmarc.weekly.test", "TXT", ['"v=DMARC1"'], "has no policy"),
        ("d2026._domainkey." + DOMAIN, "TXT", [], "is not there"),
        ("d2026._domainkey." + DOMAIN, "TXT", ['"v=DKIM1; p=AAAA"'], "is of another key"),
        (DOMAIN, "MX", [], "bounces are lost"),
    ],
)
def test_each_thing_that_can_be_wrong(keys, name, kind, values, said):
    """One record missing or wrong is one error, named."""
    errors = [told for _, verdict, told in found(healthy(keys) | {(name, kind): values}, keys) if verdict == "error"]
    assert len(errors) == 1
    assert said in errors[0]


@pytest.fixture
def page():
    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/u/this-was-a-test" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_relay_database_and_page(folder, page):
    """A relay that answers, a sound database, a page that opens with the inert token; and each when it is not so."""
    overrides = {"smtp.host": "127.0.0.1", "smtp.tls": "none", "unsubscribe.url": f"{page}/u"}
    with ScriptedRelay() as relay:
        good = list(examine(Newsletter.open(folder, overrides | {"smtp.port": relay.port})))
    assert {f.name: f.verdict for f in good if f.verdict != "skipped"} == {
        "settings": "warning",
        "database": "ok",
        "relay": "ok",
        "unsubscribe": "ok",
    }
    (folder / "subscribers/digest.db").chmod(0o644)
    bad = list(examine(Newsletter.open(folder, overrides | {"smtp.port": 9, "unsubscribe.url": f"{page}/gone"})))
    errors = {f.name: f.message for f in bad if f.verdict == "error"}
    assert set(errors) == {"database", "relay", "unsubscribe"}
    assert "can be read by others" in errors["database"]
    assert "answers with 404" in errors["unsubscribe"]


@pytest.mark.parametrize(
    ("dkim", "said"),
    [
        ({"dkim.key_file": "gone.pem", "dkim.selector": "d2026"}, "no DKIM key: No such file or directory"),
        ({"dkim.key_file": "config/digest.toml", "dkim.selector": "d2026"}, "no DKIM key: it is no text"),
        ({"dkim.key": "x"}, "there is a DKIM key, but no selector"),
    ],
)
def test_a_key_that_cannot_be_used_is_told_as_a_send_would(folder, dkim, said):
    """Also where no names are asked for; nothing is said of messages that are not signed."""
    found = [f for f in examine(Newsletter.open(folder, dkim)) if f.name == "DKIM"]
    assert [f.verdict for f in found] == ["error"]
    assert said in found[0].message


def test_the_command(digest, folder):
    """A line for each thing, 1 when one is wrong; with --json one object."""
    settings = {"DIGEST_SMTP__HOST": "127.0.0.1", "DIGEST_SMTP__PORT": "9", "DIGEST_SMTP__TLS": "none"}
    done = digest("doctor", cwd=folder, **settings)
    assert done.returncode == 1
    assert "ERROR    relay:" in done.stdout
    answer = json.loads(digest("--json", "doctor", cwd=folder, **settings).stdout)
    assert answer["ok"] is False
    assert {"name", "verdict", "message", "cure"} == set(answer["findings"][0])
    accepted = digest("doctor", "--accept-restored", cwd=folder)
    assert (accepted.returncode, "nothing to accept" in accepted.stdout) == (0, True)
