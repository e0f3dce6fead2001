"""How the worker of an app is joined: which source, stores, sinks and services it gets.

Rules of this file: it picks and joins, and has no behaviour; everything that handlers need is imported here,
so that a node that only serves loads none of it. Called by `compose` and by the test world.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from msgspec import Struct, field, structs

from tailrace.alerts.core.load import MOST_READERS
from tailrace.alerts.run.load import LoadWatch
from tailrace.alerts.run.watch import LOOK_MS, AlertWatch
from tailrace.app.app import App, HandlerMapping
from tailrace.app.code_version import code_version
from tailrace.app.table import Table, schema_of
from tailrace.aws.places import Access
from tailrace.compose_parts import (
    AlertLook,
    Assembly,
    ComparedTable,
    Ground,
    JournaledTables,
    Overrides,
    alerts_of,
    archiver_maker,
    assemble,
    courier_of,
    dependencies,
    end_of,
    journals_of,
    merges_of,
    mirrors_of,
    projector_of,
    redriver_of,
    retelling_of,
    snapshots_of,
)
from tailrace.engine.engine import Engine
from tailrace.engine.state import EngineStateStore, state_of
from tailrace.functions.runners import Runners
from tailrace.journal.run.feeding import JournalFeed
from tailrace.leases.lease import LEASE_DURATION_MS, Owner
from tailrace.leases.member import Identity
from tailrace.ports import Source, StateStore
from tailrace.runtime.around import Around
from tailrace.runtime.attempting import Openings
from tailrace.runtime.attempts import Tallies
from tailrace.runtime.parts import Parts
from tailrace.runtime.watermark import MappingName, oldest_of, settled_until
from tailrace.server.handler_door import EngineDoor
from tailrace.server.snapshot import shard_progress
from tailrace.sinks.dynamodb_door import DynamoDbDoor
from tailrace.sinks.making import AppSinks
from tailrace.sinks.projected_table import EngineRows, RemoteRows
from tailrace.snapshots.run.forgetting import Janitor
from tailrace.snapshots.run.kept_tables import RowSources
from tailrace.snapshots.run.snapshotter import Snapshotter
from tailrace.sources.data_streams import source_of_data
from tailrace.sources.embedded import EmbeddedItems, EmbeddedSource
from tailrace.sources.embedded_log import EmbeddedLog
from tailrace.sources.embedded_scan import EmbeddedScan
from tailrace.sources.export_files import export_place
from tailrace.sources.export_scan import ExportScan
from tailrace.sources.table_changes import TableChangesSource
from tailrace.sources.table_readers import EngineReader
from tailrace.stores.dynamodb import DynamoDbStateStore
from tailrace.telemetry import PointReached, pass_by
from tailrace.verification.run.reading import ExactMarks
from tailrace.version import __version__
from tailrace.views.reading import ViewSources
from tailrace.worker.crew import Crew
from tailrace.worker.habits import Doors, Habits
from tailrace.worker.worker import Worker

DISCOVERY_MS: Final = 1_000
"""How often a worker looks for streams that no finished shard has announced."""
RENEWAL_MS: Final = LEASE_DURATION_MS // 3


class WorkerOptions(Struct, frozen=True):
    """How a worker runs.

    Shape:   `overrides` stand for providers of Depends, those of the app without any; `in_processes` gives
             functions processes of their own; `tallies` go on being counted; the app `changes` when it will
             be told to declare something else; `host` and `pid` are told to people; alerts are looked for
             every `alerts_ms`, and whether settings fit every `load_ms` (None: never).
    """

    owner: str
    reached: PointReached = pass_by
    around: Around = field(default_factory=Around)
    discovery_ms: int = DISCOVERY_MS
    renewal_ms: int = RENEWAL_MS
    host: str = ""
    pid: int = 0
    overrides: Overrides | None = None
    in_processes: bool = False
    tallies: Tallies = field(default_factory=Tallies)
    changes: bool = False
    alerts_ms: int = LOOK_MS
    load_ms: int | None = None


def build_worker(
    app: App, engine: Engine, flushed: Callable[[], Awaitable[None]], options: WorkerOptions
) -> Worker:
    """A worker for the app on this engine; what it saves is durable when `flushed` returns."""
    around, state = options.around, options.around.state(EngineStateStore(engine, flushed))
    parts = Parts(state, engine.clock, options.reached, options.tallies)
    remote, effects = around.remote(app.remote), parts
    if remote is not None:
        effects = structs.replace(parts, state=DynamoDbStateStore(*remote, engine.clock, options.owner))
    engine.workers.add(options.owner)
    ground = Ground(
        app,
        parts,
        effects,
        declared=_declared(app, engine, flushed, state, around),
        needed=dependencies(
            app,
            lambda: EngineDoor(engine, flushed) if remote is None else DynamoDbDoor(remote[0]),
            options.overrides,
        ),
        runners=Runners(engine.clock, in_processes=options.in_processes, region=engine.settings.region),
        owner=Owner(options.owner, lambda name: name not in engine.workers, is_alone=True),
        rows=EngineRows(engine) if app.remote is None else RemoteRows(app.remote[0]),
        # Of the engine's own state: the test world asks whether windows are over, and looking must not use up
        # the faults that it injects.
        settled=partial(settled_until, state_of(engine), EmbeddedLog(engine), engine.clock),
        feed_of=_journals(app, engine, around),
    )
    assembly = assemble(ground)
    maker, source_of, items = assembly.maker, partial(_source, engine, around), EmbeddedItems(engine, flushed)

    def crew(worker: Worker) -> Crew:
        maker.read_shards.ask(worker.unread.unfinished, partial(_is_ending, worker))
        return Crew(
            redriver=redriver_of(assembly, worker),
            courier=courier_of(ground, worker, changes=options.changes),
            projector=projector_of(assembly, items, _oldest(engine), source_of=source_of),
            mirrors=mirrors_of(assembly, partial(_compared, app.name, engine, flushed)),
            snapshots=_snapshots(assembly, engine, flushed),
            windows=tuple(assembly.windows.values()),
            alerts=_alerts(ground, worker, engine, flushed, options.alerts_ms),
            declared=ground.declared.read,
            withdrawn=ground.runners.withdraw,
            ended=partial(_end, ground, engine),
            marks=None if remote is None else effects.state,
            merges=merges_of(app, engine.clock, around),
            load=_load(ground, worker, engine, options.load_ms),
            replayed=lambda mapping, run_id: around.sink(mapping, maker.make(mapping, run_id)),
            retelling=partial(retelling_of, assembly),
        )

    doors = Doors(
        source_of=source_of,
        sink_of=lambda mapping: around.sink(mapping, maker.make(mapping)),
        code_version_of=code_version,
        last_sequence=lambda: engine.last_sequence,
        besides=maker.besides,
        target_of=maker.outputs.target,
    )
    return Worker(app, parts, doors, _habits(engine, ground.owner, options), crew)


def _is_ending(worker: Worker) -> bool:
    return any(driver.machine.phase == "stopping" for driver in worker.drivers)


def _journals(app: App, engine: Engine, around: Around) -> Callable[[str], JournalFeed | None]:
    """What builds and snapshots may be filled from."""
    return journals_of(app, engine.settings.account, engine.clock, around, partial(_exact_marks, engine))


def _habits(engine: Engine, owner: Owner, options: WorkerOptions) -> Habits:
    """Those of a worker beside its engine, whose streams wait for archives."""
    identity = Identity(options.owner, host=options.host, pid=options.pid, version=__version__)
    retention_ms = engine.settings.retention_ms
    return Habits(owner, options.discovery_ms, options.renewal_ms, retention_ms, identity, holds_trim=True)


def _oldest(engine: Engine) -> Callable[[MappingName], Awaitable[int | None]]:
    return partial(oldest_of, state_of(engine), EmbeddedLog(engine))


def _compared(
    app: str, engine: Engine, flushed: Callable[[], Awaitable[None]], mapping: HandlerMapping
) -> ComparedTable:
    name = MappingName(app, mapping.id, mapping.table.name)
    reader = EngineReader(engine, flushed, mapping.table.name)
    return ComparedTable(reader, _exact_marks(engine, name))


def _exact_marks(engine: Engine, name: MappingName) -> ExactMarks:
    return ExactMarks(lambda: engine.last_sequence, partial(_oldest(engine), name))


def _source(engine: Engine, around: Around, table: Table) -> Source:
    """What a table's streams are read from."""
    if table.over is not None:
        return around.source(TableChangesSource(engine, table.over.stream, schema_of(table)))
    data = source_of_data(engine, table.name, table.only_stream)
    return around.source(data or EmbeddedSource(engine, table.name, table.only_stream))


def _declared(
    app: App, engine: Engine, flushed: Callable[[], Awaitable[None]], state: StateStore, around: Around
) -> AppSinks:
    """What the app declares, the journals of the engine's tables among it."""
    account, scan = engine.settings.account, EmbeddedScan(engine, flushed)

    def source_of(table: Table) -> EmbeddedSource:
        return EmbeddedSource(engine, table.name, table.only_stream)

    tables = JournaledTables(app, account, scan, state, source_of, engine.log.holds.archived)
    archivers = archiver_maker(tables, engine.clock, around)
    return AppSinks(app, account, around, Openings(engine.clock), archivers)


def _snapshots(
    assembly: Assembly, engine: Engine, flushed: Callable[[], Awaitable[None]]
) -> tuple[Snapshotter, Janitor] | None:
    """What brings whole tables of the engine to sinks."""
    exported = ExportScan(assembly.ground.app.tables.values(), partial(export_place, access=Access()))
    return snapshots_of(
        assembly,
        RowSources(EmbeddedScan(engine, flushed), exported, engine.settings.retention_ms),
        lambda table: EmbeddedSource(engine, table.name, table.only_stream),
        _oldest(engine),
    )


def _load(ground: Ground, worker: Worker, engine: Engine, look_ms: int | None) -> LoadWatch | None:
    """What says when settings do not fit; None: nobody asks. Clients that read the engine's streams count as
    readers beside the worker.
    """

    def crowded() -> dict[str, list[str]]:
        shards: dict[str, list[str]] = {}
        for driver in worker.drivers:
            if engine.log.clients_of(driver.shard) + 1 > MOST_READERS:
                shards.setdefault(driver.table, []).append(driver.shard.shard_id)
        return shards

    if look_ms is None:
        return None
    tallies = ground.parts.tallies
    return LoadWatch(ground.app, engine.clock, lambda: worker.drivers, tallies, lambda: 0, crowded, look_ms)


def _alerts(
    ground: Ground, worker: Worker, engine: Engine, flushed: Callable[[], Awaitable[None]], look_ms: int
) -> AlertWatch | None:
    """Of the engine's own state: looking must not use up the faults that the test world injects."""
    reading = ViewSources(
        EngineStateStore(engine, flushed),
        EmbeddedLog(engine),
        engine.clock,
        worker,
        engine.settings.retention_ms,
        ground.app.name,
    )
    return alerts_of(ground, worker, reading, AlertLook(partial(shard_progress, reading), look_ms))


async def _end(ground: Ground, engine: Engine) -> None:
    engine.workers.discard(ground.owner.name)
    await end_of(ground)
