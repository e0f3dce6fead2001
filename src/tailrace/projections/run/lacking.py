"""What a build lacks: changes that are parked, and changes that the stream has lost.

Rules of this file: it reads rows and decides nothing; what to do about a lack is the projector's. Called by
projector.py.
Stands alone because it reads the rows of delivery, and the rest of bringing up those of builds.
"""

from contextlib import suppress

from tailrace.deadletters.core.gap import read_gap
from tailrace.deadletters.core.head import head_prefix, read_head
from tailrace.errors import StateConflict
from tailrace.leases.checkpoint import ledgers_of
from tailrace.ports import ProjectionStore, StateStore
from tailrace.projections.core.builds import Build
from tailrace.rows.kinds import CHECKPOINT, GAP, LEDGER
from tailrace.rows.writes import Equals, Write
from tailrace.streams.version import NOTHING


async def parked_items(state: StateStore, app: str, mapping_id: str, store: ProjectionStore) -> list[str]:
    """The items (hex) with parked changes that a build has not: what is parked may have been in the table
    when its items were read. Raises: StoreError, Unavailable.
    """
    rows = await state.query(head_prefix(app, mapping_id))
    heads = [read_head(app, mapping_id, row.fields) for row in rows]
    tails = {head.key.hex(): head.tail for head in heads if head.count}
    applied = {row.key: row.version for row in await store.items(list(tails))}
    return [key for key, tail in tails.items() if applied.get(key, NOTHING) < tail]


async def has_lost(state: StateStore, app: str, mapping_id: str, build: Build) -> bool:
    """Whether the stream lost changes since a build was begun. Of one that knows times alone: whether a gap
    is not acknowledged yet, or reaches to its first page; of one out of a journal, whether one is not
    acknowledged. Raises: StoreError.
    """
    if build.is_journaled:
        rows = await state.query(GAP.prefix(app, mapping_id))
        return any(not read_gap(row.fields).acknowledged_ms for row in rows)
    if build.is_timed:
        told = [read_gap(row.fields) for row in await state.query(GAP.prefix(app, mapping_id))]
        return any(not gap.acknowledged_ms or gap.until_ms * 1_000 >= build.since for gap in told)
    checkpoints = await state.query(CHECKPOINT.prefix(app, mapping_id))
    olders = await state.query(LEDGER.prefix(app, mapping_id))
    ledgers = ledgers_of(checkpoints, olders).values()
    # A gap's row stands when the ledger has no room for it any more; a gap of an older version is in the
    # ledger alone.
    gaps = await state.query(GAP.prefix(app, mapping_id))
    lost = [read_gap(row.fields).last for row in gaps]
    lost += [last for ledger in ledgers for _, last, _, outcome in ledger.ranges if outcome == "trimmed"]
    return any(last > build.since for last in lost)


async def acknowledge_gaps(state: StateStore, app: str, mapping_id: str, now_ms: int) -> None:
    """What was lost is read from the table's items: no operator need look at the gaps. Raises: StoreError."""
    for row in await state.query(GAP.prefix(app, mapping_id)):
        fields = read_gap(row.fields).acknowledged(now_ms).fields()
        with suppress(StateConflict):  # more was lost meanwhile: that is told again
            await state.transact([Write(row.key, fields, Equals("last", row.fields["last"]))])
