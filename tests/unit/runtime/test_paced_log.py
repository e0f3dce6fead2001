"""What asks a log beside readers keeps to their pace: five reads a second of a shard, whoever asks.

Rules of this file: over HTTP; time is driven, and between two moments all calls have been answered.
"""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tailrace.aws import client
from tailrace.ports import LogReader
from tailrace.runtime.paced_log import PacedLog
from tailrace.runtime.pacing import DESCRIBES_PER_S, SHARD_READS_PER_S, Pacer
from tailrace.runtime.polling import PolledSource
from tailrace.runtime.sight import Sight
from tailrace.runtime.watermark import MappingName, settled_until
from tailrace.sources.dynamodb_streams import DynamoDbStreamsLog, DynamoDbStreamsSource
from tailrace.sources.far_log import AppLog
from tailrace.stores.memory import MemoryStateStore
from tests.far_streams import FarTable, far
from tests.unit.sources.test_many_shards import Calls

WINDOWS = 12


class Seconds(Calls):
    """The calls of this process, and when each was made by the clock that is driven."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, table: FarTable) -> None:
        super().__init__(monkeypatch)
        self.made: list[tuple[str, int]] = []
        call = client.call

        async def noted(access: Any, service: str, operation: str, members: Any) -> dict[str, Any]:
            if operation not in ("get_shard_iterator", "describe_table", "list_streams"):
                self.made.append((operation, table.served.clock.now().monotonic_ms))
            return await call(access, service, operation, members)

        monkeypatch.setattr(client, "call", noted)

    def most_a_second(self, operation: str) -> int:
        """Of any second, wherever it begins."""
        times = [at_ms for made, at_ms in self.made if made == operation]
        return max(sum(0 <= at_ms - first < 1_000 for at_ms in times) for first in times)


async def settle_often(
    monkeypatch: pytest.MonkeyPatch, table: FarTable, access: Any, *, paced: bool
) -> Seconds:
    """Twelve handlers with windows ask how far they are, again and again, beside a reader that is behind."""
    clock, state, calls = table.served.clock, MemoryStateStore(), Seconds(monkeypatch, table)
    pacer = Pacer()
    sight = Sight(clock, pacer)
    log: LogReader = DynamoDbStreamsLog(access, clock, None, sight.called)
    if paced:
        log = PacedLog(DynamoDbStreamsLog(access, clock, None, sight.called), clock, pacer)
    source = PolledSource(
        DynamoDbStreamsSource(access, table.name, clock, counted=sight.called), clock, pacer, confirm=False
    )
    answered: Counter[str] = Counter()

    async def ask(handler: str) -> None:
        mapping = MappingName("shop", handler, table.name)
        while True:
            first = await settled_until(state, AppLog(log, [table.name]), clock, mapping)  # type: ignore[arg-type]
            assert first == records[0].created_ms
            answered[handler] += 1
            await clock.sleep_until(clock.now().monotonic_ms + 5_000)

    async def read() -> None:
        while True:
            await source.read(shard, 0, 1)

    async def passing(work: "asyncio.Future[Any]", most_ms: int) -> None:
        for _ in range(most_ms // 100):
            await calls.calm()
            if work.done():
                return
            table.served.call(lambda: clock.advance(100))

    listing = asyncio.ensure_future(source.shards())
    await passing(listing, 60_000)
    (shard,) = listing.result()
    records = (await source.read(shard, 0, 1)).records
    calls.made.clear()
    beside = [asyncio.ensure_future(ask(f"window {number}")) for number in range(WINDOWS)]
    beside.append(asyncio.ensure_future(read()))
    await passing(asyncio.gather(*beside), 30_000)
    await calls.calm()
    for task in beside:
        assert not task.done()
        task.cancel()
    await asyncio.wait(beside)
    assert len(answered) == WINDOWS, "none of them waits for ever"
    assert (
        sight.calls["get_records", "ok"] == len([made for made, _ in calls.made if made == "get_records"]) + 1
    )
    return calls


def test_how_far_windows_are_is_asked_within_the_five_reads_a_second_of_a_shard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with far() as (served, access):
        table = FarTable(served)
        table.put("a", "b", "c")
        calls = asyncio.run(settle_often(monkeypatch, table, access, paced=True))
    assert calls.most_a_second("get_records") == SHARD_READS_PER_S
    assert calls.most_a_second("describe_stream") <= DESCRIBES_PER_S


def test_the_canary_a_log_without_a_pace_is_seen_to_read_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    with far() as (served, access):
        table = FarTable(served)
        table.put("a", "b", "c")
        calls = asyncio.run(settle_often(monkeypatch, table, access, paced=False))
    assert calls.most_a_second("get_records") > SHARD_READS_PER_S
    assert calls.most_a_second("describe_stream") > DESCRIBES_PER_S


def test_a_read_aside_opens_no_shard_and_waits_for_one_that_fails() -> None:
    pacer = Pacer()
    place = ("label", "shard")
    assert [pacer.book_aside(place, 0) for _ in range(6)] == [0] * 5 + [1_000]
    assert pacer.open_shards == 0
    pacer.failed(place, 7_000, 0)
    assert (pacer.open_shards, pacer.book_aside(place, 100)) == (1, 7_000)


def test_the_second_of_a_shard_goes_on_counting_when_its_reader_comes_and_goes() -> None:
    pacer = Pacer()
    place = ("label", "shard")
    for _ in range(3):
        pacer.book_aside(place, 0)
    assert [pacer.book(place, 0, 0) for _ in range(2)] == [0, 0]
    pacer.end(place)
    assert pacer.book_aside(place, 0) == 1_000
