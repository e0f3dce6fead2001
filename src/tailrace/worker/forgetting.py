"""Forgets what delivery kept for shards that are gone (checkpoints, ledgers, leases) and for changes that
are gone (marks), and how far it came with items that have no dead letters any more.

Rules of this file: a row of a shard goes when the shard cannot be read any more, at two looks in a row, and
every shard that goes on where it ended has a checkpoint of the mapping's own: until then it says from where
on something may be missing. What a ledger counted is added to the ledger of earlier shards, in the same
transaction. A mark goes when its change is out of the stream for a day and its item has neither parked
changes nor dead letters, and only if it is still the one that was looked at. In slices; cut off anywhere, the
next round goes on. Called by worker.py, now and then.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Final

from tailrace.deadletters.core.entry import deadletter_prefix, read_deadletter
from tailrace.deadletters.core.head import head_prefix
from tailrace.deadletters.core.passed import passed_prefix
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
from tailrace.leases.hand_over import read_hand_over
from tailrace.leases.lineage import NamedAncestors
from tailrace.ports import Shard, StateStore, StreamRef
from tailrace.rows.kinds import CHECKPOINT, HAND_OVER, KINDS, LEDGER, MARK, RowKind, words_of
from tailrace.rows.writes import Absent, Equals, StateRow, Write, same_version
from tailrace.runtime.pages import rows as paged
from tailrace.runtime.parts import Parts
from tailrace.tables.schema import partition_of_key

SLICE: Final = 20
MARKS: Final = 50
"""So many marks go in one transaction."""
MARKS_EVERY: Final = 24
"""So many times as seldom are marks looked at that lie in a table of their own: all of them are read."""
SPARE: Final = "spare"
"""The field of a row that was not needed when it was looked at."""
LETTERS: Final = 20
"""Letters in memory at once: each may hold two images of 400 KB."""
FOLDED: Final = "folded"
"""The field of the ledger of earlier shards that moves with every slice: two workers cannot add the same."""
Followed = Sequence[tuple[StreamRef, Sequence[Shard]]]


Spare = dict[str, set[str]]
"""By mapping the checkpoints that nothing needed at the last look."""


async def forget(
    parts: Parts, app: str, mapping_id: str, followed: Followed, before: Spare, marks: StateStore | None
) -> None:
    """Remove what nothing needs of one mapping: how far it came with items, shards, and, last, since they may
    lie where nothing can be reached now, its `marks` (None: they stay this time).

    Raises: StoreError, StateConflict.
    """
    await forget_passed(parts.state, app, mapping_id)
    await forget_shards(parts.state, app, mapping_id, followed, before)
    if marks is not None:
        await forget_marks(parts.state, app, mapping_id, parts.clock.now().wall_ms, marks)


async def forget_shards(
    state: StateStore, app: str, mapping_id: str, followed: Followed, before: Spare
) -> int:
    """Remove the rows of one mapping that nothing needs, and needed nothing at the look `before`, which is
    this one then; `followed` are all readable shards. Returns: how many checkpoints.

    A shard that one listing lacks is no shard that is gone: its checkpoint would be lost.
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
    seen, before[mapping_id] = before.get(mapping_id, set()), {row.key for row in spare}
    spare = [row for row in spare if row.key in seen]
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


async def forget_leases(
    state: StateStore, prefix: str, known: AbstractSet[str], lives: Callable[[str], bool]
) -> int:
    """Remove leases under a prefix that are not of known shards and have no owner that `lives`. Returns: how
    many.
    """
    rows = await state.query(prefix)
    spare = [row for row in rows if row.key not in known and not lives(row.fields["owner"])]
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


async def forget_hand_overs(state: StateStore, app: str, label: str, known: AbstractSet[str]) -> None:
    """Remove what operators asked for of a stream's leases that are not among the `known` ones."""
    requests = map(read_hand_over, await state.query(HAND_OVER.prefix(app, label)))
    for request in requests:
        if request.lease not in known:
            with suppress(StateConflict):  # an operator has asked for another worker meanwhile
                await state.transact([request.removal()])


async def forget_marks(
    state: StateStore, app: str, mapping_id: str, now_ms: int, marks: StateStore | None = None
) -> int:
    """Remove the expired marks of one mapping, which lie in the state or elsewhere. Returns: how many.
    Raises: StoreError.
    """
    marks = state if marks is None else marks
    held_keys = {row.fields["key"] for row in await state.query(head_prefix(app, mapping_id))}
    held_keys |= await _keys_of_letters(state, app, mapping_id)
    removals: list[Write] = []
    count = 0
    async for row in paged(marks, MARK.of_mapping(app, mapping_id) + "/"):
        if mark_has_expired(row.fields, now_ms) and not _is_held(row.key.rsplit("/", 1)[1], held_keys):
            removals.append(Write(row.key, None, same_version(row.fields)))
        if len(removals) == MARKS:
            await _remove_marks(marks, removals)
            count, removals = count + MARKS, []
    await _remove_marks(marks, removals)
    return count + len(removals)


def _is_held(key: str, held_keys: AbstractSet[str]) -> bool:
    """Whether a dead letter may still need the mark with this key (hex), of its item or of its partition."""
    if key in held_keys:
        return True
    try:
        return partition_of_key(bytes.fromhex(key)).hex() in held_keys
    except ValueError:  # no key of a table
        return False


async def forget_passed(state: StateStore, app: str, mapping_id: str) -> int:
    """Remove how far one mapping has come with items that have no dead letters any more. Returns: how many.
    Raises: StoreError.

    Such a row is marked first, and goes at a later look if it still is: each dead letter is written in one
    transaction with its item's row, without the mark. So one that is saved while letters are read keeps it.
    """
    rows = [row async for row in paged(state, passed_prefix(app, mapping_id))]
    with_letters = await _keys_of_letters(state, app, mapping_id) if rows else set()
    spare = [row for row in rows if row.fields["key"] not in with_letters]
    for row in spare:
        is_marked = SPARE in row.fields
        write = (
            Write(row.key, None, Equals(SPARE, 1))
            if is_marked
            else Write(row.key, {**row.fields, SPARE: 1}, same_version(row.fields))
        )
        with suppress(StateConflict):  # the item has a dead letter again, or a change of it was handled
            await state.transact([write])
    return sum(SPARE in row.fields for row in spare)


async def _keys_of_letters(state: StateStore, app: str, mapping_id: str) -> set[str]:
    """The keys of items with dead letters, in hex."""
    rows = paged(state, deadletter_prefix(app, mapping_id), LETTERS)
    return {read_deadletter(row.fields).record.key.hex() async for row in rows}


async def _remove_marks(state: StateStore, removals: Sequence[Write]) -> None:
    """All of a slice, or one by one when a change of one of the items was applied meanwhile."""
    try:
        if removals:
            await state.transact(removals)
    except StateConflict:
        for removal in removals if len(removals) > 1 else ():
            await _remove_marks(state, [removal])
