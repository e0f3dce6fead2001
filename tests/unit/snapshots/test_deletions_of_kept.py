"""Deletions of items that have changes kept: no newer than they must be."""

import asyncio

from msgspec.structs import replace

from tailrace.deadletters.core.entry import DeadLetter, deadletter_fields, parked_key
from tailrace.rows.writes import Write
from tailrace.snapshots.run.pending import deletions_below
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import Version

KEPT = ChangeRecord(7, 1, "INSERT", 1, 1, 1, b"a", b"{}", None, b"{}")


async def deletions(*kept: ChangeRecord) -> list[tuple[bytes, str, Version]]:
    state = MemoryStateStore()
    for record in kept:
        letter = DeadLetter(
            record=record, event_id="", shard_id="shard", handler="mirror", condition="", attempts=1
        )
        key = parked_key("shop", "mirror", record.key, record.version)
        await state.transact([Write(key, deadletter_fields(letter))])
    pages = [page async for page in deletions_below(state, "shop", "mirror", Version(1, 9))]
    return [(record.key, record.event_name, record.version) for page in pages for record in page]


def test_an_item_is_deleted_as_of_the_newest_change_that_is_kept_of_it_below_the_bound() -> None:
    kept = [KEPT, replace(KEPT, sequence=8), replace(KEPT, key=b"b", sequence=3)]
    told = asyncio.run(deletions(*kept))
    assert sorted(told) == [(b"a", "REMOVE", Version(1, 8)), (b"b", "REMOVE", Version(1, 3))]


def test_what_is_kept_of_after_the_bound_is_no_business_of_a_snapshot() -> None:
    assert asyncio.run(deletions(replace(KEPT, sequence=9))) == []
