"""What is saved from the trim: where it ends, and where the stream goes on.

Rules of this file: a stream in memory; the clock stands where only its first change is about to be trimmed.
"""

import asyncio
from typing import Any

from msgspec import structs
from msgspec.structs import replace

from tailrace.clocks.manual import ManualClock
from tailrace.deadletters.core.evacuated import LEAD_MS
from tailrace.leases.checkpoint import CheckpointRow
from tailrace.mapping.commands import Read
from tailrace.ports import Outcome, ReadDone, RecordBatch, Shard, StreamRef
from tailrace.rows.writes import StateRow, Write
from tailrace.runtime.delivering import Delivery, MappingShard, Settling
from tailrace.runtime.driver import Performer
from tailrace.runtime.evacuation import Unfinished
from tailrace.stores.memory import MemoryStateStore
from tailrace.worker.rounds import Rounds, Waiting
from tests.unit.sinks.batches import STREAM, record

RETENTION_MS = 86_400_000
SHARD = Shard("shardId-1", 1, before=0)
RECORDS = [record(1, "a"), record(2, "b"), record(3, "c")]
PLACE = MappingShard("shop", "note", "orders", STREAM.label, SHARD.shard_id)


class Stream:
    """Three changes; those up to `trimmed` are forgotten."""

    trimmed = 0

    async def stream(self) -> StreamRef:
        return STREAM

    async def earlier(self) -> list[StreamRef]:
        return []

    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        return [SHARD]

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        records = [record for record in RECORDS if record.sequence > max(after, self.trimmed)][:limit]
        return ReadDone(records, records[-1].sequence if records else after, trimmed=0 < after < self.trimmed)


class Ground:
    """One mapping that has handled nothing, while so many of the changes are about to be trimmed."""

    def __init__(self, old: int) -> None:
        self.state, self.stream = MemoryStateStore(), Stream()
        self.clock = ManualClock(RECORDS[0].created_ms + old + RETENTION_MS - LEAD_MS)
        self.rounds = Rounds("shop", self.state, self.clock, RETENTION_MS)
        kept = self.rounds.evacuator.of("note", STREAM.label, SHARD.shard_id)
        settling = Settling(PLACE, CheckpointRow(1))
        self.delivery = Delivery(SHARD, STREAM, kept, settling)

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """What the stream still has."""
        page = await self.stream.read(shard, after, limit)
        return ReadDone(page.records, page.next_after, page.closed, page.trimmed)

    async def write(self, batch: RecordBatch) -> Outcome:
        """Nothing comes here."""
        raise AssertionError(batch)

    async def save(self) -> int:
        return await self.rounds.save(Unfinished(PLACE, STREAM, SHARD), self.stream)

    async def read_all(self, after: int = 0) -> list[int]:
        """The numbers of every change, read one at a time as a slow mapping would."""
        seen: list[int] = []
        while after < RECORDS[-1].sequence:
            steps = self.delivery.steps(Read(after, 1))
            (done,) = await Performer(self.state, self.clock, delivers=self).perform(steps)
            assert isinstance(done, ReadDone)
            assert not done.trimmed
            seen += [record.sequence for record in done.records]
            after = done.next_after
        return seen


def test_what_of_a_page_is_not_old_enough_is_still_read_from_the_stream() -> None:
    async def main() -> None:
        ground = Ground(old=1)
        assert await ground.save() == 1
        ground.stream.trimmed = 1
        assert await ground.read_all() == [1, 2, 3]

    asyncio.run(main())


def test_the_last_change_that_was_saved_is_not_asked_of_the_stream_which_has_forgotten_it() -> None:
    async def main() -> None:
        ground = Ground(old=2)
        assert await ground.save() == 2
        ground.stream.trimmed = 2
        assert await ground.read_all() == [1, 2, 3]
        assert await ground.read_all(after=1) == [2, 3]

    asyncio.run(main())


def test_what_was_saved_twice_is_read_once() -> None:
    async def main() -> None:
        ground = Ground(old=1)
        await ground.save()
        ground.clock.advance(1)
        await ground.save()
        assert len(await ground.state.query("evacuated/")) == 2
        ground.stream.trimmed = 2
        assert await ground.read_all() == [1, 2, 3]

    asyncio.run(main())


def test_what_was_saved_is_kept_until_the_checkpoint_covers_it() -> None:
    async def main() -> None:
        ground = Ground(old=2)
        await ground.save()
        await ground.state.transact([Write(PLACE.checkpoint_key, CheckpointRow(1, 1, 1).fields())])
        await ground.save()
        assert len(await ground.state.query("evacuated/")) == 1
        ground.stream.trimmed = 2
        assert await ground.read_all(after=1) == [2, 3]
        await ground.state.transact([Write(PLACE.checkpoint_key, CheckpointRow(1, 2, 2).fields())])
        await ground.save()
        assert await ground.state.query("evacuat") == []

    asyncio.run(main())


class Slow(Stream):
    """It answers after so many milliseconds; None: never."""

    def __init__(self, clock: ManualClock, answers_ms: int | None) -> None:
        self.clock, self.answers_ms = clock, answers_ms

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        if self.answers_ms is None:
            await asyncio.Event().wait()
        else:
            await self.clock.sleep_until(self.clock.now().monotonic_ms + self.answers_ms)
        return await super().read(shard, after, limit)


class Counted(Stream):
    """It tells how often it was asked."""

    reads = 0

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        self.reads += 1
        return await super().read(shard, after, limit)


async def a_while() -> None:
    """Let everything that waits for no clock come to its end."""
    for _ in range(100):
        await asyncio.sleep(0)


def test_a_source_that_takes_seconds_to_answer_is_waited_for() -> None:
    async def main() -> None:
        ground = Ground(old=2)
        ground.stream = Slow(ground.clock, 3_000)
        saving = asyncio.ensure_future(ground.save())
        for _ in range(6):
            await a_while()
            ground.clock.advance(1_000)
        await a_while()
        saving.cancel()  # what is not done by now will never be
        assert len(await ground.state.query("evacuated/")) == 3

    asyncio.run(main())


def test_a_shard_that_does_not_answer_keeps_no_other_one_waiting() -> None:
    async def main() -> None:
        ground = Ground(old=2)
        silent = [Shard(f"shardId-silent-{number}", 1, before=0) for number in range(3)]
        sources = [*((shard, Slow(ground.clock, None)) for shard in silent), (SHARD, ground.stream)]
        unfinished = [
            (Unfinished(replace(PLACE, shard_id=shard.shard_id), STREAM, shard), source, 1)
            for shard, source in sources
        ]

        async def all_of_them() -> list[Waiting]:
            return unfinished

        running = asyncio.ensure_future(ground.rounds.run(all_of_them))
        await a_while()
        running.cancel()
        assert len(await ground.state.query("evacuated/")) == 2

    asyncio.run(main())


def test_a_shard_that_is_younger_than_what_is_about_to_be_trimmed_is_not_read() -> None:
    async def main() -> None:
        horizon_ms = Ground(old=2).clock.now().wall_ms - RETENTION_MS + LEAD_MS
        for created_ms, is_read in ((horizon_ms, False), (horizon_ms - 1, True), (0, True)):
            shard = structs.replace(SHARD, created_ms=created_ms)
            ground, stream = Ground(old=2), Counted()
            await ground.rounds.save(Unfinished(PLACE, STREAM, shard), stream)
            assert bool(stream.reads) is is_read

    asyncio.run(main())


def test_what_another_worker_has_saved_or_done_with_is_known_after_a_look() -> None:
    async def main() -> None:
        ground, other = Ground(old=2), Ground(old=2)
        other.rounds = Rounds("shop", ground.state, ground.clock, RETENTION_MS)
        kept = other.rounds.evacuator.of("note", STREAM.label, SHARD.shard_id)
        await ground.save()
        await other.rounds.load()
        assert kept.evacuation is not None
        assert kept.evacuation.through == 2
        await ground.state.transact([Write(PLACE.checkpoint_key, CheckpointRow(1, 2, 2).fields())])
        await ground.save()
        await other.rounds.load()
        assert kept.evacuation is None

    asyncio.run(main())


def test_what_is_saved_here_while_the_rows_are_read_is_not_forgotten() -> None:
    async def main() -> None:
        ground = Ground(old=2)
        right = ground.state.query

        async def slowly(prefix: str, **rest: Any) -> list[StateRow]:
            ground.state.query = right  # type: ignore[method-assign]
            rows = await right(prefix, **rest)
            await ground.save()
            return rows

        ground.state.query = slowly  # type: ignore[method-assign]
        await ground.rounds.load()
        kept = ground.rounds.evacuator.of("note", STREAM.label, SHARD.shard_id)
        assert kept.evacuation is not None

    asyncio.run(main())


def test_what_is_not_due_yet_is_not_asked_of_the_source_again() -> None:
    async def main() -> None:
        ground, stream = Ground(old=0), Counted()
        ground.stream = stream
        for _ in range(3):
            assert await ground.save() == 0
        assert stream.reads == 1
        ground.clock.advance(1)
        assert await ground.save() == 1

    asyncio.run(main())


def test_a_checkpoint_that_was_set_back_is_asked_about_again() -> None:
    async def main() -> None:
        ground, stream = Ground(old=1), Counted()
        ground.stream = stream
        await ground.state.transact([Write(PLACE.checkpoint_key, CheckpointRow(1, 1, 1).fields())])
        assert await ground.save() == 0
        await ground.state.transact([Write(PLACE.checkpoint_key, CheckpointRow(1, 2, 0).fields())])
        assert await ground.save() == 1

    asyncio.run(main())


def test_what_another_worker_saves_while_the_source_is_asked_is_no_gap() -> None:
    """The other one is faster, all of it is trimmed, and this one hears of that before its
    own page has come.
    """

    async def main() -> None:
        ground, other = Ground(old=3), Ground(old=2)
        other.rounds = Rounds("shop", ground.state, other.clock, RETENTION_MS)
        await ground.state.transact([Write(PLACE.checkpoint_key, CheckpointRow(1, 1, 1).fields())])

        class Overtaken(Stream):
            async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
                if not self.trimmed:
                    await other.save()
                    self.trimmed = 2
                    await ground.rounds.load()
                return await super().read(shard, after, limit)

        ground.stream = Overtaken()
        await ground.save()
        kept = ground.rounds.evacuator.of("note", STREAM.label, SHARD.shard_id)
        assert kept.evacuation is not None
        assert kept.evacuation.lost == ()
        assert await ground.read_all(after=1) == [2, 3]

    asyncio.run(main())
