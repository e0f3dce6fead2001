"""Where new mappings begin: over real HTTP, with the server's time driven, so that no change is near the
bound by chance.
"""

import asyncio
from collections.abc import Iterator
from functools import partial

import pytest

from tailrace.app.app import App
from tailrace.app.table import Table
from tailrace.aws.places import Access
from tailrace.clocks.manual import ManualClock
from tailrace.compose_fleet import FarStart
from tailrace.leases.checkpoint import CheckpointRow, checkpoint_key, read_row
from tailrace.runtime.beginning import AtName, AtTime, StartPosition
from tailrace.sources.dynamodb_streams import DynamoDbStreamsSource
from tailrace.stores.memory import MemoryStateStore
from tailrace.worker.beginning import Starts
from tests.far_streams import FarTable, far
from tests.serving import START_MS, Served

MINUTE_MS = 60_000


@pytest.fixture
def place() -> Iterator[tuple[Served, Access]]:
    with far() as place:
        yield place


class Beginning:
    """An app with one handler on a far table, and a place for its state."""

    def __init__(self, place: tuple[Served, Access]) -> None:
        served, self.access = place
        self.table = FarTable(served)
        self.state = MemoryStateStore()
        self.app = App("shop")
        orders = self.app.table(self.table.name, pk="pk")
        self.app.on(orders, id="note")(lambda change: None)
        self.numbered: list[str] = []

    def begin(self, start: StartPosition) -> dict[str, int]:
        """One start of a worker; it ends before its own check."""

        async def numbered(table: Table) -> None:
            self.numbered.append(table.name)

        tables = partial(FarStart, self.access, ManualClock(START_MS), None)
        return asyncio.run(
            Starts(self.app, self.state, ManualClock(START_MS), start, tables, numbered).begin()
        )

    def now_ms(self) -> int:
        """The server's time."""
        return self.table.served.call(lambda: self.table.served.clock.now().wall_ms)

    def rows(self) -> list[CheckpointRow | None]:
        """The handler's checkpoint in each shard, the oldest first."""

        async def looking() -> list[CheckpointRow | None]:
            source = DynamoDbStreamsSource(self.access, self.table.name, ManualClock(START_MS))
            stream = await source.stream()
            rows = []
            for shard in await source.shards():
                row = await self.state.get(checkpoint_key("shop", "note", stream.label, shard.shard_id))
                rows.append(None if row is None else read_row(row.fields))
            return rows

        return asyncio.run(looking())

    def sequences(self) -> list[int]:
        """The numbers of every change, the oldest first."""

        async def reading() -> list[int]:
            source = DynamoDbStreamsSource(self.access, self.table.name, ManualClock(START_MS))
            pages = [await source.read(shard, 0, 1_000) for shard in await source.shards()]
            return [record.sequence for page in pages for record in page.records]

        return asyncio.run(reading())


@pytest.fixture
def beginning(place: tuple[Served, Access]) -> Beginning:
    return Beginning(place)


def test_at_the_beginning_nothing_is_put(beginning: Beginning) -> None:
    beginning.table.put("a")
    assert beginning.begin(AtName("beginning")) == {}
    assert beginning.rows() == [None]
    assert beginning.numbered == []


def test_at_the_end_everything_of_an_earlier_second_is_behind(beginning: Beginning) -> None:
    beginning.table.put("before")
    beginning.table.pass_time(MINUTE_MS)
    began = beginning.begin(AtTime(beginning.now_ms()))
    beginning.table.put("after")
    (row,) = beginning.rows()
    assert row is not None
    before, after = beginning.sequences()
    assert before <= row.watermark < after
    assert beginning.numbered == [beginning.table.name]
    assert set(began) == {"note"}


def test_a_change_of_the_very_second_is_delivered_and_one_of_the_second_before_is_not(
    beginning: Beginning,
) -> None:
    beginning.table.put("before")
    beginning.table.pass_time(1_000)
    beginning.table.put("of the second")
    beginning.begin(AtTime(beginning.now_ms() + 999))
    (row,) = beginning.rows()
    assert row is not None
    before, of_the_second = beginning.sequences()
    assert before <= row.watermark < of_the_second


def test_the_end_is_the_servers_time(beginning: Beginning) -> None:
    beginning.table.pass_time(40 * MINUTE_MS)
    began = beginning.begin(AtName("end"))
    assert START_MS <= began["note"] <= beginning.now_ms()  # its answers say the time of its last sweep


def test_the_time_is_resolved_once_however_often_the_start_is_cut_off(beginning: Beginning) -> None:
    first = beginning.begin(AtName("end"))
    beginning.table.pass_time(MINUTE_MS)
    beginning.table.put("between")
    beginning.table.pass_time(MINUTE_MS)
    assert beginning.begin(AtTime(beginning.now_ms())) == first
    (row,) = beginning.rows()
    assert row is not None
    assert row.watermark < beginning.sequences()[0]


def test_a_mapping_that_was_here_goes_on_where_it_was(beginning: Beginning) -> None:
    from tailrace.worker.declared import mapping_write

    (mapping,) = beginning.app.mappings
    asyncio.run(beginning.state.transact([mapping_write("shop", mapping)]))
    assert beginning.begin(AtName("end")) == {}
    assert beginning.rows() == [None]


def test_a_closed_shard_with_nothing_since_then_is_finished_and_its_child_is_read_from_then_on(
    beginning: Beginning,
) -> None:
    beginning.table.put("old")
    beginning.table.roll()
    beginning.table.put("in the child")
    beginning.table.pass_time(MINUTE_MS)
    beginning.begin(AtTime(beginning.now_ms()))
    parent, child = beginning.rows()
    assert parent is not None
    assert child is not None
    assert parent.finished
    assert not child.finished
    assert child.watermark >= beginning.sequences()[-1]


def test_a_time_begins_with_the_first_change_of_its_second(beginning: Beginning) -> None:
    times = []
    for key in ("a", "b", "c"):
        times.append(beginning.now_ms())
        beginning.table.put(key)
        beginning.table.pass_time(MINUTE_MS)
    beginning.begin(AtTime(times[1]))
    (row,) = beginning.rows()
    assert row is not None
    first, second, _ = beginning.sequences()
    assert first <= row.watermark < second
