"""Parking keys durably: under one lease, beside a redriver."""

import asyncio

import pytest

from tailrace.deadletters.head import head_key, parked, read_head
from tailrace.errors import LeaseLost
from tailrace.leases.lease import lease_key
from tailrace.leases.lineage import Known
from tailrace.mapping.commands import GivenUp, Park
from tailrace.ports import Failure, Shard
from tailrace.rows.writes import Check
from tailrace.runtime.parking import park
from tailrace.runtime.settle import Place, letter_of
from tailrace.runtime.starting import enter, take_lease
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.version import Version
from tests.unit.runtime.performed import performed
from tests.unit.sinks.batches import record

PLACE = Place("shop", "note", "orders", "label", "shardId-1")
FAILED = GivenUp(record(4, "a"), "RetryAttemptsExhausted", 6, Failure(error="ValueError: no"), 10, 20)
WAITING = GivenUp(record(5, "a"), "KeyParked", 0, None, 0, 0)


async def fence_of(state: MemoryStateStore, owner: str) -> Check:
    """The fence of a worker that comes to the shard now."""
    key = lease_key("shop", "label", "shardId-1")
    lease, _ = await performed(state, take_lease(key, owner, [PLACE]))
    begun = await performed(state, enter(PLACE, Shard("shardId-1", 1, before=0), Known(), lease.epoch, 0))
    return PLACE.fence(begun.epoch)


async def parked_by(state: MemoryStateStore, fence: Check, *entries: GivenUp) -> bool:
    """Whether the key is free instead."""
    return await performed(state, park(PLACE, fence, Park(1, b"a", entries), ""))


def test_who_lost_the_lease_parks_nothing_that_the_next_owner_would_not_know_of() -> None:
    async def main() -> None:
        state = MemoryStateStore()
        old = await fence_of(state, "old")
        await fence_of(state, "new")
        with pytest.raises(LeaseLost, match="taken"):
            await parked_by(state, old, FAILED)
        assert await state.query("head/") == []
        assert await state.query("parked/") == []

    asyncio.run(main())


def test_a_change_that_waits_for_a_key_that_was_put_back_meanwhile_is_free() -> None:
    async def main() -> None:
        state = MemoryStateStore()
        fence = await fence_of(state, "me")
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
        fence = await fence_of(state, "me")
        assert await parked_by(state, fence, FAILED, WAITING) is False
        row = await state.get(head_key("shop", "note", b"a"))
        assert row is not None
        head = read_head("shop", "note", row.fields)
        assert (head.first, head.tail, head.count) == (Version(1, 4), Version(1, 5), 2)

    asyncio.run(main())
