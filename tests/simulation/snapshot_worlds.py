"""Simulated worlds of snapshots: a table that is written to, workers that read it and snapshot it into one
mirror, and what happens to all of them.

Theory of operation: a seed draws the world. Everything runs on one seeded loop in virtual time. A worker dies
by the cancellation of all its tasks, at whatever await it is; one that stands still does nothing for longer
than its lease, and then goes on as if nothing had happened.
Rules of this file: it judges nothing but this: when all is settled, what the mirror shows equals the table.
Called by test_snapshots.py, test_canaries_of_snapshots.py and `python -m tests.simulation --snapshots`.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import orjson
from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.clocks.manual import ManualClock
from tailrace.deadletters.core.gap import Gap
from tailrace.errors import InternalError, PortError
from tailrace.leases.checkpoint import checkpoint_key, read_row
from tailrace.leases.lease import lease_key
from tailrace.rows.kinds import GAP
from tailrace.rows.writes import Write
from tailrace.snapshots.core.snapshot import (
    WantedSnapshot,
    read_snapshot,
    read_wanted,
    snapshot_key,
    wanted_key,
)
from tailrace.testing.loop import SeededLoop
from tests.simulation.snapshot_surroundings import (
    APP,
    MAPPING,
    PATIENCE_MS,
    TROUBLE_MS,
    WALL_MS,
    Surroundings,
    WorldPlan,
    draw,
)
from tests.simulation.snapshot_workers import SimulatedWorker


class NothingCounted(Struct):
    """What a campaign asks of a run that performs no steps of its own."""

    crashed: dict[int, int] = field(default_factory=dict)
    names: tuple[str, ...] = ()


class World(Surroundings):
    """A world, and all that happens in it."""

    def __init__(self, plan: WorldPlan, clock: ManualClock) -> None:
        super().__init__(plan, clock)
        self.workers: list[SimulatedWorker] = []
        self.alive = self._lives
        self.born = 0
        self.performing = NothingCounted()
        self.wrong: list[str] = []
        self._beside: list[asyncio.Future[None]] = []

    def _lives(self, name: str) -> bool:
        return any(worker.name == name and worker.is_alive for worker in self.workers)

    # ---- what happens --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until all is settled."""
        if self.plan.exports is None:
            for place in range(len(self.table.keys)):
                if self.random.random() < 0.8:
                    self.table.put(place, {"n": {"N": str(self.random.randrange(99))}})
            self.table.switch_on()
        else:
            await self.state.transact([WantedSnapshot(APP, MAPPING, 1, source="exports").write()])
        if not self.plan.is_empty_at_first:
            self._write()
        for _ in range(self.plan.workers):
            self._join()
        writing = asyncio.ensure_future(self._writing())
        begun_ms = 0
        for at_ms, name in self.plan.happenings:
            await self._sleep(at_ms - begun_ms)
            begun_ms = at_ms
            await getattr(self, f"_{name}")()
            self.counts[name] += 1
        await self._sleep(TROUBLE_MS - begun_ms)
        await writing
        await self._heal()
        await self._settle()
        await self._count()
        for worker in self.workers:
            if worker.task.done() and not worker.task.cancelled():
                self.wrong.append(f"{worker.name} has ended: {worker.task.exception()!r}")
            worker.task.cancel()

    async def _sleep(self, wait_ms: int) -> None:
        await self.clock.sleep_until(self.clock.now().monotonic_ms + max(0, wait_ms))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        self._beside.append(asyncio.ensure_future(work))

    def _join(self) -> None:
        self.born += 1
        self.workers.append(SimulatedWorker(self, f"worker-{self.born}"))

    def _write(self) -> None:
        written = len(self.table.keys)
        if self.plan.exports is not None:
            written //= 2  # nothing but exports tells of the others
        place = self.random.randrange(written)
        value = {"n": {"N": str(self.random.randrange(99))}}
        self.table.put(place, None if self.random.random() < 0.4 else value)

    async def _writing(self) -> None:
        if self.plan.is_empty_at_first:  # so that a first scan may find an empty mirror
            await self._sleep(3_000)
        while self.clock.now().monotonic_ms < TROUBLE_MS:
            await self._sleep(self.random.randrange(self.plan.write_ms + 1))
            self._write()
            await self._trim()

    async def _trim(self) -> None:
        """What is too old goes; a shard that vanishes with what no worker has handled is a gap, and told."""
        gone = self.table.trim(self.clock.now().wall_ms - self.plan.retention_ms)
        present = {(shard.label, shard.shard_id) for shard in self.table.lineage}
        for place, last in gone.items():
            self.counts["trimmed"] += 1
            row = await self.state.get(checkpoint_key(APP, MAPPING, *place))
            if place not in present and (row is None or read_row(row.fields).watermark < last):
                gap = Gap(place[1], 1, last)
                await self.state.transact([Write(gap.key(APP, MAPPING), gap.fields())])
                self.counts["gap"] += 1

    async def _crash(self) -> None:
        worker = self.random.choice(self.workers)
        worker.task.cancel()
        self.workers.remove(worker)
        await self._sleep(self.random.choice((0, 0, 1_000)))
        self._join()

    async def _freeze(self) -> None:
        worker = self.random.choice(self.workers)
        worker.gate.open.clear()
        worker.gate.frozen_since_ms = self.clock.now().monotonic_ms
        self._later(self._thaw(worker, self.random.choice((500, 3_000, 8_000))))

    async def _thaw(self, worker: SimulatedWorker, after_ms: int) -> None:
        await self._sleep(after_ms)
        self.counts["stale"] += not worker.is_alive
        worker.gate.frozen_since_ms = None
        worker.gate.open.set()

    async def _split(self) -> None:
        self.table.split()

    async def _off(self) -> None:
        if not self.table.is_on:
            return
        self.table.switch_off()
        await self._sleep(self.random.choice((0, 300, 2_000)))
        self.table.switch_on()

    async def _table(self) -> None:
        if not self.table.is_on:
            return
        self.table.replace_table()
        for _ in range(4):
            self._write()
        self.table.switch_on()

    async def _outage(self) -> None:
        self.outage_until_ms = self.clock.now().monotonic_ms + self.random.choice((300, 2_000))

    async def _late(self) -> None:
        """What is parked stays so for a while."""
        self.parked_until_ms = self.clock.now().monotonic_ms + 5_000

    async def _wanted(self) -> WantedSnapshot | None:
        return read_wanted(APP, MAPPING, await self.state.get(wanted_key(APP, MAPPING)))

    async def _pause(self) -> None:
        wanted = await self._wanted()
        if wanted is not None:
            with suppress(PortError):
                await self.state.transact([replace(wanted, paused_by="me").write()])
        self._later(self._resume(1_500))

    async def _resume(self, after_ms: int) -> None:
        await self._sleep(after_ms)
        while (wanted := await self._wanted()) is not None and wanted.paused_by:
            with suppress(PortError):
                await self.state.transact([replace(wanted, paused_by="").write()])

    async def _asked(self) -> None:
        """A row is wrong in the mirror, and a person asks for another snapshot."""
        wanted = await self._wanted()
        if wanted is not None:
            with suppress(PortError):
                await self.state.transact([_without_exports(wanted).write()])

    async def _count(self) -> None:
        snapshot = await self._snapshot()
        if snapshot is not None:
            if not snapshot.source:
                self.counts["exact" if snapshot.is_exact else "reset" if snapshot.reset else "first"] += 1
            self.counts["swept"] += snapshot.progress.swept

    # ---- the end -------------------------------------------------------------------------------------------

    async def _heal(self) -> None:
        self.fails = self.table.fails = 0.0
        self.outage_until_ms = self.parked_until_ms = 0
        for worker in self.workers:
            worker.gate.frozen_since_ms = None
            worker.gate.open.set()
        if not self.table.is_on:
            self.table.switch_on()
        await self._resume(0)

    async def _settle(self) -> None:
        end_ms = self.clock.now().monotonic_ms + PATIENCE_MS
        while self.clock.now().monotonic_ms < end_ms:
            await self._sleep(1_000)
            await self._scan_instead()
            if await self._is_settled():
                break
        else:
            self.wrong.append(f"not settled: {await self._why_not()}")
        shown = {key: orjson.loads(image) for key, image in self.target.shown.items()}
        if shown != self.table.items:
            keys = {*shown, *self.table.items}
            differing = [key for key in keys if shown.get(key) != self.table.items.get(key)]
            for key in differing[:3]:
                self.wrong.append(
                    f"{key[8:]!r}: the mirror has {shown.get(key)} ({self.target.rows.get(key)}), the table "
                    f"{self.table.items.get(key)}"
                )

    async def _scan_instead(self) -> None:
        """Exports were refused, so a person wants a scan; they must have been refused with a reason."""
        snapshot, wanted = await self._snapshot(), await self._wanted()
        if snapshot is None or wanted is None or not snapshot.refused or wanted.number != snapshot.number:
            return
        self.counts["refused"] += 1
        exports, is_the_chain = self.plan.exports, "the mirror of" not in snapshot.refused
        has_changed = self.counts["off"] or self.counts["table"] or self.counts["gap"]
        reaches = exports is not None and exports.told_ms < exports.needed_ms - TROUBLE_MS
        if reaches and is_the_chain and not has_changed:
            self.wrong.append(f"refused though they reach: {exports} {snapshot.refused}")
        with suppress(PortError):
            await self.state.transact([_without_exports(wanted).write()])

    async def _why_not(self) -> str:
        behind = []
        for shard in self.table.lineage:
            row = await self.state.get(checkpoint_key(APP, MAPPING, shard.label, shard.shard_id))
            lease = await self.state.get(lease_key(APP, shard.label, shard.shard_id))
            behind.append(
                (shard.shard_id, shard.tip, row and row.fields["watermark"], lease and lease.fields["owner"])
            )
        names = [(worker.name, worker.is_alive) for worker in self.workers]
        return f"{await self._snapshot()} parked {len(self.parked)} {behind} {names}"

    async def _snapshot(self) -> Any:
        return read_snapshot(APP, MAPPING, await self.state.get(snapshot_key(APP, MAPPING)))

    async def _is_settled(self) -> bool:
        for shard in self.table.lineage:
            row = await self.state.get(checkpoint_key(APP, MAPPING, shard.label, shard.shard_id))
            if row is None or read_row(row.fields).watermark < (
                shard.records[-1].sequence if shard.records else 0
            ):
                return False
        snapshot, wanted = await self._snapshot(), await self._wanted()
        if snapshot is None or wanted is None or snapshot.number < wanted.number or not snapshot.is_over:
            return False
        if snapshot.stream != self.table.labels[-1] or self.parked:
            return False
        gaps = await self.state.query(GAP.prefix(APP, MAPPING))
        return all(row.fields["acknowledged_ms"] for row in gaps)


def _without_exports(wanted: WantedSnapshot) -> WantedSnapshot:
    """A scan that a person wants next."""
    return replace(wanted, number=wanted.number + 1, why="asked", source="")


def run_snapshot(seed: int) -> tuple[World, list[tuple[str, str]]]:
    """One seed as a campaign has it, and what was wrong with it."""
    world = run_world(seed)
    return world, [("the mirror equals the table", words) for words in world.wrong]


def run_world(seed: int) -> World:
    """One seed, played to its end."""
    clock = ManualClock(WALL_MS)
    world = World(draw(seed), clock)
    loop = SeededLoop(seed, clock)
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(world.run())
        for task in loop.tasks():
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
    except InternalError as error:
        world.wrong.append(f"internal error: {error}")
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return world
