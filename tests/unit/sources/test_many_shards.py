"""Two thousand shards over HTTP in one process: all are read, at the pace that is told, and little is kept of
each.

Rules of this file: time is driven; between two moments the readers run until no call of theirs is open.
"""

import asyncio
import resource
from pathlib import Path
from typing import Any

import pytest

from tailrace.aws import client
from tailrace.errors import SourceError
from tailrace.ports import Shard
from tailrace.runtime.pacing import Pacer
from tailrace.runtime.polling import PolledSource
from tailrace.sources.dynamodb_streams import DynamoDbStreamsSource
from tests.far_streams import FarTable, far

SHARDS = 2_000
MOST_BYTES = 500 * 1024 * 1024


def resident_bytes() -> int:
    """What this process takes now; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


class Calls:
    """The calls of this process: how many there were, and how many are open."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = self.all = 0
        self.answered = asyncio.Event()
        call = client.call

        async def counted(*arguments: Any) -> dict[str, Any]:
            self.open, self.all = self.open + 1, self.all + 1
            try:
                return await call(*arguments)
            finally:
                self.open -= 1
                self.answered.set()

        monkeypatch.setattr(client, "call", counted)

    async def calm(self) -> None:
        """Return when nothing runs and no call is open."""
        calm = 0
        while calm < 3:
            await asyncio.sleep(0)
            if self.open:
                self.answered.clear()
                await self.answered.wait()
            calm = 0 if self.open or asyncio.get_running_loop()._ready else calm + 1  # type: ignore[attr-defined]


async def read_for_ever(source: PolledSource, shard: Shard, read: set[str]) -> None:
    after = shard.first - 1
    while True:
        try:
            page = await source.read(shard, after, 1_000)
        except SourceError:
            continue
        after = page.next_after
        read.update(record.keys.decode() for record in page.records)


def test_two_thousand_shards_are_read_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        calls = Calls(monkeypatch)
        pacer = Pacer(seed="one")
        sources = [
            PolledSource(DynamoDbStreamsSource(access, table.name, served.clock), served.clock, pacer)
            for table in tables
        ]
        listings = [asyncio.ensure_future(source.shards()) for source in sources]
        while not all(listing.done() for listing in listings):
            await calls.calm()
            tables[0].pass_time(1_000)
        shards = [
            (source, shard)
            for source, listing in zip(sources, listings, strict=True)
            for shard in listing.result()
        ]
        assert len(shards) == SHARDS
        read: set[str] = set()
        before = resident_bytes()
        readers = [asyncio.ensure_future(read_for_ever(source, shard, read)) for source, shard in shards]
        for _ in range(12):
            await calls.calm()
            tables[0].pass_time(1_000)
        await calls.calm()
        assert (len(read), pacer.open_shards, pacer.idle_ms) == (200, SHARDS, 10_000)
        assert resident_bytes() - before < MOST_BYTES
        assert all(source.unread_ms(shard) is not None for source, shard in shards)
        assert calls.all < 3 * SHARDS
        for reader in readers:
            reader.cancel()
        await asyncio.wait(readers)

    with far(SHARDS // 2) as (served, access):
        tables = [FarTable(served), FarTable(served)]
        tables[0].put(*(f"a{number}" for number in range(100)))
        tables[1].put(*(f"b{number}" for number in range(100)))
        asyncio.run(story())
