"""Forgets what delivery kept for shards that are gone (checkpoints, ledgers, leases) and for changes that
are gone (marks).

Rules of this file: a row of a shard goes when the shard cannot be read any more and every shard that goes
on where it ended has a checkpoint of the mapping's own: until then it says from where on something may be
missing. What a ledger counted is added to the ledger of earlier shards, in the same transaction. A mark
goes when its change is out of the stream for a day and its item has neither parked changes nor dead
letters, and only if it is still the one that was looked at. In slices; cut off anywhere, the next round
goes on. Called by worker.py, now and then.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from tailrace.deadletters.core.entry import deadletter_prefix, read_deadletter
from tailrace.deadletters.core.head import head_prefix
from tailrace.errors import StateConflict
from tailrace.leases.checkpoint import (
    EARLIER,
    EVERY_HASH,
    NOTHING,
    checkpoint_key,
    hashes_of,
    ledger_key,
    ledger_of,
    mark_has_expired,
    named_of,
    overlaps,
    unchanged,
)
from tailrace.leases.lineage import NamedAncestors
from tailrace.ports import Shard, StateStore, StreamRef
from tailrace.rows.kinds import CHECKPOINT, KINDS, LEDGER, MARK, RowKind, words_of
from tailrace.rows.writes import Absent, Equals, StateRow, Write, same_version

SLICE: Final = 20
MARKS: Final = 50
"""So many marks go in one transaction."""
FOLDED: Final = "folded"
"""The field of the ledger of earlier shards that moves with every slice: two workers cannot add the same."""
Followed = Sequence[tuple[StreamRef, Sequence[Shard]]]


async def forget_shards(state: StateStore, app: str, mapping_id: str, followed: Followed) -> int:
    """Remove the rows of one mapping that nothing needs; `followed` are all readable shards. Returns: how
    many checkpoints.

    Raises:  StoreError, StateConflict when another worker did the same.
    """
    if not followed:
        return 0
    rows = {row.key: row for row in await state.query(CHECKPOINT.prefix(app, mapping_id))}
    present = {
        checkpoint_key(app, mapping_id, stream.label, shard.shard_id): shard
        for stream, shards in followed
        for shard in shards
    }
    missing = [shard for key, shard in _roots(present).items() if key not in rows]
    named = {_place(row): named_of(row.fields) for row in rows.values()}
    spare = [row for key, row in rows.items() if key not in present and not _is_needed(row, missing, named)]
    for start in range(0, len(spare), SLICE):
        await _fold(state, app, mapping_id, spare[start : start + SLICE])
        await asyncio.sleep(0)
    return len(spare)


def _roots(present: dict[str, Shard]) -> dict[str, Shard]:
    """The readable shards whose parents are gone: the ones that ask where the mapping stood before."""
    ids = {shard.shard_id for shard in present.values()}
    return {key: shard for key, shard in present.items() if ids.isdisjoint(shard.parents)}


def _is_needed(
    row: StateRow, missing: Iterable[Shard], named: Mapping[tuple[str, str], NamedAncestors | None]
) -> bool:
    """Whether a shard that the mapping has not begun may ask what this row says: it is a parent's, or of its
    parents nothing is known.
    """
    for shard in missing:
        if overlaps(hashes_of(row.fields), shard.hash_range or EVERY_HASH):
            parents = [(shard.stream, parent) for parent in shard.parents]
            if not parents or any(named.get(parent) is None for parent in parents) or _place(row) in parents:
                return True
    return False


def _place(row: StateRow) -> tuple[str, str]:
    """The stream's label and the shard's id."""
    _, _, _, label, shard_id = words_of(row.key)
    return label, shard_id


def beside_checkpoints() -> list[RowKind]:
    """The kinds of rows that a mapping has once a shard, beside its checkpoint there, and that go with it."""
    return [
        kind
        for kind in KINDS.values()
        if kind.owner == "mapping" and kind.expires == "with its shard" and kind is not CHECKPOINT
    ]


async def _fold(state: StateStore, app: str, mapping_id: str, rows: Sequence[StateRow]) -> None:
    earlier_key = ledger_key(app, mapping_id, EARLIER, EARLIER)
    earlier = await state.get(earlier_key)
    merged = ledger_of(None, None if earlier is None else earlier.fields)
    folded = 0 if earlier is None else int(earlier.fields[FOLDED])
    writes: list[Write] = []
    for row in rows:
        writes.append(Write(row.key, None, unchanged(row.fields)))
        older: StateRow | None = None
        for kind in beside_checkpoints():
            beside = await state.get(kind.key(*words_of(row.key)[1:]))
            if beside is not None:
                writes.append(Write(beside.key, None))
                older = beside if kind is LEDGER else older
        merged = merged.merged(ledger_of(row.fields, None if older is None else older.fields))
    if merged != NOTHING:
        condition = Absent() if earlier is None else Equals(FOLDED, folded)
        fields = {"v": LEDGER.format, **merged.fields(), FOLDED: folded + 1}
        writes.append(Write(earlier_key, fields, condition))
    await state.transact(writes)


async def forget_leases(state: StateStore, prefix: str, known: AbstractSet[str]) -> int:
    """Remove leases under a prefix that are not of known shards and have no owner. Returns: how many."""
    spare = [row for row in await state.query(prefix) if row.key not in known and not row.fields["owner"]]
    for start in range(0, len(spare), SLICE):
        removals = [
            Write(row.key, None, Equals("counter", row.fields["counter"]))
            for row in spare[start : start + SLICE]
        ]
        try:
            await state.transact(removals)
        except StateConflict:
            continue  # another worker took one of them meanwhile
        await asyncio.sleep(0)
    return len(spare)


async def forget_marks(state: StateStore, app: str, mapping_id: str, now_ms: int) -> int:
    """Remove the expired marks of one mapping. Returns: how many. Raises: StoreError."""
    held_keys = {row.fields["key"] for row in await state.query(head_prefix(app, mapping_id))}
    for row in await state.query(deadletter_prefix(app, mapping_id)):
        held_keys.add(read_deadletter(row.fields).record.key.hex())
    removals = [
        Write(row.key, None, same_version(row.fields))
        for row in await state.query(MARK.of_mapping(app, mapping_id) + "/")
        if mark_has_expired(row.fields, now_ms) and row.key.rsplit("/", 1)[1] not in held_keys
    ]
    for start in range(0, len(removals), MARKS):
        await _remove_marks(state, removals[start : start + MARKS])
        await asyncio.sleep(0)
    return len(removals)


async def _remove_marks(state: StateStore, removals: Sequence[Write]) -> None:
    """All of a slice, or one by one when a change of one of the items was applied meanwhile."""
    try:
        await state.transact(removals)
    except StateConflict:
        for removal in removals if len(removals) > 1 else ():
            await _remove_marks(state, [removal])
