"""What is read carries the generation of its stream, whichever worker numbers it and in whichever order
streams are seen.

Rules of this file: the numbers of a scripted stream begin anew with each stream, so that those of a
later one are smaller.
"""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest

from tailrace import App, Change
from tailrace.errors import SourceError
from tailrace.leases.checkpoint import CheckpointRow, checkpoint_key
from tailrace.leases.generation import sources_key
from tailrace.mapping.reader import Budget
from tailrace.ports import Action, StateStore, StreamRef
from tailrace.rows.writes import StateRow, Write
from tailrace.runtime.reading import NumberedSource, SharedReads
from tailrace.stores.memory import MemoryStateStore
from tailrace.testing import ScriptedSource
from tailrace.worker.following import FollowedTable


class Source(ScriptedSource):
    """One whose streams have one shard and, but for the first, one change; some may not be listed yet."""

    def __init__(self) -> None:
        super().__init__("orders", digits=56)
        self.hidden: set[str] = set()
        self.begin()
        self.write("a")
        self.write("b")

    def off_and_on(self) -> None:
        self.end()
        self.begin()
        self.write("a")

    async def earlier(self) -> list[StreamRef]:
        return [stream for stream in await super().earlier() if stream.label not in self.hidden]


def numbered(source: Source, state: StateStore) -> NumberedSource:
    app = App("shop")

    @app.on(app.table("orders", pk="id"), id="mail")
    def mail(change: Change) -> None: ...

    return NumberedSource(source, state, app, "orders")


def following(source: NumberedSource) -> FollowedTable:
    return FollowedTable("orders", "", source, SharedReads(source, Budget(1_000)), [])


async def generations(source: NumberedSource) -> list[int]:
    """Of everything that can be read, stream by stream. Numbers begin anew with each stream: only by
    generation is what comes later newer.
    """
    records = [
        record
        for _, shards in await following(source).followed()
        for record in (await source.read(shards[0], 0, 10)).records
    ]
    for before, after in pairwise(records):
        assert before.version < after.version or before.generation == after.generation
    return [record.generation for record in records]


def test_a_stream_that_was_switched_off_and_on_has_newer_changes_though_their_numbers_are_smaller() -> None:
    source = Source()
    source.off_and_on()
    assert asyncio.run(generations(numbered(source, MemoryStateStore()))) == [1, 1, 2]


def test_the_number_of_a_stream_outlives_the_worker_and_the_stream_before_it() -> None:
    async def run() -> list[int]:
        source, state = Source(), MemoryStateStore()
        source.off_and_on()
        await generations(numbered(source, state))
        source.forget_streams()
        source.off_and_on()
        return await generations(numbered(source, state))

    assert asyncio.run(run()) == [2, 3]


def test_the_newer_stream_that_is_seen_first_is_numbered_behind_the_older_one() -> None:
    source = Source()
    source.off_and_on()

    async def generation() -> int:
        return (await numbered(source, MemoryStateStore()).stream()).generation

    assert asyncio.run(generation()) == 2


class Counted(MemoryStateStore):
    """Every read and write waits a turn, so that others ask meanwhile; attempts to write are counted."""

    written = 0

    async def get(self, key: str) -> StateRow | None:
        await asyncio.sleep(0)
        return await super().get(key)

    async def transact(self, writes: Sequence[Write]) -> None:
        self.written += 1
        await asyncio.sleep(0)
        await super().transact(writes)


def test_the_looks_of_one_worker_that_come_at_once_number_a_stream_once() -> None:
    async def run() -> tuple[list[int], int]:
        state = Counted()
        source = numbered(Source(), state)
        streams = await asyncio.gather(*[source.stream() for _ in range(3)])
        return [stream.generation for stream in streams], state.written

    assert asyncio.run(run()) == ([1, 1, 1], 1)


class Switched(Source):
    """Its stream is switched off and on between two questions of the first listing."""

    was_asked = False

    async def stream(self) -> StreamRef:
        stream = await super().stream()
        if not self.was_asked:
            self.was_asked = True
            self.off_and_on()
        return stream


def test_a_stream_that_is_switched_off_and_on_while_it_is_listed_is_not_missed() -> None:
    async def run() -> list[int]:
        numbering = numbered(Switched(), MemoryStateStore())
        await following(numbering).followed()
        return await generations(numbering)

    assert asyncio.run(run()) == [1, 1, 2]


def test_an_older_stream_that_is_listed_too_late_is_refused_and_not_counted_as_newer() -> None:
    async def run() -> None:
        source = Source()
        source.off_and_on()
        source.hidden.add("stream-1")
        numbering = numbered(source, MemoryStateStore())
        assert await generations(numbering) == [1]
        source.hidden.clear()
        with pytest.raises(SourceError, match="stream stream-1 of table 'orders' is older than stream-2"):
            await following(numbering).followed()

    asyncio.run(run())


class Slow(MemoryStateStore):
    """Others have their turn before it writes."""

    async def transact(self, writes: Sequence[Action]) -> None:
        await asyncio.sleep(0)
        await super().transact(writes)


def test_two_workers_that_number_at_once_agree() -> None:
    async def run() -> None:
        state = Slow()
        one, other = Source(), Source()
        one.off_and_on()
        other.off_and_on()
        other.off_and_on()  # this one has looked a moment later
        numbers = await asyncio.gather(generations(numbered(one, state)), generations(numbered(other, state)))
        assert numbers == [[1, 1, 2], [1, 1, 2, 3]]
        row = await state.get(sources_key("shop", "orders"))
        assert row is not None
        assert row.fields["numbers"] == {"stream-1": 1, "stream-2": 2, "stream-3": 3}

    asyncio.run(run())


def test_streams_that_were_read_before_there_were_numbers_are_all_of_the_first_generation() -> None:
    async def run() -> None:
        source, state = Source(), MemoryStateStore()
        source.off_and_on()
        key = checkpoint_key("shop", "mail", "stream-1", "shard-1")
        await state.transact([Write(key, CheckpointRow(1, 0, 900).fields())])
        numbering = numbered(source, state)
        assert await generations(numbering) == [1, 1, 1]
        source.off_and_on()
        assert await generations(numbering) == [1, 1, 1, 2]

    asyncio.run(run())


def test_nothing_is_read_before_its_stream_has_a_number() -> None:
    async def run() -> None:
        source = Source()
        (shard,) = await source.shards()
        with pytest.raises(SourceError, match="has no number"):
            await numbered(source, MemoryStateStore()).read(shard, 0, 1)

    asyncio.run(run())


def test_a_stream_that_was_saved_before_there_were_numbers_is_read_although_nobody_lists_it() -> None:
    async def run() -> None:
        source, state = Source(), MemoryStateStore()
        (shard,) = await source.shards()
        key = checkpoint_key("shop", "mail", shard.stream, shard.shard_id)
        await state.transact([Write(key, CheckpointRow(1, 0, 900).fields())])
        page = await numbered(source, state).read(shard, 0, 1)
        assert [record.generation for record in page.records] == [1] * len(page.records)

    asyncio.run(run())
