"""A worker of a world of snapshots: its readers, its snapshotter, and the ports through which it reaches all.

Theory of operation: what numbers, agrees, scans, writes, sweeps and forgets is the production code, and so
are the steps that take leases and stamp checkpoints; only the machine between reading a shard and writing to
the sink is a loop of a few lines, which parks and redrives. Each call of a port takes its time, and may be
where the worker stands still or dies.
Rules of this file: nothing is judged. Called by snapshot_worlds.py.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any

from msgspec.structs import replace

from tailrace.deadletters.core.entry import DeadLetter, deadletter_fields, parked_key
from tailrace.deadletters.core.gap import Gap
from tailrace.errors import PortError, SourceError, StoreError, Unavailable
from tailrace.leases.checkpoint import CheckpointRow, checkpoint_key, read_row
from tailrace.leases.lease import Owner, lease_key
from tailrace.ports import Action, Outcome, RecordBatch, Shard, SinkRow, StreamRef, Written
from tailrace.rows.writes import Absent, Equals, StateRow, Write
from tailrace.runtime.agreeing import Agreeing, VersionedRows
from tailrace.runtime.delivering import MappingShard
from tailrace.runtime.driver import Performer
from tailrace.runtime.parts import Parts
from tailrace.runtime.reading import NumberedSource, list_streams
from tailrace.runtime.starting import take_lease
from tailrace.runtime.steps import Steps
from tailrace.snapshots.core.pages import ScannedPage
from tailrace.snapshots.run.beginning import BegunMirror
from tailrace.snapshots.run.exporting import ChosenExports, WantedExports
from tailrace.snapshots.run.forgetting import Janitor
from tailrace.snapshots.run.kept_tables import KeptTable, RowSources
from tailrace.snapshots.run.numbering import TableNumbering
from tailrace.snapshots.run.snapshotter import Snapshotter
from tailrace.streams.record import ChangeRecord
from tailrace.testing.mirrors import MirrorMemory, SimulatedMirror
from tests.simulation.snapshot_surroundings import (
    APP,
    LEASE_MS,
    MAPPING,
    TROUBLE_MS,
    Surroundings,
)
from tests.simulation.snapshot_table import SCHEMA

# ---- ports of one worker -----------------------------------------------------------------------------------


class Gate:
    """What a worker passes at each call: it may stand still there, and each call takes its time."""

    def __init__(self, world: Surroundings) -> None:
        self.world = world
        self.open = asyncio.Event()
        self.open.set()
        self.frozen_since_ms: int | None = None

    async def pass_(self) -> None:
        """A moment."""
        self.world.steps += 1
        await self.open.wait()
        latency = self.world.plan.slow_ms // 4
        if latency:
            clock = self.world.clock
            await clock.sleep_until(clock.now().monotonic_ms + self.world.random.randrange(latency + 1))
        else:
            await asyncio.sleep(0)
        await self.open.wait()


class GatedState:
    """The state store as one worker reaches it."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._state = gate.world.state

    async def get(self, key: str) -> StateRow | None:
        """One row."""
        await self._gate.pass_()
        row = await self._state.get(key)
        await self._gate.pass_()
        return row

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        """Rows."""
        await self._gate.pass_()
        rows = await self._state.query(prefix, after=after, limit=limit)
        await self._gate.pass_()
        return rows

    async def count(self, prefix: str) -> int:
        """How many."""
        return await self._state.count(prefix)

    async def transact(self, writes: Sequence[Action]) -> None:
        """All or nothing; now and then the answer is lost."""
        await self.transact_and(writes, lambda: None)

    async def transact_and(self, writes: Sequence[Action], then: Callable[[], None]) -> None:
        """The same, and `then` in the same moment."""
        await self._gate.pass_()
        await self._state.transact(writes)
        then()
        await self._gate.pass_()
        if self._gate.world.random.random() < self._gate.world.fails / 4:
            raise StoreError("the connection was lost")


class GatedMirror(MirrorMemory):
    """The sink as one worker reaches it."""

    def __init__(self, gate: Gate, target: SimulatedMirror) -> None:
        super().__init__(target)
        self._gate = gate
        self._clock = gate.world.clock

    async def write(self, batch: RecordBatch) -> Outcome:
        """Apply what is newer; now and then nobody knows whether."""
        await self._reach()
        outcome = await super().write(batch)
        await self._reach()
        return outcome

    async def rows(self, after: bytes, limit: int) -> Sequence[SinkRow]:
        """The next rows."""
        await self._reach()
        return await super().rows(after, limit)

    async def sweep(self, first: bytes, last: bytes | None, below: Any, tombstone: Any, limit: int) -> int:
        """Delete what is shown below a version, a few at once."""
        await self._reach()
        swept = await super().sweep(first, last, below, tombstone, limit)
        await self._reach()
        return swept

    async def forget(self, before_us: int, limit: int) -> int:
        """Take away old deletions."""
        await self._reach()
        gone = await super().forget(before_us, limit)
        self._gate.world.counts["forgotten"] += gone
        return gone

    async def _reach(self) -> None:
        await self._gate.pass_()
        world = self._gate.world
        if world.clock.now().monotonic_ms < world.outage_until_ms or world.random.random() < world.fails:
            raise Unavailable("the mirror is away")


class SlowExports:
    """Exports as one worker reaches them."""

    def __init__(self, gate: Gate) -> None:
        self._gate, self._exported = gate, gate.world.exported

    async def choose(self, choice: WantedExports) -> ChosenExports:
        """Those that reach as far as is needed."""
        await self._gate.pass_()
        chosen = await self._exported.choose(choice)
        self._gate.world.counts["exported"] += 1
        return chosen

    async def page(
        self, table: str, place: str, exports: Sequence[str], after: Mapping[str, Any] | None
    ) -> ScannedPage:
        """The next items."""
        await self._gate.pass_()
        page = await self._exported.page(table, place, exports, after)
        await self._gate.pass_()
        if self._gate.world.random.random() < self._gate.world.fails:
            raise Unavailable("the bucket is away")
        return page


# ---- a worker ----------------------------------------------------------------------------------------------


class SimulatedWorker:
    """One incarnation of a worker: its readers, and its snapshotter."""

    def __init__(self, world: Surroundings, name: str) -> None:
        self.world, self.name = world, name
        self.gate = Gate(world)
        self.state = GatedState(self.gate)
        self.clock = world.clock
        self.numbered = NumberedSource(world.table, self.state, world.app, SCHEMA.name, self._besides)  # type: ignore[arg-type]
        self.mirror = GatedMirror(self.gate, world.target)
        sink = BegunMirror(self.mirror, self.mirror, nullcontext, self.state, APP, MAPPING)  # type: ignore[arg-type]
        self.sink = Agreeing(sink, self._beside(), self.state, APP, SCHEMA.name)  # type: ignore[arg-type]
        self.performer = Performer(self.state, self.clock)  # type: ignore[arg-type]
        self._beginning: set[str] = set()
        self._finished: set[tuple[str, str]] = set()
        numbers = TableNumbering(APP, self.state, self._listing, lambda table: [MAPPING], self._oldest)  # type: ignore[arg-type]
        table, parts = KeptTable(MAPPING, SCHEMA.name, self.sink, self.mirror), Parts(self.state, self.clock)  # type: ignore[arg-type]
        self.janitor = Janitor(APP, [table], parts, world.forgetting)
        self.snapshotter = Snapshotter(
            [table],
            parts,
            Owner(name, claim_ms=LEASE_MS),
            sources=RowSources(world.scan, SlowExports(self.gate), world.plan.retention_ms),
            numbers=numbers,
            segments=lambda size: world.plan.segments,
            look_ms=1_000,
        )
        self.task = asyncio.ensure_future(self._run())

    def _beside(self) -> VersionedRows:
        return VersionedRows("the mirror", self.mirror, nullcontext)

    def _besides(self, table: str) -> Sequence[VersionedRows]:
        return [self._beside()]

    async def _listing(self, table: str) -> Sequence[tuple[StreamRef, Sequence[Shard]]]:
        return await list_streams(self.numbered)

    async def _oldest(self, mapping_id: str, table: str) -> int | None:
        numbers = []
        for shard in self.world.table.lineage:
            row = await self.state.get(checkpoint_key(APP, mapping_id, shard.label, shard.shard_id))
            watermark = 0 if row is None else read_row(row.fields).watermark
            numbers += [record.sequence for record in shard.records if record.sequence > watermark]
        return min(numbers, default=None)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.snapshotter.run())
            tasks.create_task(self._redrive())
            tasks.create_task(self.janitor.run())
            while True:
                with suppress(PortError):
                    await self._look(tasks)
                await self.sleep(500)

    async def sleep(self, wait_ms: int) -> None:
        """Let time pass, longer where it stands still."""
        await self.clock.sleep_until(self.clock.now().monotonic_ms + wait_ms)
        await self.gate.open.wait()

    @property
    def is_alive(self) -> bool:
        """Whether others see its heartbeat move."""
        since_ms = self.gate.frozen_since_ms
        is_still = since_ms is not None and self.clock.now().monotonic_ms - since_ms > LEASE_MS
        return not self.task.done() and not is_still

    # ---- shards --------------------------------------------------------------------------------------------

    async def _look(self, tasks: asyncio.TaskGroup) -> None:
        await self.numbered.look(self.name)
        listed = await list_streams(self.numbered)
        for stream, shards in listed:
            there = {shard.shard_id for shard in shards}
            open_now = False
            for shard in shards:
                if await self._is_finished(shard):
                    continue
                open_now = True
                parents = [parent for parent in shard.parents if parent in there]
                may_begin = all((shard.stream, parent) in self._finished for parent in parents)
                if may_begin and shard.shard_id not in self._beginning:
                    self._beginning.add(shard.shard_id)
                    tasks.create_task(self._shard(stream, shard))
            if open_now:
                return

    async def _is_finished(self, shard: Shard) -> bool:
        if shard.place in self._finished:
            return True
        row = await self.state.get(checkpoint_key(APP, MAPPING, *shard.place))
        if row is not None and row.fields["finished"]:
            self._finished.add(shard.place)
            return True
        return False

    async def _shard(self, stream: StreamRef, shard: Shard) -> None:
        try:
            await self._deliver(stream, shard)
        except PortError:
            pass  # it is taken again, with a new epoch
        finally:
            self._beginning.discard(shard.shard_id)

    def _may_take(self, fields: Mapping[str, Any]) -> Steps[bool]:
        yield from ()
        owner = str(fields.get("owner", ""))
        return owner == self.name or not self.world.alive(owner)

    async def _deliver(self, stream: StreamRef, shard: Shard) -> None:
        place = MappingShard(APP, MAPPING, SCHEMA.name, *shard.place)
        key = lease_key(APP, *shard.place)
        lease, stamped = await self.performer.perform(take_lease(key, self.name, [place], self._may_take))
        await self.numbered.refresh()
        row = stamped.get(place.checkpoint_key)
        if row is None:
            row = CheckpointRow(lease.epoch)
            await self.state.transact([Write(place.checkpoint_key, row.fields(), Absent())])
        while True:
            page = await self.numbered.read(shard, row.watermark, 5)
            await self.gate.pass_()
            writes = []
            if page.trimmed and not self._is_before(row, shard):
                last = max(row.watermark + 1, page.next_after)
                gap = Gap(shard.shard_id, row.watermark + 1, last)
                writes.append(Write(gap.key(APP, MAPPING), gap.fields()))
            parked = [record for record in page.records if self.world.is_parked(record)]
            records = [record for record in page.records if record not in parked]
            if records:
                batch = RecordBatch(records, MAPPING, stream, shard.shard_id)
                if not isinstance(await self.sink.write(batch), Written):
                    raise SourceError("the mirror answered something else")
            after = replace(row, watermark=page.next_after, writes=row.writes + 1, finished=page.closed)
            condition = Equals("revision", f"{row.epoch}/{row.writes}")
            if after.watermark != row.watermark or page.closed or writes:
                # Nothing can come between: what is parked is written in the same transaction.
                letters = [Write(_letter(record)[0], _letter(record)[1]) for record in parked]
                rows = [Write(place.checkpoint_key, after.fields(), condition), *writes, *letters]
                await self.state.transact_and(rows, partial(self.world.park, parked))
                row = after
            if page.closed:
                self._finished.add(shard.place)
                return
            is_lagging = self.clock.now().monotonic_ms < TROUBLE_MS and page.records
            await self.sleep(self.world.plan.lag_ms if is_lagging else 0 if page.records else 50)

    def _is_before(self, row: CheckpointRow, shard: Shard) -> bool:
        """Whether what is gone was trimmed before the mapping began."""
        began_ms = self.world.began_ms
        return not row.watermark and any(
            live.created_ms < began_ms for live in self.world.table.lineage if live.shard_id == shard.shard_id
        )

    async def _redrive(self) -> None:
        """Put back what is parked, of each item in order."""
        while True:
            await self.sleep(1_000)
            for key, records in list(self.world.parked.items()):
                with suppress(PortError):
                    await self._put_back(key, records)

    async def _put_back(self, key: bytes, records: list[ChangeRecord]) -> None:
        stream = StreamRef("arn", SCHEMA.name, "", "NEW_AND_OLD_IMAGES")
        while records and self.world.clock.now().monotonic_ms >= self.world.parked_until_ms:
            head = records[0]
            await self.sink.write(RecordBatch([head], MAPPING, stream, "shard"))
            await self.state.transact([Write(_letter(head)[0], None)])
            if records and records[0] is head:
                del records[0]
        if not records and self.world.parked.get(key) is records:
            del self.world.parked[key]


def _letter(record: ChangeRecord) -> tuple[str, dict[str, Any]]:
    letter = DeadLetter(
        record=record, event_id="", shard_id="shard", handler=MAPPING, condition="", attempts=1
    )
    return parked_key(APP, MAPPING, record.key, record.version), deadletter_fields(letter)
