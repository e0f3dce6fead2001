"""Recorded writes are applied once, and a newer stream's are not taken for older ones."""

import asyncio
from typing import Any

import pytest
from msgspec import structs

from tailrace.app.change import Change
from tailrace.leases.checkpoint import mark_key
from tailrace.rows.writes import Write
from tailrace.runtime.attempts import Tally
from tailrace.runtime.effects import Effects, Marking
from tailrace.stores.memory import MemoryStateStore
from tests.unit.mapping.records import record


@pytest.mark.parametrize(
    ("generation", "sequence", "is_new"), [(1, 899, False), (1, 900, False), (1, 901, True), (2, 7, True)]
)
@pytest.mark.parametrize("is_of_before", [False, True])
def test_a_mark_holds_back_what_is_not_newer_in_its_own_generation_or_a_later_one(
    generation: int, sequence: int, is_new: bool, is_of_before: bool
) -> None:
    async def run() -> tuple[set[int], int]:
        state, tally = MemoryStateStore(), Tally()
        effects = Effects(state, Marking("shop.ship", marks_all=True), tally=tally)
        await effects.apply([(0, changed(1, 900))])
        if is_of_before:
            key = mark_key("shop.ship", "live", "orders", b"a")
            assert await state.get(key) is not None
            await state.transact([Write(key, {"v": 1, "sequence": 900, "at_ms": 0})])
        applied = await effects.applied([changed(generation, sequence)])
        before = tally.suppressed
        await effects.apply([(0, changed(generation, sequence))])
        return applied, tally.suppressed - before

    applied, suppressed = asyncio.run(run())
    assert (applied == set(), suppressed == 0) == (is_new, is_new)


def changed(generation: int, sequence: int) -> Change[Any]:
    return Change(structs.replace(record(sequence, "a"), generation=generation), "orders")


def test_marks_of_one_partition_are_of_its_items_whose_shards_may_number_otherwise() -> None:
    async def run() -> int:
        tally = Tally()
        effects = Effects(
            MemoryStateStore(), Marking("shop.ship", marks_all=True, by_partition=True), tally=tally
        )
        for sequence in (900, 800, 900):  # the second is another item, of another shard
            change = Change[Any](
                structs.replace(record(sequence, "a"), keys=b'{"sk":%d}' % sequence), "orders"
            )
            await effects.apply([(0, change)])
        return tally.suppressed

    assert asyncio.run(run()) == 1
