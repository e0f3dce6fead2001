"""By which versions the rows of a snapshot are ordered: that readers have begun, a reset in the numbers of a
table, and that every reader numbers by it.

Theory of operation: a later scan must stand between the changes of before and of after it. So the positions
of the readers are written down with two new numbers, in one transaction with the snapshot that needs them;
what is read at or below a position keeps its number. The positions are those of checkpoints: below what is in
the stream, as they have to be, and so high that hardly a change which was delivered already is given another
number when it is delivered again. Then it is waited until no worker can be reading by the old numbers
(leases/seen.py).
Rules of this file: it only reads, except for the one transaction. Called by run/snapshotter.py. Source:
ADR 65.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from tailrace.errors import SourceError, StateConflict
from tailrace.leases.checkpoint import checkpoint_key, read_checkpoint
from tailrace.leases.generation import TO_THE_END, Generations, cut, read_generations, sources_key
from tailrace.leases.seen import seen_prefix, still_to_see
from tailrace.ports import Shard, StateStore, StreamRef
from tailrace.rows.kinds import CHECKPOINT, LEASE, words_of
from tailrace.rows.writes import Equals, Write
from tailrace.snapshots.core.snapshot import Snapshot, read_snapshot, snapshot_key
from tailrace.snapshots.run.rows import SnapshotClaim

Listing = Callable[[str], Awaitable[Sequence[tuple[StreamRef, Sequence[Shard]]]]]
"""Every stream of a table that can be read, each with a number, and its shards; the oldest first."""


class TableNumbering(Struct, frozen=True):
    """The numbers of an app's tables, and how far readers are.

    Shape:   `readers` are the ids of the mappings on a table; `oldest` says the first change that a mapping
             (of a table) has not settled, None when it has all: it is asked where numbers rise over all
             shards. Where the worker `is_alone`, nothing is read by another.
    """

    app: str
    state: StateStore
    listing: Listing
    readers: Callable[[str], Sequence[str]]
    oldest: Callable[[str, str], Awaitable[int | None]]
    is_alone: bool = False

    async def known(self, table: str) -> Generations:
        """The numbers as they are now. Raises: StoreError."""
        row = await self.state.get(sources_key(self.app, table))
        return read_generations(self.app, table, None if row is None else row.fields)

    async def streams(self, table: str) -> Sequence[tuple[StreamRef, Sequence[Shard]]]:
        """Every stream of a table that can be read, with its shards, the oldest first. Raises: SourceError,
        also where the newest one with a number is not listed: a source that fails is no stream that is off,
        and whoever reads it still does; StoreError.
        """
        listed = await self.listing(table)
        newest = (await self.known(table)).newest_stream
        if newest is not None and all(stream.label != newest for stream, _ in listed):
            raise SourceError(
                f"stream {newest} of table {table!r} is not listed: its server fails, or it is off and gone"
            )
        return listed

    async def have_begun(self, table: str, mapping_id: str) -> bool:
        """Whether a mapping's start is durable in every shard that can be read: then whatever it does not
        read is a gap, and told. Raises: SourceError, StoreError.
        """
        listed = [pair for pair in await self.streams(table) if not pair[0].is_of_deleted]
        if not listed:
            return False
        stream, shards = listed[0]  # a later one is begun after it, at its oldest record
        ids = {shard.shard_id for shard in shards}
        rows = await self.state.query(CHECKPOINT.prefix(self.app, mapping_id, stream.label))
        there = {row.key for row in rows}
        # What continues a listed shard begins after it, and is there as long as that is.
        return all(
            checkpoint_key(self.app, mapping_id, stream.label, shard.shard_id) in there
            for shard in shards
            if ids.isdisjoint(shard.parents)
        )

    async def reset(self, table: str, claim: SnapshotClaim, segments: int) -> Snapshot:
        """Put a reset and the snapshot that needs it into the rows, both or none. Raises: SnapshotClaimLost,
        SourceError, StoreError.
        """
        while True:
            listed = await self.streams(table)
            known = await self.known(table)
            label = known.newest_stream or ""
            shards = next((shards for stream, shards in listed if stream.label == label), ())
            positions = cut(shards, await self._watermarks(table, label))
            after = known.with_reset(positions, [shard.shard_id for shard in shards])
            step = partial(
                Snapshot.agreeing,
                generation=after.resets[-1].generation,
                revision=after.revision,
                segments=segments,
            )
            try:
                return await claim.save(step, [after.write()])
            except StateConflict:
                continue  # another reset, or another stream: its numbers come first

    async def _watermarks(self, table: str, label: str) -> dict[str, int]:
        """How far the furthest mapping is in each shard."""
        furthest: dict[str, int] = {}
        for mapping_id in self.readers(table):
            for row in await self.state.query(CHECKPOINT.prefix(self.app, mapping_id, label)):
                watermark, _, is_finished = read_checkpoint(row.fields)
                shard_id = words_of(row.key)[4]
                reached = TO_THE_END if is_finished else watermark
                furthest[shard_id] = max(furthest.get(shard_id, 0), reached)
        return furthest

    async def unaware(self, table: str, snapshot: Snapshot) -> list[str]:
        """The workers that may not know a snapshot's reset. Raises: SourceError, StoreError."""
        if self.is_alone or not snapshot.reset:
            return []
        known = await self.known(table)
        label = next(
            (reset.label for reset in known.resets if reset.generation == snapshot.generation), ""
        )  # only its records depend on it
        shards = [
            shard for stream, shards in await self.streams(table) for shard in shards if stream.label == label
        ]
        unfinished = await self._unfinished(table, label, shards)
        seen = await self.state.query(seen_prefix(self.app, table))
        leases = await self.state.query(LEASE.prefix(self.app, label))
        return still_to_see(replace(known, revision=snapshot.reset), unfinished, leases, seen)

    async def _unfinished(self, table: str, label: str, shards: Sequence[Shard]) -> list[Shard]:
        """Those that some mapping has not finished: a lease of another may name a worker that is gone."""
        finished: list[set[str]] = []
        for mapping_id in self.readers(table):
            rows = await self.state.query(CHECKPOINT.prefix(self.app, mapping_id, label))
            finished.append({words_of(row.key)[4] for row in rows if read_checkpoint(row.fields)[2]})
        return [shard for shard in shards if not all(shard.shard_id in ids for ids in finished)]

    async def forget_seen(self, table: str, snapshot: Snapshot) -> None:
        """Take away what workers said of this reset and of earlier ones, unless the snapshot of another
        mapping still waits for it: it is said once. Raises: StoreError.
        """
        if not snapshot.reset or await self._is_waited_for(table, snapshot):
            return
        for row in await self.state.query(seen_prefix(self.app, table)):
            revision = row.fields["revision"]
            if revision <= snapshot.reset:
                with suppress(StateConflict):  # it has seen a later one meanwhile
                    await self.state.transact([Write(row.key, None, Equals("revision", revision))])

    async def _is_waited_for(self, table: str, snapshot: Snapshot) -> bool:
        """Whether another one on the table may ask who knows the resets up to this one's. A reset that is
        still to come is newer, and acknowledged anew.
        """
        for mapping_id in self.readers(table):
            row = await self.state.get(snapshot_key(self.app, mapping_id))
            other = read_snapshot(self.app, mapping_id, row)
            if mapping_id != snapshot.mapping_id and other is not None and other.phase == "agreeing":
                return True
        return False
