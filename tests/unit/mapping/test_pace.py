"""Partial outages: what a sink bears gets through, in whole batches, and a whole outage
still pauses and probes.

Rules of this file: the real machine in virtual time, before a service of calls of ten messages that takes 5
ms for each call.
"""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest

from tailrace.mapping.commands import (
    Checkpoint,
    CheckpointDone,
    Completion,
    Invoke,
    InvokeDone,
    SaveCheckpoint,
    Start,
    Wake,
    Woken,
)
from tailrace.mapping.outcomes import Failed, Failure, FailureKind, Outcome, Written
from tailrace.mapping.pace import CHECKS, LONGEST_PAUSE_MS, Pace
from tailrace.mapping.settings import MappingSettings
from tailrace.mapping.shard import ShardMachine
from tailrace.streams.record import ReadDone
from tests.unit.mapping.records import now, record

CALL_MS = 5
ENTRIES = 10
IN_A_ROW = 3
Call = Callable[[int, float], "FailureKind | None"]
"""What the service says to a call: the number of entries, and when (seconds)."""


@dataclass
class Service:
    """Messages go in calls of ten. Shape: `call` refuses whole calls, `bad_entries` is the share of entries
    that are refused by themselves.
    """

    call: Call
    bad_entries: float = 0.0
    random: Random = field(default_factory=lambda: Random(9))
    calls: list[tuple[float, int]] = field(default_factory=list)
    refused: int = 0


@dataclass
class Writing:
    """A batch on its way: its calls go one after the other, and three that are refused in a row end it."""

    invoke: Invoke
    next: int = 0
    row: int = 0
    failures: dict[int, Failure] = field(default_factory=dict)

    def call(self, service: Service, at_ms: int) -> bool:
        """Make the next call. Returns: whether there is another one."""
        size = len(self.invoke.records)
        places = range(self.next, min(size, self.next + ENTRIES))
        self.next += ENTRIES
        service.calls.append((at_ms / 1_000, len(places)))
        kind = service.call(len(places), at_ms / 1_000)
        self.row = self.row + 1 if kind else 0
        if kind is not None:
            service.refused += 1
            rest = range(places.start, size) if self.row >= IN_A_ROW else places
            self.failures |= dict.fromkeys(rest, Failure(kind, kind.value))
            return self.row < IN_A_ROW and self.next < size
        bad = [place for place in places if service.random.random() < service.bad_entries]
        self.failures |= dict.fromkeys(bad, Failure(FailureKind.UNAVAILABLE, "InternalError"))
        return self.next < size

    @property
    def outcome(self) -> Outcome:
        """What is told of it."""
        return Failed(self.failures) if self.failures else Written()


def play(
    service: Service, count: int, until_s: float = 1e9, **settings: int
) -> tuple[float, int, ShardMachine]:
    """Deliver so many messages, each of its own item. Returns: the virtual seconds, how many were accepted,
    and the machine.
    """
    chosen = MappingSettings(
        "m", keys_at_once=ENTRIES, maximum_retry_attempts=0, buffer_records=count, **settings
    )  # type: ignore[arg-type]
    machine = ShardMachine(chosen)
    number, accepted, at_ms = itertools.count(), 0, 0
    sizes: dict[int, int] = {}
    events: list[tuple[int, int, Completion | Writing]] = []

    def later(wait_ms: int, event: Completion | Writing) -> None:
        heapq.heappush(events, (at_ms + wait_ms, next(number), event))

    later(0, Start(Checkpoint()))
    later(0, ReadDone([record(sequence) for sequence in range(1, count + 1)], count))
    while events and accepted < count and events[0][0] <= until_s * 1_000:
        at_ms, _, event = heapq.heappop(events)
        if isinstance(event, Writing):
            is_over = not event.call(service, at_ms)
            later(CALL_MS, InvokeDone(event.invoke.id, event.outcome) if is_over else event)
            continue
        if isinstance(event, InvokeDone):
            accepted += sizes[event.id] - (
                len(event.outcome.failures) if isinstance(event.outcome, Failed) else 0
            )
        for command in machine.step(event, now(at_ms)):
            match command:
                case Invoke():
                    sizes[command.id] = len(command.records)
                    later(0, Writing(command))
                case SaveCheckpoint():
                    later(0, CheckpointDone())
                case Wake(wake_ms):
                    later(wake_ms - at_ms, Woken())
    assert machine.parked_keys == 0, "an outage uses up no attempt"
    return at_ms / 1_000, accepted, machine


def throttling(share: float, unavailable: float = 0.0, seed: int = 1) -> Call:
    random = Random(seed)

    def call(entries: int, at_s: float) -> FailureKind | None:
        drawn = random.random()
        if drawn < share:
            return FailureKind.THROTTLED
        return FailureKind.UNAVAILABLE if drawn < share + unavailable else None

    return call


def test_a_partly_failing_queue_gets_whole_calls_and_is_done_in_seconds() -> None:
    """Fault 2.9: 10 % throttled calls, 5 % 500, 15 % failed entries, 300 messages took 90 s, at most 4
    entries a call.
    """
    service = Service(throttling(0.1, 0.05), bad_entries=0.15)
    seconds, accepted, _ = play(service, 300)
    assert accepted == 300
    assert seconds < 9
    full = [entries for _, entries in service.calls if entries == ENTRIES]
    assert len(full) * ENTRIES > 200


@pytest.mark.parametrize("batch_size", [10, 100])
@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("seed", range(3))
def test_a_queue_that_throttles_a_tenth_gets_most_of_what_it_grants(
    seed: int, concurrency: int, batch_size: int
) -> None:
    count = 10_000 if concurrency == 1 else 30_000  # eight at once take longer to come to their pace
    service = Service(throttling(0.1, seed=seed))
    seconds, accepted, _ = play(service, count, batch_size=batch_size, concurrency=concurrency)
    assert accepted == count
    granted = concurrency * 0.9 * ENTRIES * 1_000 / CALL_MS
    assert count / seconds > 0.7 * granted


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("per_second", [20, 100])
def test_a_queue_with_a_quota_gets_it_filled_and_is_not_stormed(per_second: int, concurrency: int) -> None:
    tokens = {"left": 5.0, "at": 0.0}

    def call(entries: int, at_s: float) -> FailureKind | None:
        tokens["left"] = min(5.0, tokens["left"] + max(0.0, at_s - tokens["at"]) * per_second)
        tokens["at"] = max(at_s, tokens["at"])
        if tokens["left"] < 1:
            return FailureKind.THROTTLED
        tokens["left"] -= 1
        return None

    service = Service(call)
    _, accepted, _ = play(service, 40_000, until_s=30, concurrency=concurrency)
    assert accepted > 0.7 * 30 * per_second * ENTRIES
    assert service.refused < 3 * (len(service.calls) - service.refused)


def test_a_queue_that_goes_away_is_asked_a_few_times_and_then_once_in_a_while() -> None:
    away = {"from": 1.0, "to": 601.0}
    service = Service(lambda _, at_s: FailureKind.UNAVAILABLE if away["from"] <= at_s < away["to"] else None)
    seconds, accepted, machine = play(service, 20_000, concurrency=4)
    assert accepted == 20_000
    during = [at for at, _ in service.calls if away["from"] <= at < away["to"]]
    assert len([at for at in during if at < 1.5]) <= 4 * IN_A_ROW + CHECKS
    assert len(during) < 40, "ten minutes of probes, at most one a minute in the end"
    assert seconds < 601 + 60 + 20_000 / ENTRIES * CALL_MS / 1_000
    assert machine.blocked is None


def test_a_sink_that_never_answered_is_out_at_its_first_refusal() -> None:
    pace = Pace(MappingSettings("m"))
    assert pace.answered(0, 5, now(), is_check=False)


def test_a_sink_that_answered_before_is_out_when_small_batches_are_refused_too() -> None:
    pace = Pace(MappingSettings("m", concurrency=4, batch_size=100, keys_at_once=10))
    assert not pace.answered(100, 0, now(), is_check=pace.begin(now()))
    for _ in range(4):  # began side by side: they say the same thing once
        assert not pace.answered(0, 100, now(), is_check=False)
    assert (pace.slots(now()), pace.batch_size) == (1, 10)
    for _ in range(CHECKS - 1):
        assert not pace.answered(0, 10, now(), is_check=pace.begin(now()))
    assert pace.answered(0, 10, now(), is_check=pace.begin(now()))


def test_a_refused_record_says_that_the_sink_is_there() -> None:
    pace = Pace(MappingSettings("m", batch_size=100))
    pace.answered(100, 0, now(), is_check=False)
    pace.answered(0, 100, now(), is_check=False)
    assert pace.batch_size == 1
    pace.answered(0, 0, now(), is_check=pace.begin(now()))  # the record's own failure
    assert pace.batch_size == 100


def test_the_pace_goes_down_with_the_share_that_is_refused_and_comes_back() -> None:
    paces = {}
    for refused in (0, 10, 30, 60, 90):
        pace = Pace(MappingSettings("m", concurrency=100))
        for _ in range(2_000):
            pace.answered(100 - refused, refused, now(), is_check=False)
        paces[refused] = pace.slots(now())
    assert paces[0] == paces[10] == 100
    assert paces[10] > paces[30] > paces[60] > paces[90] > 1
    for _ in range(2_000):
        pace.answered(100, 0, now(), is_check=False)
    assert pace.slots(now()) == 100


def test_below_one_batch_at_once_there_are_pauses_as_long_as_the_share_demands() -> None:
    pace = Pace(MappingSettings("m"))
    for turn in range(50):
        pace.begin(now(turn * 100))
        pace.answered(10, 90, now(turn * 100 + 40), is_check=False)
    assert pace.slots(now(4_940)) == 0
    assert 4_940 + 400 < pace.ready_ms <= 4_940 + LONGEST_PAUSE_MS
    assert pace.slots(now(pace.ready_ms)) == 1
