"""The demo: the sample newsletter composed, sent over real SMTP to an embedded server, and shown.

Everything happens on a copy in a temporary folder with a database of its own; whatever the environment or a
``.env`` says, the relay is the embedded one on loopback. The path is that of a real send: import, test, guards,
run, ledger.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from digest.audience.address import parse_address
from digest.audience.database import open_database
from digest.audience.importing import import_list
from digest.audience.readers import load_readers
from digest.audience.subscriber import Subscriber
from digest.compose.compiled import CompiledIssue
from digest.compose.composer import compile_issue
from digest.delivery.accounts import Accounts
from digest.delivery.deliver import Agenda, deliver
from digest.delivery.desk import open_desk
from digest.delivery.plan import Plan
from digest.delivery.progress import Watch, unwatched
from digest.delivery.trial import send_test
from digest.errors import DigestError
from digest.issue.parser import read_issue
from digest.message.merge import Merger
from digest.newsletter import Newsletter, shipped
from digest.preview.app import create_app
from digest.preview.inbox import Inbox
from digest.preview.live import Live
from digest.preview.server import LOOPBACK, LocalServer, listen, port_of, practice_relay
from digest.preview.workbench import Workbench

SAMPLE = "2025-09-12-coopetition"
FIRST_WEB_PORT = 8600
FIRST_SMTP_PORT = 8625

# What a newsletter consists of. Never a whole folder: in a checkout a real list may lie beside the sample one.
_COPIED = (
    "config/digest.toml",
    "config/readers.toml",
    "templates",
    f"issues/{SAMPLE}",
    "issues/shared",
    "subscribers/sample.csv",
    "subscribers/test.csv",
)


@dataclass(frozen=True, slots=True)
class Composed:
    """What composing made: blocks and words of the issue, bytes of HTML of its largest variant, seconds."""

    title: str
    sections: int
    words: int
    html_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Sent:
    """What sending did. `tested` test messages came before; `seconds` are those of the run itself.

    `matched` says that the inbox holds exactly one message for each planned reader, and none for others.
    """

    tested: int
    variants: int
    accounts: Accounts
    seconds: float
    matched: bool


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo: the copy, the servers' addresses, and the mailbox."""

    newsletter: Newsletter
    server: LocalServer
    inbox: Inbox
    web_port: int
    smtp_port: int

    @property
    def inbox_address(self) -> str:
        """The page with what was received."""
        return f"http://{LOOPBACK}:{self.web_port}/inbox"

    @property
    def preview_address(self) -> str:
        """The page with the issue."""
        return f"http://{LOOPBACK}:{self.web_port}/issues/{SAMPLE}"

    def compose(self) -> tuple[CompiledIssue, Composed]:
        """Compose the sample issue."""
        begun = time.perf_counter()
        file = self.newsletter.find_issue(SAMPLE)
        compiled = compile_issue(self.newsletter, file)
        seconds = time.perf_counter() - begun
        issue = read_issue(file, root=self.newsletter.root, slug=SAMPLE)
        with open_desk(self.newsletter) as desk:
            largest = _largest_html(desk.merger(compiled), desk.subscribers.all())
        sections = sum(node.kind == "block" for node in issue.body)
        words = sum(len(node.plain.split()) for node in issue.body)
        return compiled, Composed(compiled.title, sections, words, largest, seconds)

    def send(self, compiled: CompiledIssue, watch: Watch = unwatched) -> Sent:
        """A test to the test list, then the real run. Raises `DigestError` where either is stopped."""
        test = send_test(self.newsletter, compiled)
        if test.exit_code:
            raise DigestError("the embedded server did not take the test messages")
        tested = len(self.inbox)
        plans: list[Plan] = []

        def note(agenda: Agenda) -> None:
            if agenda.plan is not None:
                plans.append(agenda.plan)

        report = deliver(self.newsletter, SAMPLE, compiled, confirm=note, watch=watch)
        if report.trouble is not None:
            raise report.trouble
        if report.interrupted:
            raise KeyboardInterrupt
        received = Counter(message.recipient for message in self.inbox.all()[tested:])
        variants = len(plans[0].variants) if plans else 0
        return Sent(tested, variants, report.accounts, report.seconds, received == self._planned(compiled))

    def _planned(self, compiled: CompiledIssue) -> Counter[str]:
        """One for each reader who should have got it, found without the ledger."""
        with open_desk(self.newsletter) as desk:
            merger = desk.merger(compiled)
            readers = (s for s, excluded in desk.subscribers.candidates() if excluded is None)
            return Counter(parse_address(reader.email).wire for reader in readers if merger.gets(reader))


@contextmanager
def demo(
    *,
    port: int | None = None,
    smtp_port: int | None = None,
    keep: bool = False,
    say: Callable[[str], None] = lambda _text: None,
) -> Iterator[Demo]:
    """A demo with its servers up and its list imported; the copy is removed at the end unless `keep`.

    Raises `UsageError` for a port in use, `InputError` when the carried sample is not whole.
    """
    root = Path(tempfile.mkdtemp(prefix="digest-demo-")).resolve()
    try:
        with closing(listen(port, FIRST_WEB_PORT)) as web, closing(listen(smtp_port, FIRST_SMTP_PORT)) as smtp:
            overrides = _overrides(port_of(web), port_of(smtp))
            newsletter = _with_list(copy_sample(root, overrides))
            live, inbox = Live(), Inbox(f"{LOOPBACK}:{port_of(smtp)}")
            workbench = Workbench(newsletter, overrides=overrides)
            app = create_app(workbench, live, port=port_of(web), inbox=inbox)
            with LocalServer(app, web, live, smtp=smtp, inbox=inbox) as server:
                yield Demo(newsletter, server, inbox, port_of(web), port_of(smtp))
    finally:
        if keep:
            say(f"The copy is kept in {root}")
        else:
            shutil.rmtree(root, ignore_errors=True)


def _overrides(web: int, smtp: int) -> Mapping[str, object]:
    """Settings of the copy. All that could reach beyond this machine or this folder is set here."""
    site = f"http://{LOOPBACK}:{web}"
    return {
        "database": "sqlite:///subscribers/digest.db",
        "newsletter.base_url": site,
        "unsubscribe.url": f"{site}/u",
        "unsubscribe.mailto": None,
        "unsubscribe.one_click": False,
        "assets.mode": "hosted",
        "assets.base_url": f"{site}/assets/{SAMPLE}",
        "assets.publish": [],
        **practice_relay(smtp),
        "dkim.selector": None,
        "dkim.key": None,
        "dkim.key_file": None,
    }


def copy_sample(root: Path, overrides: Mapping[str, object]) -> Newsletter:
    """The sample newsletter copied into the folder `root`, without a list in its database."""
    for name in _COPIED:
        source, target = shipped(*name.split("/")), root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        elif source.is_file():
            shutil.copyfile(source, target)
    return Newsletter.open(root, overrides)


def _with_list(newsletter: Newsletter) -> Newsletter:
    root = newsletter.root
    with closing(open_database(newsletter.database)) as connection:
        file = root / "subscribers" / "sample.csv"
        report = import_list(connection, file, load_readers(root), shown=newsletter.shown(file))
    if report.rejected:
        raise DigestError(f"{report.rejected} rows of the sample list are not right: {report.rejects[0].reason}")
    return newsletter


def _largest_html(merger: Merger, readers: Iterable[Subscriber]) -> int:
    return max((len(merger.rendering(reader).html.encode()) for reader in readers), default=0)
