"""Whatever breaks between two calls, rows and positions are right after it, and nothing stays in S3 for ever.

Theory of operation: `BrokenLine` lies under every call that a sink makes: of S3, of the Data API, of the
connection. At one of them the process ends (nothing is called any more), or the call is carried out and its
answer is lost. A second sink then does what a worker does: it stamps the shard, and commits what is missing.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg
import pytest

from tailrace.aws import client
from tailrace.aws.errors import AwsError, ErrorMeaning, Meaning
from tailrace.errors import LeaseLost, Unavailable
from tailrace.ports import TargetPosition, Written
from tailrace.sinks.redshift.data_api import TURNS
from tailrace.sinks.redshift.sink import Redshift
from tailrace.sinks.redshift.staging import KEPT_MS
from tests.redshift import API, DataApi, StandInConnection, Warehouse, options
from tests.unit.sinks.redshift.changes import PassingClock, batch, gone, put

CHANGES: Final = (
    [put("a", 1, n={"N": "1"}), put("b", 2, n={"N": "1"})],
    [put("a", 3, n={"N": "2.5"}), gone("b", 4), put("c", 5, new={"S": "x"})],
)
EXPECTED: Final = [("a", "2.5"), ("c", None)]


class Killed(BaseException):
    """The process is no more."""


class BrokenLine:
    """Counts calls, and breaks at one. Shape: `is_lost`: that call is carried out, and those after it."""

    def __init__(self, at: int, *, is_lost: bool) -> None:
        self.at, self.is_lost, self.calls, self.is_broken = at, is_lost, 0, False

    def before(self) -> bool:
        """Whether the answer is lost. Raises: Killed."""
        self.calls += 1
        if self.calls == self.at:
            self.is_broken = True
            if self.is_lost:
                return True
        if self.is_broken and not self.is_lost:
            raise Killed
        return False


@contextmanager
def broken(line: BrokenLine) -> Iterator[None]:
    """Lie under all calls."""
    call, execute = client.call, StandInConnection.execute

    async def calling(*arguments: Any, **named: Any) -> Any:
        is_lost = line.before()
        answer = await call(*arguments, **named)
        if is_lost:
            raise AwsError("call", ErrorMeaning(Meaning.UNAVAILABLE), "", "the answer is lost")
        return answer

    async def executing(self: StandInConnection, statement: bytes) -> Any:
        is_lost = line.before()
        answer = await execute(self, statement)
        if is_lost:
            await self.close()
            raise psycopg.OperationalError("the answer is lost")
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "call", calling)
        patch.setattr(StandInConnection, "execute", executing)
        yield


async def worker(sink: Redshift, epoch: int) -> None:
    """Stamp, and commit what is missing."""
    await sink.open(PassingClock())
    try:
        held = await sink.stamp("orders", "label", "shardId-1", epoch)
        for part in CHANGES:
            if part[-1].sequence > held.watermark:
                position = TargetPosition(held.stream, held.shard_id, epoch, part[-1].sequence)
                assert await sink.commit(batch(part), position) == Written()
    finally:
        await sink.close()


@pytest.mark.parametrize(
    ("place", "is_lost"),
    [
        pytest.param("protocol", True, id="protocol-answer lost"),
        pytest.param("api", False, id="api-killed"),
        pytest.param("protocol", False, id="protocol-killed", marks=pytest.mark.slow),
        pytest.param("api", True, id="api-answer lost", marks=pytest.mark.slow),
    ],
)
def test_each_change_counts_once_whatever_breaks_between_two_calls(
    warehouse: Warehouse, place: str, is_lost: bool
) -> None:
    at, broke = 0, True
    while broke:
        at += 1 if at < 6 else 5  # of each transaction some places, and of all of them all
        schema = warehouse.schema()
        line = BrokenLine(at, is_lost=is_lost)

        def make(schema: str = schema) -> Redshift:
            return Redshift(API if place == "api" else warehouse.url, "orders", schema, **options(schema))

        with broken(line), suppress(Killed, Unavailable):
            asyncio.run(worker(make(), 1))
        broke = line.is_broken
        asyncio.run(worker(make(), 2))
        assert warehouse.ask("SELECT pk, n::text FROM orders ORDER BY pk", schema) == EXPECTED, at
        assert warehouse.ask("SELECT changes FROM tailrace_positions", schema) == [(5,)], at
    assert at > 20


def test_a_kill_leaves_files_that_are_removed_when_no_statement_can_read_them(warehouse: Warehouse) -> None:
    schema = warehouse.schema()
    sink = Redshift(API, "orders", schema, **options(schema))
    clock = PassingClock()

    async def run() -> None:
        await sink.open(clock)
        line = BrokenLine(4, is_lost=False)  # turn: begun and described; kept: begun …
        with broken(line):
            for at in range(4, 40):
                line.at, line.calls, line.is_broken = at, 0, False
                with pytest.raises(Killed):
                    await sink.write(batch(CHANGES[0]))
                if warehouse.staged(schema):
                    break
        assert len(warehouse.staged(schema)) == 1
        clock.advance(KEPT_MS - 1)
        assert await sink.write(batch(CHANGES[0])) == Written()
        assert len(warehouse.staged(schema)) == 1  # it may be read still
        clock.advance(KEPT_MS)
        assert await sink.write(batch(CHANGES[1])) == Written()
        assert warehouse.staged(schema) == []

    asyncio.run(run())


def test_a_list_whose_end_is_unknown_keeps_its_file_and_a_known_one_does_not(warehouse: Warehouse) -> None:
    schema = warehouse.schema()
    sink = Redshift(API, "orders", schema, **options(schema))
    call = client.call

    async def lost(access: Any, service: str, operation: str, parameters: Any) -> Any:
        answer = await call(access, service, operation, parameters)
        if operation == "batch_execute_statement":
            raise AwsError("call", ErrorMeaning(Meaning.UNAVAILABLE), "", "the answer is lost")
        return answer

    async def run() -> None:
        await sink.open(PassingClock())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(client, "call", lost)
            with pytest.raises(Unavailable, match="the answer is lost"):
                await sink.write(batch(CHANGES[0]))
        assert len(warehouse.staged(schema)) == 1
        assert await sink.write(batch(CHANGES[0])) == Written()
        assert len(warehouse.staged(schema)) == 1

    asyncio.run(run())


@pytest.mark.parametrize("times", [TURNS - 1, TURNS])
def test_a_transaction_that_another_came_before_begins_again(
    warehouse: Warehouse, api: DataApi, times: int
) -> None:
    schema = warehouse.schema()
    sink = Redshift(API, "orders", schema, **options(schema))
    left = times
    answer = api.answer

    def between(operation: str, parameters: Any) -> Any:
        nonlocal left
        if operation == "BatchExecuteStatement" and left:
            left -= 1
            warehouse.ask("UPDATE tailrace_lock SET turn = turn + 1", schema)
        return answer(operation, parameters)

    async def run() -> None:
        await sink.open(PassingClock())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(api, "answer", between)
            if times < TURNS:
                assert await sink.write(batch(CHANGES[0])) == Written()
            else:
                with pytest.raises(Unavailable, match=f"{TURNS} times another transaction came between"):
                    await sink.write(batch(CHANGES[0]))

    asyncio.run(run())
    count = "SELECT count(*) FROM tailrace_schemas WHERE entity <> ''"
    assert warehouse.ask(count, schema) == [(1 if times < TURNS else 0,)]
    assert warehouse.staged(schema) == []


def test_two_owners_through_two_doors_never_both_commit(warehouse: Warehouse) -> None:
    schema = warehouse.schema()
    old = Redshift(API, "orders", schema, **options(schema))
    new = Redshift(warehouse.url, "orders", schema, **options(schema))

    async def run() -> None:
        for sink in (old, new):
            await sink.open(PassingClock())
        before = await old.stamp("orders", "label", "shardId-1", 1)
        await new.stamp("orders", "label", "shardId-1", 2)
        with pytest.raises(LeaseLost):
            await old.commit(batch(CHANGES[0]), TargetPosition(before.stream, before.shard_id, 1, 2))
        after = TargetPosition(before.stream, before.shard_id, 2, 2)
        assert await new.commit(batch(CHANGES[0]), after) == Written()
        with pytest.raises(LeaseLost):
            await old.stamp("orders", "label", "shardId-1", 1)
        for sink in (old, new):
            await sink.close()

    asyncio.run(run())
    assert warehouse.ask("SELECT pk FROM orders ORDER BY pk", schema) == [("a",), ("b",)]


def test_a_statement_that_runs_long_is_waited_for_by_the_clock(warehouse: Warehouse, api: DataApi) -> None:
    schema = warehouse.schema()
    sink = Redshift(API, "orders", schema, **options(schema))
    clock = PassingClock()

    async def run() -> None:
        api.looks = 6
        await sink.open(clock)
        began = clock.now().monotonic_ms
        assert await sink.rows(b"", 10) == []
        waited = clock.now().monotonic_ms - began
        assert waited % (50 + 100 + 200 + 400 + 800 + 1_600) == 0
        assert waited > 0
        api.looks = 10_000
        with pytest.raises(Unavailable, match="after 15 minutes"):
            await sink.rows(b"", 10)

    asyncio.run(run())
