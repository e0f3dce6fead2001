"""The driver: commands become tasks, what comes of them becomes the machine's next input."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from tailrace.clocks.manual import ManualClock
from tailrace.errors import LeaseLost, SinkError, SourceError, StoreError
from tailrace.leases.lease import Lease
from tailrace.mapping.commands import Checkpoint, Park, ParkedHead, SaveCheckpoint, Start
from tailrace.mapping.commands import LeaseLost as LeaseLostInput
from tailrace.mapping.reader import Budget
from tailrace.mapping.settings import Backoff, MappingSettings
from tailrace.mapping.shard import ShardMachine
from tailrace.ports import Batch, Outcome, Page, Shard, StreamRef, Written
from tailrace.runtime.driver import Driver
from tailrace.runtime.parking import Parker
from tailrace.runtime.reading import SharedReads
from tailrace.runtime.settle import Place, Settler
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.record import ChangeRecord
from tailrace.testing.loop import SeededLoop
from tests.unit.sinks.batches import STREAM, record

SHARD = Shard("shardId-1", 1, before=0)


class Source:
    """A shard with these records, closed at their end; `faults` are raised first."""

    def __init__(self, records: list[ChangeRecord], *, closed: bool = True, faults: int = 0) -> None:
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

    async def read(self, shard: Shard, after: int, limit: int) -> Page:
        if self.faults:
            self.faults -= 1
            raise SourceError("not now")
        found = [each for each in self.records if each.sequence > after][:limit]
        if found or self.closed:
            next_after = found[-1].sequence if found else after
            is_end = not self.records or next_after == self.records[-1].sequence
            return Page(found, next_after, closed=self.closed and is_end)
        try:
            return await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


class Sink:
    """Says what it is told, and what it was given."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.batches: list[Batch] = []

    async def write(self, batch: Batch) -> Outcome:
        self.batches.append(batch)
        answer = self.answers.pop(0) if self.answers else Written()
        if isinstance(answer, BaseException):
            raise answer
        outcome: Outcome = answer
        return outcome


class Saving(Settler):
    """Notes what is saved; `faults` are raised first."""

    def __init__(self, *faults: Exception) -> None:
        place = Place("shop", "note", "orders", STREAM.label, SHARD.shard_id)
        super().__init__(MemoryStateStore(), place, Lease("lease/shop/l/s", "me", 1, 1))
        self.faults = list(faults)
        self.saved: list[SaveCheckpoint] = []

    async def save(self, command: SaveCheckpoint) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.saved.append(command)


class Parking(Parker):
    """Notes what is parked; `faults` are raised first. `is_free`: every key was put back meanwhile."""

    def __init__(self, *faults: Exception, is_free: bool = False) -> None:
        place = Place("shop", "note", "orders", STREAM.label, SHARD.shard_id)
        super().__init__(MemoryStateStore(), place, Lease("lease/shop/l/s", "me", 1, 1), ManualClock())
        self.is_free = is_free
        self.faults = list(faults)
        self.parked: list[Park] = []

    async def park(self, command: Park) -> bool:
        if self.faults:
            raise self.faults.pop(0)
        self.parked.append(command)
        return self.is_free


class Ground:
    """A driver and everything around it."""

    def __init__(
        self, source: Source, sink: Sink, settler: Saving, parker: Parking | None = None, **settings: Any
    ) -> None:
        self.clock = ManualClock(1_700_000_000_000)  # when the records were written
        self.loop = SeededLoop(1, self.clock)
        self.points: list[str] = []
        self.parker = parker or Parking()
        chosen = MappingSettings("note", backoff=Backoff(1_000, 2.0, 60_000), **settings)
        self.driver = Driver(
            ShardMachine(chosen), SharedReads(source, Budget(0), 1), sink, settler, self.parker, self.clock, shard=SHARD, stream=STREAM, mapping_id="note",
            reached=self.points.append,
        )  # fmt: skip

    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        try:
            return self.loop.run_until_complete(main())
        finally:
            self.loop.close()

    def finish(self) -> bool:
        """Run to the end."""
        return bool(self.run(lambda: self.driver.run(Start(Checkpoint()))))


def records(count: int) -> list[ChangeRecord]:
    return [record(number, f"k{number}") for number in range(1, count + 1)]


def test_a_closed_shard_is_handled_saved_and_finished() -> None:
    source, sink, settler = Source(records(5)), Sink(), Saving()
    ground = Ground(source, sink, settler)
    assert ground.finish()
    assert [each.sequence for batch in sink.batches for each in batch.records] == [1, 2, 3, 4, 5]
    assert settler.saved[-1].checkpoint == Checkpoint(5, (), True)
    assert ground.points[:2] == ["read.done", "invoke.begun"]
    (first, *_) = sink.batches
    assert (first.mapping_id, first.stream, first.shard_id, first.attempt) == ("note", STREAM, "shardId-1", 1)


def test_a_source_that_fails_is_asked_again() -> None:
    sink = Sink()
    ground = Ground(Source(records(1), faults=3), sink, Saving())
    assert ground.finish()
    assert len(sink.batches) == 1
    assert ground.clock.now().monotonic_ms > 0, "the machine waited"


def test_a_sink_that_raises_has_failed_as_a_whole() -> None:
    sink = Sink(RuntimeError("broken"))
    ground = Ground(Source(records(1)), sink, Saving())
    assert ground.finish()
    assert [batch.attempt for batch in sink.batches] == [1, 2]


def test_a_sinks_own_failure_of_the_port_is_an_outage() -> None:
    sink = Sink(*[SinkError("down")] * 10)
    settler = Saving()
    ground = Ground(Source(records(1)), sink, settler, maximum_retry_attempts=0)
    assert ground.finish()
    assert len(sink.batches) == 11
    assert [len(saved.given_up) for saved in settler.saved] == [0]


def test_a_state_store_that_fails_is_asked_again_with_everything() -> None:
    settler = Saving(StoreError("full"), StoreError("full"))
    ground = Ground(Source(records(3)), Sink(), settler)
    assert ground.finish()
    assert sum(each.count for saved in settler.saved for each in saved.settled) == 3


def test_a_lost_lease_ends_the_driver_without_another_checkpoint() -> None:
    settler = Saving(LeaseLost("taken"))
    ground = Ground(Source(records(3)), Sink(), settler)
    assert not ground.finish()
    assert settler.saved == []


def test_a_lease_lost_while_reading_ends_the_read() -> None:
    source = Source([], closed=False)
    ground = Ground(source, Sink(), Saving())

    async def main() -> bool:
        running = ground.loop.create_task(ground.driver.run(Start(Checkpoint())))
        await ground.loop.idle()
        ground.driver.tell(LeaseLostInput())
        return await running

    assert not ground.run(main)
    assert source.cancelled


def test_stop_ends_a_read_that_waits_and_drains_what_runs() -> None:
    source, settler = Source(records(2), closed=False), Saving()
    begun: list[int] = []

    class Slow(Sink):
        async def write(self, batch: Batch) -> Outcome:
            begun.append(len(batch.records))
            await asyncio.sleep(30)
            return Written()

    ground = Ground(source, Slow(), settler)

    async def main() -> bool:
        running = ground.loop.create_task(ground.driver.run(Start(Checkpoint())))
        await ground.loop.idle()
        ground.driver.stop()
        return await running

    assert not ground.run(main)
    assert (begun, source.cancelled) == ([2], True)
    assert settler.saved[-1].checkpoint.watermark == 2


def test_it_goes_on_where_the_checkpoint_stands() -> None:
    sink = Sink()
    ground = Ground(Source(records(5)), sink, Saving())
    assert ground.run(lambda: ground.driver.run(Start(Checkpoint(2, ((4, 4),)))))
    assert [each.sequence for batch in sink.batches for each in batch.records] == [3, 5]


def test_the_request_of_an_unchanged_batch_stays_the_same() -> None:
    sink = Sink(RuntimeError("once"))
    ground = Ground(Source(records(1)), sink, Saving(), order="lane", bisect_batch_on_function_error=False)
    assert ground.finish()
    assert len({batch.request for batch in sink.batches}) == 1
    assert len(sink.batches) == 2


def test_what_was_to_wait_for_a_key_that_was_put_back_meanwhile_is_delivered() -> None:
    source, sink = Source([record(2, "a"), record(3, "b")]), Sink()
    ground = Ground(source, sink, Saving(), Parking(is_free=True))
    start = Start(Checkpoint(1), (ParkedHead(b"a", 1, 1, 1),))
    assert ground.run(lambda: ground.driver.run(start))
    assert [each.key for each in ground.parker.parked] == [b"a"]
    assert sorted(each.sequence for batch in sink.batches for each in batch.records) == [2, 3]
