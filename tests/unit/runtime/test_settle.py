"""Saving a checkpoint: one transaction, fenced by the lease."""

import asyncio

import pytest

from tailrace.deadletters.entry import read_deadletter
from tailrace.deadletters.head import parked
from tailrace.errors import LeaseLost
from tailrace.leases.lease import lease_key, take
from tailrace.mapping.commands import Checkpoint, GivenUp, ParkedHead, SaveCheckpoint, Settled
from tailrace.ports import Failure, Shard
from tailrace.runtime.settle import Place, Settling, letter_of
from tailrace.runtime.starting import load_checkpoint, load_start
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.record import change_record
from tests.unit.runtime.performed import performed
from tests.unit.sinks.batches import record

PLACE = Place("shop", "note", "orders", "label", "shardId-1")
SHARD = Shard("shardId-1", 5, hash_range=(0, 1), before=0)


async def settling(state: MemoryStateStore, owner: str = "me") -> Settling:
    """One under a lease that it has just taken."""
    key = lease_key("shop", "label", "shardId-1")
    row = await state.get(key)
    lease, write = take(key, None if row is None else row.fields, owner)
    await state.transact([write])
    return Settling(PLACE, lease, "v7")


def save(watermark: int, *given_up: GivenUp) -> SaveCheckpoint:
    return SaveCheckpoint(Checkpoint(watermark), (Settled(1, watermark, watermark, "handled"),), given_up)


def test_what_is_saved_is_where_the_next_start_begins() -> None:
    async def main() -> None:
        state = MemoryStateStore()
        assert await performed(state, load_checkpoint(PLACE, SHARD)) == Checkpoint()
        first = await settling(state)
        command = SaveCheckpoint(Checkpoint(9, ((12, 14),), False), (), ())
        await performed(state, first.save(command))
        assert await performed(state, load_checkpoint(PLACE, SHARD)) == command.checkpoint

    asyncio.run(main())


def test_the_ledger_adds_up_over_checkpoints_and_restarts() -> None:
    async def main() -> None:
        state = MemoryStateStore()
        first = await settling(state)
        await performed(state, first.save(save(3)))
        await performed(state, first.save(save(2)))
        await performed(state, (await settling(state)).save(save(5)))
        ledger = await state.get(PLACE.ledger_key)
        assert ledger is not None
        assert ledger.fields["totals"] == {"handled": 10}

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
        assert await performed(state, load_checkpoint(PLACE, SHARD)) == Checkpoint(3)
        assert await state.query("deadletter/") == []
        await performed(state, new.save(save(4, dead)))
        (row,) = await state.query("deadletter/")
        letter = read_deadletter(row.fields)
        assert (letter.record, letter.handler, letter.attempts) == (record(4, "a"), "note", 6)
        assert (letter.error, letter.code_version, letter.shard_id) == ("ValueError: no", "v7", "shardId-1")

    asyncio.run(main())


def test_a_new_mapping_takes_the_oldest_and_one_that_followed_insists_on_everything() -> None:
    child = Shard("shardId-2", 50, ("shardId-1",), hash_range=(0, 1), before=0)
    place = Place("shop", "note", "orders", "label", "shardId-2")

    async def main() -> None:
        state = MemoryStateStore()
        assert await performed(state, load_checkpoint(place, child)) == Checkpoint(0)
        await performed(state, (await settling(state)).save(save(3)))
        assert await performed(state, load_checkpoint(place, child)) == Checkpoint(49)

    asyncio.run(main())


def test_a_start_knows_the_parked_keys_of_its_own_hashes_and_no_others() -> None:
    """Or the keys of every other shard would count against its bound, and be told as its own."""
    shard = Shard("shardId-1", 5, hash_range=(10, 19), before=0)

    async def main() -> None:
        state = MemoryStateStore()
        for number, partition in enumerate((9, 10, 19, 20), 1):
            change = change_record(
                sequence=number, shard=3, created_ms=1, partition=partition, key=b"%d" % partition, keys={"id": {"S": "a"}},
                old=None, new=b"{}", size_bytes=2,
            )  # fmt: skip
            letter = letter_of(PLACE, GivenUp(change, "RetryAttemptsExhausted", 1, Failure(), 0, 0), "")
            await state.transact(list(parked("shop", "note", None, [letter], 0)))
        start = await performed(state, load_start(PLACE, shard))
        assert start.parked == (ParkedHead(b"10", 2, 2, 1), ParkedHead(b"19", 3, 3, 1))

    asyncio.run(main())
