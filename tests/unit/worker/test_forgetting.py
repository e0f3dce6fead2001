"""What is forgotten, and what must not be: rows whose shards one listing lacks, items with dead letters."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tailrace.deadletters.core.entry import deadletter_fields, deadletter_key
from tailrace.deadletters.core.passed import passed_key, passed_write
from tailrace.leases.checkpoint import CheckpointRow, checkpoint_key
from tailrace.leases.hand_over import hand_over
from tailrace.leases.lease import lease_key
from tailrace.ports import Action, Shard, StreamRef
from tailrace.rows.kinds import CHECKPOINT, HAND_OVER, PASSED
from tailrace.rows.writes import StateRow, Write
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.version import NOTHING, Version
from tailrace.worker.forgetting import Spare, forget_hand_overs, forget_passed, forget_shards
from tests.unit.deadletters.test_redrive import letter

STREAM = StreamRef("arn", "orders", "label", "NEW_AND_OLD_IMAGES")
PARENT, CHILD = Shard("shardId-1", 1, last=9), Shard("shardId-2", 10, parents=("shardId-1",))
LETTER = letter()
KEY = LETTER.record.key
AS_A_LETTER = Write(deadletter_key("shop", "mail", LETTER.record.version), deadletter_fields(LETTER))


async def begun(*shards: Shard) -> MemoryStateStore:
    """A store in which a mapping has a checkpoint of each of these."""
    state = MemoryStateStore()
    rows = [CheckpointRow(epoch=1, watermark=shard.first, finished=True).fields() for shard in shards]
    keys = [checkpoint_key("shop", "mail", "label", shard.shard_id) for shard in shards]
    await state.transact([Write(key, fields) for key, fields in zip(keys, rows, strict=True)])
    return state


def left(looks: Sequence[Sequence[Shard]]) -> list[int]:
    """How many checkpoints are left after each look."""

    async def story() -> list[int]:
        state, spare, counts = await begun(PARENT, CHILD), Spare(), list[int]()
        for shards in looks:
            await forget_shards(state, "shop", "mail", [(STREAM, shards)] if shards else [], spare)
            counts.append(await state.count(CHECKPOINT.prefix("shop", "mail")))
        return counts

    return asyncio.run(story())


@pytest.mark.parametrize(
    ("why", "looks", "expected"),
    [
        ("one listing lacks both", [[Shard("shardId-3", 20)], [PARENT, CHILD]], [2, 2]),
        ("one lacks the parent", [[CHILD], [PARENT, CHILD], [CHILD]], [2, 2, 2]),
        ("a shard is gone when two looks in a row lack it", [[CHILD], [CHILD]], [2, 1]),
        ("nothing is listed at all", [[], [], []], [2, 2, 2]),
        ("seen meanwhile it counts anew", [[CHILD], [PARENT, CHILD], [CHILD], [CHILD]], [2, 2, 2, 1]),
    ],
)  # fmt: skip
def test_a_checkpoint_goes_when_two_looks_in_a_row_have_not_found_its_shard(
    why: str, looks: Sequence[Sequence[Shard]], expected: list[int]
) -> None:
    assert left(looks) == expected, why


# ---- how far a mapping came with items that had dead letters -----------------------------------------------


async def passed_rows(state: MemoryStateStore) -> list[StateRow]:
    return await state.query(PASSED.prefix("shop", "mail"))


def test_an_item_without_dead_letters_is_forgotten_at_the_second_look_and_one_with_them_never() -> None:
    async def story() -> None:
        state = MemoryStateStore()
        rows = [passed_write("shop", "mail", key, NOTHING) for key in (KEY, b"put back")]
        await state.transact([AS_A_LETTER, *rows])
        assert await forget_passed(state, "shop", "mail") == 0
        assert len(await passed_rows(state)) == 2
        assert await forget_passed(state, "shop", "mail") == 1
        (row,) = await passed_rows(state)
        assert row == StateRow(row.key, {"v": 2, "key": KEY.hex(), "version": NOTHING.text})
        for _ in range(3):
            assert await forget_passed(state, "shop", "mail") == 0
        await state.transact([Write(AS_A_LETTER.key, None)])
        assert [await forget_passed(state, "shop", "mail") for _ in range(2)] == [0, 1]
        assert await passed_rows(state) == []

    asyncio.run(story())


class Meanwhile(MemoryStateStore):
    """A store in which something is written when letters have been read."""

    then: Sequence[Action] = ()

    async def query(self, prefix: str, **how: Any) -> list[StateRow]:
        rows = await super().query(prefix, **how)
        if prefix.startswith("deadletter/"):
            await super().transact(self.then)
        return rows


@pytest.mark.parametrize("looks", [0, 1])
def test_a_dead_letter_that_is_saved_while_letters_are_read_keeps_its_items_row(looks: int) -> None:
    """As it is saved: in one transaction with the item's row, also where that says nothing new."""

    async def story() -> None:
        state = Meanwhile()
        row = passed_write("shop", "mail", KEY, Version(1, 3))
        await state.transact([row])
        for _ in range(looks):
            await forget_passed(state, "shop", "mail")
        state.then = [AS_A_LETTER, row]
        await forget_passed(state, "shop", "mail")
        state.then = ()
        for _ in range(3):
            await forget_passed(state, "shop", "mail")
        assert await state.get(passed_key("shop", "mail", KEY)) is not None

    asyncio.run(story())


def test_the_canary_a_letter_that_is_saved_without_its_items_row_is_left_without_it() -> None:
    async def story() -> None:
        state = Meanwhile()
        await state.transact([passed_write("shop", "mail", KEY, Version(1, 3))])
        await forget_passed(state, "shop", "mail")
        state.then = [AS_A_LETTER]
        await forget_passed(state, "shop", "mail")
        assert await state.get(passed_key("shop", "mail", KEY)) is None

    asyncio.run(story())


def test_what_was_asked_for_of_a_shard_that_is_gone_goes_and_of_one_that_is_there_stays() -> None:
    async def story() -> list[str]:
        state = MemoryStateStore()
        for label, shard_id in (("label", "shardId-1"), ("label", "shardId-2"), ("other", "shardId-1")):
            await state.transact([hand_over("shop", label, shard_id, "you").write()])
        await forget_hand_overs(state, "shop", "label", {lease_key("shop", "label", "shardId-2")})
        return [row.key for row in await state.query(HAND_OVER.prefix("shop"))]

    assert asyncio.run(story()) == [
        HAND_OVER.key("shop", "label", "shardId-2"), HAND_OVER.key("shop", "other", "shardId-1")
    ]  # fmt: skip
