"""Brings up the builds of projections: has them filled, lets them be served when they have caught up, removes
the others.

Theory of operation: a build is filled from its table (from_table.py) or the table's journal (from_journal.py)
once its mapping's start is durable in every shard: what is not read then is a gap, and told. A build from a
table has caught up when its mapping has settled everything up to the position of the last page, or to its
time; one from a journal is ahead of its mapping, and is compared with the table before it is served by
itself, where that costs nothing. A build whose fill failed on items is filled again, which changes
nothing of what is applied: after a while that grows, and as soon as a change of such an item was applied.
Several workers may run one each: one of them claims the filling, the others look now and then, and go on
from where its row says when it falls silent.
Rules of this file: everything may be cut off anywhere and is done again, here or by another worker; what is
decided holds only if the builds are still those that it was decided from. Made by
`compose_parts`, run by worker/crew.py.
"""

import asyncio
import logging
from collections.abc import Sequence, Set
from contextlib import suppress
from itertools import cycle
from typing import Final

from msgspec.structs import replace

from tailrace.app.fingerprint import is_changed
from tailrace.app.projection import Projection, mapping_id
from tailrace.deadletters.core.head import head_prefix
from tailrace.errors import PortError
from tailrace.ports import TableItems
from tailrace.projections.core.builds import Build
from tailrace.projections.core.known import KnownBuilds
from tailrace.projections.core.rows import BUCKETS
from tailrace.projections.run.builds import STATE, Builds, Claim, ClaimLost, place_words
from tailrace.projections.run.following import Following, is_begun
from tailrace.projections.run.forgetting import forget_tombstones, remove_rows
from tailrace.projections.run.from_journal import FromTable, JournalFilling, NotYet
from tailrace.projections.run.from_table import TableFilling
from tailrace.projections.run.lacking import acknowledge_gaps, has_lost, parked_items
from tailrace.projections.run.refilling import Refill
from tailrace.projections.run.verifying import verify
from tailrace.rows.bounds import SLICE
from tailrace.rows.kinds import MAPPING
from tailrace.runtime.agreeing import Besides, nowhere
from tailrace.runtime.mapping_rows import forget_mapping
from tailrace.runtime.parts import Parts
from tailrace.runtime.threads import Threads

FILLING: Final = 4
"""Threads of one projection's fill."""
LOOK_MS: Final = 1_000
"""How often a build that is filled asks whether it has caught up, and a failing store is asked again."""
STUCK_LOOK_MS: Final = 60_000
"""How often one asks that cannot be served because some items are parked."""
FORGETTING_MS: Final = 86_400_000 // BUCKETS
"""One bucket after the other is looked through for tombstones, each of its rows: all of them in a day."""
_log = logging.getLogger("tailrace.projections")


class Projector:
    """The builds of one app's projections, brought up."""

    def __init__(
        self,
        app: str,
        projections: Sequence[Projection],
        builds: Builds,
        *,
        items: TableItems,
        parts: Parts,
        following: Following,
        besides: Besides = nowhere,
    ) -> None:
        self.builds = builds
        self.projections = projections
        self.items = items
        self.following = following
        self._app = app
        self._state, self._clock = parts.state, parts.clock
        self._from_table = TableFilling(app, builds, items, parts, besides)
        self._from_journal = JournalFilling(builds)
        self._busy: set[str] = set()
        self._unbegun: set[str] = set()
        self._waiting: set[str] = set()
        ids = [projection.mapping_id for projection in projections]
        self._threads = {mapping_id: Threads(f"fill {mapping_id}", FILLING) for mapping_id in ids}
        self._wakes = {mapping_id: asyncio.Event() for mapping_id in ids}
        self._refills = {mapping_id: Refill() for mapping_id in ids}
        self._running: set[str] = set()
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
        self._wakes[projection.mapping_id].set()
        if projection.mapping_id not in self._running:
            self._running.add(projection.mapping_id)
            self._group.create_task(self._bring_up(projection), name=f"bring up {projection.mapping_id}")

    def is_newest(self, projection: Projection) -> bool:
        """Whether no higher version of it is declared."""
        return projection.version >= max(self._versions(projection), default=0)

    def is_bringing_up(self, projection: Projection) -> bool:
        """Whether its newest build is on its way, and nothing stands in it."""
        return projection.mapping_id in self._busy

    async def rebuild(
        self, projection: Projection, newest: str | None = None, source: str | None = None
    ) -> Build:
        """Begin another build of the version beside the present one, unless there is one newer than
        `newest`: then that. Where this projector does not run, workers find it at their next look, within a
        minute, and fill it. Raises: StoreError.

        Shape:   `source` is what it is filled from, as of `Builds.begin`.
        """
        known = await self.builds.known(projection)
        current = known.of_version(projection.version)
        if newest is None or not current or current[-1].name == newest:
            build = await self.builds.begin(projection, source)
        else:
            build = current[-1]
        if self._group is not None:
            self.bring_up(projection)
        return build

    async def is_being_filled(self, projection: Projection) -> bool:
        """Whether a worker, here or elsewhere, still fills the newest build. Raises: StoreError."""
        current = (await self.builds.look(projection)).of_version(projection.version)
        return bool(current) and not current[-1].is_filled

    async def swap(self, projection: Projection, name: str) -> None:
        """Serve a build, unless it is gone; remove those of no use then. Raises: StoreError, Unavailable."""
        while (known := await self.builds.look(projection)).build(name) is not None:
            if await self.builds.serve(projection, known, name):
                await self._remove_others(projection)
                return

    # ---- bringing up ---------------------------------------------------------------------------------------

    async def _bring_up(self, projection: Projection) -> None:
        try:
            with self._threads[projection.mapping_id].used():
                await self._keep_on(projection)
        finally:
            self._running.discard(projection.mapping_id)
            self._busy.discard(projection.mapping_id)

    async def _keep_on(self, projection: Projection) -> None:
        is_begun, wake = False, self._wakes[projection.mapping_id]
        while True:
            wake.clear()
            is_done = False
            with suppress(
                PortError
            ):  # the store or the source fails: readiness says so, the next try may not
                is_done = await self._go_on(projection, is_again=is_begun)
                is_begun = True
            if wake.is_set():
                continue  # another build was begun meanwhile
            if is_done:
                return
            await self._wait(projection)

    async def _wait(self, projection: Projection) -> None:
        """Until it is worth a look: the time has come, an item that stood in the way was applied, or another
        build was begun.
        """
        now_ms, due_ms = self._clock.now().monotonic_ms, self._refills[projection.mapping_id].due_ms
        if projection.mapping_id in self._busy:
            until_ms = now_ms + LOOK_MS
        else:
            until_ms = due_ms if due_ms > now_ms else now_ms + STUCK_LOOK_MS
        waiting = [
            asyncio.ensure_future(self._wakes[projection.mapping_id].wait()),
            asyncio.ensure_future(self._sleep(until_ms)),
        ]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    async def _sleep(self, until_ms: int) -> bool:
        await self._clock.sleep_until(until_ms)
        return True

    async def _go_on(self, projection: Projection, *, is_again: bool) -> bool:
        """As far as it goes now. Returns: whether there is nothing left to do."""
        await self.builds.known(projection)
        known = await self.builds.look(projection)
        if not (current := known.of_version(projection.version)):
            _log.warning(
                "projection %s: another worker serves build %s and has removed those of version %s: "
                "this one applies nothing any more",
                projection.id,
                known.served,
                projection.version,
            )
            return True
        if not is_again:
            await self.builds.show(projection)  # a death may have come before it
        build = current[-1]
        if not is_again and build.is_filled and is_changed(build.code, projection.fingerprint):
            _log.warning(
                "projection %s: its function is another than the one that build %s was made by, and its "
                "version is the same: raise the version, or tailrace projection rebuild %s",
                projection.id,
                build.name,
                projection.id,
            )
        refill = self._refills[projection.mapping_id]
        if is_again:
            refill.look(build, self._clock.now().monotonic_ms)
        # A start may have brought code that does not fail.
        is_due = not is_again or refill.is_due(self._clock.now().monotonic_ms)
        if build.failures and build.is_filled and is_due:
            build = build.begun_again()
        if not build.is_filled:
            if (filled := await self._filled(projection, known, build)) is None:
                return False
            build = filled
            known = await self.builds.look(projection)
        return await self._let_serve(projection, known, build)

    async def _let_serve(self, projection: Projection, known: KnownBuilds, build: Build) -> bool:
        """Let a build that is filled be served, if it may. Returns: whether there is nothing left to do."""
        is_whole = not build.failures
        if not is_whole:
            self._busy.discard(projection.mapping_id)
            self._look_out(projection, [key for key, _ in build.failed])
        if known.served == build.name:
            await self._keep_served(projection)
            return is_whole
        if projection.swap == "manual" or not self.is_newest(projection) or not is_whole:
            return is_whole
        if missing := await self._parked(projection, build):
            self._busy.discard(projection.mapping_id)
            self._look_out(projection, missing)
            return False
        if await self._is_behind(projection, build):
            self._busy.add(projection.mapping_id)
            return False
        if build.is_journaled and not build.is_compared:
            build = await self._compared(projection, build)
            known = await self.builds.look(projection)
        if build.lacking:
            _log.warning(
                "projection %s: build %s is not served by itself: %s",
                projection.id,
                build.name,
                build.lacking[0],
            )
            return True
        if not await self.builds.serve(projection, known, build.name):
            return False  # the builds are others by now
        await self._remove_others(projection)
        return True

    async def _filled(self, projection: Projection, known: KnownBuilds, build: Build) -> Build | None:
        """The build, with all of the table's items; None: another worker fills it, or changes of after its
        first page might be missed in silence.
        """
        self._busy.add(projection.mapping_id)
        if not await is_begun(self.following, projection, self._clock):
            if build.name not in self._unbegun:
                self._unbegun.add(build.name)
                _log.info(
                    "projection %s: build %s is filled once its mapping has begun in every shard of table "
                    "%s, whose stream has to be on",
                    projection.id, build.name, projection.table.name,
                )  # fmt: skip
            return None
        if (claim := await self.builds.claim(known, build)) is None:
            return None
        began_ms = self._clock.now().monotonic_ms
        try:
            build = await self._fill(projection, claim)
        except (ClaimLost, FromTable):
            return (
                None  # another worker goes on from the last page that was saved, or this one with the table
            )
        except NotYet as reason:
            if build.name not in self._waiting:
                self._waiting.add(build.name)
                _log.warning("projection %s: build %s waits: %s", projection.id, build.name, reason)
            return None
        now_ms = self._clock.now().monotonic_ms
        self._refills[projection.mapping_id].filled(build, now_ms - began_ms, now_ms)
        return build

    def _look_out(self, projection: Projection, keys: Sequence[str]) -> None:
        """Look again as soon as a change of one of these items was applied, redriven or written anew."""

        def applied() -> None:
            self._refills[projection.mapping_id].due_ms = 0
            self._wakes[projection.mapping_id].set()

        self.builds.look_out(projection.mapping_id, keys, applied)

    async def why_not_yet(self, projection: Projection, build: Build) -> str | None:
        """Why a build is not good enough to be served; None when it is. Raises: StoreError."""
        if not build.is_filled:
            return f"it is being filled: {build.filled} items so far"
        if (stuck := await self._stuck(projection, build)) is not None:
            return stuck
        return (
            "changes from before it was filled are still on their way"
            if await self._is_behind(projection, build)
            else None
        )

    async def _stuck(self, projection: Projection, build: Build) -> str | None:
        if build.failures:
            key, error = build.failed[0]
            return f"{build.failures} items could not be filled in; {key}: {error}"
        if build.lacking:
            return build.lacking[0]
        missing = await self._parked(projection, build)
        if not missing:
            return None
        return f"{len(missing)} items are parked: tailrace dlq redrive {projection.mapping_id}"

    async def _parked(self, projection: Projection, build: Build) -> list[str]:
        store = self.builds.store(projection, build.name)
        return await parked_items(self._state, self._app, projection.mapping_id, store)

    async def _is_behind(self, projection: Projection, build: Build) -> bool:
        if build.is_timed and self.following.marks is not None:
            return not await self.following.marks(projection).has_passed(build.position // 1_000)
        oldest = await self.following.oldest(projection)
        return oldest is not None and oldest <= build.position

    async def _fill(self, projection: Projection, claim: Claim) -> Build:
        renewing = asyncio.ensure_future(claim.renew())
        journal = self.builds.journal(projection)
        try:
            if not claim.build.is_journaled:
                await self._from_table.fill(projection, claim)
            elif journal is not None:
                await self._from_journal.fill(projection, claim, journal)
            else:
                raise NotYet(f"the app has no app.archive({projection.table.name}, …) any more")
        finally:
            renewing.cancel()
        return claim.build

    async def _compared(self, projection: Projection, build: Build) -> Build:
        """A build out of a journal, with what is not as the table has it; where comparing would be charged
        for, it is left to people.
        """
        lacking = build.lacking
        if await self.builds.tells_positions(projection):
            parked = await self._state.query(head_prefix(self._app, projection.mapping_id))
            keys = frozenset(str(row.fields["key"]) for row in parked)
            store = self.builds.store(projection, build.name)
            verdict = await verify(projection, store, self.items, self.following, self._clock, keys)
            if verdict.count:
                first = verdict.differences[0]
                words = (
                    f"{verdict.count} items and groups are not as the table has them, {first.key} the first"
                )
                lacking = (*lacking, words)
        return await self.builds.write(build, replace(build, is_compared=True, lacking=lacking))

    # ---- removing ------------------------------------------------------------------------------------------

    async def _keep_served(self, projection: Projection) -> None:
        """What is served is shown, and alone; the worker that let it be served may have died before that."""
        await self.builds.show(projection)
        await self._remove_others(projection)

    async def _remove_others(self, projection: Projection) -> None:
        declared = self._versions(projection)
        known = await self.builds.look(projection)
        while others := self._others(projection, known, declared - {projection.version}):
            await self.builds.forget(projection, known, others[:SLICE])
            known = await self.builds.look(projection)
        await self._sweep(projection, is_last=place_words(projection) == STATE)
        current = {mapping_id(projection.id, version) for version in declared}
        for row in await self._state.query(MAPPING.key(self._app, f"{projection.id}@v")):
            if row.fields["id"] not in current:
                await forget_mapping(self._state, self._app, str(row.fields["id"]))

    def _versions(self, projection: Projection) -> set[int]:
        """Every version of it that is declared."""
        return {declaration.version for declaration in self.projections if declaration.id == projection.id}

    def _others(self, projection: Projection, known: KnownBuilds, also: Set[int]) -> list[str]:
        """The builds that nothing needs: neither the one that is served, nor the newest ones of other
        versions that are declared, nor one that another worker fills.
        """
        needed = {known.served}
        for version in also:
            needed.update(build.name for build in known.of_version(version)[-1:])
        served = known.build(known.served)
        if served is not None and served.version == projection.version:
            # One that came after it was begun by another worker, and is not looked at here yet.
            needed.update(
                build.name for build in known.of_version(served.version) if build.number > served.number
            )
        return [
            build.name
            for build in known.builds
            if build.name not in needed and not self.builds.is_taken(build)
        ]

    async def _sweep(self, projection: Projection, *, is_last: bool) -> None:
        """Remove the rows of builds that are gone; `is_last`: no worker can write any more."""
        removing, place = (await self.builds.look(projection)).removing, place_words(projection)
        names = [name for name, into in removing.items() if into == place]
        for name in names:
            await remove_rows(self.builds.store(projection, name))
        if is_last and names:
            await self.builds.removed(projection, names)

    # ---- watching ------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Rebuild what the stream has lost changes of, because no worker read them for a day; and see to
        what other workers have left.
        """
        while True:
            await self._clock.sleep_until(self._clock.now().monotonic_ms + STUCK_LOOK_MS)
            for projection in self.projections:
                with suppress(PortError):  # the next look tries again
                    await self._look_after(projection)
                    if (
                        not self.is_bringing_up(projection)
                        and (lacking := await self._with_gap(projection)) is not None
                    ):
                        build = await self.rebuild(projection, lacking)
                        now_ms = self._clock.now().wall_ms
                        await acknowledge_gaps(self._state, self._app, projection.mapping_id, now_ms)
                        _log.warning(
                            "projection %s: changes were trimmed before they were applied: it is built anew "
                            "from the table's items, as build %s",
                            projection.id,
                            build.name,
                        )

    async def _look_after(self, projection: Projection) -> None:
        """Go on with what another worker has begun, and perhaps died with."""
        known = await self.builds.look(projection)
        if known.removing:
            await self._sweep(projection, is_last=True)
        current = known.of_version(projection.version)
        if not current or projection.mapping_id in self._running:
            return
        is_served = known.served == current[-1].name
        if not current[-1].is_filled or (
            not is_served and projection.swap == "auto" and self.is_newest(projection)
        ):
            self.bring_up(projection)
        elif is_served and len(known.builds) > 1:
            await self._keep_served(projection)

    async def _with_gap(self, projection: Projection) -> str | None:
        """The newest build of its version, if it lacks what the stream has lost."""
        current = (await self.builds.look(projection)).of_version(projection.version)
        if not current or not current[-1].is_filled:
            return None  # what is read from now on has everything
        is_lacking = await has_lost(self._state, self._app, projection.mapping_id, current[-1])
        return current[-1].name if is_lacking else None

    async def _forget(self) -> None:
        for number in cycle(range(BUCKETS)):
            await self._clock.sleep_until(self._clock.now().monotonic_ms + FORGETTING_MS)
            for projection in self.projections:
                with suppress(PortError):  # tomorrow tries again
                    for build, store in await self.builds.current(projection):
                        if not build.takes_changes:
                            continue  # its journal may be read again, with what came before a deletion
                        await forget_tombstones(
                            store,
                            self._state,
                            self._app,
                            projection.mapping_id,
                            number,
                            self._clock.now().wall_ms,
                        )
