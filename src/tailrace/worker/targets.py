"""The targets of one worker's mappings that own the checkpoint: what they have, and what they have lost.

Theory of operation: a mapping's target is compared with its finished shards when the worker has begun to run
the mapping, and again when a shard was lost, for a target that was restored meanwhile refuses the next
commit; both before a shard is taken in the target: who takes one waits for it. What was lost of finished
shards is read again, parents first, or told; then every worker begins the mapping anew as after `checkpoint
set` (worker/placed.py), and whoever took a shard meanwhile gives it up. A target that does not answer keeps
only its own mapping from beginning. What a shard's stream lacks now may be a stream that is off, or a source
that fails: that is told when the stream is there again.
Rules of this file: what is lost is runtime/restored.py's. A target that is emptied while the worker
runs is compared when it has refused a commit. Made by worker/worker.py; asked by `checkpoint show`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tailrace.app.app import HandlerMapping
from tailrace.errors import LeaseLost, PortError, SourceError, Unavailable
from tailrace.leases.generation import read_generations, sources_key
from tailrace.ports import TargetPosition
from tailrace.runtime.delivering import MappingShard
from tailrace.runtime.driver import AskedTarget, Performer, TargetPositions
from tailrace.runtime.parts import Parts
from tailrace.runtime.placing import reopen_checkpoint
from tailrace.runtime.restored import LostShard, finished_shards, lost_shards, tell_gone
from tailrace.worker.following import FollowedTable
from tailrace.worker.habits import Habits

LOG: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class _Target:
    """One mapping's."""

    handler: HandlerMapping
    target: AskedTarget
    table: FollowedTable
    is_compared: bool = False
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    said: str = ""


class Targets:
    """Those of one worker. Shape: `look` lets the worker look for what it may begin."""

    def __init__(self, app: str, parts: Parts, habits: Habits, look: Callable[[], None]) -> None:
        self._app = app
        self._parts = parts
        self._habits = habits
        self._look = look
        self._of: dict[str, _Target] = {}
        self._added = asyncio.Event()

    def add(self, handler: HandlerMapping, target: AskedTarget | None, table: FollowedTable) -> None:
        """The worker runs a mapping; without a target the state has its positions."""
        if target is not None:
            self._of[handler.id] = _Target(handler, target, table)
            self._added.set()

    def remove(self, mapping_id: str) -> None:
        """It runs no more."""
        self._of.pop(mapping_id, None)

    def of(self, mapping_id: str) -> TargetPositions | None:
        """Where a mapping's shards are taken, once it is compared; None: in the state."""
        there = self._of.get(mapping_id)
        return None if there is None else _Compared(there.target, lambda: self._compare(there))

    def compare_again(self, mapping_id: str) -> None:
        """A shard of it is lost: to another worker, or since its target was emptied or restored, and then it
        may have lost finished shards as well.
        """
        there = self._of.get(mapping_id)
        if there is not None and there.is_compared:
            there.is_compared = False
            self._added.set()

    async def positions(
        self, mapping_id: str, names: Iterable[str]
    ) -> dict[str, Sequence[TargetPosition]] | None:
        """What a mapping's target has now under these ids, of which one that was renamed has several. None:
        the state has its positions, or it does not run here. Raises: Unavailable.
        """
        there = self._of.get(mapping_id)
        return None if there is None else await _positions(there.target, names)

    async def run(self) -> None:
        """Compare what no shard has asked for, until cancelled: all of a mapping may be finished."""
        while True:
            await self._added.wait()
            waiting = [there for there in self._of.values() if not there.is_compared]
            await asyncio.gather(*map(self._try, waiting))
            if all(there.is_compared for there in self._of.values()):
                self._added.clear()
                continue
            clock = self._parts.clock
            await clock.sleep_until(clock.now().monotonic_ms + self._habits.discovery_ms)

    async def _try(self, there: _Target) -> None:
        try:
            await self._compare(there)
        except LeaseLost:
            return  # what was lost is read again
        except PortError as error:
            self._say(there, f"its target cannot be compared with its checkpoints: {error}")

    def _say(self, there: _Target, words: str) -> None:
        if words != there.said:  # once for each reason, however often it is tried
            there.said = words
            LOG.warning("%s: %s", there.handler.id, words, extra={"handler": there.handler.id})

    async def _compare(self, there: _Target) -> None:
        """Raises: LeaseLost when shards were finished and begin again; StoreError, SourceError, Unavailable:
        nothing is known yet.
        """
        async with there.turn:
            if there.is_compared:
                return
            lost = await self._lost(there)
            reopened, is_told = await self._read_again(there, lost) if lost else (0, True)
            there.is_compared = is_told
        if reopened:
            self._look()
            raise LeaseLost(f"{reopened} finished shards of {there.handler.id} begin again")

    async def _lost(self, there: _Target) -> list[LostShard]:
        steps = finished_shards(self._app, there.handler.id)
        finished = await Performer(self._parts.state, self._parts.clock).perform(steps)
        names = {shard.row.target for shard in finished}
        return lost_shards(finished, await _positions(there.target, names))

    async def _read_again(self, there: _Target, lost: Sequence[LostShard]) -> tuple[int, bool]:
        """Returns: how many shards begin again, and whether all others were told."""
        handler, table, clock = there.handler, there.table, self._parts.clock
        followed = await table.followed()
        behind = {(shard.shard.stream, shard.shard.shard_id): shard for shard in lost}
        performer = Performer(self._parts.state, clock, self._parts.reached, there.target)
        now_ms = clock.now().wall_ms
        owner, reopened = f"{self._habits.owner.name}-restored-{now_ms}", 0
        for stream, shards in followed:
            for shard in shards:
                if behind.pop(shard.place, None) is not None:
                    place = table.place(self._app, handler, stream, shard)
                    await performer.perform(reopen_checkpoint(place, owner, reopened, now_ms))
                    reopened += 1
        if reopened:
            self._say(
                there,
                f"its target has less than it had, as one that was emptied or restored: {reopened} finished "
                "shards are read again from where it stands (tailrace checkpoint show)",
            )
        labels = {stream.label for stream, _ in followed}
        try:
            if not labels.issuperset(shard.shard.stream for shard in behind.values()):
                present = await table.source.stream()  # or nothing says that the others are gone
                if present.label not in labels:
                    raise SourceError(f"{present.label} was not listed a moment ago")
            for gone in behind.values():
                await self._tell(there, performer, gone)
        except SourceError as error:
            self._say(
                there, f"what its target has lost of streams that are not there is not told yet: {error}"
            )
            return reopened, False
        return reopened, True

    async def _tell(self, there: _Target, performer: Performer, gone: LostShard) -> None:
        shard, name = gone.shard, there.handler.id
        row = await self._parts.state.get(sources_key(self._app, there.table.name))
        numbers = read_generations(self._app, there.table.name, None if row is None else row.fields)
        place = MappingShard(
            self._app, name, there.table.name, shard.stream, shard.shard_id, shard.row.hashes,
            numbers.of(shard.stream),
        )  # fmt: skip
        try:
            gap = await performer.perform(tell_gone(place, gone))
        except LeaseLost as error:
            raise Unavailable(f"{shard.shard_id} was taken in the target at this moment") from error
        LOG.warning(
            "%s: its target has lost what it had of %s from %d to %d, and the stream has it no more: "
            "tailrace gaps %s",
            name, shard.shard_id, gap.first, gap.last, name, extra={"handler": name},
        )  # fmt: skip


async def _positions(target: AskedTarget, names: Iterable[str]) -> dict[str, Sequence[TargetPosition]]:
    return {name: await target.positions(name) for name in sorted(names)}


class _Compared:
    """Positions in a target that is compared before a shard is taken there."""

    def __init__(self, target: TargetPositions, compare: Callable[[], Awaitable[None]]) -> None:
        self._target = target
        self._compare = compare

    async def stamp(self, mapping_id: str, stream: str, shard_id: str, epoch: int) -> TargetPosition:
        """Take a shard. Raises: LeaseLost, also when finished shards begin again; what keeps it from being
        compared.
        """
        await self._compare()
        return await self._target.stamp(mapping_id, stream, shard_id, epoch)

    async def put_position(self, mapping_id: str, position: TargetPosition) -> None:
        """Let the target have a position."""
        await self._target.put_position(mapping_id, position)
