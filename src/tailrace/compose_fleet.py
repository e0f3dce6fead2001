"""How a worker of a fleet is joined: real streams at an endpoint, state in a place of its own, and no engine.

Rules of this file: it picks and joins, and has no behaviour; everything that handlers need is imported here.
Called by cli/worker.py.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from socket import gethostname
from typing import Any

from msgspec import Struct, structs

from tailrace.alerts.run.load import LoadWatch
from tailrace.app.app import App, HandlerMapping
from tailrace.app.code_version import code_version
from tailrace.app.table import Table
from tailrace.aws.errors import THROTTLING
from tailrace.aws.places import Access
from tailrace.aws.prices import item_read_price, read_price
from tailrace.compose_parts import (
    AlertLook,
    Assembly,
    ComparedTable,
    Ground,
    JournaledTables,
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
from tailrace.errors import SettingsError
from tailrace.functions.runners import Runners
from tailrace.journal.run.opened_past import LiveStream, open_past
from tailrace.journal.run.past import PastReader
from tailrace.journal.run.tail import TailBounds
from tailrace.kcl.run.sides import HandlerSide
from tailrace.leases.lease import LEASE_DURATION_MS, Owner
from tailrace.leases.member import Identity
from tailrace.mapping.batch import RETENTION_MS
from tailrace.ports import Clock, LogReader, Sink, Source, StateStore, StreamRef, TableItems
from tailrace.projections.run.projector import Projector
from tailrace.rows.kinds import DUTY, UNREAD_DUTY
from tailrace.runtime.around import Around
from tailrace.runtime.attempting import Openings
from tailrace.runtime.beginning import AtName, StartPosition
from tailrace.runtime.duties import Duties
from tailrace.runtime.outages import Outages, WatchedItems, WatchedSource, WatchedState
from tailrace.runtime.paced_log import PacedLog
from tailrace.runtime.pacing import Pacer, PacingSettings
from tailrace.runtime.parts import Parts
from tailrace.runtime.polling import PolledSource
from tailrace.runtime.reading import NumberedSource
from tailrace.runtime.sight import Sight
from tailrace.runtime.watermark import MappingName, oldest_created_ms, oldest_of, settled_until
from tailrace.server.fleet import FleetWorker
from tailrace.server.observe import ShardProgress
from tailrace.server.pulse import Pulse
from tailrace.server.readers import readers_progress, unread_of
from tailrace.server.signs import ContestedLeases
from tailrace.sinks.dynamodb_door import DynamoDbDoor
from tailrace.sinks.making import AppSinks
from tailrace.sinks.projected_table import RemoteRows
from tailrace.snapshots.run.forgetting import Janitor, always
from tailrace.snapshots.run.kept_tables import RowSources
from tailrace.snapshots.run.planning import Planner
from tailrace.snapshots.run.snapshotter import Snapshotter
from tailrace.sources.dialects import AWS, Dialect, dialect_of
from tailrace.sources.dynamodb_streams import DynamoDbStreamsLog, DynamoDbStreamsSource
from tailrace.sources.export_files import export_place
from tailrace.sources.export_scan import ExportScan
from tailrace.sources.far_items import FarItems
from tailrace.sources.far_log import AppLog
from tailrace.sources.far_scan import FarScan
from tailrace.sources.far_tables import FarPlace
from tailrace.sources.loop_log import LoopLog
from tailrace.sources.stream_service import Counted, uncounted
from tailrace.sources.table_readers import FarReader
from tailrace.stores.dynamodb import DynamoDbStateStore
from tailrace.streams.kinesis.names import stream_of_source
from tailrace.telemetry import PointReached, pass_by
from tailrace.verification.run.mirrors import Mirrors
from tailrace.verification.run.reading import TimedMarks
from tailrace.version import __version__
from tailrace.views.reading import ViewSources
from tailrace.windows.run.retelling import Retelling
from tailrace.worker.beginning import Starts
from tailrace.worker.cleaning import Cleaner
from tailrace.worker.crew import Crew
from tailrace.worker.habits import HAND_OVERS, Doors, Habits
from tailrace.worker.watching import LOOK_MS, UnreadWatch
from tailrace.worker.worker import Worker

FAR_PAST = TailBounds(patience_s=10.0, fresh_ms=1_000, is_sure=False)
"""Reads of streams are counted and cost, and what is asked in the same second gets the same answer."""
DISCOVERY_MS = 5_000
"""How often a worker looks for what it may begin; listings are as old as runtime/polling.py lets them be."""


class FleetOptions(Struct, frozen=True):
    """How a worker of a fleet runs.

    Shape:   `state` is open, `target` what it is called; `access` is where the tables are, `place` what their
             names tell; `marks` a DynamoDB client and a table beside them, None: there is none; `close` gives
             the state back; `weight` is its share of the leases beside those of others, 1 to 1,000, and
             `hand_overs` how many it drains at once for them.
    Units:   `lease_ms` is how long its heartbeat may stand still before others take its leases; `read_price`
             US dollars for a million reads, None: AWS's list price where AWS is read.
    """

    owner: str
    state: StateStore
    target: str
    access: Access
    place: FarPlace
    close: Callable[[], Awaitable[None]]
    marks: tuple[Any, str] | None = None
    start: StartPosition = AtName("where it was")
    dialect: Dialect | None = None
    reached: PointReached = pass_by
    discovery_ms: int = DISCOVERY_MS
    lease_ms: int = LEASE_DURATION_MS
    weight: int = 1
    hand_overs: int = HAND_OVERS
    read_price: float | None = None


def build_fleet_worker(app: App, clock: Clock, options: FleetOptions) -> FleetWorker:
    """A worker for the app, made in the loop that it runs in."""
    outages = Outages(clock)
    state = WatchedState(options.state, outages, options.target)
    duties = Duties(state, clock, Owner(options.owner))
    parts = Parts(state, clock, options.reached, duties=duties)
    pacer = far_pacer(options.owner, options.dialect)
    sight = Sight(clock, pacer)
    asked = DynamoDbStreamsLog(options.access, clock, options.dialect, sight.called)
    log = AppLog(PacedLog(asked, clock, pacer), _tables_of(app))
    app.bind_past(_past_of(log, clock, options.place))
    assembly = _assembly(app, parts, log, options)
    ground, maker = assembly.ground, assembly.maker
    cleaned = {options.target: options.state, "the table with the marks": ground.effects.state}
    read_of = partial(_read, app, state, log, clock)
    items = WatchedItems(FarItems(options.access, app.tables.values()), outages)

    def crew(worker: Worker) -> Crew:
        return Crew(
            redriver=redriver_of(assembly, worker),
            courier=courier_of(ground, worker, changes=False),
            projector=_projector(assembly, options, items, log, doors),
            snapshots=_snapshots(assembly, options, doors.source_of, log),
            windows=tuple(assembly.windows.values()),
            alerts=alerts_of(
                ground, worker, read_of(worker), AlertLook(partial(_progress, read_of(worker), sight, worker))
            ),
            declared=ground.declared.read,
            withdrawn=ground.runners.withdraw,
            ended=partial(end_of, ground),
            may_forget=duties.of(DUTY.key(app.name, "forgetting")).may,
            has_duty=lambda mapping_id: duties.of(UNREAD_DUTY.key(app.name, mapping_id)).may(),
            marks=None if ground.effects is parts else ground.effects.state,
            watch=UnreadWatch(worker.unread, state, log, clock, min(LOOK_MS, options.lease_ms * 3 // 2)),
            cleaner=Cleaner(cleaned, duties.of(DUTY.key(app.name, "cleaning")), clock),
            merges=merges_of(app, clock, Around(), duties.of(DUTY.key(app.name, "merging")).may),
            load=_load(app, parts, worker, sight),
        )

    sources = far_sources(options.access, clock, pacer, options.dialect, sight.called)
    doors = Doors(
        source_of=lambda table: WatchedSource(sources(table.name), outages, table.name, sight),
        sink_of=maker.make,
        code_version_of=code_version,
        besides=maker.besides,
        target_of=maker.outputs.target,
    )

    async def numbered(table: Table) -> None:
        await NumberedSource(sources(table.name), state, app, table.name, maker.besides).earlier()

    starts = Starts(
        app, state, clock, options.start, partial(FarStart, options.access, clock, options.dialect), numbered
    )
    worker = Worker(app, parts, doors, habits_of(options), crew)
    contested = ContestedLeases(app.name, state, clock, options.owner)
    return FleetWorker(
        worker, starts.begin, read_of(worker), outages, sight, pacer, contested,
        Pulse(worker, state, clock, sight), options.close, _price(options),
    )  # fmt: skip


def _load(app: App, parts: Parts, worker: Worker, sight: Sight) -> LoadWatch:
    """What says when settings do not fit. Who else reads a shard is known by reads that are throttled."""

    def throttled() -> int:
        calls = sight.calls.items()
        return sum(count for (name, code), count in calls if name == "get_records" and code in THROTTLING)

    return LoadWatch(app, parts.clock, lambda: worker.drivers, parts.tallies, throttled, dict)


def _past_of(log: LogReader, clock: Clock, place: FarPlace) -> Callable[[HandlerMapping], PastReader]:
    """What reads the past in this process, on in the streams, within the budget of its reads."""
    stream = LiveStream(LoopLog(log), clock, FAR_PAST)
    return partial(open_past, place.region, stream=stream, account=place.account)


def _read(app: App, state: StateStore, log: LogReader, clock: Clock, worker: Worker) -> ViewSources:
    """What views of a worker read."""
    return ViewSources(state, log, clock, worker, app=app.name)


def _price(options: FleetOptions) -> float:
    return read_price(options.access.endpoint_url, options.read_price)


def _projector(
    assembly: Assembly, options: FleetOptions, items: TableItems, log: LogReader, doors: Doors | None = None
) -> Projector | None:
    """What keeps projections. Shape: without `doors` it only reads and begins builds, and fills none."""
    parts = assembly.ground.parts
    return projector_of(
        assembly,
        items,
        partial(oldest_of, parts.state, log),
        _marks_of(options, parts.clock, parts.state, log),
        None if doors is None else doors.source_of,
    )


def _snapshots(
    assembly: Assembly, options: FleetOptions, source_of: Callable[[Table], Source], log: AppLog
) -> tuple[Snapshotter, Janitor] | None:
    """What brings whole tables to sinks, read at the endpoint. One of several workers forgets deletions."""
    ground = assembly.ground
    parts, app = ground.parts, ground.app
    may_forget = always if parts.duties is None else parts.duties.of(DUTY.key(app.name, "deletions")).may
    tables = app.tables.values()
    at_s3 = Access(options.access.region, profile=options.access.profile)  # that one is of tables
    exported = ExportScan(tables, partial(export_place, access=at_s3))
    price = item_read_price(options.access.endpoint_url)
    rows = RowSources(FarScan(options.access, tables), exported, RETENTION_MS, price)
    oldest = partial(oldest_of, parts.state, log)
    return snapshots_of(assembly, rows, source_of, oldest, may_forget)


async def _progress(
    reading: ViewSources, sight: Sight, worker: Worker, mapping: MappingName
) -> Sequence[ShardProgress]:
    """As readers know it: nothing is asked."""
    return readers_progress(reading, sight, mapping, unread_of(worker, mapping.handler))


def far_pacer(owner: str, dialect: Dialect | None = None) -> Pacer:
    """The one budget of a process. Shape: without a `dialect` the pace is AWS's, the strictest."""
    return Pacer(PacingSettings(shard_reads_per_s=(dialect or AWS).shard_reads_per_s), owner)


def habits_of(options: FleetOptions) -> Habits:
    """How a worker of a fleet goes about its leases."""
    people = gethostname(), os.getpid(), __version__
    return Habits(
        Owner(options.owner),
        options.discovery_ms,
        options.lease_ms // 3,
        identity=Identity(options.owner, options.weight, options.lease_ms, *people),
        hand_overs=options.hand_overs,
    )


def _log_of(app: App, clock: Clock, options: FleetOptions) -> AppLog:
    return AppLog(DynamoDbStreamsLog(options.access, clock, options.dialect), _tables_of(app))


def _tables_of(app: App) -> dict[str, None]:
    """What it reads. Raises: SettingsError for data streams, which are read beside the embedded engine
    alone.
    """
    for mapping in app.mappings:
        if mapping.table.is_data:
            raise SettingsError(
                f"handler {mapping.id!r} reads the data stream {stream_of_source(mapping.table.name)!r}: a "
                "worker of a fleet reads streams of tables; `tailrace dev` and app.lambda_handler read data "
                "streams",
                hint="run it beside its engine, or as a Lambda function",
            )
        if mapping.table.over is not None:
            raise SettingsError(
                f"handler {mapping.id!r} reads {mapping.table.name!r} over the data stream "
                f"{mapping.table.over.stream!r}: a worker of a fleet reads streams of tables; `tailrace dev` "
                "reads data streams",
                hint="declare the handler on the table itself, or run it beside its engine",
            )
    return dict.fromkeys(mapping.table.name for mapping in app.mappings)


def _assembly(app: App, parts: Parts, log: AppLog, options: FleetOptions) -> Assembly:
    """What makes the sinks of an app whose tables are at another server."""
    clock = parts.clock
    client = options.access if options.marks is None else options.marks[0]
    effects = parts
    if options.marks is not None:
        effects = structs.replace(parts, state=DynamoDbStateStore(*options.marks, clock, options.owner))
    sources = far_sources(options.access, clock, far_pacer(options.owner, options.dialect), options.dialect)
    scan = FarScan(options.access, app.tables.values())
    journaled = JournaledTables(
        app, options.place.account, scan, parts.state, lambda table: sources(table.name)
    )
    archivers = archiver_maker(journaled, clock, Around())
    ground = Ground(
        app,
        parts,
        effects,
        declared=AppSinks(app, options.place.account, Around(), Openings(clock), archivers),
        needed=dependencies(app, lambda: DynamoDbDoor(client), None),
        runners=Runners(clock, in_processes=True, region=options.place.region),
        owner=Owner(options.owner, claim_ms=options.lease_ms),
        rows=RemoteRows(client),
        settled=partial(settled_until, parts.state, log, clock),
        present=FarItems(options.access, app.tables.values()),
        feed_of=journals_of(
            app, options.place.account, clock, Around(), _marks_of(options, clock, parts.state, log)
        ),
    )
    return assemble(ground)


def far_projector(
    app: App, clock: Clock, options: FleetOptions
) -> tuple[Projector | None, Callable[[], Awaitable[None]]]:
    """What reads an app's projections, compares and begins them while its workers bring them up; and what
    gives back what was opened for it.
    """
    log = _log_of(app, clock, options)
    assembly = _assembly(app, Parts(options.state, clock, options.reached), log, options)
    items = FarItems(options.access, app.tables.values())
    return _projector(assembly, options, items, log), partial(end_of, assembly.ground)


def far_mirrors(
    app: App, clock: Clock, options: FleetOptions
) -> tuple[Mirrors, Callable[[], Awaitable[None]]]:
    """The app's mirrors as they are compared from any machine while its workers write them; and what gives
    back what was opened for it.
    """
    log = _log_of(app, clock, options)
    assembly = _assembly(app, Parts(options.state, clock, options.reached), log, options)

    marks_of = _marks_of(options, clock, options.state, log)

    def compared(mapping: HandlerMapping) -> ComparedTable:
        table = mapping.table
        marks = marks_of(MappingName(app.name, mapping.id, table.name))
        return ComparedTable(FarReader(options.access, table), marks)

    return mirrors_of(assembly, compared), partial(end_of, assembly.ground)


def far_planner(
    app: App, clock: Clock, options: FleetOptions
) -> tuple[Planner | None, Callable[[], Awaitable[None]]]:
    """What says what snapshots of the app would read, asked from any machine; and what gives back what was
    opened for it.
    """
    log = _log_of(app, clock, options)
    assembly = _assembly(app, Parts(options.state, clock, options.reached), log, options)
    sources = far_sources(options.access, clock, far_pacer(options.owner, options.dialect), options.dialect)
    snapshots = _snapshots(assembly, options, lambda table: sources(table.name), log)
    return None if snapshots is None else snapshots[0].planner, partial(end_of, assembly.ground)


class FarReplays(Struct, frozen=True):
    """What live replays need. Shape: `sink_of` makes the sinks of runs of their own, by handler and run;
    `retelling` tells windows again; `ended` gives back what was opened for them.
    """

    sink_of: Callable[[HandlerMapping, str], Sink]
    retelling: Callable[[HandlerMapping, HandlerMapping], Retelling | None]
    ended: Callable[[], Awaitable[None]]


def far_replays(app: App, clock: Clock, options: FleetOptions) -> FarReplays:
    """What live replays of an app need, asked from any machine."""
    log = _log_of(app, clock, options)
    assembly = _assembly(app, Parts(options.state, clock, options.reached), log, options)
    return FarReplays(assembly.maker.make, partial(retelling_of, assembly), partial(end_of, assembly.ground))


def _marks_of(
    options: FleetOptions, clock: Clock, state: StateStore, log: LogReader
) -> Callable[[MappingName], TimedMarks]:
    def marks(mapping: MappingName) -> TimedMarks:
        source = DynamoDbStreamsSource(options.access, mapping.table, clock, options.dialect)
        return TimedMarks(source.server_ms, partial(oldest_created_ms, state, log, mapping))

    return marks


def handler_sides(
    app: App, clock: Clock, options: FleetOptions
) -> tuple[Callable[[HandlerMapping], HandlerSide], Callable[[], Awaitable[None]]]:
    """An app's handlers as those between whose checkpoints and a KCL lease table something moves; and what
    gives back what was opened for it.
    """
    parts = Parts(options.state, clock, options.reached)
    assembly = _assembly(app, parts, _log_of(app, clock, options), options)
    besides = assembly.maker.besides
    pacer = far_pacer(options.owner, options.dialect)
    sources = far_sources(options.access, clock, pacer, options.dialect)

    def side_of(handler: HandlerMapping) -> HandlerSide:
        table = handler.table.name
        numbered = NumberedSource(sources(table), options.state, app, table, besides)
        source = DynamoDbStreamsSource(options.access, table, clock, options.dialect)
        started = FarStart(options.access, clock, options.dialect, table)
        return HandlerSide(app, handler, options.state, clock, source, numbered, started)

    return side_of, partial(end_of, assembly.ground)


def far_sources(
    access: Access,
    clock: Clock,
    pacer: Pacer,
    dialect: Dialect | None = None,
    counted: Counted = uncounted,
) -> Callable[[str], PolledSource]:
    """Sources of tables at another server, by their names; all of them keep to this budget."""
    paced = dialect or AWS

    def source_of(table: str) -> PolledSource:
        far = DynamoDbStreamsSource(access, table, clock, dialect, counted=counted)
        return PolledSource(far, clock, pacer, has_filter=paced.has_filter)

    return source_of


class FarStart(Struct, frozen=True):
    """A table as a start asks it."""

    access: Access
    clock: Clock
    dialect: Dialect | None
    table: str

    async def server_ms(self) -> int:
        """The server's own time. Raises: SourceError."""
        return await DynamoDbStreamsSource(self.access, self.table, self.clock, self.dialect).server_ms()

    def since(self, since_ms: int, counted: StreamRef | None = None) -> Source:
        """The table's stream without what was created before; of the stream `counted` all is read, so that
        positions tell how far that goes.
        """
        dialect = self.dialect
        if counted is not None:
            dialect = structs.replace(dialect or dialect_of(counted.arn), has_timestamps=False)
        return DynamoDbStreamsSource(self.access, self.table, self.clock, dialect, since_ms=since_ms)
