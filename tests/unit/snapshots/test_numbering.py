"""What a snapshot takes from listings and acknowledgements, and what it leaves to others that are at work."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
from msgspec.structs import replace

from tailrace.clocks.manual import ManualClock
from tailrace.deadletters.core.gap import Gap, read_gap
from tailrace.errors import SourceError
from tailrace.leases.checkpoint import CheckpointRow, checkpoint_key
from tailrace.leases.generation import Generations
from tailrace.leases.lease import Owner, lease_key, take
from tailrace.leases.seen import seen_prefix, seen_write
from tailrace.ports import Shard, StreamRef
from tailrace.rows.writes import Write
from tailrace.runtime.parts import Parts
from tailrace.snapshots.core.snapshot import Snapshot, WantedSnapshot, saved
from tailrace.snapshots.run.kept_tables import KeptTable, RowSources
from tailrace.snapshots.run.numbering import TableNumbering
from tailrace.snapshots.run.snapshotter import Snapshotter
from tailrace.stores.memory import MemoryStateStore
from tailrace.testing.mirrors import MirrorMemory

NUMBERS = Generations("shop", "orders").with_labels(["2026-11-01"])
STREAM = StreamRef("arn", "orders", "2026-11-01", "NEW_AND_OLD_IMAGES")
SHARD = Shard("shard-1", 1, stream="2026-11-01")
NOTHING = RowSources(cast("Any", None), cast("Any", None), 1)
"""Nothing is read."""
AGREEING = Snapshot("shop", "mirror", 1).agreeing(2, 2, 1)


class Listing:
    """A source that may fail, as `list_streams` tells of it: the present stream is not there."""

    fails = False

    async def __call__(self, table: str) -> Sequence[tuple[StreamRef, Sequence[Shard]]]:
        return [] if self.fails else [(STREAM, [SHARD])]


async def unused(*_: str) -> int | None:
    return None


def numbering(state: MemoryStateStore, listing: Listing) -> TableNumbering:
    return TableNumbering("shop", state, listing, lambda table: ["mirror", "second"], unused)


async def with_reset(state: MemoryStateStore) -> Generations:
    await state.transact([NUMBERS.write()])
    known = NUMBERS.with_reset({})
    await state.transact([known.write()])
    await state.transact([take(lease_key("shop", *SHARD.place), None, "pid-1")[1]])
    return known


def test_who_may_not_know_a_reset_is_not_nobody_where_the_stream_cannot_be_listed() -> None:
    async def run() -> None:
        state, listing = MemoryStateStore(), Listing()
        await with_reset(state)
        numbers = numbering(state, listing)
        assert await numbers.unaware("orders", AGREEING) == ["pid-1"]
        listing.fails = True
        with pytest.raises(SourceError, match="2026-11-01 of table 'orders' is not listed"):
            await numbers.unaware("orders", AGREEING)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("finished", "waited_for"), [((), ["pid-1"]), (("second",), ["pid-1"]), (("mirror", "second"), [])]
)
def test_who_reads_a_shard_is_waited_for_until_all_mappings_have_finished_it(
    finished: Sequence[str], waited_for: list[str]
) -> None:
    async def run() -> None:
        state = MemoryStateStore()
        await with_reset(state)
        for mapping_id in finished:
            key = checkpoint_key("shop", mapping_id, *SHARD.place)
            await state.transact([Write(key, CheckpointRow(1, finished=True).fields())])
        assert await numbering(state, Listing()).unaware("orders", AGREEING) == waited_for

    asyncio.run(run())


def test_a_table_of_which_nothing_was_listed_yet_has_no_streams() -> None:
    listing = Listing()
    listing.fails = True
    assert asyncio.run(numbering(MemoryStateStore(), listing).streams("orders")) == []


def test_acknowledgements_stay_while_the_snapshot_of_another_mapping_waits_for_them() -> None:
    async def run() -> None:
        state = MemoryStateStore()
        known = await with_reset(state)
        await state.transact([seen_write(known, "pid-1")])
        waiting, write = saved(None, replace(AGREEING, mapping_id="second"))
        await state.transact([write])
        numbers = numbering(state, Listing())
        await numbers.forget_seen("orders", AGREEING)
        assert await numbers.unaware("orders", waiting) == []
        await state.transact([saved(waiting, waiting.agreed())[1]])
        await numbers.forget_seen("orders", AGREEING)
        assert await state.query(seen_prefix("shop", "orders")) == []

    asyncio.run(run())


def test_gaps_that_a_snapshot_has_filled_are_acknowledged_also_where_its_worker_came_no_further() -> None:
    async def run() -> None:
        state, clock = MemoryStateStore(), ManualClock(1_000)
        gap = Gap("shard-1", 1, 9)
        key = gap.key("shop", "mirror")
        done = Snapshot("shop", "mirror", 1, phase="done", stream="2026-11-01", gaps=(f"{key}@9",))
        wanted = WantedSnapshot("shop", "mirror", 1)
        await state.transact(
            [saved(None, done)[1], wanted.write(), NUMBERS.write(), Write(key, gap.fields())]
        )
        table = KeptTable("mirror", "orders", MirrorMemory(), MirrorMemory())
        snapshotter = Snapshotter(
            [table], Parts(state, clock), Owner("pid-1"), sources=NOTHING, numbers=numbering(state, Listing())
        )
        await snapshotter.go_on(table)
        row = await state.get(key)
        assert row is not None
        assert read_gap(row.fields).acknowledged_ms == 1_000

    asyncio.run(run())
