"""The builds of an app's projections: which there are, which are kept up to date, which is served, who
fills one.

Theory of operation: before each batch one row is read, the one with the revision
(projections/core/known.py). If it is the one that is known, so are the builds; if not, they are read anew.
A build that another worker begins *after* that read is filled from items as they are later still, and these
hold every change of the batch: so no build misses a change, and no worker has to be told.
Rules of this file: everything is a row, so that it holds after a restart; whatever is changed is
conditional, and one whose condition fails knows too little: it reads again. Called by sinks/projected.py
for each batch, by projector.py and by the `projection` verbs.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from msgspec.structs import replace

from tailrace.app.projection import Projection
from tailrace.app.table import Table
from tailrace.errors import PortError, SourceError, StateConflict, Unavailable
from tailrace.leases.lease import Owner
from tailrace.ports import Clock, ProjectionStore, StateStore
from tailrace.projections.core.builds import JOURNAL, TABLE, Build, builds_prefix, read_build, served_key
from tailrace.projections.core.journaled import GIVEN_UP_MS
from tailrace.projections.core.known import (
    CLAIM_MS,
    BuildClaims,
    KnownBuilds,
    begun,
    claimed,
    forgotten,
    handed_over,
    joining,
    known_key,
    read_known,
    read_revision,
    removed,
    saved,
    serving,
)
from tailrace.projections.core.rows import build_name
from tailrace.projections.run.following import PresentItems
from tailrace.projections.run.journals import JournalOf, JournalOfTable, no_journal
from tailrace.rows.writes import Write
from tailrace.values.types import Item

StoreOf: TypeAlias = Callable[[Projection, str], ProjectionStore]
"""Makes the adapter of a build, by the build's full name."""
JOINED_MS: Final = 50
"""How often delivery looks whether a build has joined."""
STATE: Final = "state"
"""Where rows are kept that cannot be written any more when their build is gone."""


class ClaimLost(Exception):
    """Another worker has taken a filling over, or the build is gone."""


class Builds:
    """The builds of one app's projections, as one worker knows them. Shape: `present` reads tables whose
    pages may tell no position; None: all of them do. `journal_of` has the journals of tables.
    """

    def __init__(
        self,
        app: str,
        state: StateStore,
        clock: Clock,
        store_of: StoreOf,
        owner: Owner,
        present: PresentItems | None = None,
        journal_of: JournalOf = no_journal,
    ) -> None:
        self.app = app
        self._state = state
        self._clock = clock
        self._store_of = store_of
        self._owner = owner
        self._present = present
        self._journal_of = journal_of
        self._claims = BuildClaims(owner)
        self._known: dict[str, KnownBuilds] = {}
        self._keys: dict[str, str] = {}
        self._begun: set[str] = set()
        self._stores: dict[str, ProjectionStore] = {}
        self._beginning = asyncio.Lock()
        self._looked_for: dict[str, tuple[frozenset[str], Callable[[], None]]] = {}

    def look_out(self, mapping_id: str, keys: Iterable[str], applied: Callable[[], None]) -> None:
        """Call once when a change of one of these items was delivered and applied. It replaces the callback
        of before.
        """
        self._looked_for[mapping_id] = (frozenset(keys), applied)

    def delivered(self, mapping_id: str, keys: Iterable[str]) -> None:
        """Changes of these items are applied to every build of the version."""
        looked_for = self._looked_for.get(mapping_id)
        if looked_for is not None and not looked_for[0].isdisjoint(keys):
            del self._looked_for[mapping_id]
            looked_for[1]()

    def store(self, projection: Projection, build: str) -> ProjectionStore:
        """The rows of a build."""
        name = build_name(projection.id, build)
        if name not in self._stores:
            self._stores[name] = self._store_of(projection, name)
        return self._stores[name]

    # ---- what there is -------------------------------------------------------------------------------------

    async def known(self, projection: Projection) -> KnownBuilds:
        """The builds of a projection as they are now; how far they are may be older. Raises: StoreError.

        Of its version there is at least one, unless it was removed while this worker ran, by one that
        declares a higher version.
        """
        if (key := self._keys.get(projection.id)) is None:
            key = self._keys[projection.id] = known_key(self.app, projection.id)
        row = await self._state.get(key)
        known = self._known.get(projection.id)
        if known is None or known.revision != read_revision(row):
            known = await self.look(projection)
        if not known.of_version(projection.version) and self._may_begin(projection, known):
            async with self._beginning:  # two shards ask at the same time
                known = await self.look(projection)
                if not known.of_version(projection.version):
                    await self.begin(projection)
                    known = self._known[projection.id]
        self._begun.add(projection.mapping_id)
        return known

    async def current(self, projection: Projection) -> list[tuple[Build, ProjectionStore]]:
        """The builds of its version, which changes are applied to. Raises: StoreError."""
        known = await self.known(projection)
        return [(build, self.store(projection, build.name)) for build in known.of_version(projection.version)]

    async def applicable(self, projection: Projection) -> list[tuple[Build, ProjectionStore]]:
        """The builds that a batch is applied to, asked when it has been read: one that joins is waited for,
        but for one whose worker may be gone. Raises: StoreError.
        """
        since_ms = self._clock.now().monotonic_ms
        while True:
            known = await self.known(projection)
            builds = known.of_version(projection.version)
            if known.joining not in {build.name for build in builds}:
                break
            now_ms = self._clock.now().monotonic_ms
            if now_ms - since_ms >= GIVEN_UP_MS:
                await self.let_go(projection, known.joining)
            else:
                await self._clock.sleep_until(now_ms + JOINED_MS)
        return [(build, self.store(projection, build.name)) for build in builds if build.takes_changes]

    async def look(self, projection: Projection) -> KnownBuilds:
        """The same with how far they are. Raises: StoreError."""
        key = known_key(self.app, projection.id)
        row = await self._state.get(key)
        while True:
            served = await self._state.get(served_key(self.app, projection.id))
            rows = await self._state.query(builds_prefix(self.app, projection.id))
            after = await self._state.get(key)
            if read_revision(row) == read_revision(after):
                break
            row = after  # they were changed between two reads
        known = self._known[projection.id] = read_known(self.app, projection.id, row, served, rows)
        return known

    def _may_begin(self, projection: Projection, known: KnownBuilds) -> bool:
        return projection.mapping_id not in self._begun or all(
            build.version < projection.version for build in known.builds
        )

    # ---- changes -------------------------------------------------------------------------------------------

    def journal(self, projection: Projection) -> JournalOfTable | None:
        """The journal of its table."""
        return self._journal_of(projection)

    async def begin(self, projection: Projection, source: str | None = None) -> Build:
        """One more build of a projection, or the one that another worker begins at the same time; the first
        of all is served at once. Raises: StoreError, Unavailable.

        Shape:   `source` is what it is filled from; None: the journal of its table where the app keeps one.
        """
        if source is None:
            source = TABLE if self.journal(projection) is None else JOURNAL
        is_timed = source == TABLE and not await self.tells_positions(projection)
        known = self._known[projection.id]
        present = {build.name for build in known.of_version(projection.version)}
        while True:
            build = Build(
                projection.id,
                known.next_name(projection.version),
                place_words(projection),
                begun_ms=self._clock.now().wall_ms,
                code=projection.fingerprint,
                is_parted=projection.combine is not None,
                is_timed=is_timed,
                source=source,
                keeps_history=projection.history,
            )
            if await self._changed(*begun(known, build, projection.table.name)):
                await self.show(projection)
                return build
            known = await self.look(projection)
            others = [build for build in known.of_version(projection.version) if build.name not in present]
            if others:
                return others[-1]

    async def tells_positions(self, projection: Projection) -> bool:
        """Whether pages of its table tell as of which position they are. Raises: Unavailable."""
        if self._present is None:
            return True
        try:
            return await self._present.tells_positions(projection.table.name)
        except SourceError as error:
            raise _unread(projection, error) from error

    async def present(self, projection: Projection, keys: Sequence[Item]) -> Sequence[Item | None]:
        """Items of a projection's table as they are now, in the order of their keys. Raises: Unavailable."""
        if self._present is None:
            raise Unavailable(
                f"projection {projection.id!r} has a build that a fleet began: this worker does not read its "
                "table",
                hint=f"tailrace projection rebuild {projection.id}",
            )
        try:
            return await self._present.items(projection.table.name, keys)
        except SourceError as error:
            raise _unread(projection, error) from error

    async def serve(self, projection: Projection, known: KnownBuilds, name: str) -> bool:
        """Let a build be what is asked, if the builds are those that are known. Returns: whether they were.
        Raises: StoreError, Unavailable.
        """
        if not await self._changed(*serving(known, name, projection.table.name)):
            return False
        await self.show(projection)
        return True

    async def show(self, projection: Projection) -> None:
        """Let the place itself show the build that is served; also where a worker died before it, or was late
        with another.
        """
        shown: str | None = None
        while (build := (known := await self.look(projection)).build(known.served)) is not None:
            if build.name == shown or build.version != projection.version:
                return
            if build.into != place_words(projection):
                return
            shown = build.name
            await self.store(projection, shown).serve()

    async def forget(self, projection: Projection, known: KnownBuilds, names: Sequence[str]) -> bool:
        """There are no such builds any more, if the builds are those that are known; rows are still to be
        removed. Returns: whether they were. Raises: StoreError.
        """
        return await self._changed(*forgotten(known, names, place_words(projection)))

    async def removed(self, projection: Projection, names: Sequence[str]) -> None:
        """The rows of these builds are gone, too. Raises: StoreError."""
        known = await self.look(projection)
        while any(name in known.removing for name in names):
            if await self._changed(*removed(known, names)):
                break
            known = await self.look(projection)
        for name in names:
            self._stores.pop(build_name(projection.id, name), None)

    async def _changed(self, after: KnownBuilds, writes: Sequence[Write]) -> bool:
        try:
            await self._state.transact(list(writes))
        except StateConflict:  # another worker was faster
            return False
        self._known[after.projection] = after
        return True

    # ---- filling -------------------------------------------------------------------------------------------

    def is_taken(self, build: Build) -> bool:
        """Whether another worker that is alive fills this build."""
        return self._claims.is_taken(build, self._clock.now().monotonic_ms)

    async def claim(self, known: KnownBuilds, build: Build) -> "Claim | None":
        """Take the filling of a build, which may be begun again; None: another worker has it, or the builds
        are others. Raises: StoreError.
        """
        if self.is_taken(build):
            return None
        if build.is_timed and not build.seen_ms:
            build = replace(build, seen_ms=self._clock.now().wall_ms)
        after, taken, writes = claimed(known, build, self._owner.name, self._owner.claim_ms)
        return Claim(self, taken) if await self._changed(after, writes) else None

    async def join(self, projection: Projection, build: Build) -> None:
        """Let delivery wait for a build of which one has the claim. Raises: ClaimLost, StoreError."""
        while True:
            known = await self._claimed(projection, build)
            if known.joining == build.name or await self._changed(*joining(known, build.name)):
                return

    async def let_go(self, projection: Projection, name: str) -> None:
        """Let delivery wait for this build no more; it has been applied nothing. Raises: StoreError."""
        while (known := await self.look(projection)).joining == name:
            if await self._changed(*joining(known, "")):
                return

    async def hand_over(
        self, projection: Projection, before: Build, after: Build, *, from_join: bool
    ) -> Build | None:
        """Let delivery go on with a build; None: it was let go. Raises: ClaimLost, StoreError."""
        while True:
            known = await self._claimed(projection, before)
            present = known.build(before.name)
            assert present is not None, "claimed"
            if present.source == after.source and present.is_filled and after.is_filled:
                return present  # by a try before this one, whose answer was lost
            if from_join and known.joining != before.name:
                return None
            later, build, writes = handed_over(known, present, after)
            if await self._changed(later, writes):
                return build

    async def _claimed(self, projection: Projection, build: Build) -> KnownBuilds:
        """The builds as they are, while the claim holds. Raises: ClaimLost, StoreError."""
        known = await self.look(projection)
        present = known.build(build.name)
        if present is None or present.claim != build.claim:
            raise ClaimLost(f"{build.projection} {build.name}")
        return known

    async def write(self, before: Build, after: Build) -> Build:
        """Save a build of which one has the claim. Raises: ClaimLost, StoreError."""
        while True:
            build, write = saved(self.app, before, after)
            try:
                await self._state.transact([write])
            except StateConflict:
                row = await self._state.get(write.key)
                present = None if row is None else read_build(row.fields)
                if present is None or present.claim != before.claim:
                    raise ClaimLost(f"{build.projection} {build.name}") from None
                before = present  # written by a try before this one, whose answer was lost
            else:
                known = self._known[build.projection]
                self._known[build.projection] = known.with_build(build)
                return build

    @property
    def clock(self) -> Clock:
        """The clock that claims are measured by."""
        return self._clock


class Claim:
    """The filling of one build, which is this worker's until it has to learn that it is not. Shape: `build`
    is how far it is, as its row says.
    """

    def __init__(self, builds: Builds, build: Build) -> None:
        self.build = build
        self._builds = builds
        self._writing = asyncio.Lock()

    async def save(self, build: Build) -> None:
        """Keep how far it is. Raises: ClaimLost, StoreError."""
        async with self._writing:
            self.build = await self._builds.write(self.build, build)

    async def hand_over(self, projection: Projection, build: Build, *, from_join: bool = False) -> bool:
        """Keep how far it is, and let delivery go on with it; with `from_join` only while delivery waits.
        Returns: whether it did. Raises: ClaimLost, StoreError.
        """
        async with self._writing:
            kept = await self._builds.hand_over(projection, self.build, build, from_join=from_join)
            self.build = kept or self.build
            return kept is not None

    async def renew(self) -> None:
        """Say that one is still at it, until cancelled: a page may take long."""
        clock = self._builds.clock
        while True:
            await clock.sleep_until(clock.now().monotonic_ms + (self.build.claim_ms or CLAIM_MS) // 3)
            with suppress(PortError, ClaimLost):  # saving the page says what there is to say
                async with self._writing:
                    if not self.build.is_filled:
                        self.build = await self._builds.write(self.build, self.build)


def _unread(projection: Projection, error: SourceError) -> Unavailable:
    return Unavailable(
        f"projection {projection.id!r} could not read its items: {error.args[0]}",
        hint=error.hint,
        retry_after=error.retry_after_ms / 1_000,
    )


def place_words(projection: Projection) -> str:
    """Where a projection's rows are kept, for people and to compare."""
    match projection.into:
        case None:
            return STATE
        case Table(name=name):
            return f"table {name}"
        case place:
            return f"{type(place).__name__} {getattr(place, 'path', '')}:{getattr(place, 'table', '')}"
