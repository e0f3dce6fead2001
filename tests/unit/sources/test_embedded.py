"""The embedded source: woken by commits, never by time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.errors import SourceError
from tailrace.ports import ReadDone
from tailrace.sources.embedded import EmbeddedSource
from tailrace.stores.memory import MemoryStore
from tailrace.tables.definition import TableDefinition
from tailrace.tables.mutate import Put
from tailrace.testing.loop import SeededLoop


class Ground:
    """An engine with a table, its source, and a loop."""

    def __init__(self, stream: Any = "NEW_AND_OLD_IMAGES") -> None:
        self.clock = ManualClock()
        self.engine = Engine(MemoryStore(), self.clock, EngineSettings(shards=1))
        self.engine.create_table(TableDefinition("orders", "id", "S", stream=stream))
        self.engine.committer.flush()
        self.source = EmbeddedSource(self.engine, "orders")
        self.loop = SeededLoop(1, self.clock)

    def run(self, main: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return self.loop.run_until_complete(main())
        finally:
            self.loop.close()

    def put(self, key: str, *, durable: bool = True) -> None:
        self.engine.put(Put("orders", {"id": {"S": key}}))
        if durable:
            self.engine.committer.flush()

    async def reading(self, after: int = 0) -> "asyncio.Task[ReadDone]":
        """A read that waits."""
        (shard, *_) = await self.source.shards()
        task = self.loop.create_task(self.source.read(shard, after, 10))
        await self.loop.idle()
        return task


def test_a_read_waits_for_the_commit_that_brings_a_record() -> None:
    ground = Ground()

    async def main() -> None:
        reading = await ground.reading()
        assert not reading.done()
        ground.put("a", durable=False)
        await ground.loop.idle()
        assert not reading.done(), "what is not durable does not exist"
        ground.engine.committer.flush()
        page = await reading
        assert [record.keys for record in page.records] == [b'{"id":{"S":"a"}}']
        assert (page.closed, page.trimmed) == (False, False)

    ground.run(main)


def test_a_read_finds_what_is_already_there() -> None:
    ground = Ground()

    async def main() -> None:
        ground.put("a")
        ground.put("b")
        page = await (await ground.reading())
        assert len(page.records) == 2
        after = page.records[0].sequence
        page = await (await ground.reading(after))
        assert [record.sequence > after for record in page.records] == [True]

    ground.run(main)


def test_a_read_that_waits_ends_when_the_shard_closes_and_its_child_is_listed() -> None:
    ground = Ground()

    async def main() -> None:
        (parent,) = await ground.source.shards()
        reading = await ground.reading()
        ground.clock.advance(5 * 3_600_000)
        ground.put("a")
        page = await reading
        assert page.closed
        shards = await ground.source.shards()
        assert [shard.parents for shard in shards] == [(), (parent.shard_id,)]

    ground.run(main)


def test_a_cancelled_read_leaves_nobody_waiting() -> None:
    ground = Ground()

    async def main() -> None:
        reading = await ground.reading()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert ground.engine.committer._listeners == []

    ground.run(main)


def test_a_table_without_a_stream_has_no_source() -> None:
    ground = Ground(stream=None)
    with pytest.raises(SourceError, match="'orders' has no stream"):
        ground.run(ground.source.stream)


def test_a_stream_that_was_made_anew_has_another_label() -> None:
    ground = Ground()

    async def main() -> None:
        first = await ground.source.stream()
        ground.engine.update_stream("orders", False)
        with pytest.raises(SourceError):
            await ground.source.stream()
        ground.clock.advance(1_000)
        ground.engine.update_stream("orders", True, "KEYS_ONLY")
        second = await ground.source.stream()
        assert first.label != second.label
        assert second.view_type == "KEYS_ONLY"

    ground.run(main)
