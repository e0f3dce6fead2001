"""One mapping at one worker of a world of snapshots: which shards it reads, how it comes to each, and what it
does with what it reads.

Theory of operation: what filters, agrees, stamps checkpoints and writes is the production code; only the
machine between reading a shard and writing to the sink is a loop of a few lines, which parks and redrives. A
mapping goes through the streams in their order, and through a shard after those that it continues; how far
another one is does not matter to it. Their shards share leases and reads.
Rules of this file: nothing is judged. Called by snapshot_workers.py.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace as as_declared
from functools import partial
from typing import Any, Protocol

import orjson
from msgspec.structs import replace

from tailrace.app.snapshots import Snapshots
from tailrace.deadletters.core.entry import DeadLetter, deadletter_fields, parked_key
from tailrace.deadletters.core.gap import Gap
from tailrace.errors import LeaseLost, PortError, SinkError, SourceError, StateConflict
from tailrace.leases.checkpoint import CheckpointRow, read_row
from tailrace.leases.lease import Lease
from tailrace.ports import ReadDone, RecordBatch, Shard, StreamRef, Written
from tailrace.rows.writes import Absent, Equals, Write
from tailrace.runtime.agreeing import Agreeing, VersionedRows
from tailrace.runtime.delivering import MappingShard
from tailrace.runtime.driver import Performer
from tailrace.runtime.placing import placed_key
from tailrace.runtime.reading import SharedReads
from tailrace.runtime.starting import stamp
from tailrace.sinks.making import is_judging
from tailrace.sinks.streamed import StreamedSink
from tailrace.snapshots.run.beginning import BegunMirror
from tailrace.snapshots.run.kept_tables import KeptTable
from tailrace.streams.record import ChangeRecord
from tests.simulation.snapshot_mirrors import APP, SimulatedMapping
from tests.simulation.snapshot_ports import Gate, GatedMirror, GatedState
from tests.simulation.snapshot_surroundings import TROUBLE_MS
from tests.simulation.snapshot_table import SCHEMA

Listed = Sequence[tuple[StreamRef, Sequence[Shard]]]


class Leases(Protocol):
    """What lanes ask of their worker."""

    reads: SharedReads

    async def lease(self, shard: Shard) -> Lease:
        """That of a shard, taken if it is not held; the numbers of the table are known since then."""

    def lose(self, shard: Shard, lease: Lease) -> None:
        """It is another worker's by now."""


class Lane:
    """One mapping at one worker."""

    def __init__(self, gate: Gate, state: GatedState, mapping: SimulatedMapping, worker: Leases) -> None:
        self.mapping, self.name = mapping, mapping.name
        self._world, self._gate, self._state, self._worker = gate.world, gate, state, worker
        self._performer = Performer(state, gate.world.clock)  # type: ignore[arg-type]
        self.mirror = GatedMirror(gate, mapping)
        self.beside = VersionedRows(f"the mirror of {self.name}", self.mirror, nullcontext)
        self._handler: Any = as_declared(mapping.handler, sink=self.mirror)
        self._accepts = self._handler.settings.accepts
        sink = BegunMirror(StreamedSink(self._handler), self.mirror, nullcontext, state, APP, self.name)  # type: ignore[arg-type]
        self.sink = Agreeing(sink, self.beside, state, APP, SCHEMA.name)  # type: ignore[arg-type]
        self._beginning: set[tuple[str, str]] = set()
        self._finished: set[tuple[str, str]] = set()
        self._heard = ""

    @property
    def kept(self) -> KeptTable:
        """What its snapshotter is told of it."""
        settings, is_judged = Snapshots(automatic=self.mapping.plan.is_kept), is_judging(self._handler)
        return KeptTable(self.name, SCHEMA.name, self.sink, self.mirror, nullcontext, settings, is_judged)

    def place(self, shard: Shard) -> MappingShard:
        """Its place in a shard."""
        return MappingShard(APP, self.name, SCHEMA.name, *shard.place)

    async def sleep(self, wait_ms: int) -> None:
        """Let time pass, longer where the worker stands still."""
        clock = self._world.clock
        await clock.sleep_until(clock.now().monotonic_ms + wait_ms)
        await self._gate.open.wait()

    # ---- which shards --------------------------------------------------------------------------------------

    async def look(self, listed: Listed, begin: Callable[[Awaitable[None]], object]) -> None:
        """Begin in the shards that may be read."""
        await self._hear()
        for stream, shards in listed:
            there = {shard.shard_id for shard in shards}
            is_over = True
            for shard in shards:
                if shard.place not in self._beginning and await self._is_finished(shard):
                    continue
                is_over = False
                parents = [parent for parent in shard.parents if parent in there]
                may_begin = all((shard.stream, parent) in self._finished for parent in parents)
                if may_begin and shard.place not in self._beginning:
                    self._beginning.add(shard.place)
                    begin(self._shard(stream, shard))
            if not is_over:
                return

    async def _hear(self) -> None:
        """Forget what was finished where positions were set."""
        revision = await self._revision()
        if revision != self._heard:
            self._heard = revision
            self._finished.clear()

    async def _revision(self) -> str:
        row = await self._state.get(placed_key(APP, self.name))
        return "" if row is None else str(row.fields["revision"])

    async def _is_finished(self, shard: Shard) -> bool:
        if shard.place in self._finished:
            return True
        row = await self._state.get(self.place(shard).checkpoint_key)
        if row is not None and row.fields["finished"]:
            self._finished.add(shard.place)
            return True
        return False

    async def _shard(self, stream: StreamRef, shard: Shard) -> None:
        lease: Lease | None = None
        try:
            lease = await self._worker.lease(shard)
            await self._deliver(stream, shard, lease)
        except (LeaseLost, StateConflict):
            if lease is not None:
                self._worker.lose(shard, lease)
        except PortError:
            pass  # it begins anew
        finally:
            self._worker.reads.leave(self.name, shard)
            self._beginning.discard(shard.place)

    # ---- one shard -----------------------------------------------------------------------------------------

    async def _deliver(self, stream: StreamRef, shard: Shard, lease: Lease) -> None:
        place = self.place(shard)
        row = await self._performer.perform(stamp(place, lease.epoch))
        if row is None:
            row = CheckpointRow(lease.epoch)
            await self._state.transact([Write(place.checkpoint_key, row.fields(), Absent())])
        heard = self._heard
        if await self._revision() != heard:
            return  # it looks again, at what was finished as well
        while not row.finished:
            page = await self._worker.reads.read(self.name, shard, row.watermark, 5)
            await self._gate.pass_()
            wanted = [record for record in page.records if self._wants(record)]
            parked = [record for record in wanted if self._world.is_parked(self.mapping, record)]
            if records := [record for record in wanted if record not in parked]:
                await self._write(RecordBatch(records, self.name, stream, shard.shard_id))
            row = await self._save(place, row, page, parked)
            is_lagging = self._world.clock.now().monotonic_ms < TROUBLE_MS and page.records
            await self.sleep(self._world.plan.lag_ms if is_lagging else 0 if page.records else 50)
            if heard != self._heard:
                raise LeaseLost("positions were set meanwhile")
        self._finished.add(shard.place)

    def _wants(self, record: ChangeRecord) -> bool:
        if self._accepts is not None and not self._accepts(record):
            return False
        if record.event_name == "MODIFY" and record.new is not None:
            self._world.counts["left"] += not self.mapping.wants(orjson.loads(record.new))
        return True

    async def _write(self, batch: RecordBatch) -> None:
        while True:
            try:
                outcome = await self.sink.write(batch)
            except SinkError:
                await self.sleep(100)
                continue
            if not isinstance(outcome, Written):
                raise SourceError(f"the mirror answered {outcome}")
            return

    async def _save(
        self, place: MappingShard, row: CheckpointRow, page: ReadDone, parked: Sequence[ChangeRecord]
    ) -> CheckpointRow:
        writes = []
        if page.trimmed and not self._is_before(row, place.shard_id):
            last = max(row.watermark + 1, page.next_after)
            gap = Gap(place.shard_id, row.watermark + 1, last)
            writes.append(Write(gap.key(APP, self.name), gap.fields()))
        after = replace(row, watermark=page.next_after, writes=row.writes + 1, finished=page.closed)
        if after.watermark == row.watermark and not page.closed and not writes:
            return row
        condition = Equals("revision", f"{row.epoch}/{row.writes}")
        # Nothing can come between: what is parked is written in the same transaction.
        letters = [Write(*_letter(self.name, record)) for record in parked]
        rows = [Write(place.checkpoint_key, after.fields(), condition), *writes, *letters]
        await self._state.transact_and(rows, partial(self._park, parked))
        return after

    def _park(self, records: Sequence[ChangeRecord]) -> None:
        self._world.counts["parked"] += self.mapping.park(records)

    def _is_before(self, row: CheckpointRow, shard_id: str) -> bool:
        """Whether what is gone was trimmed before the mapping began."""
        began_ms = self._world.began_ms
        return not row.watermark and any(
            live.created_ms < began_ms for live in self._world.table.lineage if live.shard_id == shard_id
        )

    async def oldest(self) -> int | None:
        """The first change that it has not settled, where numbers rise over all shards."""
        numbers: list[int] = []
        for live in self._world.table.lineage:
            shard = Shard(live.shard_id, live.first, live.parents, live.last, stream=live.label)
            row = await self._state.get(self.place(shard).checkpoint_key)
            watermark = 0 if row is None else read_row(row.fields).watermark
            numbers += [record.sequence for record in live.records if record.sequence > watermark]
        return min(numbers, default=None)

    # ---- what is parked ------------------------------------------------------------------------------------

    async def redrive(self) -> None:
        """Put back what is parked, of each item in order; until it is cancelled."""
        while True:
            await self.sleep(1_000)
            for key, records in list(self.mapping.parked.items()):
                with suppress(PortError):
                    await self._put_back(key, records)

    async def _put_back(self, key: bytes, records: list[ChangeRecord]) -> None:
        world, stream = self._world, StreamRef("arn", SCHEMA.name, "", "NEW_AND_OLD_IMAGES")
        while records and world.clock.now().monotonic_ms >= world.parked_until_ms:
            head = records[0]
            await self.sink.write(RecordBatch([head], self.name, stream, "shard"))
            await self._state.transact([Write(_letter(self.name, head)[0], None)])
            if records and records[0] is head:
                del records[0]
        if not records and self.mapping.parked.get(key) is records:
            del self.mapping.parked[key]


def _letter(name: str, record: ChangeRecord) -> tuple[str, dict[str, Any]]:
    letter = DeadLetter(record=record, event_id="", shard_id="shard", handler=name, condition="", attempts=1)
    return parked_key(APP, name, record.key, record.version), deadletter_fields(letter)
