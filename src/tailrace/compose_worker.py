"""How the worker of an app is joined: which source, stores, sinks and services it gets.

Rules of this file: it picks and joins, and has no behaviour; everything that handlers need is imported here,
so that a node that only serves loads none of it. Called by `compose` and by the test world.
"""

from collections import ChainMap
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, cast

from msgspec import Struct, field, structs

from tailrace.app.app import App
from tailrace.app.code_version import code_version
from tailrace.aws.places import Access
from tailrace.deadletters.run.courier import Courier
from tailrace.deadletters.run.redriver import Redriver
from tailrace.engine.engine import Engine
from tailrace.engine.state import EngineStateStore, state_of
from tailrace.functions.runners import Runners
from tailrace.leases.lease import LEASE_DURATION_MS, Owner
from tailrace.ports import Clock
from tailrace.projections.run.builds import Builds
from tailrace.projections.run.projector import Projector
from tailrace.runtime.around import Around
from tailrace.runtime.attempting import Openings
from tailrace.runtime.attempts import Tallies
from tailrace.runtime.dependencies import Dependencies
from tailrace.runtime.pacing import Pacer, PacingSettings
from tailrace.runtime.parts import Parts
from tailrace.runtime.polling import PolledSource
from tailrace.runtime.watermark import MappingName, oldest_of, settled_until
from tailrace.server.handler_door import EngineDoor, providers_of_clients
from tailrace.sinks.dynamodb_door import DynamoDbDoor
from tailrace.sinks.making import AppSinks, SinkMaker
from tailrace.sinks.projection_places import ProjectionPlaces
from tailrace.sinks.windowed import windows_of
from tailrace.sources.dialects import AWS, Dialect
from tailrace.sources.dynamodb_streams import DynamoDbStreamsSource
from tailrace.sources.embedded import EmbeddedItems, EmbeddedSource
from tailrace.sources.embedded_log import EmbeddedLog
from tailrace.stores.dynamodb import DynamoDbStateStore
from tailrace.telemetry import PointReached, pass_by
from tailrace.windows.run.changes import WindowChanges
from tailrace.windows.run.windowing import Windows
from tailrace.worker.crew import Crew
from tailrace.worker.worker import Doors, Habits, Worker

Overrides = Mapping[Callable[..., Any], Callable[..., Any]]
DISCOVERY_MS: Final = 1_000
"""How often a worker looks for streams that no finished shard has announced."""
RENEWAL_MS: Final = LEASE_DURATION_MS // 3


class WorkerOptions(Struct, frozen=True):
    """How a worker runs.

    Shape:   `overrides` stand for providers of Depends, those of the app without any; `in_processes` gives
             functions processes of their own; `tallies` go on being counted; the app `changes` when it will
             be told to declare something else.
    """

    owner: str
    reached: PointReached = pass_by
    around: Around = field(default_factory=Around)
    discovery_ms: int = DISCOVERY_MS
    renewal_ms: int = RENEWAL_MS
    overrides: Overrides | None = None
    in_processes: bool = False
    tallies: Tallies = field(default_factory=Tallies)
    changes: bool = False


class Ground(Struct, frozen=True):
    """What an app's worker stands on. Shape: `remote` is the DynamoDB of `app.transactions`; marks and
    effects are kept there, all else in `parts.state`.
    """

    app: App
    engine: Engine
    flushed: Callable[[], Awaitable[None]]
    parts: Parts
    remote: tuple[Any, str] | None
    declared: AppSinks
    needed: Dependencies

    @property
    def effects(self) -> Parts:
        """The parts of what writes effects."""
        return (
            self.parts
            if self.remote is None
            else structs.replace(self.parts, state=DynamoDbStateStore(*self.remote, self.parts.clock))
        )


def build_worker(
    app: App, engine: Engine, flushed: Callable[[], Awaitable[None]], options: WorkerOptions
) -> Worker:
    """A worker for the app on this engine; what it saves is durable when `flushed` returns."""
    around = options.around
    parts = Parts(
        around.state(EngineStateStore(engine, flushed)), engine.clock, options.reached, options.tallies
    )
    remote = around.remote(app.remote)
    declared = AppSinks(app, engine.settings.account, around, Openings(engine.clock))
    needed = _needed(app, engine, flushed, remote, options.overrides)
    ground = Ground(app, engine, flushed, parts, remote, declared, needed)
    runners = Runners(engine.clock, in_processes=options.in_processes, region=engine.settings.region)
    effects, windows = ground.effects, _windows_of(ground)
    places = ProjectionPlaces(app, parts.state, effects.state, engine)
    engine.workers.add(options.owner)
    owner = Owner(options.owner, lambda name: name not in engine.workers)
    builds = Builds(app.name, parts.state, engine.clock, places, owner)
    changes = {
        name: WindowChanges(mapping_windows, parts.state, engine.clock, parts.tallies.of(name))
        for name, mapping_windows in windows.items()
    }
    maker = SinkMaker(app, effects, declared, needed, runners.of, builds, changes, places, parts.state)

    def crew(worker: Worker) -> Crew:
        return Crew(
            redriver=_redriver(ground, maker, worker),
            courier=_courier(ground, worker, changes=options.changes),
            projector=_projector(ground, builds, maker),
            windows=tuple(windows.values()),
            declared=declared.read,
            withdrawn=runners.withdraw,
            ended=partial(_end, ground, runners, options.owner),
        )

    doors = Doors(
        source_of=lambda table: around.source(EmbeddedSource(engine, table.name, table.only_stream)),
        sink_of=lambda mapping: around.sink(mapping, maker.make(mapping)),
        code_version_of=code_version,
        last_sequence=lambda: engine.last_sequence,
        besides=maker.besides,
    )
    habits = Habits(owner, options.discovery_ms, options.renewal_ms, engine.settings.retention_ms)
    return Worker(app, parts, doors, habits, crew)


def far_sources(
    access: Access, clock: Clock, owner: str, dialect: Dialect | None = None
) -> Callable[[str], PolledSource]:
    """Sources of tables at another server, by their names; all of a process keep to one budget. Shape:
    without a `dialect` the pace is AWS's, the strictest.
    """
    paced = dialect or AWS
    pacer = Pacer(PacingSettings(shard_reads_per_s=paced.shard_reads_per_s), owner)

    def source_of(table: str) -> PolledSource:
        far = DynamoDbStreamsSource(access, table, clock, dialect)
        return PolledSource(far, clock, pacer, has_filter=paced.has_filter)

    return source_of


async def _end(ground: Ground, runners: Runners, owner: str) -> None:
    ground.engine.workers.discard(owner)
    await ground.declared.openings.close()
    await ground.needed.close()
    await runners.close()


def _needed(
    app: App,
    engine: Engine,
    flushed: Callable[[], Awaitable[None]],
    remote: tuple[Any, str] | None,
    overrides: Overrides | None,
) -> Dependencies:
    """What handlers depend on, the clients of `app.client` among it."""
    clients = providers_of_clients(
        app, lambda: EngineDoor(engine, flushed) if remote is None else DynamoDbDoor(remote[0])
    )
    chosen = app.overrides if overrides is None else overrides
    return Dependencies(ChainMap(cast("dict[Any, Any]", chosen), clients))


def _windows_of(ground: Ground) -> dict[str, Windows]:
    """What keeps the windows of each mapping that has them, by the mapping's id."""
    app, engine, declared = ground.app, ground.engine, ground.declared
    # Of the engine's own state: the test world asks whether windows are over, and looking must not use up the
    # faults that it injects.
    settled = partial(settled_until, state_of(engine), EmbeddedLog(engine), engine.clock)
    return {
        mapping.id: windows_of(
            app.name,
            replace(mapping, sink=declared.output(mapping)),
            mapping.window,
            target=mapping.target,
            needed=ground.needed,
            account=declared.account,
            parts=ground.parts,
            watermark=partial(settled, MappingName(app.name, mapping.id, mapping.table.name)),
        )
        for mapping in app.mappings
        if mapping.window is not None
    }


def _projector(ground: Ground, builds: Builds, maker: SinkMaker) -> Projector | None:
    """What brings up the builds of projections."""
    app, engine = ground.app, ground.engine
    projections = [mapping.projection for mapping in app.mappings if mapping.projection is not None]
    if not projections:
        return None
    return Projector(
        app.name,
        projections,
        builds,
        items=EmbeddedItems(engine, ground.flushed),
        parts=ground.parts,
        oldest=lambda projection: oldest_of(
            state_of(engine),
            EmbeddedLog(engine),
            MappingName(app.name, projection.mapping_id, projection.table.name),
        ),
        besides=maker.besides,
    )


def _redriver(ground: Ground, maker: SinkMaker, worker: Worker) -> Redriver:
    """What puts dead letters back."""
    of = ground.declared.mapping
    return Redriver(
        ground.app.name,
        ground.parts.state,
        ground.engine.clock,
        worker,
        worker.sinks,
        lambda handler, run: maker.make(of(handler), run),
        lambda handler, sink: worker.guards.around(of(handler), sink),
    )


def _courier(ground: Ground, worker: Worker, *, changes: bool) -> Courier | None:
    """What tells destinations of dead letters; None: there is none, and the app does not change."""
    declared = ground.declared
    declared.read()
    if not (declared.destinations or changes):
        return None
    return Courier(
        ground.app.name,
        ground.parts,
        declared.destinations,
        worker.stream_of,
        declared.account,
        declared.functions,
    )
