"""The log of the embedded engine keeps the contract of LogReader, and the check catches one that does not.

Rules of this file: one canary a rule.
"""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.ports import LogReader, ReadDone, Shard, StreamRef
from tailrace.sources.embedded import EmbeddedSource
from tailrace.sources.embedded_log import EmbeddedLog
from tailrace.tables.mutate import Put
from tailrace.testing import check_log_reader
from tailrace.testing.contracts import log_reader
from tests.contracts.breaking import breaks
from tests.unit.engine.building import with_table


class Fed(EmbeddedLog):
    """The log of an engine of its own, with one table `orders`."""

    shards_at_first = 2

    def __init__(self) -> None:
        self.engine: Engine
        self.clock: ManualClock
        self.engine, self.clock = with_table(settings=EngineSettings(shards=self.shards_at_first))
        self.total = 0
        super().__init__(self.engine)

    def close(self) -> None:
        self.engine.close()


class OneShard(Fed):
    shards_at_first = 1


def write(fed: Fed, count: int, durable: bool) -> None:
    for _ in range(count):
        fed.total += 1
        fed.engine.put(Put("orders", {"pk": {"S": f"item {fed.total}"}}))
    if durable:
        fed.engine.committer.flush()


def switch(fed: Fed) -> None:
    fed.clock.advance(1_000)
    fed.engine.update_stream("orders", enabled=False)
    fed.engine.committer.flush()
    fed.clock.advance(1_000)
    fed.engine.update_stream("orders", enabled=True, view_type="NEW_AND_OLD_IMAGES")
    fed.engine.committer.flush()


@pytest.mark.parametrize("make", [Fed, OneShard])
def test_the_log_of_an_engine_keeps_the_contract(make: Callable[[], LogReader]) -> None:
    check_log_reader(make, write, switch, table="orders")


# ---- canaries ----------------------------------------------------------------------------------------------


class Waits(Fed):
    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        return await EmbeddedSource(self.engine, "orders").read(shard, after, limit)


class BeginsAtThePosition(Fed):
    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        page = await super().read(shard, max(0, after - 1), limit)
        return replace(page, next_after=max(page.next_after, after))


class ShowsWhatIsNotDurable(Fed):
    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        self.engine.committer.flush()
        return await super().read(shard, after, limit)


class ForgetsWhatIsOff(Fed):
    async def streams(self, table: str | None = None) -> list[StreamRef]:
        return (await super().streams(table))[-1:]


CANARIES: list[tuple[Callable[[], LogReader], Callable[..., object]]] = [
    (Waits, log_reader.an_empty_shard_answers_at_once),
    (BeginsAtThePosition, log_reader.every_record_is_read_once),
    (ShowsWhatIsNotDurable, log_reader.what_is_not_durable_is_not_shown),
    (ForgetsWhatIsOff, log_reader.an_ended_stream_is_still_read),
]


@pytest.mark.parametrize(("make", "rule"), CANARIES)
def test_a_broken_reader_is_caught(make: Callable[[], LogReader], rule: Callable[..., object]) -> None:
    breaks(rule, lambda: check_log_reader(make, write, switch, table="orders", patience_s=0.05))


def test_every_rule_has_a_canary() -> None:
    assert {rule for _, rule in CANARIES} == set(log_reader.RULES)
