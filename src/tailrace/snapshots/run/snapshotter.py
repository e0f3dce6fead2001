"""Makes the snapshots of an app's mappings: sees when one is due, reads the table, writes to the sink, and
deletes what the scan has not seen.

Theory of operation: each mapping has a task of its own, beside everything else, so live delivery never waits
for it. Whatever is done is done by the worker with the claim, page by page: a page is written to the sink,
and then saved. So it may be cut off anywhere, and another worker goes on with the page that was not saved;
one that has lost its claim and does not know it yet writes rows that are right as well. Why they are right,
whoever writes them and whenever, is in docs/decisions/0065.
Rules of this file: what is decided is in core/snapshot.py; outages are waited for, and said once. Made by
`compose_parts`, run by worker/crew.py.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tailrace.deadletters.core.gap import Gap, read_gap
from tailrace.errors import PortError, Refused, SourceError, StateConflict
from tailrace.leases.lease import Owner
from tailrace.ports import RecordBatch
from tailrace.rows.kinds import GAP
from tailrace.rows.writes import Equals, Write
from tailrace.runtime.parts import Parts
from tailrace.snapshots.core.due import due, following
from tailrace.snapshots.core.pages import Piece, ScannedItem, ScannedPage, pieces, scan_record
from tailrace.snapshots.core.snapshot import ScanProgress, Snapshot, WantedSnapshot, begun
from tailrace.snapshots.run.exporting import ExportsAsTable
from tailrace.snapshots.run.kept_tables import KeptTable, RowSources
from tailrace.snapshots.run.numbering import TableNumbering
from tailrace.snapshots.run.pending import deletions_below, has_settled, is_settled_below
from tailrace.snapshots.run.planning import Planner
from tailrace.snapshots.run.rows import SnapshotClaim, SnapshotClaimLost, SnapshotRows
from tailrace.snapshots.run.scanning import ReadBudget
from tailrace.snapshots.run.sweeping import as_it_is, sweep
from tailrace.snapshots.run.writing import RowWriter, failed_of
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import Version

LOOK_MS: Final = 5_000
"""How often it is asked whether a snapshot is due, wanted, or another worker's no more."""
AGREE_MS: Final = 500
"""How often workers that have to acknowledge a reset are looked for."""
SLOW_MS: Final = 60_000
"""After so long of waiting for others it is said who they are."""
SHARD: Final = "snapshot"
"""In place of a shard's id in batches of a scan."""
_log: Final = logging.getLogger("tailrace.snapshots")


class Snapshotter:
    """The snapshots of one app's mappings, as one worker makes them. Shape: `segments` says into how many a
    table is divided, by its size in bytes.
    """

    def __init__(
        self,
        tables: Sequence[KeptTable],
        parts: Parts,
        owner: Owner,
        *,
        sources: RowSources,
        numbers: TableNumbering,
        segments: Callable[[int], int] = lambda size_bytes: 1,
        look_ms: int = LOOK_MS,
    ) -> None:
        self._tables = {table.mapping_id: table for table in tables}
        self._state, self._clock, self._reached = parts.state, parts.clock, parts.reached
        self._owner = owner
        self._scan, self._exported = sources.scan, sources.exported
        self._exports = ExportsAsTable(
            sources.exported, sources.scan, numbers, parts.state, parts.clock, sources.reach_ms
        )  # fmt: skip
        self.planner = Planner(self._tables, sources, self._exports)
        """What says what a snapshot would read."""
        self._numbers = numbers
        self._segments = segments
        self._look_ms = look_ms
        self._rows = {
            name: SnapshotRows(numbers.app, name, parts.state, parts.clock, owner) for name in self._tables
        }
        self._said: dict[str, str] = {}
        self._busy = {table.mapping_id for table in tables if table.settings.automatic}
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for table in self._tables.values():
                tasks.create_task(self._keep_on(table), name=f"snapshot of {table.mapping_id}")

    @property
    def is_busy(self) -> bool:
        """Whether a snapshot is due or wanted, and not over and not paused, as far as is known here."""
        return bool(self._busy)

    def wake(self) -> None:
        """Something is wanted: look now."""
        self._wake.set()

    async def _keep_on(self, table: KeptTable) -> None:
        while True:
            try:
                await self.go_on(table)
                self._said.pop(table.mapping_id, None)
            except SnapshotClaimLost:
                pass  # the worker that has it now goes on with what was saved
            except PortError as error:
                if self._said.get(table.mapping_id) != str(error):
                    self._said[table.mapping_id] = str(error)
                    _log.warning("snapshot of %s waits: %s", table.mapping_id, error)
            await self._pause()

    async def _pause(self) -> None:
        self._wake.clear()
        sleeping = asyncio.ensure_future(self._sleep(self._look_ms))
        waiting = [sleeping, asyncio.ensure_future(self._wake.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    async def _sleep(self, wait_ms: int) -> bool:
        await self._clock.sleep_until(self._clock.now().monotonic_ms + wait_ms)
        return True

    # ---- one look ------------------------------------------------------------------------------------------

    async def go_on(self, table: KeptTable) -> None:
        """See whether something is due or wanted, and do it, as far as it goes. Raises: SnapshotClaimLost;
        SourceError, StoreError, SinkOutage.
        """
        rows = self._rows[table.mapping_id]
        wanted, snapshot = await rows.wanted(), await rows.snapshot()
        stream = (await self._numbers.known(table.table)).newest_stream
        gaps = await self._gaps(table)
        if snapshot is not None and not gaps.keys().isdisjoint(snapshot.gaps):
            await self._acknowledge(snapshot)  # whoever made it came no further
        if table.settings.automatic and (why := due(wanted, snapshot, stream, list(gaps))) is not None:
            next_one = following(wanted, self._numbers.app, table.mapping_id, why, self._now_ms)
            if not await rows.want(next_one):
                return  # another worker wants it too
            wanted = await rows.wanted()
        is_new = wanted is not None and (snapshot is None or snapshot.number < wanted.number)
        is_left = is_new or (snapshot is not None and not snapshot.is_over)
        if wanted is None or wanted.paused_by or not is_left:
            self._busy.discard(table.mapping_id)
            return
        self._busy.add(table.mapping_id)
        if is_new:
            if not await self._numbers.have_begun(table.table, table.mapping_id):
                return  # what is written from now on would be nowhere
            stream = (await self._numbers.known(table.table)).newest_stream
            before, snapshot = snapshot, begun(wanted, snapshot, self._now_ms, stream or "", list(gaps))
        else:
            before = snapshot
        assert snapshot is not None
        claim = await rows.claim(before, snapshot)
        if claim is None:
            return
        await self._carry_out(table, claim)

    @property
    def _now_ms(self) -> int:
        return self._clock.now().wall_ms

    async def _carry_out(self, table: KeptTable, claim: SnapshotClaim) -> None:
        renewing = asyncio.ensure_future(claim.renew())
        try:
            async with table.opened():
                while not claim.snapshot.is_over:
                    if await self._is_called_off(table, claim.snapshot):
                        await claim.leave()
                        return
                    await self._step(table, claim)
        finally:
            renewing.cancel()
        await self._over(table, claim.snapshot)

    async def _is_called_off(self, table: KeptTable, snapshot: Snapshot) -> bool:
        wanted = await self._rows[table.mapping_id].wanted()
        return wanted is None or bool(wanted.paused_by) or wanted.number != snapshot.number

    async def _step(self, table: KeptTable, claim: SnapshotClaim) -> None:
        match claim.snapshot.phase:
            case "begun":
                await self._begin(table, claim)
            case "agreeing":
                await self._agree(table, claim)
            case "scanning":
                await self._read(table, claim)
            case _:
                await self._sweep(table, claim)

    # ---- by which versions ---------------------------------------------------------------------------------

    async def _begin(self, table: KeptTable, claim: SnapshotClaim) -> None:
        """Find out by which versions the rows are ordered."""
        if claim.snapshot.source:
            await self._begin_exports(table, claim)
            return
        estimate = await self._scan.estimate(table.table)
        segments = len(pieces(claim.snapshot.part, self._segments(estimate[1])))
        probe = await self._scan.page(table.table, pieces(claim.snapshot.part, 1)[0], None, 1)
        of_part = claim.snapshot.part.of(estimate)
        await claim.save(lambda snapshot: replace(snapshot, estimate=of_part))
        self._warn(table, claim.snapshot, estimate)
        if probe.position is not None:
            await claim.save(lambda snapshot: snapshot.scanning_exactly(segments))
        elif claim.snapshot.why == "first" and await self._is_older_than_all(table):
            await claim.save(lambda snapshot: snapshot.scanning_first(segments))
        else:
            await self._numbers.reset(table.table, claim, segments)
        _say_begun(claim.snapshot)

    def _warn(self, table: KeptTable, snapshot: Snapshot, estimate: tuple[int, int]) -> None:
        """Say what a snapshot comes to for which nobody was asked, where people would have been."""
        wanted = WantedSnapshot(snapshot.app, table.mapping_id, snapshot.number, part=snapshot.part)
        plan = self.planner.of_size(wanted, estimate)
        if plan.asks and snapshot.why != "asked":
            _log.warning(
                "snapshot %d of %s (%s) %s. It goes on; snapshot=Snapshots(read_units=…) of the app sets a "
                "pace: tailrace snapshot pause %s",
                snapshot.number, table.mapping_id, snapshot.why, plan.words, table.mapping_id,
            )  # fmt: skip

    async def _begin_exports(self, table: KeptTable, claim: SnapshotClaim) -> None:
        """Find out whether exports may be the snapshot, and which."""
        try:
            chosen = await self._exports.choose(
                table.table, table.mirror, claim.snapshot, table.settings.keep_ms
            )
        except Refused as error:
            words = str(error)
            await claim.save(lambda snapshot: snapshot.refusing(words))
            return
        await claim.save(
            lambda snapshot: replace(
                snapshot.scanning_exports(chosen.exports, chosen.told_us),
                estimate=(chosen.items, chosen.size_bytes),
            )
        )
        _say_begun(claim.snapshot)

    async def _is_older_than_all(self, table: KeptTable) -> bool:
        """Whether rows of the scan may be older than every change: the sink has no row, so that no change of
        before this app's time can be in it; the mapping has settled nothing that the sink has lost, or that
        went elsewhere; and there is one stream. Of an item that came in an earlier one and went while none
        was on, no stream tells the end: that takes a sweep.
        """
        if len(await self._numbers.streams(table.table)) > 1:
            return False
        if table.mirror is not None and await table.mirror.rows(b"", 1):
            return False
        return not await has_settled(self._state, self._numbers.app, table.mapping_id)

    async def _agree(self, table: KeptTable, claim: SnapshotClaim) -> None:
        waiting = _Waiting(self._clock.now().monotonic_ms)
        while unaware := await self._numbers.unaware(table.table, claim.snapshot):
            if await self._is_called_off(table, claim.snapshot):
                return
            names = ", ".join(unaware)
            waiting.say(
                self._clock.now().monotonic_ms,
                f"snapshot of {table.mapping_id} waits for workers that hold leases of table "
                f"{table.table} and have not acknowledged reset {claim.snapshot.generation}: {names}",
            )
            await self._sleep(AGREE_MS)
        await claim.save(lambda snapshot: snapshot.agreed())

    async def _sweep(self, table: KeptTable, claim: SnapshotClaim) -> None:
        """Delete what the scan has not seen, once nothing older is still to come."""
        waiting = _Waiting(self._clock.now().monotonic_ms)
        while not await is_settled_below(self._numbers, table.table, claim.snapshot):
            if await self._is_called_off(table, claim.snapshot):
                return
            waiting.say(
                self._clock.now().monotonic_ms,
                f"snapshot of {table.mapping_id} waits with what is to be deleted: changes of before it are "
                "still on their way",
            )
            await self._sleep(AGREE_MS)
        self._reached("sweep.begun")
        writer = RowWriter(table.sink, self._clock, await self._batch(table))
        below, now_us = claim.snapshot.below, self._now_ms * 1_000
        if below is not None and table.mirror is not None:
            kept = deletions_below(self._state, self._numbers.app, table.mapping_id, below)
            async for deletions in kept:
                of_it = [await self._as_of(table, claim.snapshot, gone, now_us) for gone in deletions]
                await writer.write([record for record in of_it if record is not None])
        judging = writer.write if table.is_judging else None
        while claim.snapshot.phase == "sweeping" and not await self._is_called_off(table, claim.snapshot):
            await sweep(claim, table.mirror, self._scan, table.table, now_us, judging)

    async def _as_of(
        self, table: KeptTable, snapshot: Snapshot, gone: ChangeRecord, now_us: int
    ) -> ChangeRecord | None:
        """What an item with older changes is as of the bound: gone, where a whole table was read. Of another
        partition nothing is known; of a segment only looking tells, and then what there is.
        """
        if snapshot.part.partitions:
            bounds = [self._scan.bounds(table.table, partition) for partition in snapshot.part.partitions]
            return gone if any(first <= gone.key < last for first, last in bounds) else None
        if snapshot.part.segment is not None:
            return as_it_is(await self._scan.item(table.table, gone.key), gone.version, now_us)
        return gone

    # ---- reading -------------------------------------------------------------------------------------------

    async def _read(self, table: KeptTable, claim: SnapshotClaim) -> None:
        """Read what is left of every segment, beside each other, until the end or until it is called off."""
        parts = pieces(claim.snapshot.part, len(claim.snapshot.segments))
        wanted = await self._rows[table.mapping_id].wanted()
        asked = None if wanted is None else wanted.read_units
        budget = ReadBudget(self._clock, table.settings.read_units if asked is None else asked)
        batch = await self._batch(table)
        reader = _Reader(table, claim, RowWriter(table.sink, self._clock, batch), budget)
        await table.sink.open(self._clock)
        async with _first_error(), asyncio.TaskGroup() as tasks:
            for number, segment in enumerate(claim.snapshot.segments):
                if not segment.is_done:
                    tasks.create_task(self._read_segment(reader, number, parts[number]))

    async def _batch(self, table: KeptTable) -> RecordBatch:
        """What rows of the table are told to be of."""
        listed = await self._numbers.streams(table.table)
        if not listed:
            raise SourceError(f"table {table.table!r} has no stream")
        return RecordBatch((), table.mapping_id, listed[-1][0], SHARD, is_snapshot=True)

    async def _read_segment(self, reader: "_Reader", number: int, piece: Piece) -> None:
        claim, table = reader.claim, reader.table
        while not claim.snapshot.segments[number].is_done:
            if await self._is_called_off(table, claim.snapshot):
                return
            await reader.budget.wait()
            # Asked for first: what comes of a stream that begins after this is newer than the page.
            newest = (await self._numbers.known(table.table)).newest
            as_of_us = max(self._now_ms * 1_000, claim.snapshot.as_of_us + 1)
            page = await self._page(table.table, claim.snapshot, piece, number)
            reader.budget.use(page.read_units)
            await self._write_page(reader, number, page, newest, as_of_us)
            await asyncio.sleep(0)

    async def _page(self, table: str, snapshot: Snapshot, piece: Piece, number: int) -> ScannedPage:
        after = snapshot.segments[number].after
        if not snapshot.source:
            return await self._scan.page(table, piece, after)
        try:
            return await self._exported.page(table, snapshot.source, snapshot.exports, after)
        except Refused as error:  # it goes on when the files are whole
            raise SourceError(str(error.args[0]), hint=error.hint) from error

    async def _write_page(
        self, reader: "_Reader", number: int, page: ScannedPage, newest: int, as_of_us: int
    ) -> None:
        claim = reader.claim
        if (page.position is not None) != claim.snapshot.is_exact:
            raise SourceError(
                f"table {reader.table.table!r} was scanned, and its server "
                + ("tells no position any more" if claim.snapshot.is_exact else "tells positions by now")
                + f": tailrace snapshot start {claim.snapshot.mapping_id}"
            )
        version = claim.snapshot.version(page.position, newest, as_of_us)
        now_us = self._now_ms * 1_000
        records = [scan_record(item, _version(item, version), now_us) for item in page.items]
        given_up = await reader.writer.write(records)
        self._reached("page.written")
        read = ScanProgress(
            1,
            len(page.items) - len(given_up),
            sum(item.size_bytes for item in page.items),
            page.read_units,
            failures=len(given_up),
            failed=failed_of(given_up),
        )
        await claim.save(lambda snapshot: snapshot.with_page(number, page.after, version, read))
        self._reached("page.saved")

    # ---- the end -------------------------------------------------------------------------------------------

    async def _gaps(self, table: KeptTable) -> Mapping[str, str]:
        """Gaps that nothing fills yet: their rows, by the names that a snapshot keeps, which say how far."""
        rows = await self._state.query(GAP.prefix(self._numbers.app, table.mapping_id))
        gaps = [(row.key, read_gap(row.fields)) for row in rows]
        return {_gap_name(key, gap): key for key, gap in gaps if not gap.acknowledged_ms}

    async def _over(self, table: KeptTable, snapshot: Snapshot) -> None:
        """What the snapshot has filled is no operator's business any more."""
        if snapshot.refused:
            _log.warning(
                "snapshot %d of %s out of %s is refused: %s",
                snapshot.number, table.mapping_id, snapshot.source, snapshot.refused,
            )  # fmt: skip
            return
        if snapshot.phase == "failed":
            key, error = snapshot.progress.failed[0]
            _log.warning(
                "snapshot %d of %s has failed: %d items could not be written, the first of them %s: %s; rows "
                "of items that are gone were not deleted: tailrace snapshot start %s",
                snapshot.number, table.mapping_id, snapshot.progress.failures, key, error, table.mapping_id,
            )  # fmt: skip
            return
        await self._acknowledge(snapshot)
        await self._numbers.forget_seen(table.table, snapshot)
        _log.info(
            "snapshot %d of %s is done: %s items, %s rows of items that are gone were deleted",
            snapshot.number, table.mapping_id, f"{snapshot.progress.items:,}", f"{snapshot.progress.swept:,}",
        )  # fmt: skip

    async def _acknowledge(self, snapshot: Snapshot) -> None:
        """The gaps that a whole one has filled need no one any more. Repeatable."""
        for name in snapshot.gaps if snapshot.part.is_whole and snapshot.phase == "done" else ():
            key, _, _ = name.rpartition("@")
            row = await self._state.get(key)
            gap = None if row is None else read_gap(row.fields)
            if gap is None or gap.acknowledged_ms or _gap_name(key, gap) != name:
                continue  # more was lost meanwhile: that makes another one due
            with suppress(StateConflict):
                fields = gap.acknowledged(self._now_ms).fields()
                await self._state.transact([Write(key, fields, Equals("last", str(gap.last)))])


def _gap_name(key: str, gap: Gap) -> str:
    """What a snapshot calls a gap that it fills: one that is longer by now, or was told again, is another."""
    return f"{key}@{gap.last}{f'#{gap.again}' if gap.again else ''}"


def _version(item: ScannedItem, of_page: Version) -> Version:
    """That of an item's row: its own where the source tells it, or when it was written."""
    return item.version or (Version(0, item.written_us) if item.written_us else of_page)


def _say_begun(snapshot: Snapshot) -> None:
    items, size = snapshot.estimate
    _log.info(
        "snapshot %d of %s begins (%s%s): about %s items, %s bytes",
        snapshot.number, snapshot.mapping_id, snapshot.why,
        f", {len(snapshot.exports)} exports from {snapshot.source}" if snapshot.source else "",
        f"{items:,}", f"{size:,}",
    )  # fmt: skip


@dataclass(slots=True)
class _Waiting:
    """Since when something is waited for; it is said now and then."""

    said_ms: int

    def say(self, now_ms: int, words: str) -> None:
        """Say it, if it was not said for a while."""
        if now_ms - self.said_ms >= SLOW_MS:
            self.said_ms = now_ms
            _log.warning("%s", words)


class _Reader(Struct, frozen=True):
    """What the readers of one snapshot's segments share."""

    table: KeptTable
    claim: SnapshotClaim
    writer: RowWriter
    budget: ReadBudget


@asynccontextmanager
async def _first_error() -> AsyncIterator[None]:
    """What one of several tasks raises, as itself."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
