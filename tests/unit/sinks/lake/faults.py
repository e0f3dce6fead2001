"""An archive that fails at one of its calls, and a history that is delivered over it whatever happens.

Theory of operation: two shards are delivered to one table in batches, as a worker does it: stamped, then
committed from the watermark on; between them the table is compacted and cleaned, and hours pass. A call that
fails is an outage and is tried again; a killed process is followed by another one under the next epoch.
Rules of this file: nothing is random but by a seed; what must be there is computed from the changes alone.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal

from tailrace.archives import MemoryArchive
from tailrace.clocks.manual import ManualClock
from tailrace.errors import ArchiveError, Unavailable
from tailrace.ports import Blob, RecordBatch, TargetPosition, Written
from tailrace.sinks.lake.sink import ParquetLake, ParquetLog
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import Version
from tailrace.testing.contracts.mirror import gone, put
from tailrace.testing.contracts.sink import STREAM

HOUR_MS: Final = 3_600_000
MAPPING: Final = "orders"
SHARDS: Final = ("shard-1", "shard-2")
Fault = Literal["refused", "lost", "killed"]
FAULTS: Final[tuple[Fault, ...]] = ("refused", "lost", "killed")


class Killed(BaseException):
    """The process is gone."""


class FaultyArchive(MemoryArchive):
    """Fails once, at call `at`: it is not done, or its answer is lost, or the process ends after it."""

    def __init__(self, at: int = 0, fault: Fault = "refused") -> None:
        super().__init__()
        self.at = at
        self.fault = fault
        self.calls = 0

    async def _carried_out(self, call: Callable[[], Awaitable[Any]]) -> Any:
        self.calls += 1
        is_here = self.calls == self.at
        if is_here and self.fault == "refused":
            raise ArchiveError("refused")
        answer = await call()
        if is_here and self.fault == "lost":
            raise ArchiveError("the answer is lost")
        if is_here:
            raise Killed
        return answer

    async def get(self, name: str, start: int = 0, length: int | None = None) -> Blob | None:
        read: Blob | None = await self._carried_out(lambda: MemoryArchive.get(self, name, start, length))
        return read

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> Sequence[str]:
        names: Sequence[str] = await self._carried_out(
            lambda: MemoryArchive.list(self, prefix, after=after, limit=limit)
        )
        return names

    async def put_if_absent(self, name: str, data: bytes) -> str | None:
        tag: str | None = await self._carried_out(lambda: MemoryArchive.put_if_absent(self, name, data))
        return tag

    async def compare_and_put(self, name: str, data: bytes, tag: str) -> str | None:
        new: str | None = await self._carried_out(
            lambda: MemoryArchive.compare_and_put(self, name, data, tag)
        )
        return new

    async def delete(self, name: str) -> None:
        await self._carried_out(lambda: MemoryArchive.delete(self, name))


def history(seed: int, count: int = 18) -> dict[str, list[ChangeRecord]]:
    """Changes of each shard, in order; an item is of one shard."""
    draw = random.Random(seed)
    changes: dict[str, list[ChangeRecord]] = {shard: [] for shard in SHARDS}
    for number in range(1, count + 1):
        shard = draw.choice(SHARDS)
        item = f"{shard}-{draw.randrange(4)}"
        version = (1, number)
        changes[shard].append(gone(item, version) if draw.random() < 0.3 else put(item, number, version))
    return changes


def shown_by(changes: dict[str, list[ChangeRecord]]) -> dict[str, int]:
    """What must be shown at the end."""
    last = {record.key: record for records in changes.values() for record in records}
    return {key.decode(): record.sequence for key, record in last.items() if record.event_name != "REMOVE"}


class Delivery:
    """A worker of both shards, and those who come after it when it is killed."""

    def __init__(
        self,
        form: type[ParquetLake] | type[ParquetLog],
        archive: MemoryArchive,
        changes: dict[str, list[ChangeRecord]],
    ) -> None:
        self.form = form
        self.archive = archive
        self.changes = changes
        self.clock = ManualClock()
        self.epoch = 0
        self.sink: Any = None
        self.watermarks: dict[str, int] = {}

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it, after every outage again, in a new process where the old one was killed."""
        while True:
            try:
                if self.sink is None:
                    await self._begin()
                await work()
                return
            except Unavailable:
                continue
            except Killed:
                self.sink = None

    async def _begin(self) -> None:
        sink = self.made()
        await sink.open(self.clock)
        self.epoch += 1
        for shard in SHARDS:
            position = await sink.stamp(MAPPING, STREAM.label, shard, self.epoch)
            self.watermarks[shard] = position.watermark
        self.sink = sink

    def made(self) -> Any:
        """A new sink over the archive."""
        if self.form is ParquetLake:
            return ParquetLake("memory", "orders", archive=self.archive, buckets=2)
        return ParquetLog("memory", "orders", archive=self.archive)

    async def deliver(self, shard: str, size: int) -> None:
        """The next batch of a shard."""
        rest = [record for record in self.changes[shard] if record.sequence > self.watermarks[shard]]
        if not rest:
            return
        records = rest[:size]
        position = TargetPosition(STREAM.label, shard, self.epoch, records[-1].sequence)
        batch = RecordBatch(records, MAPPING, STREAM, shard)
        outcome = await self.sink.commit(batch, position)
        assert isinstance(outcome, Written)
        self.watermarks[shard] = records[-1].sequence

    async def compact(self) -> None:
        await self.sink._opened.compaction.compact()

    async def clean(self) -> None:
        await self.sink._opened.compaction.clean()

    async def everything(self) -> None:
        """The whole history, with compactions and cleanings between the batches."""
        for turn in range(20):
            if all(
                self.watermarks.get(shard, 0) == records[-1].sequence
                for shard, records in self.changes.items()
            ):
                break
            for shard in SHARDS:
                await self.run(lambda shard=shard: self.deliver(shard, 3 + self.epoch % 2))  # type: ignore[misc]
            if turn % 2:
                await self.run(self.compact)
                self.clock.advance(HOUR_MS)
                await self.run(self.clean)

    async def check(self) -> None:
        """Every change once in a log, the newest rows in both, every named file there, no other after an
        hour.
        """
        self.archive.at = 0  # type: ignore[attr-defined]
        self._compare()
        await self.run(self.clean)
        self.clock.advance(HOUR_MS)
        await self.run(self.clean)
        fresh = self._compare()
        names = [name for name in await self.archive.list("orders/") if name.endswith(".parquet")]
        assert sorted(fresh.files()) == sorted(f"memory/{name}" for name in names)
        positions = {one.shard_id: one.watermark for one in await self.sink.positions(MAPPING)}
        assert positions == {shard: records[-1].sequence for shard, records in self.changes.items()}

    def _compare(self) -> Any:
        """What a reader sees, as it is now."""
        fresh = self.made()
        newest = fresh.read() if isinstance(fresh, ParquetLake) else fresh.read(newest=True)
        assert {row["pk"]: row["n"] for row in newest.to_pylist()} == shown_by(self.changes)
        if isinstance(fresh, ParquetLog):
            packed = fresh.read().column("tailrace_version").to_pylist()
            there = sorted(Version.from_packed(version).sequence for version in packed)
            expected = [record.sequence for records in self.changes.values() for record in records]
            assert there == sorted(expected)
        return fresh


def delivered(
    form: type[ParquetLake] | type[ParquetLog], archive: FaultyArchive, seed: int = 1
) -> FaultyArchive:
    """A history delivered over an archive, and compared."""

    async def run() -> None:
        delivery = Delivery(form, archive, history(seed))
        await delivery.everything()
        await delivery.check()

    asyncio.run(run())
    return archive


class YieldingArchive(MemoryArchive):
    """Lets others go on before and after each call, by chance."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._draw = random.Random(seed)

    async def _turns(self) -> None:
        for _ in range(self._draw.randrange(4)):
            await asyncio.sleep(0)

    async def get(self, name: str, start: int = 0, length: int | None = None) -> Blob | None:
        await self._turns()
        blob = await super().get(name, start, length)
        await self._turns()
        return blob

    async def put_if_absent(self, name: str, data: bytes) -> str | None:
        await self._turns()
        tag = await super().put_if_absent(name, data)
        await self._turns()
        return tag


class HookedArchive(MemoryArchive):
    """Does something once, before the next delta is written."""

    def __init__(self) -> None:
        super().__init__()
        self.before_delta: Callable[[], Awaitable[None]] | None = None

    async def put_if_absent(self, name: str, data: bytes) -> str | None:
        hook, is_delta = self.before_delta, "/delta/" in name
        if hook is not None and is_delta:
            self.before_delta = None
            await hook()
        return await super().put_if_absent(name, data)
