"""How far handlers are behind in shards that no worker reads, told by the worker that sees to them.

Theory of operation: two loops. One renews the duties of this worker and asks which shards are read by no
driver: those whose lease it has itself, and, where it has the duty, those that no living worker has. The
other finds out, shard after shard, what the oldest change is that waits there: it reads the checkpoint and
one record of the stream, which has no reader whose reads it could take, and keeps the answer until the
checkpoint moves. A shard is on its way from one worker to the next for some seconds, so it is asked when it
has been without a reader for a whole look.
Rules of this file: it tells, and settles nothing; what fails is tried at the next look, and until then the
figure is as old as the last one. Run by worker.py, made by compose_fleet.py.
"""

import asyncio
from contextlib import suppress
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from tailrace.errors import PortError
from tailrace.leases.checkpoint import Range, read_checkpoint
from tailrace.ports import Clock, LogReader, StateStore
from tailrace.runtime.evacuation import Unfinished
from tailrace.runtime.watermark import oldest_unsettled
from tailrace.worker.unread import Unread

LOOK_MS: Final = 15_000
"""Half as long as the stamp of a duty may stand still."""
AT_ONCE: Final = 8

Position: TypeAlias = tuple[int, tuple[Range, ...]]
Names: TypeAlias = tuple[str, str, str]


class UnreadShard(Struct, frozen=True):
    """A shard that no reader of a mapping is at.

    Shape:   `position` is that of the checkpoint, None while nobody has asked; `is_owned` where this worker
             has the lease.
    Units:   monotonic ms, but for `oldest_ms`, which is when the oldest change that waits was written, since
             the epoch; None: none is known. `since_ms` when the checkpoint was seen to stand there,
             `looked_ms` as of when that is known.
    """

    mapping_id: str
    table: str
    shard_id: str
    since_ms: int
    looked_ms: int
    is_owned: bool = False
    oldest_ms: int | None = None
    position: Position | None = None


class UnreadWatch:
    """What one worker tells of such shards. Units: look_ms from one look to the next."""

    def __init__(
        self, unread: Unread, state: StateStore, log: LogReader, clock: Clock, look_ms: int = LOOK_MS
    ) -> None:
        self._unread = unread
        self._state = state
        self._log = log
        self._clock = clock
        self._look_ms = look_ms
        self._last_ms = clock.now().monotonic_ms
        """When it looked last."""
        self._places: dict[Names, Unfinished] = {}
        self._known: dict[Names, UnreadShard] = {}

    def of(self, mapping_id: str) -> list[UnreadShard]:
        """Those of one mapping."""
        return [shard for shard in self._known.values() if shard.mapping_id == mapping_id]

    @property
    def unowned(self) -> dict[str, int]:
        """How many shards no living worker has, by table, as far as this one tells them."""
        shards = {(shard.table, names[1:]) for names, shard in self._known.items() if not shard.is_owned}
        tables = [table for table, _ in shards]
        return {table: tables.count(table) for table in tables}

    @property
    def held(self) -> dict[tuple[str, str], UnreadShard]:
        """Those whose leases this worker has, by stream label and shard, for one of the mappings that lack
        them.
        """
        return {names[1:]: shard for names, shard in self._known.items() if shard.is_owned}

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look_on())
            tasks.create_task(self._ask_on())

    async def _look_on(self) -> None:
        while True:
            await self.look()
            await self._rest()

    async def _ask_on(self) -> None:
        while True:
            await self._rest()
            await self.ask()

    async def _rest(self) -> None:
        await self._clock.sleep_until(self._clock.now().monotonic_ms + self._look_ms)

    async def look(self) -> None:
        """Renew the duties, and learn which shards no worker reads."""
        duties = {mapping_id: await self._unread.has_duty(mapping_id) for mapping_id in self._unread.ids}
        now_ms = self._clock.now().monotonic_ms
        known: dict[Names, UnreadShard] = {}
        places: dict[Names, Unfinished] = {}
        for unfinished in self._unread.places():
            place, stream, shard = unfinished.place, unfinished.stream, unfinished.shard
            is_owned = self._unread.where(shard.place) == "here"
            if is_owned or duties.get(place.mapping_id, False):
                names = place.mapping_id, stream.label, shard.shard_id
                fresh = UnreadShard(place.mapping_id, place.table, shard.shard_id, now_ms, now_ms)
                known[names] = replace(self._known.get(names, fresh), is_owned=is_owned)
                places[names] = unfinished
        self._known, self._places, self._last_ms = known, places, now_ms

    async def ask(self) -> None:
        """Find out what waits in each of them."""
        at_once = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            for names, shard in list(self._known.items()):
                if shard.position is not None or shard.since_ms < self._last_ms:
                    tasks.create_task(self._try(names, self._places[names], at_once))

    async def _try(self, names: Names, unfinished: Unfinished, at_once: asyncio.Semaphore) -> None:
        async with at_once:
            with suppress(PortError):  # the figure ages until it can be asked again
                await self._ask(names, unfinished)

    async def _ask(self, names: Names, unfinished: Unfinished) -> None:
        now_ms = self._clock.now().monotonic_ms
        row = await self._state.get(unfinished.place.checkpoint_key)
        watermark, ranges, is_finished = read_checkpoint(None if row is None else row.fields)
        before = self._known.get(names)
        if before is None or is_finished:
            self._known.pop(names, None)
            return
        position: Position = watermark, tuple(ranges)
        oldest_ms = before.oldest_ms if before.position == position else None
        if oldest_ms is None:
            saved = self._unread.saved(names)
            oldest = await oldest_unsettled(
                self._state, self._log, unfinished.shard, watermark, ranges, saved
            )
            oldest_ms = None if oldest is None else oldest.created_ms
        since_ms = before.since_ms if before.position in (None, position) else now_ms
        if names in self._known:
            known = replace(
                before, since_ms=since_ms, looked_ms=now_ms, oldest_ms=oldest_ms, position=position
            )
            self._known[names] = known
