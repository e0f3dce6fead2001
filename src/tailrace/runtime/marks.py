"""Lets marks expire: what can never be delivered again needs no memory.

Rules of this file: a mark goes when its change is out of the stream for a day and its item has neither parked changes nor dead letters,
and only if it is still the one that was looked at. Called by runtime/worker.py, now and then.
"""

import asyncio
from collections.abc import Sequence

from tailrace.deadletters.entry import deadletter_prefix, read_deadletter
from tailrace.deadletters.head import head_prefix
from tailrace.errors import StateConflict
from tailrace.leases.checkpoint import mark_has_expired
from tailrace.ports import StateStore
from tailrace.rows.kinds import MARK
from tailrace.rows.writes import Write, same_version

SLICE = 50


async def forget_marks(state: StateStore, app: str, mapping_id: str, now_ms: int) -> int:
    """Remove the expired marks of one mapping. Returns: how many. Raises: StoreError."""
    kept = {row.fields["key"] for row in await state.query(head_prefix(app, mapping_id))}
    for row in await state.query(deadletter_prefix(app, mapping_id)):
        kept.add(read_deadletter(row.fields).record.key.hex())
    removals = [
        Write(row.key, None, same_version(row.fields))
        for row in await state.query(MARK.of_mapping(app, mapping_id) + "/")
        if mark_has_expired(row.fields, now_ms) and row.key.rsplit("/", 1)[1] not in kept
    ]
    for start in range(0, len(removals), SLICE):
        await _remove(state, removals[start : start + SLICE])
        await asyncio.sleep(0)
    return len(removals)


async def _remove(state: StateStore, removals: Sequence[Write]) -> None:
    """All of a slice, or one by one when a change of one of the items was applied meanwhile."""
    try:
        await state.transact(removals)
    except StateConflict:
        for removal in removals if len(removals) > 1 else ():
            await _remove(state, [removal])
