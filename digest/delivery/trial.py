"""Test sends: the same path as a real run, to people who asked for it, recorded with the fingerprint."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from digest.audience.address import AddressError, parse_address
from digest.audience.arms import in_arm
from digest.audience.readers import load_readers
from digest.audience.samples import TEST_LIST, made_up_readers, test_list
from digest.audience.subscriber import Subscriber
from digest.compose.compiled import CompiledIssue
from digest.delivery.classify import Stop, storable
from digest.delivery.desk import Desk, open_desk
from digest.delivery.outcome import Bounced, Deferred, Outcome, Rejected, Unknown
from digest.delivery.plan import Candidate, Planner, Variant, check
from digest.delivery.relay import Relay, unmarked
from digest.errors import HeldError, InputError, LaterError, Place, Problem, nearest
from digest.message.merge import MergeError
from digest.newsletter import Newsletter


@dataclass(frozen=True, slots=True)
class Copy:
    """One test message: where it goes, as which reader it is rendered, and why as that one."""

    address: str
    reader: Subscriber
    because: str


@dataclass(frozen=True, slots=True)
class TestReport:
    """What became of each copy."""

    __test__ = False  # pytest: this is no test case

    results: tuple[tuple[Copy, Outcome], ...]

    @property
    def exit_code(self) -> int:
        """3 when one is unknown, 1 when the relay refused one, 75 when one is deferred, else 0."""
        outcomes = [outcome for _, outcome in self.results]
        if any(isinstance(o, Unknown) for o in outcomes):
            return HeldError.exit_code
        if any(isinstance(o, Bounced | Rejected) for o in outcomes):
            return InputError.exit_code
        return LaterError.exit_code if any(isinstance(o, Deferred) for o in outcomes) else 0


def send_test(
    newsletter: Newsletter,
    compiled: CompiledIssue,
    addresses: Sequence[str] = (),
    *,
    as_reader: str | None = None,
    every_variant: bool = False,
    arm: str | None = None,
    reader: Subscriber | None = None,
    record: bool = True,
    relay: Relay | None = None,
    tell: Callable[[Copy, Outcome], None] = lambda _copy, _outcome: None,
) -> TestReport:
    """Send the issue, marked ``[Test]`` and with inert links, to `addresses` (else the test list).

    Each is rendered as `as_reader` (an address of the list or of ``subscribers/test.csv``) where one is named,
    else with its own row of the list, else of ``subscribers/test.csv``, else as the sample reader of the
    largest variant. `every_variant`: each gets a copy of every variant instead. `reader`: as `as_reader`, one
    who need not be in any list.
    `arm`: as it would be in this arm of the issue's A/B test.
    Without `record` it opens no way to the real run: the relay is one for practice.

    Raises `InputError` (a bad address, no test list, a value that is missing), `HeldError` or `LaterError`
    when the relay can't be used. A real run is not touched.
    """
    with open_desk(newsletter) as desk:
        casting = _Casting(desk, compiled)
        copies = casting.copies(addresses, as_reader, every_variant)
        if reader is not None:
            copies = [Copy(copy.address, reader, f"as {reader.name or reader.email}") for copy in copies]
        if arm is not None:
            copies = [replace(copy, reader=_in_arm(copy.reader, compiled, arm)) for copy in copies]
        merger = desk.merger(compiled)
        check(merger, (copy.reader for copy in copies))
        results = []

        def note(copy: Copy, outcome: Outcome) -> None:
            if record:
                desk.runs.note_test(compiled.slug, compiled.fingerprint, copy.address, outcome_name(outcome))
            results.append((copy, outcome))
            tell(copy, outcome)

        asyncio.run(_send(desk, relay or desk.relay(), compiled, copies, note))
    return TestReport(tuple(results))


async def _send(
    desk: Desk, relay: Relay, compiled: CompiledIssue, copies: list[Copy], note: Callable[[Copy, Outcome], None]
) -> None:
    merger, sign = desk.merger(compiled), desk.sign()
    connection = await relay.connect()
    try:
        for copy in copies:
            other = None if copy.address == copy.reader.email else copy.address
            try:
                message = merger.message(copy.reader, date=desk.now(), purpose="test", recipient=other)
            except MergeError as exc:
                note(copy, Rejected(0, "", storable(str(exc.problem))))
                continue
            outcome = await connection.send(sign(message) if sign else message, unmarked)
            if isinstance(outcome, Stop):
                raise HeldError(f"{relay.name}: {outcome}")
            note(copy, outcome)
    finally:
        await connection.close()


def outcome_name(outcome: Outcome) -> str:
    """The ledger's word for an outcome.

    >>> outcome_name(Deferred(451, "later"))
    'deferred'
    """
    return type(outcome).__name__.lower()


def _in_arm(reader: Subscriber, compiled: CompiledIssue, arm: str) -> Subscriber:
    arms = dict(compiled.arms)
    if arm not in arms:
        cure = nearest(arm, arms) or 'write {% if arm == "a" %} in the issue'
        raise InputError(Problem(None, f"--arm: the issue has no arm “{arm}”", cure, code="unknown-arm"))
    return in_arm(reader, compiled.arms, compiled.slug, arm)


class _Casting:
    """Decides who is rendered for whom."""

    def __init__(self, desk: Desk, compiled: CompiledIssue) -> None:
        self._desk = desk
        self._compiled = compiled
        self._readers = load_readers(desk.newsletter.root)
        rows = test_list(desk.newsletter.root, self._readers)
        self._test_list = {parse_address(s.email).key: s for s in rows}
        self._planned: tuple[Variant, ...] | None = None

    def copies(self, addresses: Sequence[str], as_reader: str | None, every_variant: bool) -> list[Copy]:
        goals = self._goals(addresses)
        forced = self._named(as_reader) if as_reader else None
        if every_variant:
            variants = self._variants()
            return [
                Copy(goal, v.sample, f"variant {n} of {len(variants)}, {v.readers} reader{'s' * (v.readers != 1)}")
                for goal in goals
                for n, v in enumerate(variants, 1)
            ]
        return [self._copy(goal, forced) for goal in goals]

    def _goals(self, addresses: Sequence[str]) -> list[str]:
        if not addresses:
            if not self._test_list:
                cure = f"name addresses, or write them into {TEST_LIST}"
                raise InputError(Problem(Place(TEST_LIST), "there is no test list", cure, code="no-test-list"))
            return [s.email for s in self._test_list.values()]
        problems = []
        for address in addresses:
            try:
                parse_address(address)
            except AddressError as exc:
                problems.append(Problem(None, f"“{address}” {exc}", code="bad-address"))
        if problems:
            raise InputError(problems)
        return list(addresses)

    def _copy(self, address: str, forced: Subscriber | None) -> Copy:
        if forced:
            return Copy(address, forced, f"as {forced.email}")
        if own := self._desk.subscribers.by_address(address):
            return Copy(address, own, "its own row of the list")
        if own := self._test_list.get(parse_address(address).key):
            return Copy(address, own, f"its row in {TEST_LIST}")
        sample = self._variants()[0].sample
        return Copy(address, sample, f"as {sample.email}, of the largest variant")

    def _named(self, who: str) -> Subscriber:
        found = self._desk.subscribers.by_address(who)
        if found is None:
            try:
                found = self._test_list.get(parse_address(who).key)
            except AddressError as exc:
                raise InputError(Problem(None, f"--as: “{who}” {exc}", code="bad-address")) from exc
        if found is None:
            cure = self._near(who) or f"give the address of a subscriber, or of a row in {TEST_LIST}"
            raise InputError(Problem(None, f"--as: there is no reader “{who}”", cure, code="unknown-reader"))
        return found

    def _near(self, who: str) -> str:
        """The most similar address among those that begin alike and the test list, as a question."""
        start = who.casefold()[:2]
        rows = self._desk.storage.connection.execute(
            "SELECT email FROM subscribers WHERE address_key >= ? AND address_key < ? LIMIT 500",
            (start, start + "\uffff"),
        )
        found = nearest(who, [*(email for (email,) in rows), *(s.email for s in self._test_list.values())])
        return found if found.startswith("did you mean") else ""

    def _variants(self) -> tuple[Variant, ...]:
        """The variants of the list, the largest first; where there is no list yet, of made-up readers."""
        if self._planned is None:
            desk = self._desk
            merger = desk.merger(self._compiled)
            made_up = made_up_readers(self._readers, self._compiled, desk.now().date())

            def candidates() -> Iterable[Candidate]:
                return desk.subscribers.candidates() if desk.subscribers.count() else ((s, None) for s in made_up)

            self._planned = Planner(merger, desk.now(), candidates).finished().variants
        if not self._planned:
            cure = "see what “audience” in its front matter says"
            raise InputError(Problem(None, "no reader gets this issue", cure, code="no-reader"))
        return self._planned
