"""What the worker of an app is joined of, wherever its tables are: sinks, windows, what works beside them.

Rules of this file: it picks and joins, and has no behaviour; nothing here knows whether tables are in this
process or at another server. Called by compose_worker.py and compose_fleet.py.
"""

from collections import ChainMap
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

from msgspec import Struct, structs

from tailrace.alerts.core.signs import HandlerSigns
from tailrace.alerts.run.watch import LOOK_MS, AlertWatch
from tailrace.app.app import App, HandlerMapping
from tailrace.app.client import Door
from tailrace.app.mapping import archives_of
from tailrace.app.projection import Projection
from tailrace.app.table import Table, schema_of
from tailrace.archives.opening import archive_at
from tailrace.deadletters.run.courier import Courier
from tailrace.deadletters.run.redriver import Redriver
from tailrace.errors import InternalError
from tailrace.functions.runners import Runners
from tailrace.journal.core.places import journaled_table
from tailrace.journal.run.archiver import Archiver
from tailrace.journal.run.beginning import BaseWriter, ScannedPages
from tailrace.journal.run.bringing import JournalsAsExports
from tailrace.journal.run.feeding import JournalFeed
from tailrace.journal.run.identity import TableIdentity
from tailrace.journal.run.merge_schedule import MergedPlace, MergeSchedule
from tailrace.leases.generation import read_generations, sources_key
from tailrace.leases.lease import Owner
from tailrace.ports import ArchiveStore, Clock, Mirror, Source, StateStore, StreamRef, TableItems
from tailrace.projections.run.builds import Builds
from tailrace.projections.run.following import Following, FollowingMarks, PresentItems
from tailrace.projections.run.projector import Projector
from tailrace.runtime.around import Around
from tailrace.runtime.dependencies import Dependencies
from tailrace.runtime.parts import Parts
from tailrace.runtime.reading import NumberedSource, list_streams
from tailrace.runtime.watermark import MappingName
from tailrace.server.handler_door import providers_of_clients
from tailrace.server.readers import declared_mappings
from tailrace.server.signs import ContestedLeases, Progress, signs_of
from tailrace.sinks.making import AppSinks, SinkMaker
from tailrace.sinks.projected_table import ConsistentRows
from tailrace.sinks.projection_places import ProjectionPlaces
from tailrace.sinks.windowed import windows_of
from tailrace.snapshots.core.pages import segments_of
from tailrace.snapshots.run.forgetting import Janitor, always
from tailrace.snapshots.run.kept_tables import RowSources
from tailrace.snapshots.run.numbering import TableNumbering
from tailrace.snapshots.run.scanning import TableScan
from tailrace.snapshots.run.snapshotter import Snapshotter
from tailrace.verification.run.mirrors import Mirrors
from tailrace.verification.run.reading import Compared, MappingMarks, TableReader
from tailrace.views.reading import ViewSources
from tailrace.windows.run.changes import WindowChanges
from tailrace.windows.run.retelling import Retelling
from tailrace.windows.run.windowing import Windows
from tailrace.worker.worker import Worker

Overrides = Mapping[Callable[..., Any], Callable[..., Any]]


class Ground(Struct, frozen=True):
    """What an app's worker stands on. Shape: marks and effects are kept in the state of `effects`, all else
    in that of `parts`; `rows` reads tables in which projections are kept. Units: `settled` says until when a
    mapping has settled every change, ms since the epoch. `present` reads tables whose pages may tell no
    position; None: all of them do. `feed_of` has the journals of tables.
    """

    app: App
    parts: Parts
    effects: Parts
    declared: AppSinks
    needed: Dependencies
    runners: Runners
    owner: Owner
    rows: ConsistentRows
    settled: Callable[[MappingName], Awaitable[int]]
    present: PresentItems | None = None
    feed_of: Callable[[str], JournalFeed | None] = lambda table: None


class AlertLook(Struct, frozen=True):
    """How alerts are looked for: what tells how a handler stands in its shards, and how often."""

    progress: Progress
    look_ms: int = LOOK_MS


class Assembly(Struct, frozen=True):
    """The parts that sinks are made of. Shape: `windows` by mapping."""

    ground: Ground
    windows: Mapping[str, Windows]
    builds: Builds
    maker: SinkMaker


def assemble(ground: Ground) -> Assembly:
    """What makes sinks, over this ground."""
    app, parts, state = ground.app, ground.parts, ground.parts.state
    windows = _windows_of(ground)
    places = ProjectionPlaces(app, state, ground.effects.state, ground.rows)
    builds = Builds(
        app.name,
        state,
        parts.clock,
        places,
        ground.owner,
        ground.present,
        lambda projection: ground.feed_of(projection.table.name),
    )
    changes = {
        name: WindowChanges(mapping_windows, state, parts.clock, parts.tallies.of(name))
        for name, mapping_windows in windows.items()
    }
    maker = SinkMaker(
        app, ground.effects, ground.declared, ground.needed, ground.runners.of, builds, changes, places, state
    )
    return Assembly(ground, windows, builds, maker)


def dependencies(app: App, door: Callable[[], Door], overrides: Overrides | None) -> Dependencies:
    """What handlers depend on, the clients of `app.client` among it."""
    chosen = app.overrides if overrides is None else overrides
    return Dependencies(ChainMap(cast("dict[Any, Any]", chosen), providers_of_clients(app, door)))


def _windows_of(ground: Ground) -> dict[str, Windows]:
    """What keeps the windows of each mapping that has them, by the mapping's id."""
    app, declared = ground.app, ground.declared
    return {
        mapping.id: windows_of(
            app.name,
            replace(mapping, sink=declared.output(mapping)),
            mapping.window,
            target=mapping.target,
            needed=ground.needed,
            account=declared.account,
            parts=ground.parts,
            watermark=partial(ground.settled, MappingName(app.name, mapping.id, mapping.table.name)),
        )
        for mapping in app.mappings
        if mapping.window is not None
    }


def retelling_of(assembly: Assembly, mapping: HandlerMapping, archived: HandlerMapping) -> Retelling | None:
    """What tells a handler's windows of the past again; None: it has none. Shape: `archived` keeps the
    journal.
    """
    ground, changes = assembly.ground, assembly.maker.changes.get(mapping.id)
    if changes is None:
        return None
    name = MappingName(ground.app.name, archived.id, archived.table.name)
    return Retelling(changes, ground.parts.state, partial(ground.settled, name))


class JournaledTables(Struct, frozen=True):
    """The tables whose journals are written. Shape: `account` is theirs that name no other; `scan` tells
    their ids and reads them; `state` has the numbers of their streams; `archived` is told of each shard
    through which record its journal has it.
    """

    app: App
    account: str
    scan: TableScan
    state: StateStore
    source_of: Callable[[Table], Source]
    archived: Callable[[str, str, int], None] = lambda stream, shard, through: None


def archiver_maker(
    tables: JournaledTables, clock: Clock, around: Around
) -> Callable[[HandlerMapping], Archiver]:
    """What makes the writers of journals."""

    def make(mapping: HandlerMapping) -> Archiver:
        table = mapping.table

        async def streams() -> list[StreamRef]:
            return [stream for stream, _ in await list_streams(tables.source_of(table))]

        archive = _archive_of(mapping, around)
        identity = TableIdentity(table.name, tables.scan.identity, streams)
        journaled = journaled_table(table.name, tables.app.region, tables.account)
        base = _base_writer(tables, mapping, archive, clock)
        return Archiver(archive, journaled, identity.identify, clock, tables.archived, base)

    return make


def _archive_of(mapping: HandlerMapping, around: Around) -> ArchiveStore:
    """Where a journal is kept. Raises: SettingsError."""
    plan = mapping.archive
    if plan is None:
        raise InternalError(f"{mapping.id!r} is no archive")
    return plan.archive or around.archive(plan.place, partial(archive_at, plan.place, plan.access))


def journals_of(
    app: App, account: str, clock: Clock, around: Around, marks: Callable[[MappingName], FollowingMarks]
) -> Callable[[str], JournalFeed | None]:
    """The journals of an app's tables, by their names. Shape: `account` is that of tables that name no other;
    `marks` say how far a mapping is.
    """

    def feed_of(table: str) -> JournalFeed | None:
        mapping = archives_of(app.mappings).get(table)
        if mapping is None:
            return None
        journaled = journaled_table(table, app.region, account)
        name = MappingName(app.name, mapping.id, table)
        return JournalFeed(_archive_of(mapping, around), journaled, clock, marks(name))

    return feed_of


def _base_writer(
    tables: JournaledTables, mapping: HandlerMapping, archive: ArchiveStore, clock: Clock
) -> BaseWriter | None:
    """What writes a journal's base by reading the table; None: nobody is to."""
    name, plan = mapping.table.name, mapping.archive

    async def generation() -> int:
        row = await tables.state.get(sources_key(tables.app.name, name))
        return read_generations(tables.app.name, name, None if row is None else row.fields).newest

    if plan is None or not plan.base:
        return None
    pages = ScannedPages(tables.scan, name, generation, clock, plan.base_read_units)
    return BaseWriter(archive, pages)


def merges_of(
    app: App, clock: Clock, around: Around, may: Callable[[], Awaitable[bool]] = always
) -> MergeSchedule | None:
    """What merges an app's journals; None: nobody is to. Shape: `may` says whether this worker does it."""
    plans = [mapping.archive for mapping in app.mappings if mapping.archive is not None]
    intervals = [plan.merge_ms for plan in plans if plan.merge_ms is not None]
    if not intervals or not around.merges_journals():
        return None

    def places() -> list[MergedPlace]:
        return [
            MergedPlace(journaled_table(mapping.table.name, app.region).name, mapping.archive)
            for mapping in app.mappings
            if mapping.archive is not None and mapping.archive.merge_ms is not None
        ]

    return MergeSchedule(places, min(intervals), clock, may)


def redriver_of(assembly: Assembly, worker: Worker) -> Redriver:
    """What puts dead letters back."""
    ground, maker = assembly.ground, assembly.maker
    of = ground.declared.mapping
    return Redriver(
        ground.app.name,
        ground.parts.state,
        ground.parts.clock,
        worker,
        worker.sinks,
        lambda handler, run: maker.make(of(handler), run),
        lambda handler, sink: worker.guards.around(of(handler), sink),
    )


def courier_of(ground: Ground, worker: Worker, *, changes: bool) -> Courier | None:
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


def alerts_of(ground: Ground, worker: Worker, reading: ViewSources, looking: AlertLook) -> AlertWatch | None:
    """What tells people before it hurts; None: the app tells no one."""
    app, clock, owner = ground.app, reading.clock, ground.owner.name
    plan = app.alert_plan
    if plan is None:
        return None
    contested = ContestedLeases(app.name, reading.state, clock, owner)

    async def look() -> list[HandlerSigns]:
        mappings = declared_mappings(app)
        return await signs_of(reading, mappings, looking.progress, await contested.look(worker.drivers))

    around = ground.declared.around
    laid = structs.replace(plan, sinks=tuple(map(around.alert_sink, plan.sinks)))
    return AlertWatch(app.name, reading.state, clock, owner, laid, look, looking.look_ms)


def projector_of(
    assembly: Assembly,
    items: TableItems,
    oldest: Callable[[MappingName], Awaitable[int | None]],
    marks: Callable[[MappingName], FollowingMarks] | None = None,
    source_of: Callable[[Table], Source] | None = None,
) -> Projector | None:
    """What brings up the builds of projections; None: there are none. Shape: `oldest` says the first change
    that a mapping has not settled; `marks` how far it is in time, for tables whose pages may tell no
    position; `source_of` which shards a table has.
    """
    app = assembly.ground.app

    def name(projection: Projection) -> MappingName:
        return MappingName(app.name, projection.mapping_id, projection.table.name)

    projections = [mapping.projection for mapping in app.mappings if mapping.projection is not None]
    if not projections:
        return None
    has_begun = None
    if source_of is not None:
        tables = [projection.table for projection in projections]
        numbering = _numbering(assembly, tables, source_of, oldest)

        async def has_begun(projection: Projection) -> bool:
            return await numbering.have_begun(projection.table.name, projection.mapping_id)

    return Projector(
        app.name,
        projections,
        assembly.builds,
        items=items,
        parts=assembly.ground.parts,
        following=Following(
            lambda projection: oldest(name(projection)),
            None if marks is None else lambda projection: marks(name(projection)),
            has_begun,
        ),
        besides=assembly.maker.besides,
    )


class ComparedTable(Struct, frozen=True):
    """A table as it is compared with its mirrors."""

    reader: TableReader
    marks: MappingMarks


def mirrors_of(assembly: Assembly, table_of: Callable[[HandlerMapping], ComparedTable]) -> Mirrors:
    """The app's mirrors, each with its table."""
    ground, maker = assembly.ground, assembly.maker
    app, parts = ground.app, ground.parts

    def of(mapping: HandlerMapping) -> Compared:
        table, side = mapping.table, table_of(mapping)
        view_type = table.stream or "NEW_AND_OLD_IMAGES"
        return Compared(
            name=MappingName(app.name, mapping.id, table.name),
            schema=schema_of(table),
            stream=StreamRef("", table.name, "", view_type, region=app.region),
            mirror=cast("Mirror", mapping.sink),
            prepares=maker.streamed(mapping),
            opened=partial(maker.asked, mapping),
            reader=side.reader,
            marks=side.marks,
            state=parts.state,
            clock=parts.clock,
            is_kept=mapping.snapshot,
        )

    return Mirrors(app, of)


def snapshots_of(
    assembly: Assembly,
    rows: RowSources,
    source_of: Callable[[Table], Source],
    oldest: Callable[[MappingName], Awaitable[int | None]],
    may_forget: Callable[[], Awaitable[bool]] = always,
) -> tuple[Snapshotter, Janitor] | None:
    """What brings whole tables to sinks, and what forgets deletions there; None: no sink takes a table.
    Shape: `oldest` says the first change that a mapping has not settled.
    """
    ground, app = assembly.ground, assembly.ground.app
    kept = assembly.maker.kept_tables()
    if not kept:
        return None
    parts = ground.parts
    exported = JournalsAsExports(rows.exported, app.tables.values(), ground.feed_of)
    rows = structs.replace(rows, exported=exported)
    by_name = {mapping.table.name: mapping.table for mapping in app.mappings}
    numbering = _numbering(assembly, [by_name[table.table] for table in kept], source_of, oldest)
    snapshotter = Snapshotter(
        kept, parts, ground.owner, sources=rows, numbers=numbering, segments=segments_of
    )
    return snapshotter, Janitor(app.name, kept, parts, may_forget=may_forget)


def _numbering(
    assembly: Assembly,
    tables: Iterable[Table],
    source_of: Callable[[Table], Source],
    oldest: Callable[[MappingName], Awaitable[int | None]],
) -> TableNumbering:
    """The numbers of these tables, and how far readers are."""
    ground, app = assembly.ground, assembly.ground.app
    sources = {
        table.name: NumberedSource(
            source_of(table), ground.parts.state, app, table.name, assembly.maker.besides
        )
        for table in tables
    }
    return TableNumbering(
        app.name,
        ground.parts.state,
        lambda table: list_streams(sources[table]),
        lambda table: [mapping.id for mapping in app.mappings if mapping.table.name == table],
        lambda mapping_id, table: oldest(MappingName(app.name, mapping_id, table)),
        ground.owner.is_alone,
    )


async def end_of(ground: Ground) -> None:
    """Give back what sinks, dependencies and functions hold, and what one worker does at a time."""
    if ground.parts.duties is not None:
        await ground.parts.duties.leave()
    await ground.declared.openings.close()
    await ground.needed.close()
    await ground.runners.close()
