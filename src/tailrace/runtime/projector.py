"""Brings up the builds of projections: fills them from the table's items, lets them be served when they have caught up, removes the others.

Theory of operation: an item that is read from the table while the last sequence number is P holds every change up to P and none after, so it
is applied as a change with the number P; what is delivered is older and ignored, or newer and applied. So a build begins with all that the
table has, however little the stream still holds, and reading and delivering need not know of each other. It has caught up when its mapping has
settled everything up to the position of the last page.
Rules of this file: everything may be cut off anywhere and is done again at the next start. Made by compose, run by worker.py.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Final, Protocol

from tailrace.app.fingerprint import is_changed
from tailrace.app.projection import Projection, mapping_id
from tailrace.deadletters.head import head_prefix
from tailrace.errors import PortError
from tailrace.ports import Clock, ProjectionStore, StateStore
from tailrace.projections.builds import Build
from tailrace.projections.folding import Step
from tailrace.projections.rows import BUCKETS, AppliedItem, Group, RowChange
from tailrace.rows.kinds import LEDGER, MAPPING
from tailrace.runtime.builds import Builds, place_words
from tailrace.runtime.mapping_rows import forget_mapping
from tailrace.runtime.projecting import Contended, apply_steps
from tailrace.runtime.threads import Threads
from tailrace.runtime.tombstones import forget_tombstones
from tailrace.values.types import Item

PAGE: Final = 100
FILLING: Final = 4
"""Threads of one projection's fill."""
LOOK_MS: Final = 1_000
"""How often a build that is filled asks whether it has caught up, and how long a failing store is left alone."""
CONTENDED_MS: Final = 20
STUCK_LOOK_MS: Final = 60_000
"""How often one asks that cannot be served because some items failed."""
FORGETTING_MS: Final = 86_400_000 // BUCKETS
"""One bucket after the other is looked through for tombstones, all of them in a day: every row has to be read for it."""
SLICE: Final = 50
"""What delivery keeps under a mapping's id; its `mapping` row goes last."""

_log = logging.getLogger("tailrace.projections")


@dataclass(frozen=True, slots=True)
class ItemsPage:
    """Items as they were when `position` was the last sequence number. Shape: (key in hex, key, image); `after` None at the end."""

    items: Sequence[tuple[str, Item, Item]]
    position: int
    after: Mapping[str, Any] | None


class TableItems(Protocol):
    """Where a table's items are read with an exact position."""

    async def page(self, table: str, after: Mapping[str, Any] | None, limit: int) -> ItemsPage:
        """The next items, durable. Raises: StoreError, SourceError."""


class Projector:
    """The builds of one app's projections, brought up."""

    def __init__(
        self, app: str, projections: Sequence[Projection], builds: Builds, *, items: TableItems, state: StateStore, clock: Clock,
        oldest: Callable[[Projection], int | None],
    ) -> None:  # fmt: skip
        self.builds = builds
        self.projections = projections
        self.items = items
        self.oldest = oldest
        """The first change that a projection's mapping has not settled, None when there is none."""
        self._app = app
        self._state = state
        self._clock = clock
        self._busy: set[str] = set()
        self._threads = {each.mapping_id: Threads(f"fill {each.mapping_id}", FILLING) for each in projections}
        self._locks = {each.mapping_id: asyncio.Lock() for each in projections}
        self._group: asyncio.TaskGroup | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a build is being filled, or catching up with nothing in its way."""
        return bool(self._busy)

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._group = tasks
            for projection in self.projections:
                self.bring_up(projection)
            tasks.create_task(self._forget(), name="forgetting tombstones")
            tasks.create_task(self._watch(), name="watching for gaps")

    def bring_up(self, projection: Projection) -> None:
        """Fill the newest build of a version and let it be served, beside everything else."""
        assert self._group is not None
        self._busy.add(projection.mapping_id)
        self._group.create_task(self._bring_up(projection), name=f"bring up {projection.mapping_id}")

    def is_newest(self, projection: Projection) -> bool:
        """Whether no higher version of it is declared."""
        return all(
            each.version <= projection.version for each in self.projections if each.id == projection.id
        )

    def is_bringing_up(self, projection: Projection) -> bool:
        """Whether its newest build is on its way."""
        return self._locks[projection.mapping_id].locked()

    async def rebuild(self, projection: Projection) -> Build:
        """Begin another build of the version beside the one there is. Raises: StoreError."""
        await self.builds.known(projection)
        build = await self.builds.begin(projection)
        self.bring_up(projection)
        return build

    async def swap(self, projection: Projection, name: str) -> None:
        """Serve a build, and remove those that nothing needs then. Raises: StoreError, Unavailable."""
        await self.builds.serve(projection, name)
        await self._remove_others(projection)

    # ---- bringing up -------------------------------------------------------------------------------------------------

    async def _bring_up(self, projection: Projection) -> None:
        async with self._locks[projection.mapping_id]:
            with self._threads[projection.mapping_id].used():
                await self._keep_on(projection)
        self._busy.discard(projection.mapping_id)

    async def _keep_on(self, projection: Projection) -> None:
        is_begun = False
        while True:
            try:
                if await self._go_on(projection, is_again=is_begun):
                    break
                is_begun = True
            except PortError:
                pass  # the store or the source fails; checkpoints and readiness say so, and this is tried again
            stuck = projection.mapping_id not in self._busy
            pause_ms = STUCK_LOOK_MS if stuck else LOOK_MS
            await self._clock.sleep_until(self._clock.now().monotonic_ms + pause_ms)

    async def _go_on(self, projection: Projection, *, is_again: bool) -> bool:
        """As far as it goes now. Returns: whether there is nothing left to do."""
        known = await self.builds.known(projection)
        build = known.of_version(projection.version)[-1]
        if not is_again and build.is_filled and is_changed(build.code, projection.fingerprint):
            _log.warning(
                "projection %s: its function is another than the one that build %s was made by, and its version is the same: raise the "
                "version, or tailrace projection rebuild %s", projection.id, build.name, projection.id,
            )  # fmt: skip
        if build.failures and not is_again:  # a start may have brought code that does not fail
            build = build.begun_again()
        build = await self._fill(projection, build)
        if known.served == build.name:
            await self.builds.store(
                projection, build.name
            ).serve()  # a death may have come before it the first time
            await self._remove_others(projection)
            return True
        if projection.swap == "manual" or not self.is_newest(projection):
            return True
        if await self._stuck(projection, build) is not None:
            self._busy.discard(projection.mapping_id)
            return False
        if self._is_behind(projection, build):
            self._busy.add(projection.mapping_id)
            return False
        await self.swap(projection, build.name)
        return True

    async def why_not_yet(self, projection: Projection, build: Build) -> str | None:
        """Why a build is not good enough to be served; None when it is. Raises: StoreError."""
        if not build.is_filled:
            return f"it is being filled: {build.filled} items so far"
        if (stuck := await self._stuck(projection, build)) is not None:
            return stuck
        return (
            "changes from before it was filled are still on their way"
            if self._is_behind(projection, build)
            else None
        )

    async def _stuck(self, projection: Projection, build: Build) -> str | None:
        if build.failures:
            key, error = build.failed[0]
            return f"{build.failures} items could not be filled in; {key}: {error}"
        rows = await self._state.query(head_prefix(self._app, projection.mapping_id))
        tails = {str(row.fields["key"]): int(row.fields["tail"]) for row in rows}
        store = self.builds.store(projection, build.name)
        applied = {row.key: row.sequence for row in await store.items(list(tails))}
        missing = [key for key, tail in tails.items() if applied.get(key, 0) < tail]
        if not missing:  # what is parked was in the table when the items were read
            return None
        return f"{len(missing)} items are parked: tailrace dlq redrive {projection.mapping_id}"

    def _is_behind(self, projection: Projection, build: Build) -> bool:
        oldest = self.oldest(projection)
        return oldest is not None and oldest <= build.position

    async def _fill(self, projection: Projection, build: Build) -> Build:
        store = self.builds.store(projection, build.name)
        while not build.is_filled:
            self._busy.add(projection.mapping_id)
            page = await self.items.page(projection.table.name, build.after, PAGE)
            now_ms = self._clock.now().wall_ms
            steps = [
                Step(key, page.position, image, now_ms)
                for key, keys, image in page.items
                if projection.is_of(keys)
            ]
            applied = await apply_steps(store, projection, steps)
            while any(isinstance(error, Contended) for error in applied.failures.values()):
                # Delivery was faster each time. Nothing is wrong with these items: those that are applied are ignored this time.
                await self._clock.sleep_until(self._clock.now().monotonic_ms + CONTENDED_MS)
                applied = await apply_steps(store, projection, steps)
            failed = [(steps[index].key, _words(error)) for index, error in applied.failures.items()]
            build = build.with_page(page.position, page.after, len(steps) - len(failed), failed)
            await self.builds.save(build)
            await asyncio.sleep(0)
        return build

    # ---- removing ----------------------------------------------------------------------------------------------------

    async def _remove_others(self, projection: Projection) -> None:
        known = await self.builds.known(projection)
        declared = {each.version for each in self.projections if each.id == projection.id}
        kept = {known.served}
        for version in declared - {projection.version}:
            kept.update(each.name for each in known.of_version(version)[-1:])
        for build in [each for each in known.builds.values() if each.name not in kept]:
            if build.into == place_words(
                projection
            ):  # rows in another place stay there: its owner knows what to do with them
                await remove_rows(self.builds.store(projection, build.name))
            await self.builds.forget(build)
        current = {mapping_id(projection.id, version) for version in declared}
        for row in await self._state.query(MAPPING.key(self._app, f"{projection.id}@v")):
            if row.fields["id"] not in current:
                await forget_mapping(self._state, self._app, str(row.fields["id"]))

    # ---- watching ----------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Rebuild what the stream has lost changes of, because nobody read them for a day."""
        while True:
            await self._clock.sleep_until(self._clock.now().monotonic_ms + STUCK_LOOK_MS)
            for projection in self.projections:
                with suppress(PortError):  # the next look tries again
                    if not self.is_bringing_up(projection) and await self._has_gap(projection):
                        build = await self.rebuild(projection)
                        _log.warning(
                            "projection %s: changes were trimmed before they were applied: it is built anew from the table's "
                            "items, as build %s", projection.id, build.name,
                        )  # fmt: skip

    async def _has_gap(self, projection: Projection) -> bool:
        known = await self.builds.known(projection)
        since = known.of_version(projection.version)[-1].since
        rows = await self._state.query(LEDGER.prefix(self._app, projection.mapping_id))
        ranges = [each for row in rows for each in row.fields["ranges"]]
        return any(outcome == "trimmed" and last > since for _, last, _, outcome in ranges)

    async def _forget(self) -> None:
        for number in cycle(range(BUCKETS)):
            await self._clock.sleep_until(self._clock.now().monotonic_ms + FORGETTING_MS)
            for projection in self.projections:
                with suppress(PortError):  # tomorrow tries again
                    for _, store in await self.builds.current(projection):
                        await forget_tombstones(
                            store,
                            self._state,
                            self._app,
                            projection.mapping_id,
                            number,
                            self._clock.now().wall_ms,
                        )


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]


async def remove_rows(store: ProjectionStore) -> int:
    """Remove every row of a build that nobody writes any more. Returns: how many. Raises: StoreError, StateConflict."""
    removed = 0
    for number in range(BUCKETS):
        removed += await _remove(store, await store.bucket(number))
    return removed + await _remove(store, await store.groups())


async def _remove(store: ProjectionStore, rows: Sequence[AppliedItem] | Sequence[Group]) -> int:
    for start in range(0, len(rows), store.rows_at_once):
        await store.commit([RowChange(row, None) for row in rows[start : start + store.rows_at_once]])
        await asyncio.sleep(0)
    return len(rows)
