"""The driver: commands become tasks, what comes of them becomes the machine's next input."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from tailrace.app.sinking import AlwaysOpen
from tailrace.clocks.manual import ManualClock
from tailrace.errors import (
    SinkError,
    SinkOutage,
    SourceError,
    StateConflict,
    StoreError,
    Throttled,
    Unavailable,
)
from tailrace.leases.checkpoint import CheckpointRow
from tailrace.mapping.commands import (
    Checkpoint,
    CheckpointDone,
    Completion,
    ParkedHead,
    ParkKey,
    SaveCheckpoint,
    Start,
)
from tailrace.mapping.commands import LeaseTaken as LeaseLostInput
from tailrace.mapping.reader import Budget
from tailrace.mapping.settings import Backoff, MappingSettings
from tailrace.mapping.shard import ShardMachine
from tailrace.ports import Action, Outcome, ReadDone, RecordBatch, Shard, StreamRef, Written
from tailrace.rows.writes import Write
from tailrace.runtime.delivering import Asked, Delivery, MappingShard, Settling
from tailrace.runtime.driver import Driver
from tailrace.runtime.kept import SavedChanges
from tailrace.runtime.parts import Parts
from tailrace.runtime.reading import SharedReads
from tailrace.runtime.steps import Steps
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import Version
from tailrace.testing.loop import SeededLoop
from tests.unit.sinks.batches import STREAM, record

SHARD = Shard("shardId-1", 1, before=0)
PLACE = MappingShard("shop", "note", "orders", STREAM.label, SHARD.shard_id)
BEGUN = CheckpointRow(1)


class Source:
    """A shard with these records, closed at their end; `faults` are raised first."""

    def __init__(
        self, records: list[ChangeRecord], *, closed: bool = True, faults: int = 0, wait_ms: int = 0
    ) -> None:
        self.wait_ms = wait_ms
        self.records = records
        self.closed = closed
        self.faults = faults
        self.cancelled = False

    async def stream(self) -> StreamRef:
        return STREAM

    async def earlier(self) -> list[StreamRef]:
        return []

    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        return [SHARD]

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        if self.faults:
            self.faults -= 1
            raise SourceError("not now", retry_after_ms=self.wait_ms)
        records = [record for record in self.records if record.sequence > after][:limit]
        if records or self.closed:
            next_after = records[-1].sequence if records else after
            is_end = not self.records or next_after == self.records[-1].sequence
            return ReadDone(records, next_after, closed=self.closed and is_end)
        try:
            return await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


class Sink(AlwaysOpen):
    """Says what it is told, and what it was given."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.batches: list[RecordBatch] = []

    async def write(self, batch: RecordBatch) -> Outcome:
        self.batches.append(batch)
        answer = self.answers.pop(0) if self.answers else Written()
        if isinstance(answer, BaseException):
            raise answer
        outcome: Outcome = answer
        return outcome


class State(MemoryStateStore):
    """`faults` are raised first by a transaction that writes a row of this kind."""

    def __init__(self, *faults: Exception, kind: str = "checkpoint") -> None:
        super().__init__()
        self.faults = list(faults)
        self._fails = kind

    async def stamped(self) -> None:
        """What there is when a driver begins."""
        await super().transact([Write(PLACE.checkpoint_key, BEGUN.fields())])

    async def transact(self, writes: Sequence[Action]) -> None:
        if self.faults and any(
            isinstance(write, Write) and write.key.startswith(self._fails) for write in writes
        ):
            raise self.faults.pop(0)
        await super().transact(writes)


class Noted(Delivery):
    """Notes what was saved, and what was asked to be parked."""

    def __init__(self, kept: SavedChanges) -> None:
        super().__init__(SHARD, STREAM, kept, Settling(PLACE, BEGUN))
        self.saved: list[SaveCheckpoint] = []
        self.parked: list[ParkKey] = []

    def steps(self, command: Asked) -> Steps[Sequence[Completion]]:
        completions = yield from super().steps(command)
        if isinstance(command, SaveCheckpoint) and isinstance(completions[0], CheckpointDone):
            self.saved.append(command)
        if isinstance(command, ParkKey):
            self.parked.append(command)
        return completions


class Ground:
    """A driver and everything around it."""

    def __init__(self, source: Source, sink: Sink, state: State | None = None, **settings: Any) -> None:
        self.clock = ManualClock(1_700_000_000_000)  # when the records were written
        self.loop = SeededLoop(1, self.clock)
        self.points: list[str] = []
        self.state = state or State()
        chosen = MappingSettings("note", backoff=Backoff(1_000, 2.0, 60_000), **settings)
        self.delivery = Noted(SavedChanges())
        self.driver = Driver(
            ShardMachine(chosen),
            self.delivery,
            SharedReads(source, Budget(0), 1),
            sink,
            Parts(self.state, self.clock, self.points.append),
        )

    @property
    def saved(self) -> list[SaveCheckpoint]:
        return self.delivery.saved

    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        async def prepared() -> Any:
            await self.state.stamped()
            return await main()

        try:
            return self.loop.run_until_complete(prepared())
        finally:
            self.loop.close()

    def finish(self) -> bool:
        """Run to the end."""
        return bool(self.run(lambda: self.driver.run(Start(Checkpoint()))))


def records(count: int) -> list[ChangeRecord]:
    return [record(number, f"k{number}") for number in range(1, count + 1)]


def test_a_closed_shard_is_handled_saved_and_finished() -> None:
    source, sink = Source(records(5)), Sink()
    ground = Ground(source, sink)
    assert ground.finish()
    assert [record.sequence for batch in sink.batches for record in batch.records] == [1, 2, 3, 4, 5]
    assert ground.saved[-1].checkpoint == Checkpoint(5, (), True)
    assert ground.points[:2] == ["read.done", "invoke.begun"]
    (first, *_) = sink.batches
    assert (first.mapping_id, first.stream, first.shard_id, first.attempt) == ("note", STREAM, "shardId-1", 1)


def test_a_source_that_fails_is_asked_again() -> None:
    sink = Sink()
    ground = Ground(Source(records(1), faults=3), sink)
    assert ground.finish()
    assert len(sink.batches) == 1
    assert ground.clock.now().monotonic_ms > 0, "the machine waited"


MINUTES_MS = 300_000
"""Longer than any wait of the machine's own."""


def test_a_source_that_says_when_is_not_asked_before() -> None:
    ground = Ground(Source(records(1), faults=1, wait_ms=MINUTES_MS), Sink())
    assert ground.finish()
    assert MINUTES_MS <= ground.clock.now().monotonic_ms < 2 * MINUTES_MS


@pytest.mark.parametrize("outage", [Throttled, Unavailable])
def test_a_sink_that_says_when_is_not_written_to_before(outage: type[SinkOutage]) -> None:
    sink = Sink(outage("not now", retry_after=MINUTES_MS / 1_000))
    ground = Ground(Source(records(1)), sink)
    assert ground.finish()
    assert len(sink.batches) == 2
    assert MINUTES_MS <= ground.clock.now().monotonic_ms < 2 * MINUTES_MS


def test_a_state_store_that_says_when_is_not_written_to_before() -> None:
    ground = Ground(Source(records(3)), Sink(), State(StoreError("slower", retry_after_ms=MINUTES_MS)))
    assert ground.finish()
    assert MINUTES_MS <= ground.clock.now().monotonic_ms < 2 * MINUTES_MS
    assert sum(span.count for saved in ground.saved for span in saved.settled) == 3


def test_a_state_store_that_says_when_is_not_asked_to_park_before() -> None:
    state = State(StoreError("slower", retry_after_ms=MINUTES_MS), kind="head/")
    ground = Ground(Source(records(1)), Sink(*[ValueError("poison")] * 9), state, maximum_retry_attempts=0)
    assert ground.finish()
    assert len(ground.delivery.parked) == 2
    assert MINUTES_MS <= ground.clock.now().monotonic_ms < 2 * MINUTES_MS


def test_a_sink_that_raises_has_failed_as_a_whole() -> None:
    sink = Sink(RuntimeError("broken"))
    ground = Ground(Source(records(1)), sink)
    assert ground.finish()
    assert [batch.attempt for batch in sink.batches] == [1, 2]


def test_a_sinks_own_failure_of_the_port_is_an_outage() -> None:
    sink = Sink(*[SinkError("down")] * 10)
    ground = Ground(Source(records(1)), sink, maximum_retry_attempts=0)
    assert ground.finish()
    assert len(sink.batches) == 11
    assert [len(saved.given_up) for saved in ground.saved] == [0]


def test_a_state_store_that_fails_is_asked_again_with_everything() -> None:
    ground = Ground(Source(records(3)), Sink(), State(StoreError("full"), StoreError("full")))
    assert ground.finish()
    assert sum(span.count for saved in ground.saved for span in saved.settled) == 3


def test_a_lost_lease_ends_the_driver_without_another_checkpoint() -> None:
    ground = Ground(Source(records(3)), Sink(), State(StateConflict("taken")))
    assert not ground.finish()
    assert ground.saved == []


def test_a_lease_lost_while_reading_ends_the_read() -> None:
    source = Source([], closed=False)
    ground = Ground(source, Sink())

    async def main() -> bool:
        running = ground.loop.create_task(ground.driver.run(Start(Checkpoint())))
        await ground.loop.idle()
        ground.driver.tell(LeaseLostInput())
        return await running

    assert not ground.run(main)
    assert source.cancelled


def test_stop_ends_a_read_that_waits_and_drains_what_runs() -> None:
    source = Source(records(2), closed=False)
    begun: list[int] = []

    class Slow(Sink):
        async def write(self, batch: RecordBatch) -> Outcome:
            begun.append(len(batch.records))
            await asyncio.sleep(30)
            return Written()

    ground = Ground(source, Slow())

    async def main() -> bool:
        running = ground.loop.create_task(ground.driver.run(Start(Checkpoint())))
        await ground.loop.idle()
        ground.driver.stop()
        return await running

    assert not ground.run(main)
    assert (begun, source.cancelled) == ([2], True)
    assert ground.saved[-1].checkpoint.watermark == 2


def test_it_goes_on_where_the_checkpoint_stands() -> None:
    sink = Sink()
    ground = Ground(Source(records(5)), sink)
    assert ground.run(lambda: ground.driver.run(Start(Checkpoint(2, ((4, 4),)))))
    assert [record.sequence for batch in sink.batches for record in batch.records] == [3, 5]


def test_the_request_of_an_unchanged_batch_stays_the_same() -> None:
    sink = Sink(RuntimeError("once"))
    ground = Ground(Source(records(1)), sink, order="lane", bisect_batch_on_function_error=False)
    assert ground.finish()
    assert len({batch.request for batch in sink.batches}) == 1
    assert len(sink.batches) == 2


def test_what_was_to_wait_for_a_key_that_was_put_back_meanwhile_is_delivered() -> None:
    source, sink = Source([record(2, "a"), record(3, "b")]), Sink()
    ground = Ground(source, sink)
    start = Start(Checkpoint(1), (ParkedHead(b"a", Version(1, 1), Version(1, 1), 1),))
    assert ground.run(lambda: ground.driver.run(start))
    assert [park.key for park in ground.delivery.parked] == [b"a"]
    assert sorted(record.sequence for batch in sink.batches for record in batch.records) == [2, 3]
