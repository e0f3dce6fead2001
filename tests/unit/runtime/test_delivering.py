"""Saving a checkpoint and parking keys: all at once, fenced by the epoch in the checkpoint's own row."""

import asyncio
from collections.abc import Sequence

import pytest

from tailrace.deadletters.core.entry import read_deadletter
from tailrace.deadletters.core.head import head_key, parked, read_head
from tailrace.errors import LeaseLost, StoreError
from tailrace.leases.checkpoint import CheckpointRow, read_row
from tailrace.leases.lease import lease_key
from tailrace.leases.lineage import KnownShards
from tailrace.mapping.commands import Checkpoint, GivenUp, ParkKey, SaveCheckpoint, Settled
from tailrace.ports import Action, Failure, Shard
from tailrace.rows.writes import Check, Equals, Write
from tailrace.runtime.delivering import MappingShard, Settling, letter_of, park
from tailrace.runtime.starting import checkpoint_of, enter, take_lease
from tailrace.runtime.steps import Transact
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.version import Version
from tests.unit.runtime.performed import performed
from tests.unit.sinks.batches import record

PLACE = MappingShard("shop", "note", "orders", "label", "shardId-1")
SHARD = Shard("shardId-1", 5, hash_range=(0, 1), before=0)
FAILED = GivenUp(record(4, "a"), "RetryAttemptsExhausted", 6, Failure(error="ValueError: no"), 10, 20)
WAITING = GivenUp(record(5, "a"), "KeyParked", 0, None, 0, 0)


async def settling(state: MemoryStateStore, owner: str = "me") -> Settling:
    """One under a lease that it has just taken."""
    key = lease_key("shop", "label", "shardId-1")
    lease, _ = await performed(state, take_lease(key, owner, [PLACE]))
    return Settling(PLACE, await performed(state, enter(PLACE, SHARD, KnownShards(), lease.epoch, 0)), "v7")


async def durable(state: MemoryStateStore) -> CheckpointRow:
    """What the checkpoint's row says."""
    row = await state.get(PLACE.checkpoint_key)
    assert row is not None
    return read_row(row.fields)


def save(watermark: int, *given_up: GivenUp) -> SaveCheckpoint:
    return SaveCheckpoint(Checkpoint(watermark), (Settled(1, watermark, watermark, "handled"),), given_up)


def test_what_is_saved_is_where_the_next_start_begins() -> None:
    async def main() -> None:
        state = MemoryStateStore()
        first = await settling(state)
        command = SaveCheckpoint(Checkpoint(9, ((12, 14),), False), (), ())
        await performed(state, first.save(command))
        begun = await performed(state, enter(PLACE, SHARD, KnownShards(), 9, 0))
        assert checkpoint_of(begun) == command.checkpoint

    asyncio.run(main())


def test_a_save_that_carries_nothing_else_is_one_conditional_write() -> None:
    async def main() -> None:
        state = MemoryStateStore()
        first = await settling(state)
        (call,) = list(first.save(save(3)))
        assert isinstance(call, Transact)
        (write,) = call.writes
        assert isinstance(write, Write)
        assert (write.key, write.condition) == (PLACE.checkpoint_key, Equals("epoch", 1))

    asyncio.run(main())


def test_what_a_save_carries_beside_its_checkpoint_is_in_one_transaction_with_it() -> None:
    async def main() -> None:
        dead = GivenUp(record(4, "a"), "RetryAttemptsExhausted", 6, Failure(), 10, 20)
        lost = SaveCheckpoint(
            Checkpoint(9), (Settled(5, 9, 0, "trimmed"),), (dead,), ((b"a", Version(1, 3)),)
        )
        (call,) = list((await settling(MemoryStateStore())).save(lost))
        assert isinstance(call, Transact)
        checkpoint, *beside = [write for write in call.writes if isinstance(write, Write)]
        assert checkpoint.condition == Equals("epoch", 1)
        assert [write.key.partition("/")[0] for write in beside] == ["deadletter", "passed", "gap"]

    asyncio.run(main())


def test_a_save_of_which_nobody_knows_whether_it_was_durable_is_repeated_and_counts_once() -> None:
    class Unsure(MemoryStateStore):
        """The first checkpoint is durable, and the answer gets lost."""

        has_failed = False

        async def transact(self, writes: Sequence[Action]) -> None:
            await super().transact(writes)
            if not self.has_failed and writes[0].condition == Equals("epoch", 1):  # type: ignore[union-attr]
                self.has_failed = True
                raise StoreError("the connection is gone")

    async def main() -> None:
        state = Unsure()
        first = await settling(state)
        with pytest.raises(StoreError):
            await performed(state, first.save(save(3)))
        unsure = await durable(state)
        await performed(state, first.save(save(3)))
        row = await durable(state)
        assert (row.watermark, row.ledger.totals) == (3, {"handled": 3})
        assert row.writes != unsure.writes, "who read the row in between must notice"

    asyncio.run(main())


def test_the_ledger_adds_up_over_checkpoints_and_restarts() -> None:
    async def main() -> None:
        state = MemoryStateStore()
        first = await settling(state)
        await performed(state, first.save(save(3)))
        await performed(state, first.save(save(2)))
        await performed(state, (await settling(state)).save(save(5)))
        assert (await durable(state)).ledger.totals == {"handled": 10}

    asyncio.run(main())


def test_who_lost_the_lease_saves_nothing_of_it() -> None:
    async def main() -> None:
        state = MemoryStateStore()
        old = await settling(state, "old")
        await performed(state, old.save(save(3)))
        new = await settling(state, "new")
        failure = Failure(error="ValueError: no", traceback="Traceback …")
        dead = GivenUp(record(4, "a"), "RetryAttemptsExhausted", 6, failure, 10, 20)
        with pytest.raises(LeaseLost, match="taken"):
            await performed(state, old.save(save(4, dead)))
        assert (await durable(state)).watermark == 3
        assert await state.query("deadletter/") == []
        await performed(state, new.save(save(4, dead)))
        (row,) = await state.query("deadletter/")
        letter = read_deadletter(row.fields)
        assert (letter.record, letter.handler, letter.attempts) == (record(4, "a"), "note", 6)
        assert (letter.error, letter.code_version, letter.shard_id) == ("ValueError: no", "v7", "shardId-1")

    asyncio.run(main())


# ---- parking -----------------------------------------------------------------------------------------------


async def parked_by(state: MemoryStateStore, fence: Check, *entries: GivenUp) -> bool:
    """Whether the key is free instead."""
    return await performed(state, park(PLACE, fence, ParkKey(1, b"a", entries), ""))


def test_who_lost_the_lease_parks_nothing_that_the_next_owner_would_not_know_of() -> None:
    async def main() -> None:
        state = MemoryStateStore()
        old = (await settling(state, "old")).fence
        await settling(state, "new")
        with pytest.raises(LeaseLost, match="taken"):
            await parked_by(state, old, FAILED)
        assert await state.query("head/") == []
        assert await state.query("parked/") == []

    asyncio.run(main())


def test_a_change_that_waits_for_a_key_that_was_put_back_meanwhile_is_free() -> None:
    async def main() -> None:
        state = MemoryStateStore()
        fence = (await settling(state)).fence
        assert await parked_by(state, fence, WAITING) is True, "it would wait behind nothing, for ever"
        assert await state.query("head/") == []
        assert await parked_by(state, fence, FAILED) is False
        assert await parked_by(state, fence, WAITING) is False
        row = await state.get(head_key("shop", "note", b"a"))
        assert row is not None
        assert read_head("shop", "note", row.fields).count == 2

    asyncio.run(main())


def test_what_a_redriver_changes_between_looking_and_writing_is_looked_at_again() -> None:
    class Racing(MemoryStateStore):
        """Another change of the key is parked just before the first write."""

        has_raced = False

        async def get(self, key: str):  # type: ignore[no-untyped-def]
            row = await super().get(key)
            if key.startswith("head/") and not self.has_raced:
                self.has_raced = True
                rows = parked("shop", "note", None, [letter_of(PLACE, FAILED, "")], 0)
                await self.transact(list(rows))
            return row

    async def main() -> None:
        state = Racing()
        fence = (await settling(state)).fence
        assert await parked_by(state, fence, FAILED, WAITING) is False
        row = await state.get(head_key("shop", "note", b"a"))
        assert row is not None
        head = read_head("shop", "note", row.fields)
        assert (head.first, head.tail, head.count) == (Version(1, 4), Version(1, 5), 2)

    asyncio.run(main())
