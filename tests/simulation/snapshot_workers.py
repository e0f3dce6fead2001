"""A worker of a world of snapshots: its leases, the lanes of its mappings, its snapshotter and its janitor.

Theory of operation: what numbers, agrees, scans, writes, sweeps and forgets is the production code, and so
are the steps that take leases and stamp checkpoints. Each call of a port takes its time, and may be where the
worker stands still or dies.
Rules of this file: nothing is judged. Called by snapshot_worlds.py.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from tailrace.errors import PortError
from tailrace.leases.lease import Lease, Owner, lease_key
from tailrace.mapping.reader import Budget
from tailrace.ports import Shard, StreamRef
from tailrace.runtime.agreeing import VersionedRows
from tailrace.runtime.driver import Performer
from tailrace.runtime.parts import Parts
from tailrace.runtime.reading import NumberedSource, SharedReads, list_streams
from tailrace.runtime.starting import take_lease
from tailrace.runtime.steps import Steps
from tailrace.snapshots.run.forgetting import Janitor
from tailrace.snapshots.run.kept_tables import RowSources
from tailrace.snapshots.run.numbering import TableNumbering
from tailrace.snapshots.run.snapshotter import Snapshotter
from tests.simulation.snapshot_lanes import Lane
from tests.simulation.snapshot_mirrors import APP
from tests.simulation.snapshot_ports import Gate, GatedState, SlowExports
from tests.simulation.snapshot_surroundings import LEASE_MS, Surroundings
from tests.simulation.snapshot_table import SCHEMA

SHARED_BYTES = 1 << 20


class SimulatedWorker:
    """One incarnation of a worker: its readers, and its snapshotter."""

    def __init__(self, world: Surroundings, name: str) -> None:
        self.world, self.name = world, name
        self.gate = Gate(world)
        self.state = GatedState(self.gate)
        self.clock = world.clock
        self.lanes = [Lane(self.gate, self.state, mapping, self) for mapping in world.mappings]
        self.numbered = NumberedSource(world.table, self.state, world.app, SCHEMA.name, self._besides)  # type: ignore[arg-type]
        self.reads = SharedReads(self.numbered, Budget(SHARED_BYTES), len(self.lanes))
        self.performer = Performer(self.state, self.clock)  # type: ignore[arg-type]
        self._held: dict[tuple[str, str], Lease] = {}
        self._turns: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        names = [lane.name for lane in self.lanes]
        numbers = TableNumbering(APP, self.state, self._listing, lambda table: names, self._oldest)  # type: ignore[arg-type]
        tables, parts = [lane.kept for lane in self.lanes], Parts(self.state, self.clock)  # type: ignore[arg-type]
        self.janitor = Janitor(APP, tables, parts, world.forgetting)
        self.snapshotter = Snapshotter(
            tables,
            parts,
            Owner(name, claim_ms=LEASE_MS),
            sources=RowSources(world.scan, SlowExports(self.gate), world.plan.retention_ms),
            numbers=numbers,
            segments=lambda size: world.plan.segments,
            look_ms=1_000,
        )
        self.task = asyncio.ensure_future(self._run())

    def _besides(self, table: str) -> Sequence[VersionedRows]:
        return [lane.beside for lane in self.lanes]

    async def _listing(self, table: str) -> Sequence[tuple[StreamRef, Sequence[Shard]]]:
        return await list_streams(self.numbered)

    async def _oldest(self, mapping_id: str, table: str) -> int | None:
        (lane,) = [lane for lane in self.lanes if lane.name == mapping_id]
        return await lane.oldest()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.snapshotter.run())
            tasks.create_task(self.janitor.run())
            for lane in self.lanes:
                tasks.create_task(lane.redrive())
            while True:
                with suppress(PortError):
                    await self._look(tasks)
                await self.sleep(500)

    async def _look(self, tasks: asyncio.TaskGroup) -> None:
        await self.numbered.look(self.name)
        listed = await list_streams(self.numbered)
        for lane in self.lanes:
            await lane.look(listed, lambda work: tasks.create_task(work))

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

    # ---- leases --------------------------------------------------------------------------------------------

    async def lease(self, shard: Shard) -> Lease:
        """That of a shard, taken if it is not held; the numbers of the table are known since then. Raises:
        LeaseHeld, LeaseLost, StateConflict, StoreError.
        """
        async with self._turns[shard.place]:
            lease = self._held.get(shard.place)
            if lease is None:
                places = [lane.place(shard) for lane in self.lanes]
                taking = take_lease(lease_key(APP, *shard.place), self.name, places, self._may_take)
                lease, _ = await self.performer.perform(taking)
                self._held[shard.place] = lease
        await self.numbered.refresh()
        return lease

    def lose(self, shard: Shard, lease: Lease) -> None:
        """It is another worker's by now, unless it was taken anew meanwhile."""
        there = self._held.get(shard.place)
        if there is not None and there.epoch == lease.epoch:
            del self._held[shard.place]

    def _may_take(self, fields: Mapping[str, Any]) -> Steps[bool]:
        yield from ()
        owner = str(fields.get("owner", ""))
        return owner == self.name or not self.world.alive(owner)
