"""A run, looked at afterwards: what came later, segment by segment; the reach of each block; how long it took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from digest.audience.readers import load_readers
from digest.audience.segments import SegmentError, Segments
from digest.audience.subscriber import Subscriber
from digest.delivery.accounts import Accounts
from digest.delivery.desk import Desk
from digest.delivery.reach import Reach, reach
from digest.delivery.runs import Run
from digest.delivery.sendings import sendings
from digest.delivery.splits import ArmAccounts, Split

KINDS = ("bounced", "complained", "unsubscribed")


@dataclass(frozen=True, slots=True)
class SegmentLine:
    """A segment's accepted readers, and what came of them later, by kind. Readers are taken as they are now."""

    name: str
    accepted: int
    later: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TextReach:
    """How far each part of one text of the run got: `accepted` readers had this text.

    `arms`: the same for each arm of its A/B test, by name; none without one.
    """

    accepted: int
    reach: tuple[Reach, ...]
    arms: Mapping[str, tuple[Reach, ...]]


@dataclass(frozen=True, slots=True)
class Afterwards:
    """See the module. `seconds` and `tried` are sums over every process that sent the run, however it ended.

    `texts` are more than one where the rest of a run was switched to another text. `arms` are those of an A/B test.
    """

    run: Run
    accounts: Accounts
    segments: tuple[SegmentLine, ...]
    texts: tuple[TextReach, ...]
    arms: tuple[ArmAccounts, ...]
    relays: dict[str, int]
    processes: int
    seconds: float
    tried: int

    @property
    def rate(self) -> float:
        """Readers a second while it was being sent."""
        return self.tried / self.seconds if self.seconds else 0.0


def look_back(desk: Desk, run: Run) -> Afterwards:
    """Everything that is known of a run. One pass over its accepted readers."""
    db = desk.storage.connection
    sent = sendings(desk.storage, run.id)
    relays = db.execute(
        "SELECT relay, count(*) FROM deliveries WHERE run_id = ? AND state = 'accepted' AND relay IS NOT NULL"
        " GROUP BY 1 ORDER BY 2 DESC",
        (run.id,),
    )
    return Afterwards(
        run,
        desk.accounts(run),
        tuple(_segments(desk, run)),
        tuple(_texts(desk, run)),
        tuple(Split(desk.storage, run).accounts(running=desk.is_running(run))),
        dict(relays),
        sent.processes,
        sent.seconds,
        sent.tried,
    )


def _texts(desk: Desk, run: Run) -> Iterator[TextReach]:
    """By the variants as they were planned."""
    for number, begin, end in desk.runs.texts(run):
        found: dict[str, int] = dict(
            desk.storage.connection.execute(
                "SELECT variant, count(*) FROM deliveries WHERE run_id = ? AND state = 'accepted'"
                " AND updated_at >= ? AND updated_at < ? GROUP BY 1",
                (run.id, begin, end),
            )
        )
        compiled = desk.runs.compiled(number)
        arms = {
            name: tuple(reach(compiled, {v: n for v, n in found.items() if compiled.arm_in(v) == name}))
            for name, _ in compiled.arms
        }
        yield TextReach(sum(found.values()), tuple(reach(compiled, found)), arms)


def _segments(desk: Desk, run: Run) -> Iterator[SegmentLine]:
    segments = load_readers(desk.newsletter.root).segments
    view = Segments(segments, desk.now().date())
    accepted: Counter[str] = Counter()
    later: Counter[tuple[str, str]] = Counter()
    names = ("everybody", *segments)

    def members(subscriber: Subscriber) -> list[str]:
        values = view.view(subscriber.values)
        return [names[0], *(name for name in segments if _holds(values, name))]

    for subscriber_id, kinds in desk.storage.connection.execute(
        "SELECT d.subscriber_id, (SELECT group_concat(l.kind) FROM later l"
        " WHERE l.run_id = d.run_id AND l.subscriber_id = d.subscriber_id)"
        " FROM deliveries d WHERE d.run_id = ? AND d.state = 'accepted'",
        (run.id,),
    ):
        subscriber = desk.subscribers.get(subscriber_id)
        of = members(subscriber) if subscriber else names[:1]
        accepted.update(of)
        later.update((name, kind) for name in of for kind in (kinds or "").split(",") if kind)
    for name in names:
        yield SegmentLine(name, accepted[name], tuple(later[name, kind] for kind in KINDS))


def _holds(values: object, name: str) -> bool:
    try:
        return bool(values[name])  # type: ignore[index]  # a view of segments
    except SegmentError:
        return False
