"""Changes that are still to be written to a sink although a snapshot is newer: what a mapping has not settled
of the time before, and what is parked or dead.

Theory of operation: an item that is gone has no row in the mirror when nothing was ever written of it. An
older change of it that comes after the sweep would bring it back, and no later change would take it away. So
before anything is swept everything below the bound is settled; and an item with a parked change or a dead
letter of before gets a deletion as of that change, which what the scan has written of it is newer than, and
which what may be put back is not.
A scan that is older than every change takes a mapping that has settled none: what an empty mirror had of it,
or never got, does not come again, and a change of before that is put back would beat the row of the scan.
Rules of this file: it only reads. Called by run/snapshotter.py and run/forgetting.py. Source: ADR 65.
Stands alone because it reads the rows of delivery and of dead letters.
"""

from collections.abc import AsyncIterator
from typing import Final

from msgspec.structs import replace

from tailrace.deadletters.core.entry import deadletter_prefix, parked_prefix, read_deadletter
from tailrace.deadletters.core.evacuated import read_evacuated
from tailrace.leases.checkpoint import ledgers_of, read_checkpoint
from tailrace.leases.generation import TO_THE_END
from tailrace.ports import StateStore
from tailrace.rows.kinds import CHECKPOINT, EVACUATED, LEDGER, words_of
from tailrace.snapshots.core.snapshot import Snapshot
from tailrace.snapshots.run.numbering import TableNumbering
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import Version

PAGE: Final = 200


async def kept_changes(state: StateStore, app: str, mapping_id: str) -> AsyncIterator[ChangeRecord]:
    """Every change that is parked, dead, or saved from the trim. Raises: StoreError."""
    for prefix in (deadletter_prefix(app, mapping_id), parked_prefix(app, mapping_id)):
        async for fields in _rows(state, prefix):
            yield read_deadletter(fields).record
    async for fields in _rows(state, EVACUATED.prefix(app, mapping_id)):
        yield read_evacuated(fields)


async def has_settled(state: StateStore, app: str, mapping_id: str) -> bool:
    """Whether a mapping has settled any change by now, or has one that may be put back. Raises: StoreError.

    Guarantee: if not, a mirror without rows lacks nothing of it: whatever it settles from now on it writes.
    """
    for prefix in (deadletter_prefix(app, mapping_id), parked_prefix(app, mapping_id)):
        if await state.query(prefix, limit=1):
            return True
    checkpoints = await state.query(CHECKPOINT.prefix(app, mapping_id))
    ledgers = ledgers_of(checkpoints, await state.query(LEDGER.prefix(app, mapping_id)))
    return any(
        count and outcome != "trimmed"
        for ledger in ledgers.values()
        for outcome, count in ledger.totals.items()
    )


async def deletions_below(
    state: StateStore, app: str, mapping_id: str, below: Version
) -> AsyncIterator[list[ChangeRecord]]:
    """A deletion of each item that has changes kept which are older than a bound, as of the newest of them:
    that is enough for none of them to bring it back, and older than whatever else says what it is. Some at a
    time; an item may come several times. Raises: StoreError.
    """
    some: dict[bytes, ChangeRecord] = {}
    async for record in kept_changes(state, app, mapping_id):
        if record.version < below:
            there = some.get(record.key)
            if there is None or record.version > there.version:
                some[record.key] = replace(record, event_name="REMOVE", new=None)
        if len(some) == PAGE:
            yield list(some.values())
            some = {}
    if some:
        yield list(some.values())


async def is_settled_below(numbers: TableNumbering, table: str, snapshot: Snapshot) -> bool:
    """Whether a mapping has settled every change below a snapshot's bound that can still be read. Raises:
    SourceError, StoreError.
    """
    below = snapshot.below
    if below is None:
        return True
    if snapshot.is_exact:  # numbers rise over all streams there
        oldest = await numbers.oldest(snapshot.mapping_id, table)
        return oldest is None or oldest > below.sequence
    known = await numbers.known(table)
    reset = next(reset for reset in known.resets if reset.generation == snapshot.generation)
    for stream, shards in await numbers.streams(table):
        if stream.generation > below.generation:
            continue
        rows = {
            words_of(row.key)[4]: read_checkpoint(row.fields)
            for row in await numbers.state.query(
                CHECKPOINT.prefix(numbers.app, snapshot.mapping_id, stream.label)
            )
        }
        for shard in shards:
            watermark, _, is_finished = rows.get(shard.shard_id, (0, (), False))
            wanted = reset.positions.get(shard.shard_id, 0) if stream.label == reset.label else TO_THE_END
            if not is_finished and watermark < wanted:
                return False
    return True


async def _rows(state: StateStore, prefix: str) -> AsyncIterator[dict[str, object]]:
    after = ""
    while rows := await state.query(prefix, after=after, limit=PAGE):
        for row in rows:
            yield dict(row.fields)
        after = rows[-1].key
