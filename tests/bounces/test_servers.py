"""Debian's Postfix refuses mail, Debian's Dovecot has what it says: over IMAP and POP3, TLS and all."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from digest.bounces.collecting import COPIES, collect
from digest.bounces.imap import ImapBox
from digest.bounces.pop3 import Pop3Box
from digest.bounces.server import Server
from digest.delivery.scripted import ScriptedRelay, Step
from digest.errors import HeldError, LaterError

READERS = {
    "dead@readers.example": "550 5.1.1 no such user",
    "full@readers.example": "452 4.2.2 mailbox full",
    "blocks@readers.example": "550 5.7.1 blocked",
    "gets@readers.example": None,
}
PASSWORD = "not_a_secret"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="not root: Postfix and Dovecot can't be started"),
    pytest.mark.skipif(not Path("/usr/sbin/postfix").exists(), reason="postfix (a Debian package) is missing"),
    pytest.mark.skipif(
        not (Path("/usr/lib/dovecot/imap").exists() and Path("/usr/lib/dovecot/pop3").exists()),
        reason="dovecot-imapd or dovecot-pop3d (Debian packages) is missing",
    ),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl (a Debian package) is missing"),
]


def _refuses(step: Step) -> str | None:
    address = step.argument.partition("<")[2].partition(">")[0].lower()
    return READERS.get(address) if step.verb == "RCPT" else None


@dataclass
class Servers:
    """Where they listen, the Maildir they share, and the certificate of both."""

    smtp: int
    imap: int
    imaps: int
    pop3: int
    pop3s: int
    maildir: Path
    certificate: Path

    def arrived(self) -> int:
        return len(list((self.maildir / "new").glob("*")) + list((self.maildir / "cur").glob("*")))

    def empty(self) -> None:
        shutil.rmtree(self.maildir, ignore_errors=True)


@pytest.fixture(scope="module")
def servers(free_port: Callable[[], int], listening: Callable[[int], None]) -> Iterator[Servers]:
    """Both from configurations of their own, on ports of their own, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="digest-mail-") as name, ScriptedRelay(_refuses) as world:
        root = Path(name)
        root.chmod(0o755)  # the servers' own users pass through
        smtp, imap, imaps, pop3, pop3s = ports = [free_port() for _ in range(5)]
        owner = pwd.getpwnam("nobody")
        (root / "mail").mkdir()
        os.chown(root / "mail", owner.pw_uid, owner.pw_gid)
        found = Servers(smtp, imap, imaps, pop3, pop3s, root / "mail/bounces", _certificate(root))
        _postfix(root, found, world.port, owner)
        dovecot = _dovecot(root, found, owner)
        try:
            try:
                for port in ports:
                    listening(port)
            except AssertionError:
                pytest.fail(f"not all of {ports} are served: {[file.read_text() for file in root.glob('*.log')]}")
            yield found
        finally:
            dovecot.terminate()
            dovecot.wait()
            subprocess.run(["/usr/sbin/postfix", "-c", root / "postfix", "abort"], check=False, capture_output=True)


def _certificate(root: Path) -> Path:
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=mail"
    files = ["-keyout", root / "key.pem", "-out", root / "cert.pem"]
    subprocess.run([*make.split(), "-addext", "subjectAltName=IP:127.0.0.1", *files], check=True, capture_output=True)
    return root / "cert.pem"


def _postfix(root: Path, servers: Servers, world: int, owner: Any) -> None:
    """A relay that takes in whatever comes from here, is refused by the world, and says so to the sender."""
    folder = root / "postfix"
    for part in (folder, root / "queue", root / "data"):
        part.mkdir()
    os.chown(root / "data", pwd.getpwnam("postfix").pw_uid, -1)
    (folder / "main.cf").write_text(
        f"""
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = {root}/postfix.log
maillog_file_prefixes = {root}
myhostname = mail.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
recipient_delimiter = +
relay_domains =
virtual_mailbox_domains = news.example.com
virtual_mailbox_base = {root}/mail
virtual_mailbox_maps = inline:{{ {{ bounces@news.example.com = bounces/ }} }}
virtual_uid_maps = static:{owner.pw_uid}
virtual_gid_maps = static:{owner.pw_gid}
transport_maps = inline:{{ {{ readers.example = smtp:[127.0.0.1]:{world} }} }}
maximal_queue_lifetime = 0
bounce_queue_lifetime = 0
smtpd_relay_restrictions = permit_mynetworks, reject
"""
    )
    services = "cleanup qmgr tlsmgr rewrite bounce defer trace verify proxymap smtp relay error retry discard"
    kinds = {"qmgr": "300 1", "tlsmgr": "1000? 1", "bounce": "- 0", "defer": "- 0", "trace": "- 0", "cleanup": "- 0"}
    programs = {"rewrite": "trivial-rewrite", "defer": "bounce", "trace": "bounce", "relay": "smtp", "retry": "error"}
    lines = [f"127.0.0.1:{servers.smtp} inet n - n - - smtpd", "postlog unix-dgram n - n - 1 postlogd"]
    for service in services.split():
        private = "n" if service == "qmgr" or service == "cleanup" else "-"
        lines.append(f"{service} unix {private} - n {kinds.get(service, '- -')} {programs.get(service, service)}")
    lines += ["virtual unix - n n - - virtual", "anvil unix - - n - 1 anvil", "scache unix - - n - 1 scache"]
    (folder / "master.cf").write_text("\n".join(lines) + "\n")
    started = subprocess.run(["/usr/sbin/postfix", "-c", folder, "start"], check=False, capture_output=True, text=True)
    assert started.returncode == 0, started.stderr


def _dovecot(root: Path, servers: Servers, owner: Any) -> "subprocess.Popen[bytes]":
    configuration = root / "dovecot.conf"
    configuration.write_text(
        f"""
protocols = imap pop3
listen = 127.0.0.1
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/dovecot.log
ssl = yes
ssl_cert = <{root}/cert.pem
ssl_key = <{root}/key.pem
disable_plaintext_auth = no
auth_failure_delay = 0
mail_location = maildir:{servers.maildir}
first_valid_uid = 1
first_valid_gid = 1
namespace inbox {{
  inbox = yes
}}
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={owner.pw_uid} gid={owner.pw_gid} home={root}/mail
}}
service imap-login {{
  inet_listener imap {{
    port = {servers.imap}
  }}
  inet_listener imaps {{
    port = {servers.imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {servers.pop3}
  }}
  inet_listener pop3s {{
    port = {servers.pop3s}
    ssl = yes
  }}
}}
"""
    )
    return subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", configuration], stderr=subprocess.DEVNULL)


@pytest.fixture
def bounced(
    weekly: Any, servers: Servers, monkeypatch: pytest.MonkeyPatch, eventually: Callable[[Callable[[], object]], object]
) -> Any:
    """An issue was sent through Postfix, and what the world refused has come back."""
    monkeypatch.setenv("SSL_CERT_FILE", str(servers.certificate))
    servers.empty()
    weekly.subscribe(*READERS)
    weekly.overrides |= {
        "smtp.port": servers.smtp,
        "bounces.username": "bounces",
        "bounces.password": PASSWORD,
    }
    assert weekly.send("one").accounts.accepted == len(READERS)
    eventually(lambda: servers.arrived() >= 3)
    return weekly


@pytest.mark.parametrize("protocol", ["imaps", "imap", "pop3s"])
def test_real_bounces_from_a_real_mailbox(bounced: Any, servers: Servers, protocol: str) -> None:
    """Each says what the world said of its reader; the mails are filed there, or kept here; a second look finds
    nothing."""
    bounced.overrides["bounces.mailbox"] = f"{protocol}://127.0.0.1:{getattr(servers, protocol)}"
    collected = collect(bounced.newsletter)
    assert dict(collected.effects) == {"hard": 1, "soft": 1, "refused": 1}
    assert bounced.suppressed() == {"dead@readers.example": "bounced"}
    accounts = bounced.accounts()
    assert (accounts.accepted, dict(accounts.accepted_later)) == (4, {"bounced": 3})
    kept = bounced.root / COPIES if protocol == "pop3s" else servers.maildir
    assert len(list((kept / ".Handled/cur").iterdir()) + list((kept / ".Handled/new").iterdir())) == 3
    assert servers.arrived() == 0
    assert collect(bounced.newsletter).read == 0
    details = {detail for (detail,) in bounced.execute("SELECT detail FROM later")}
    assert any("5.1.1 no such user" in str(detail) for detail in details)
    assert not any("@" in str(detail) for detail in details)


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_tls_after_a_first_line_in_the_clear(bounced: Any, servers: Servers, protocol: str) -> None:
    """STARTTLS and STLS, verified too, before the password is sent."""
    box = {"imap": ImapBox, "pop3": partial(Pop3Box, copies=bounced.root / COPIES)}[protocol]
    server = Server(protocol, "127.0.0.1", getattr(servers, protocol), "starttls", "bounces", PASSWORD)
    with box(server) as mailbox:
        assert len(list(mailbox.mails())) == 3
    os.environ["SSL_CERT_FILE"] = "/dev/null"
    with pytest.raises(HeldError, match="certificate"), box(server):
        pass


def test_a_server_that_refuses_is_named(
    bounced: Any, servers: Servers, monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
) -> None:
    """A wrong password and an untrusted certificate need a person; one that can't be reached does not. Nothing
    is lost, and no secret is said."""
    for protocol in ("imaps", "pop3s"):
        bounced.overrides["bounces.mailbox"] = f"{protocol}://127.0.0.1:{getattr(servers, protocol)}"
        bounced.overrides["bounces.password"] = "wrong_pass"
        with pytest.raises(HeldError, match="refuses the login of bounces") as refused:
            collect(bounced.newsletter)
        assert "wrong_pass" not in str(refused.value)
        monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
        with pytest.raises(HeldError, match="certificate"):
            collect(bounced.newsletter)
        monkeypatch.setenv("SSL_CERT_FILE", str(servers.certificate))
        bounced.overrides["bounces.mailbox"] = f"{protocol}://127.0.0.1:{free_port()}"
        with pytest.raises(LaterError, match="can't be reached"):
            collect(bounced.newsletter)
    bounced.overrides["bounces.mailbox"] = f"imaps://127.0.0.1:{servers.imaps}/Nowhere"
    bounced.overrides["bounces.password"] = PASSWORD
    with pytest.raises(HeldError, match="no folder “Nowhere”"):
        collect(bounced.newsletter)
    assert servers.arrived() == 3
