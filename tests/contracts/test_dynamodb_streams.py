"""A stream read over HTTP keeps the contracts of Source and of LogReader, with and without a pace, against
the package's own server.

Rules of this file: nothing waits for time: where a paced reader would rest, the test takes the place of the
rest. The contracts' canaries are beside the contracts (test_source.py, test_log_reader.py).
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tailrace.aws.places import Access
from tailrace.clocks.manual import ManualClock
from tailrace.ports import LogReader, ReadDone, Shard, Source, StreamRef
from tailrace.runtime.pacing import Pacer, PacingSettings
from tailrace.runtime.polling import PolledSource
from tailrace.sources.dialects import TAILRACE, Dialect
from tailrace.sources.dynamodb_streams import DynamoDbStreamsLog, DynamoDbStreamsSource
from tailrace.testing import check_log_reader, check_source
from tests.far_streams import FarTable, far
from tests.serving import START_MS, Served

UNHURRIED = PacingSettings(calls_per_s=100_000, shard_reads_per_s=None, describes_per_s=100_000)
"""A pace that holds nothing up but what is at its end."""
PATIENCE_MS = 20_000
"""No read waits here, so that none may be taken for one that does."""


class BareSource(DynamoDbStreamsSource):
    """As it is, over a table of its own."""

    def __init__(self, served: Served, access: Access, dialect: Dialect | None) -> None:
        self.table = FarTable(served)
        super().__init__(access, self.table.name, ManualClock(START_MS), dialect)


class RestlessClock(ManualClock):
    """Says that a reader rests, and lets it rest for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.is_rest = asyncio.Event()

    async def sleep_until(self, monotonic_ms: int) -> None:
        self.is_rest.set()
        await asyncio.get_running_loop().create_future()


class PacedSource(PolledSource):
    """At a pace; a read that comes to rest is broken off, and was empty."""

    def __init__(self, bare: BareSource) -> None:
        self.table = bare.table
        self.clock = RestlessClock()
        super().__init__(bare, self.clock, Pacer(UNHURRIED), listing_ms=0, confirm=False)

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        self.clock.is_rest.clear()
        read = asyncio.ensure_future(super().read(shard, after, limit))
        rest = asyncio.ensure_future(self.clock.is_rest.wait())
        try:
            await asyncio.wait((read, rest), return_when=asyncio.FIRST_COMPLETED)
            return await read if read.done() else ReadDone([], after)
        finally:
            read.cancel()
            rest.cancel()
            await asyncio.wait((read, rest))


@pytest.fixture(scope="module", params=[1, 2], ids=["one shard", "two shards"])
def place(request: pytest.FixtureRequest) -> Iterator[tuple[Served, Access]]:
    with far(request.param) as place:
        yield place


def write(source: Source, count: int) -> int:
    assert isinstance(source, BareSource | PacedSource)
    return source.table.write(count)


def roll(source: Source) -> None:
    assert isinstance(source, BareSource | PacedSource)
    source.table.roll()


@pytest.mark.parametrize("dialect", [None, TAILRACE], ids=["as AWS", "tailrace"])
def test_it_keeps_the_contract_of_a_source(place: tuple[Served, Access], dialect: Dialect | None) -> None:
    check_source(lambda: BareSource(*place, dialect), write, roll=roll, idle_ms=PATIENCE_MS)


def test_at_a_pace_it_keeps_the_contract_of_a_source(place: tuple[Served, Access]) -> None:
    check_source(lambda: PacedSource(BareSource(*place, None)), write, roll=roll, idle_ms=PATIENCE_MS)


class FarLog(DynamoDbStreamsLog):
    """The log of a server that has one table."""

    def __init__(self, shards: int) -> None:
        self.stack = ExitStack()
        served, access = self.stack.enter_context(far(shards))
        self.table = FarTable(served, name="orders")
        super().__init__(access, ManualClock())

    def close(self) -> None:
        self.stack.close()


@pytest.mark.parametrize("shards", [1, 2])
def test_it_keeps_the_contract_of_a_log_reader(shards: int) -> None:
    def put(reader: LogReader, count: int, durable: bool) -> None:
        assert isinstance(reader, FarLog)
        assert durable
        reader.table.write(count)

    def switch(reader: LogReader) -> None:
        assert isinstance(reader, FarLog)
        reader.table.switch(None)
        reader.table.pass_time(10_000)
        reader.table.switch("NEW_AND_OLD_IMAGES")
        reader.table.pass_time(10_000)

    check_log_reader(lambda: FarLog(shards), put, switch, table="orders", sees_pending=False)


def test_what_is_not_durable_yet_is_not_seen(place: tuple[Served, Access]) -> None:
    served, access = place

    async def pending() -> int | None:
        table = FarTable(served)
        log = DynamoDbStreamsLog(access, ManualClock())
        stream: StreamRef = (await log.streams(table.name))[0]
        return await log.pending_since((await log.shards(stream))[0])

    assert asyncio.run(pending()) is None
