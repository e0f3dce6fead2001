"""The ports through which a worker of a world of snapshots reaches everything.

Theory of operation: each call takes its time, and is where a worker may stand still or die; now and then an
answer is lost. What is saved of snapshots is noticed here, for the campaign's counts.
Rules of this file: nothing is decided. Called by snapshot_workers.py and snapshot_lanes.py.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tailrace.errors import StoreError, Unavailable
from tailrace.ports import Action, Outcome, RecordBatch, SinkRow
from tailrace.rows.writes import StateRow, Write
from tailrace.snapshots.core.pages import ScannedPage
from tailrace.snapshots.core.snapshot import read_snapshot, snapshot_key
from tailrace.snapshots.run.exporting import ChosenExports, WantedExports
from tailrace.testing.mirrors import MirrorMemory
from tests.simulation.snapshot_mirrors import APP, SimulatedMapping
from tests.simulation.snapshot_surroundings import Surroundings


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
        # One way is slow as often as not, so that a call costs the simulation one timer.
        latency = self.world.plan.slow_ms // 2
        if latency and self.world.random.random() < 0.5:
            clock = self.world.clock
            await clock.sleep_until(clock.now().monotonic_ms + self.world.random.randrange(latency + 1))
        elif not latency:
            await asyncio.sleep(0)
        await self.open.wait()


class GatedState:
    """The state store as one worker reaches it."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._state = gate.world.state
        self._mappings = {snapshot_key(APP, mapping.name): mapping for mapping in gate.world.mappings}

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
        for write in writes:
            if isinstance(write, Write) and (mapping := self._mappings.get(write.key)) is not None:
                self._count(mapping, write)
        await self._gate.pass_()
        if self._gate.world.random.random() < self._gate.world.fails / 4:
            raise StoreError("the connection was lost")

    def _count(self, mapping: SimulatedMapping, write: Write) -> None:
        """What a snapshot was that is done now."""
        if write.fields is None or write.fields["phase"] != "done":
            return
        snapshot = read_snapshot(APP, mapping.name, StateRow(write.key, write.fields))
        assert snapshot is not None
        counts = self._gate.world.counts
        if not snapshot.source:
            counts["exact" if snapshot.is_exact else "reset" if snapshot.reset else "first"] += 1
        counts["swept"] += snapshot.progress.swept
        counts["partial"] += not snapshot.part.is_whole
        counts["paused"] += bool(mapping.plan.paused_ms)


class GatedMirror(MirrorMemory):
    """The sink as one worker reaches it."""

    def __init__(self, gate: Gate, mapping: SimulatedMapping) -> None:
        super().__init__(mapping.target)
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
        self._gate.world.counts["incremental"] += len(chosen.exports) > 1
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
