"""What a scan has not seen is deleted from a mirror: slice by slice, or one by one where only looking tells.

Theory of operation: when every page of a part is written, a row of that part below the snapshot's bound is of
an item that was not there when its page was read. Of the whole table, and of partitions, the rows are ranges
of keys, and the mirror deletes them itself. Which keys are in a segment only the table's server knows: each
candidate is looked up, and deleted under its version if it is gone. One that is there may be what the mapping
does not want any more: where it judges items at all, it is given to the sink as it is now, which deletes it
or writes it. That is right of an item of another segment, too: what changes afterwards is newer.
Rules of this file: one slice a call, repeatable. Called by run/snapshotter.py. Source: ADR 65.
Stands alone because it is the only part of a snapshot that deletes.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from msgspec.structs import replace

from tailrace.ports import Mirror, RecordBatch, StreamRef
from tailrace.snapshots.core.pages import ScannedItem, scan_record
from tailrace.snapshots.run.rows import SnapshotClaim
from tailrace.snapshots.run.scanning import TableScan
from tailrace.snapshots.run.writing import UnwrittenRow, failed_of
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import Version

SLICE: Final = 1_000
LOOKED_UP: Final = 100


Judging = Callable[[Sequence[ChangeRecord]], Awaitable[Sequence[UnwrittenRow]]]
"""Writes items to the sink as they are, which judges them. Returns: those that could not be."""


def as_it_is(item: ScannedItem, version: Version, now_us: int) -> ChangeRecord:
    """An item that was looked up as a change to what it is, or of its deletion. Units: now_us since the
    epoch.
    """
    return scan_record(replace(item, replaces=True), version, now_us)


async def sweep(
    claim: SnapshotClaim,
    mirror: Mirror | None,
    scan: TableScan,
    table: str,
    now_us: int,
    judging: Judging | None = None,
) -> None:
    """Delete one slice of what the scan has not seen, and save that.

    Shape:   `judging` is given items that are there, None: the mapping wants all. Units: now_us since the
             epoch. Raises: SnapshotClaimLost, SourceError, StoreError, what the mirror raises.
    """
    part, below, tombstone = claim.snapshot.part, claim.snapshot.below, claim.snapshot.tombstone
    if mirror is None or below is None or tombstone is None:
        await claim.save(lambda snapshot: snapshot.with_swept(0, is_last=True))
    elif part.segment is not None:
        await _look_up(claim, mirror, scan, table, now_us, judging)
    else:
        bounds: list[tuple[bytes, bytes | None]] = [
            scan.bounds(table, partition) for partition in part.partitions
        ] or [(b"", None)]
        swept = 0
        for first, last in bounds:
            swept += await mirror.sweep(first, last, below, tombstone, SLICE - swept)
            if swept == SLICE:
                break
        is_last = swept < SLICE
        await claim.save(lambda snapshot: snapshot.with_swept(swept, is_last=is_last))


async def _look_up(
    claim: SnapshotClaim,
    mirror: Mirror,
    scan: TableScan,
    table: str,
    now_us: int,
    judging: Judging | None,
) -> None:
    below, tombstone = claim.snapshot.below, claim.snapshot.tombstone
    assert below is not None
    assert tombstone is not None
    after = claim.snapshot.swept_after
    rows = await mirror.rows(after, LOOKED_UP)
    gone = 0
    there: list[ChangeRecord] = []
    for row in rows:
        if row.is_deleted or row.version >= below:
            continue
        item = await scan.item(table, row.key)
        record = as_it_is(item, tombstone, now_us)
        if item.image is not None:
            there.append(record)
        else:
            (was_there,) = await mirror.mend(_batch(claim.snapshot.mapping_id, table, record), [row.version])
            gone += was_there
    given_up = failed_of(await judging(there)) if judging is not None else ()
    last = rows[-1].key if rows else after
    is_last = len(rows) < LOOKED_UP
    await claim.save(lambda snapshot: snapshot.with_swept(gone, is_last=is_last, after=last, failed=given_up))


def _batch(mapping_id: str, table: str, record: ChangeRecord) -> RecordBatch:
    stream = StreamRef("", table, "", "NEW_AND_OLD_IMAGES")
    return RecordBatch([record], mapping_id, stream, "snapshot", is_snapshot=True)
