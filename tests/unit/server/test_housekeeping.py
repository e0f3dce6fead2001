"""Housekeeping goes on, whatever it could not read: nothing of it ends before the process does.

Rules of this file: a store in memory that refuses reads of one table while it is told to; time is a clock's.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.errors import StoreError
from tailrace.server.housekeeping import HOUSEKEEPING_MS, fill_indexes, housekeep
from tailrace.stores.memory import MemoryStore
from tailrace.tables.definition import TableChange, TableDefinition
from tailrace.tables.index_rules import IndexUpdates
from tailrace.tables.mutate import Put


class Damaged(MemoryStore):
    """A store in memory, of which some rows cannot be read."""

    def __init__(self) -> None:
        super().__init__()
        self.unreadable: set[int] = set()

    def query(
        self, table: int, first: bytes, last: bytes | None, limit: int, *, reverse: bool = False
    ) -> list[tuple[bytes, bytes]]:
        if table in self.unreadable:
            raise StoreError(f"a row of table {table} is damaged")
        return super().query(table, first, last, limit, reverse=reverse)


class Ground:
    """Two tables with an index that is to be filled, the first of them damaged."""

    def __init__(self) -> None:
        self.store, self.clock = Damaged(), ManualClock()
        self.engine = Engine(self.store, self.clock, EngineSettings())
        for name in ("bad", "good"):
            self.engine.create_table(TableDefinition(name, "pk", "S"))
            self.engine.put(Put(name, {"pk": {"S": "o1"}, "city": {"S": "Utrecht"}}))
        self.engine.committer.flush()
        self.number = self.engine.schema("bad").number

    def index(self) -> None:
        by_city = {
            "IndexName": "by-city",
            "KeySchema": [{"AttributeName": "city", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
        with self.unreadable():
            for name in ("bad", "good"):
                change = IndexUpdates(create=by_city, types={"pk": "S", "city": "S"})
                self.engine.update_table(name, TableChange(indexes=change))
        self.engine.committer.flush()

    @contextmanager
    def unreadable(self) -> Iterator[None]:
        """Both tables are for a while."""
        self.store.unreadable = {self.engine.schema(name).number for name in ("bad", "good")}
        yield
        self.store.unreadable = {self.number}

    def statuses(self) -> list[str]:
        """Read where they are kept: describing a table would push its index on."""
        tables = [self.engine._catalog.tables[name] for name in ("bad", "good")]
        return [index.document.status for table in tables for index in table.every_index]

    async def flushed(self) -> None:
        self.engine.committer.flush()


async def _idle() -> None:
    for _ in range(200):
        await asyncio.sleep(0)


def test_an_index_whose_table_could_not_be_read_is_filled_later_and_the_others_meanwhile(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ground = Ground()
    ground.index()

    async def scene() -> None:
        tasks = [
            asyncio.create_task(fill_indexes(ground.engine, ground.flushed)),
            asyncio.create_task(housekeep(ground.engine, ground.flushed)),
        ]
        await _idle()
        assert ground.statuses() == ["CREATING", "ACTIVE"]
        ground.clock.advance(HOUSEKEEPING_MS)
        await _idle()
        assert not any(task.done() for task in tasks)
        assert ground.statuses() == ["CREATING", "ACTIVE"]
        ground.store.unreadable.clear()
        ground.clock.advance(HOUSEKEEPING_MS)
        await _idle()
        assert ground.statuses() == ["ACTIVE", "ACTIVE"]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    asyncio.run(scene())
    told = [record.getMessage() for record in caplog.records if record.name == "tailrace.housekeeping"]
    assert len(told) == 1, told
    assert told[0].startswith("housekeeping could not read everything, and tries again every 5 s: ")


def test_a_table_whose_index_cannot_be_filled_now_is_described_all_the_same() -> None:
    ground = Ground()
    ground.index()
    (index,) = ground.engine.describe_table("bad")["GlobalSecondaryIndexes"]
    assert index["IndexStatus"] == "CREATING"
