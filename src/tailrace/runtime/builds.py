"""The builds of an app's projections: which there are, which are kept up to date, which is served.

Rules of this file: everything is a row, so that it holds after a restart; what is known here follows the rows, because one worker alone writes
them. Called by sinks/projected.py for each batch, by projector.py and by the `projection` verbs.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from tailrace.app.projection import Projection
from tailrace.app.table import Table
from tailrace.ports import Clock, ProjectionStore, StateStore
from tailrace.projections.builds import (
    Build,
    build_fields,
    build_key,
    builds_prefix,
    next_name,
    read_build,
    read_served,
    served_fields,
    served_key,
)
from tailrace.projections.rows import build_name
from tailrace.rows.writes import Write

StoreOf: TypeAlias = Callable[[Projection, str], ProjectionStore]
"""Makes the adapter of a build, by the build's full name."""


@dataclass(slots=True)
class Known:
    """The builds of one projection, the oldest first, and which one is served."""

    builds: dict[str, Build] = field(default_factory=dict)
    served: str | None = None

    def of_version(self, version: int) -> list[Build]:
        """The builds of one version of the function."""
        return [each for each in self.builds.values() if each.version == version]


class Builds:
    """The builds of one app's projections."""

    def __init__(self, app: str, state: StateStore, clock: Clock, store_of: StoreOf) -> None:
        self.app = app
        self._state = state
        self._clock = clock
        self._store_of = store_of
        self._known: dict[str, Known] = {}
        self._stores: dict[str, ProjectionStore] = {}
        self._loading = asyncio.Lock()
        self._looked_for: dict[str, tuple[frozenset[str], Callable[[], None]]] = {}

    def look_out(self, mapping_id: str, keys: Iterable[str], applied: Callable[[], None]) -> None:
        """Call once when a change of one of these items was delivered and applied; whoever looked out before no longer does."""
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

    async def known(self, projection: Projection) -> Known:
        """The builds of a projection; of its version there is at least one. Raises: StoreError."""
        found = self._known.get(projection.id)
        if found is None or not found.of_version(projection.version):
            async with self._loading:  # two shards ask at the same time
                found = self._known.get(projection.id) or await self._load(projection)
                if not found.of_version(projection.version):
                    await self.begin(projection)
        return found

    async def current(self, projection: Projection) -> list[tuple[Build, ProjectionStore]]:
        """The builds of its version, which changes are applied to. Raises: StoreError."""
        known = await self.known(projection)
        return [(build, self.store(projection, build.name)) for build in known.of_version(projection.version)]

    async def begin(self, projection: Projection) -> Build:
        """One more build of a projection; the first of all is served at once. Raises: StoreError."""
        known = self._known[projection.id]
        name = next_name(projection.version, list(known.builds.values()))
        build = Build(
            projection.id,
            name,
            place_words(projection),
            begun_ms=self._clock.now().wall_ms,
            code=projection.fingerprint,
        )
        writes = [Write(build_key(self.app, projection.id, name), build_fields(build))]
        if known.served is None:
            writes.append(self._serving(projection, name))
        await self._state.transact(writes)
        known.builds[name] = build
        if known.served is None:
            known.served = name
            await self.store(projection, name).serve()
        return build

    async def save(self, build: Build) -> None:
        """Keep how far a build is. Raises: StoreError."""
        await self._state.transact(
            [Write(build_key(self.app, build.projection, build.name), build_fields(build))]
        )
        self._known[build.projection].builds[build.name] = build

    async def serve(self, projection: Projection, name: str) -> str | None:
        """Let a build be what is asked. Returns: which was served before. Raises: StoreError."""
        known = self._known[projection.id]
        # The place itself first: a death in between leaves the row as it was, and this is done again.
        await self.store(projection, name).serve()
        await self._state.transact([self._serving(projection, name)])
        before, known.served = known.served, name
        return before

    async def forget(self, build: Build) -> None:
        """There is no such build any more; its rows are gone. Raises: StoreError."""
        await self._state.transact([Write(build_key(self.app, build.projection, build.name), None)])
        self._known[build.projection].builds.pop(build.name, None)
        self._stores.pop(build_name(build.projection, build.name), None)

    async def _load(self, projection: Projection) -> Known:
        row = await self._state.get(served_key(self.app, projection.id))
        served = read_served(None if row is None else row.fields)
        rows = await self._state.query(builds_prefix(self.app, projection.id))
        builds = sorted(
            (read_build(each.fields) for each in rows), key=lambda each: (each.version, each.number)
        )
        found = self._known[projection.id] = Known({each.name: each for each in builds}, served)
        return found

    def _serving(self, projection: Projection, name: str) -> Write:
        fields = served_fields(projection.id, projection.table.name, name)
        return Write(served_key(self.app, projection.id), fields)


def place_words(projection: Projection) -> str:
    """Where a projection's rows are kept, for people and to compare."""
    match projection.into:
        case None:
            return "state"
        case Table(name=name):
            return f"table {name}"
        case place:
            return f"{type(place).__name__} {getattr(place, 'path', '')}:{getattr(place, 'table', '')}"
