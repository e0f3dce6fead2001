"""Removes rows of projections that are of no use: tombstones and groups without items that have expired, and
all rows of a build that is gone.

What can never be delivered again needs no memory.
Rules of this file: a tombstone goes when its item was removed two days ago, twice as long as a stream keeps
the change that could bring it back, and the item has neither parked changes nor dead letters; and only if
it is still the one that was looked at. Called by projector.py, now and then.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeAlias

from tailrace.deadletters.core.entry import deadletter_prefix, read_deadletter
from tailrace.deadletters.core.head import head_prefix
from tailrace.errors import StateConflict
from tailrace.leases.checkpoint import MARK_AGE_MS
from tailrace.ports import ProjectionStore, StateStore
from tailrace.projections.core.rows import BUCKETS, AppliedItem, GroupState, RowChange

SLICE = 50
Rows: TypeAlias = Sequence[AppliedItem] | Sequence[GroupState]


async def forget_tombstones(
    store: ProjectionStore, state: StateStore, app: str, mapping_id: str, number: int, now_ms: int
) -> int:
    """Remove what has expired of one bucket of a build. Returns: how many rows. Raises: StoreError,
    Unavailable.
    """
    before_ms = now_ms - MARK_AGE_MS
    removals = [
        RowChange(row, None)
        for row in await store.bucket(number)
        if row.image is None and row.at_ms < before_ms
    ]
    if removals:
        held_keys = {str(row.fields["key"]) for row in await state.query(head_prefix(app, mapping_id))}
        for row in await state.query(deadletter_prefix(app, mapping_id)):
            held_keys.add(read_deadletter(row.fields).record.key.hex())
        removals = [removal for removal in removals if removal.row.key not in held_keys]
    if number == 0:  # groups are in no bucket: once in each round
        groups = await store.groups()
        removals += [
            RowChange(group, None) for group in groups if group.count == 0 and group.at_ms < before_ms
        ]
    return await _remove_all(store, removals)


async def _remove_all(store: ProjectionStore, changes: Sequence[RowChange]) -> int:
    return sum(
        [await _remove(store, changes[start : start + SLICE]) for start in range(0, len(changes), SLICE)]
    )


async def _remove(store: ProjectionStore, changes: Sequence[RowChange]) -> int:
    """All of a slice, or one by one when one of them was written meanwhile."""
    try:
        await store.commit(changes)
    except StateConflict:
        return sum([await _remove(store, [change]) for change in changes]) if len(changes) > 1 else 0
    return len(changes)


# ---- of builds that are gone -------------------------------------------------------------------------------


async def remove_rows(store: ProjectionStore) -> int:
    """Remove every row of a build that is gone. Returns: how many. Raises: StoreError."""
    removed = 0
    for number in range(BUCKETS):
        removed += await _emptied(store, partial(store.bucket, number))
    return removed + await _emptied(store, store.groups)


async def _emptied(store: ProjectionStore, read: Callable[[], Awaitable[Rows]]) -> int:
    removed = 0
    while rows := await read():
        for start in range(0, len(rows), store.rows_at_once):
            some = rows[start : start + store.rows_at_once]
            with suppress(StateConflict):  # another worker removes them as well: what is left is read again
                await store.commit([RowChange(row, None) for row in some])
                removed += len(some)
            await asyncio.sleep(0)
    return removed
