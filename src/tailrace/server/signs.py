"""What alerts are decided on, gathered from the state, from a log or readers, and from the drivers that run
here.

Rules of this file: counts and ages, no letter and no image is read. Called by alerts/run/watch.py through
compose_parts.py. Stands alone because a scrape (snapshot.py) gathers far more.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias

from tailrace.alerts.core.signs import HandlerSigns
from tailrace.deadletters.core.gap import read_gap
from tailrace.deadletters.views.letters import letter_counts
from tailrace.leases.lease import LEASE_DURATION_MS
from tailrace.ports import Clock, StateStore
from tailrace.rows.kinds import GAP
from tailrace.runtime.driver import Driver
from tailrace.runtime.pages import rows
from tailrace.runtime.watermark import MappingName, evacuations
from tailrace.server.observe import ShardProgress
from tailrace.server.spaced import SpacedLook
from tailrace.views.leases import leases
from tailrace.views.reading import ViewSources

Progress: TypeAlias = Callable[[MappingName], Awaitable[Sequence[ShardProgress]]]
CONTESTED_MS: Final = 2 * LEASE_DURATION_MS
"""A worker that has lost a lease learns it within one lease time, and its drivers end."""


class ContestedLeases:
    """Shards that are read here while their lease names another worker. Shape: `since` by mapping, stream
    label and shard, monotonic.
    """

    def __init__(self, app: str, state: StateStore, clock: Clock, owner: str) -> None:
        self._app = app
        self._state = state
        self._clock = clock
        self._owner = owner
        self._since: dict[tuple[str, str, str], int] = {}
        self._last: SpacedLook[Mapping[str, tuple[str, ...]]] = SpacedLook(clock)

    async def look(self, drivers: Collection[Driver]) -> Mapping[str, tuple[str, ...]]:
        """By handler, the shards that have been so for longer than a lease lasts, as of a look that is as old
        as its rows are many (spaced.py). Raises: StoreError.
        """
        return await self._last.look(partial(self._read, drivers))

    async def _read(self, drivers: Collection[Driver]) -> tuple[Mapping[str, tuple[str, ...]], int]:
        held = await leases(self._state, self._app)
        now_ms = self._clock.now().monotonic_ms
        contested: dict[tuple[str, str, str], int] = {}
        for driver in drivers:
            place = driver.delivery.settling.place
            lease = held.get((place.stream_label, place.shard_id))
            is_others = lease is not None and lease.owner not in ("", self._owner)
            if is_others and driver.machine.phase == "running":  # one that drains reads nothing more
                words = (place.mapping_id, place.stream_label, place.shard_id)
                contested[words] = self._since.get(words, now_ms)
        self._since = contested
        by_handler: dict[str, tuple[str, ...]] = {}
        for (mapping_id, _, shard_id), since_ms in contested.items():
            if now_ms - since_ms > CONTESTED_MS:
                by_handler[mapping_id] = (*by_handler.get(mapping_id, ()), shard_id)
        return by_handler, len(held)


async def signs_of(
    reading: ViewSources,
    mappings: Sequence[MappingName],
    progress: Progress,
    contested: Mapping[str, tuple[str, ...]],
) -> list[HandlerSigns]:
    """How every handler of an app stands. Raises: StoreError, SourceError."""
    return [
        await handler_signs(reading, mapping, await progress(mapping), contested.get(mapping.handler, ()))
        for mapping in mappings
    ]


async def handler_signs(
    reading: ViewSources,
    mapping: MappingName,
    progress: Sequence[ShardProgress],
    contested: tuple[str, ...] = (),
) -> HandlerSigns:
    """How one handler stands. Raises: StoreError."""
    state = reading.state
    letters = await letter_counts(state, mapping.app, mapping.handler)
    lag_ms = max((shard.age_ms for shard in progress), default=0)
    return HandlerSigns(
        mapping.handler,
        mapping.table,
        lag_ms=lag_ms,
        left_ms=max(0, reading.retention_ms - lag_ms),
        stuck_ms=max((min(shard.age_ms, shard.still_ms or 0) for shard in progress), default=0),
        open_gaps=await open_gap_count(state, mapping),
        shards_evacuating=len(await evacuations(state, mapping)),
        dead_letters=letters.discarded + letters.parked,
        contested=contested,
    )


async def open_gap_count(state: StateStore, mapping: MappingName) -> int:
    """How many gaps have a row that no operator has acknowledged. Raises: StoreError."""
    prefix = GAP.prefix(mapping.app, mapping.handler)
    return len([1 async for row in rows(state, prefix) if not read_gap(row.fields).acknowledged_ms])
