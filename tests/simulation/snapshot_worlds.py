"""Simulated worlds of snapshots: a table that is written to, workers that read it and snapshot it into one
mirror or several, and what happens to all of them.

Theory of operation: a seed draws the world. Everything runs on one seeded loop in virtual time. A worker dies
by the cancellation of all its tasks, at whatever await it is; one that stands still does nothing for longer
than its lease, and then goes on as if nothing had happened. What a person does takes effect as the commands
have it: who skips changes or restores a target asks for a scan.
Rules of this file: it judges nothing but this: when all is settled, what each mirror shows equals the table.
Called by test_snapshots.py, test_canaries_of_snapshots.py and `python -m tests.simulation --snapshots`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

import orjson
from msgspec.structs import replace

from tailrace.clocks.manual import ManualClock
from tailrace.deadletters.core.gap import Gap, read_gap
from tailrace.errors import InternalError, PortError
from tailrace.leases.checkpoint import checkpoint_key, read_row
from tailrace.leases.lease import lease_key
from tailrace.rows.kinds import GAP
from tailrace.rows.writes import Write
from tailrace.runtime.delivering import MappingShard
from tailrace.runtime.driver import Performer
from tailrace.runtime.placing import NewPosition, SkippedRun, place_checkpoint
from tailrace.snapshots.core.due import asked
from tailrace.snapshots.core.snapshot import (
    WHOLE,
    Part,
    Snapshot,
    WantedSnapshot,
    read_snapshot,
    read_wanted,
    snapshot_key,
    wanted_key,
)
from tailrace.testing.loop import SeededLoop
from tests.simulation.snapshot_mirrors import APP, MAPPING, SimulatedMapping
from tests.simulation.snapshot_surroundings import (
    PATIENCE_MS,
    TROUBLE_MS,
    WALL_MS,
    Surroundings,
    WorldPlan,
    draw,
)
from tests.simulation.snapshot_table import SCHEMA, LiveShard
from tests.simulation.snapshot_workers import SimulatedWorker


class World(Surroundings):
    """A world, and all that happens in it."""

    def __init__(self, plan: WorldPlan, clock: ManualClock) -> None:
        super().__init__(plan, clock)
        self.workers: list[SimulatedWorker] = []
        self.alive = self._lives
        self.born = 0
        self.wrong: list[str] = []
        self._beside: list[asyncio.Future[None]] = []

    def _lives(self, name: str) -> bool:
        return any(worker.name == name and worker.is_alive for worker in self.workers)

    # ---- what happens --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until all is settled."""
        if self.plan.exports is None:
            for place in range(len(self.table.keys)):
                self.table.put(place, self.value())
            self.table.switch_on()
        else:
            await self.state.transact([WantedSnapshot(APP, MAPPING, 1, source="exports").write()])
        for mapping in self.kept:
            if mapping.plan.paused_ms:
                await self.state.transact(
                    [WantedSnapshot(APP, mapping.name, 1, "first", paused_by="me").write()]
                )
                self._later(self._resume(mapping, mapping.plan.paused_ms))
        if not self.plan.is_empty_at_first:
            self._write()
        for _ in range(self.plan.workers):
            self._join()
        writing = asyncio.gather(self._writing(), self._expiring(), self._backing_up())
        begun_ms = 0
        for at_ms, name in self.plan.happenings:
            await self._sleep(at_ms - begun_ms)
            begun_ms = at_ms
            has_happened = await getattr(self, f"_{name}")()
            self.counts[name] += has_happened is not False
        await self._sleep(TROUBLE_MS - begun_ms)
        await writing
        await self._heal()
        await self._settle()
        self.counts.update(self.table.counts)
        self.counts["several"] += len(self.kept) > 1
        self.counts["changes"] += len(self.kept) < len(self.mappings)
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
        self.table.put(self.random.randrange(written), self.value())

    async def _writing(self) -> None:
        if self.plan.is_empty_at_first:  # so that a first scan may find an empty mirror
            await self._sleep(3_000)
        while self.clock.now().monotonic_ms < TROUBLE_MS:
            await self._sleep(self.random.randrange(self.plan.write_ms + 1))
            self._write()
            await self._trim()

    async def _expiring(self) -> None:
        """The service deletes what has expired, some of it soon; what is there in the end may stay so."""
        while self.plan.expiring and self.clock.now().monotonic_ms < TROUBLE_MS:
            await self._sleep(self.random.randrange(1_000))
            for place in self.table.expired():
                if self.random.random() < 0.4:
                    self.table.put(place, None, by_ttl=True)

    async def _backing_up(self) -> None:
        while self.clock.now().monotonic_ms < TROUBLE_MS:
            for mapping in self.kept:
                mapping.back_up()
            await self._sleep(1_000 + self.random.randrange(1_000))

    async def _trim(self) -> None:
        """What is too old goes; a shard that vanishes with what a mapping has not handled is a gap, and
        told.
        """
        gone = self.table.trim(self.clock.now().wall_ms - self.plan.retention_ms)
        present = {(shard.label, shard.shard_id) for shard in self.table.lineage}
        for place, last in gone.items():
            self.counts["trimmed"] += 1
            for mapping in self.mappings if place not in present else ():
                row = await self.state.get(checkpoint_key(APP, mapping.name, *place))
                if row is None or read_row(row.fields).watermark < last:
                    gap = Gap(place[1], 1, last)
                    await self.state.transact([Write(gap.key(APP, mapping.name), gap.fields())])
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

    async def _merge(self) -> bool:
        return self.table.merge()

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

    # ---- what people do ------------------------------------------------------------------------------------

    @property
    def kept(self) -> list[SimulatedMapping]:
        """The mappings that are given whole tables."""
        return [mapping for mapping in self.mappings if mapping.plan.is_kept]

    async def _wanted(self, mapping: SimulatedMapping) -> WantedSnapshot | None:
        return read_wanted(APP, mapping.name, await self.state.get(wanted_key(APP, mapping.name)))

    async def _snapshot(self, mapping: SimulatedMapping) -> Snapshot | None:
        return read_snapshot(APP, mapping.name, await self.state.get(snapshot_key(APP, mapping.name)))

    async def _change(
        self, mapping: SimulatedMapping, step: Callable[[WantedSnapshot], WantedSnapshot]
    ) -> bool:
        """As the commands change what is wanted. Returns: whether anything was wanted yet."""
        while (wanted := await self._wanted(mapping)) is not None:
            with suppress(PortError):
                await self.state.transact([step(wanted).write()])
                return True
        return False

    async def _pause(self) -> bool:
        mapping = self.random.choice(self.kept)
        self._later(self._resume(mapping, 1_500))
        return await self._change(mapping, lambda wanted: replace(wanted, paused_by="me"))

    async def _resume(self, mapping: SimulatedMapping, after_ms: int) -> None:
        await self._sleep(after_ms)
        await self._change(mapping, lambda wanted: replace(wanted, paused_by=""))

    async def _asked(self) -> bool:
        """A row is wrong in the mirror, and a person asks for another snapshot."""
        return await self._ask(self.random.choice(self.kept))

    async def _ask(self, mapping: SimulatedMapping, part: Part = WHOLE) -> bool:
        snapshot, now_ms = await self._snapshot(mapping), self.clock.now().wall_ms
        return await self._change(
            mapping, lambda wanted: asked(wanted, snapshot, APP, mapping.name, part, now_ms)
        )

    async def _part(self) -> bool:
        """Rows of a part of the table are as they were, and a person asks for a scan of that part."""
        mapping = self.random.choice(self.kept)
        if self.random.random() < 0.6:
            places = self.random.sample(self.table.keys, self.random.choice((1, 2)))
            part = Part(tuple(orjson.dumps(target.keys["id"]).decode() for target in places))
        else:
            number, of = self.random.choice(((0, 2), (1, 2), (1, 3)))
            places = [target for target in self.table.keys if target.partition % of == number]
            part = Part(segment=(number, of))
        snapshot, wanted = await self._snapshot(mapping), await self._wanted(mapping)
        if wanted is None:
            return False
        is_over = snapshot is not None and snapshot.number == wanted.number and snapshot.is_over
        if not wanted.part.is_whole and not is_over:
            return False  # it would be called off, and nobody would ask for it again
        mapping.restore(self.random.choice(mapping.backups), {target.key_bytes for target in places})
        return await self._ask(mapping, part)

    async def _restored(self) -> bool:
        """The target is as it was, and a person asks for a scan."""
        mapping = self.random.choice(self.kept)
        if await self._wanted(mapping) is None:
            return False
        mapping.restore(self.random.choice(mapping.backups))
        await self._sleep(self.random.choice((0, 300, 1_000)))
        return await self._ask(mapping)

    async def _set_back(self) -> bool:
        """What a mapping has settled is delivered again, all that there is or what came lately. Where the
        target has lost what it knew of deletions, a person asks for a scan after it: of an earlier stream not
        every item's end is told.
        """
        share = self.random.choice((0.0, 0.5, 0.9))

        def back(live: LiveShard, watermark: int) -> NewPosition | None:
            at = live.gone + int((watermark - live.gone) * share)
            return NewPosition(at, is_end=False, goes_back=True) if at < watermark else None

        mapping = self.random.choice(self.mappings)
        was_set = await self._set(mapping, back)
        if was_set and mapping.was_restored:
            await self._ask(mapping)
        return was_set

    async def _set_ahead(self) -> bool:
        """What a mapping has not settled is skipped; a person asks for a scan instead."""

        def ahead(live: LiveShard, watermark: int) -> NewPosition | None:
            skipped = [record for record in live.records if record.sequence > watermark]
            if not skipped:
                return None
            times = skipped[0].created_ms, skipped[-1].created_ms
            run = SkippedRun(watermark + 1, live.tip, len(skipped), *times)
            return NewPosition(live.tip, live.last is not None, goes_back=False, skipped=(run,))

        mapping = self.random.choice(self.mappings)
        was_set = await self._set(mapping, ahead)
        if was_set and mapping.plan.is_kept:
            await self._ask(mapping)  # before the first snapshot nobody has to
        return was_set

    async def _set(
        self, mapping: SimulatedMapping, position: Callable[[LiveShard, int], NewPosition | None]
    ) -> bool:
        """As `checkpoint set` does it, beside the workers. Returns: whether anything was set."""
        performer, number = Performer(self.state, self.clock), 0
        now_ms = self.clock.now().wall_ms
        for live in list(self.table.lineage):
            row = await self.state.get(checkpoint_key(APP, mapping.name, live.label, live.shard_id))
            if row is None:
                continue  # it begins with the oldest record there anyway
            to = position(live, read_row(row.fields).watermark)
            if to is not None:
                place = MappingShard(APP, mapping.name, SCHEMA.name, live.label, live.shard_id)
                with suppress(PortError):
                    owner = f"checkpoint-set-{now_ms}"
                    await performer.perform(place_checkpoint(place, to, owner, number, now_ms))
                    number += 1
        return number > 0

    # ---- the end -------------------------------------------------------------------------------------------

    async def _heal(self) -> None:
        self.fails = self.table.fails = 0.0
        self.outage_until_ms = self.parked_until_ms = 0
        for worker in self.workers:
            worker.gate.frozen_since_ms = None
            worker.gate.open.set()
        if not self.table.is_on:
            self.table.switch_on()
        for mapping in self.kept:
            await self._resume(mapping, 0)

    async def _settle(self) -> None:
        end_ms = self.clock.now().monotonic_ms + PATIENCE_MS
        while self.clock.now().monotonic_ms < end_ms:
            await self._sleep(1_000)
            await self._scan_instead()
            if not (left := await self._left()):
                break
        else:
            self.wrong.append(f"not settled: {left}: {await self._why_not()}")
        for mapping in self.mappings:
            self.wrong += list(mapping.differences(self.table, await self._gaps(mapping)))[:3]

    async def _gaps(self, mapping: SimulatedMapping) -> Sequence[Gap]:
        return [read_gap(row.fields) for row in await self.state.query(GAP.prefix(APP, mapping.name))]

    async def _scan_instead(self) -> None:
        """Exports were refused, so a person wants a scan; they must have been refused with a reason."""
        mapping = self.mappings[0]
        snapshot, wanted = await self._snapshot(mapping), await self._wanted(mapping)
        if snapshot is None or wanted is None or not snapshot.refused or wanted.number != snapshot.number:
            return
        self.counts["refused"] += 1
        exports, is_the_chain = self.plan.exports, "the mirror of" not in snapshot.refused
        has_changed = any(self.counts[name] for name in ("off", "table", "gap", "set_ahead"))
        reaches = exports is not None and exports.told_ms < exports.needed_ms - TROUBLE_MS
        if reaches and is_the_chain and not has_changed:
            self.wrong.append(f"refused though they reach: {exports} {snapshot.refused}")
        await self._ask(mapping)

    async def _why_not(self) -> str:
        behind = []
        for shard in self.table.lineage:
            lease = await self.state.get(lease_key(APP, shard.label, shard.shard_id))
            for mapping in self.mappings:
                row = await self.state.get(checkpoint_key(APP, mapping.name, shard.label, shard.shard_id))
                settled = row and row.fields["watermark"]
                behind.append(
                    (shard.shard_id, shard.tip, mapping.name, settled, lease and lease.fields["owner"])
                )
        names = [(worker.name, worker.is_alive) for worker in self.workers]
        snapshots = [await self._snapshot(mapping) for mapping in self.kept]
        parked = [len(mapping.parked) for mapping in self.mappings]
        return f"{snapshots} parked {parked} {behind} {names}"

    async def _left(self) -> str:
        """What is still to come; nothing when all is settled."""
        for mapping in self.mappings:
            if mapping.parked:
                return f"what is parked of {mapping.name}"
            if not await self._has_read(mapping):
                return f"changes of {mapping.name}"
            if mapping.plan.is_kept and not await self._is_whole(mapping):
                return f"the snapshot of {mapping.name}"
        return ""

    async def _has_read(self, mapping: SimulatedMapping) -> bool:
        for shard in self.table.lineage:
            row = await self.state.get(checkpoint_key(APP, mapping.name, shard.label, shard.shard_id))
            last = shard.records[-1].sequence if shard.records else 0
            if row is None or read_row(row.fields).watermark < last:
                return False
        return True

    async def _is_whole(self, mapping: SimulatedMapping) -> bool:
        snapshot, wanted = await self._snapshot(mapping), await self._wanted(mapping)
        if snapshot is None or wanted is None or snapshot.number < wanted.number or not snapshot.is_over:
            return False
        if snapshot.owes_whole:
            return False
        gaps = await self._gaps(mapping)
        return snapshot.stream == self.table.labels[-1] and all(gap.acknowledged_ms for gap in gaps)


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
