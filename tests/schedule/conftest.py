"""A newsletter in a folder, issues with dates, a clock of our own, and relays that write down what they took."""

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from digest.audience.address import parse_address
from digest.audience.database import now, open_database
from digest.audience.store import new_token
from digest.compose.compiled import CompiledIssue
from digest.compose.handmade import handmade
from digest.delivery.accounts import Accounts
from digest.delivery.desk import open_desk
from digest.delivery.outcome import Accepted, Deferred
from digest.errors import InputError, LaterError, Place, Problem
from digest.newsletter import Newsletter
from digest.schedule.noting import Done
from digest.schedule.records import Records, micros
from digest.schedule.run_due import Tools, run_due

SETTINGS = """
[newsletter]
name = "Test Weekly"
sender = "Test Weekly <weekly@news.example.com>"
domain = "news.example.com"
base_url = "https://news.example.com"
timezone = "Europe/London"

[smtp]
host = "127.0.0.1"
port = 2
tls = "none"
connections = 3
timeout = 2

[delivery]
require_test = false
max_change = "1000%"
"""


def compiled(slug: str, text: str = "Good morning.") -> CompiledIssue:
    """An issue made by hand: composing is not what is tested here."""
    html, text = f"<!DOCTYPE html><p>{slug}: {text}</p>", f"{slug}: {text}\n"
    return handmade(f"issues/{slug}.md", title=slug, subject=slug, html=html, text=text)


@dataclass
class FixedClock:
    """Stands still, but for those who sleep."""

    moment: datetime

    def now(self) -> int:
        return micros(self.moment)

    def sleep(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@dataclass
class PaperRelay:
    """Takes messages and writes a line for each; may put some off, be away, or end the process like a power cut."""

    paper: Path
    name: str = "paper:25"
    dies_at: int = 0
    """Ends the process at this step: each message has two, before it is taken and after."""
    puts_off: int = 0
    """Every so-manieth message is answered with 451."""
    is_away: bool = False
    when_away: Callable[[], object] = lambda: None
    breaks_off: int = 0
    """From this message on, no connection holds, and no other is made."""
    _step: int = 0
    _asked: int = 0

    async def connect(self) -> "PaperConnection":
        self.require_there()
        return PaperConnection(self)

    def require_there(self) -> None:
        if self.is_away or (self.breaks_off and self._asked >= self.breaks_off):
            self.when_away()
            raise LaterError(f"{self.name}: nobody answers")

    def is_put_off(self) -> bool:
        self._asked += 1
        return bool(self.puts_off) and self._asked % self.puts_off == 0

    def step(self) -> None:
        self._step += 1
        if self._step == self.dies_at:
            os._exit(137)

    def taken(self) -> Counter[tuple[str, str]]:
        """How often each reader was sent each issue."""
        lines = self.paper.read_text().splitlines() if self.paper.exists() else []
        return Counter((line.split("\t")[0], line.split("\t")[1]) for line in lines)


@dataclass
class PaperConnection:
    on: PaperRelay
    has_accepted: bool = False
    takes_ahead: bool = False
    relay: str = "paper:25"

    async def send(self, message, mark):
        if self.on.is_put_off():
            return Deferred(451, "4.3.0 come again")
        self.on.require_there()
        await mark()
        self.on.step()
        subject = next(line for line in message.data.decode().splitlines() if line.startswith("Subject: "))
        with self.on.paper.open("a") as paper:
            paper.write(f"{subject.removeprefix('Subject: ')}\t{message.recipient}\t{message.message_id}\n")
        self.on.step()
        self.has_accepted = True
        return Accepted(250, "written down")

    async def close(self) -> None:
        pass


@dataclass
class Bench:
    root: Path
    overrides: dict[str, object] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    """Slug → what stands against composing it."""
    _opened: tuple[object, Newsletter] | None = None

    def __post_init__(self) -> None:
        (self.root / "config").mkdir(parents=True)
        (self.root / "issues").mkdir()
        (self.root / "config/digest.toml").write_text(SETTINGS)

    @property
    def newsletter(self) -> Newsletter:
        settings = ((self.root / "config/digest.toml").stat().st_mtime_ns, repr(self.overrides), self.root)
        if self._opened is None or self._opened[0] != settings:
            self._opened = settings, Newsletter.open(self.root, self.overrides)
        return self._opened[1]

    @property
    def paper(self) -> PaperRelay:
        return PaperRelay(self.root / "paper")

    def issue(self, slug: str, send_at: str | None, status: str = "ready", **fields: str) -> Path:
        lines = [f"subject: {slug}", "date: 2025-09-12", f"status: {status}"]
        lines += [f"send_at: {send_at}"] if send_at else []
        lines += [f"{key}: {value}" for key, value in fields.items()]
        file = self.root / "issues" / f"{slug}.md"
        file.write_text("\n".join(["---", *lines, "---", "", "Good morning.", ""]))
        return file

    def subscribe(self, *addresses: str, **columns: str) -> None:
        connection = open_database(self.newsletter.database)
        names = ["token", "address_key", "email", "status", "created_at", "updated_at", *columns]
        for address in addresses:
            values = [new_token(), parse_address(address).key, address, "active", now(), now(), *columns.values()]
            marks = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO subscribers ({', '.join(names)}) VALUES ({marks})", values)
        connection.close()

    def subscribe_many(self, number: int) -> list[str]:
        addresses = [f"reader{n:03d}@example.org" for n in range(number)]
        self.subscribe(*addresses)
        return addresses

    def tools(self, moment: datetime | str, relay: object | None = None, **more: object) -> Tools:
        at = datetime.fromisoformat(moment).replace(tzinfo=UTC) if isinstance(moment, str) else moment
        more.setdefault("compose", self._compose)
        return Tools(clock=FixedClock(at), relay=relay or self.paper, **more)  # type: ignore[arg-type]

    def run_due(self, moment: datetime | str, relay: object | None = None, **more: object) -> Done:
        """One call at a moment (in UTC), and the check of the accounts that follows each."""
        done = self.call(moment, relay, **more)
        self.require_accounts()
        return done

    def call(self, moment: datetime | str, relay: object | None = None, **more: object) -> Done:
        """The call alone."""
        return run_due(self.newsletter, self.tools(moment, relay, **more))

    def run_due_apart(
        self, moment: datetime, *, dies_at: int = 0, puts_off: int = 0, at_once: int = 1
    ) -> list[int | None]:
        """The same in processes of their own, `at_once` of them together; returns how they ended."""
        context = multiprocessing.get_context("fork")
        relay = PaperRelay(self.root / "paper", dies_at=dies_at, puts_off=puts_off)
        calls = [context.Process(target=self._leave, args=(moment, relay)) for _ in range(at_once)]
        for call in calls:
            call.start()
        for call in calls:
            call.join()
        self.require_accounts()
        return [call.exitcode for call in calls]

    def _leave(self, moment: datetime, relay: PaperRelay) -> None:
        os._exit(run_due(self.newsletter, self.tools(moment, relay)).exit_code)

    def _compose(self, _newsletter: Newsletter, file: Path) -> tuple[CompiledIssue | None, tuple[object, ...]]:
        if why := self.broken.get(file.stem):
            raise InputError(Problem(Place(f"issues/{file.name}", 7), why))
        return compiled(file.stem), ()

    def require_accounts(self) -> None:
        with open_desk(self.newsletter) as desk:
            for run in desk.runs.all():
                if run.state == "open":
                    assert desk.accounts(run).problems() == []

    def is_under_way(self) -> bool:
        """Whether some reader is still to be tried of a run that nobody holds."""
        with open_desk(self.newsletter) as desk:
            return any(run.state == "open" and not run.flag and desk.accounts(run).missing for run in desk.runs.all())

    def accounts(self, slug: str) -> Accounts:
        with open_desk(self.newsletter) as desk:
            run = desk.runs.latest(slug)
            assert run is not None
            return desk.accounts(run)

    def known(self) -> dict[str, str]:
        with open_desk(self.newsletter) as desk:
            return {slug: state for (slug, _), state in Records(desk.storage).known().items()}

    def execute(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        connection = open_database(self.newsletter.database)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "weekly")


@pytest.fixture
def new_bench(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Bench]:
    """Makes one anew each time: for properties that try many."""
    return lambda: Bench(tmp_path_factory.mktemp("weekly") / "news")
