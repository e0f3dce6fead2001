"""The `snapshot` verbs: another one is wanted, it is to stand still or go on, and how far it is.

Rules of this file: what is wanted is a row, which whichever worker makes snapshots reads; so it works beside
a worker, without one, and from afar. Registered by `verbs`.
Stands alone as every family of verbs does.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from tailrace.errors import StateConflict, TailraceError
from tailrace.rows.kinds import MAPPING
from tailrace.runtime.watermark import MappingName
from tailrace.server.control import Arguments, Subject, verb
from tailrace.server.handlers import named
from tailrace.snapshots.core.due import asked
from tailrace.snapshots.core.plan import SnapshotPlan, scan_plan
from tailrace.snapshots.core.snapshot import (
    JOURNAL,
    Part,
    PartFilter,
    Snapshot,
    WantedSnapshot,
    read_snapshot,
    read_wanted,
    snapshot_key,
    wanted_key,
)
from tailrace.snapshots.views.snapshots import snapshot_value
from tailrace.sources.embedded_scan import condition_of_filter
from tailrace.tables.costs import ASK, TableSize
from tailrace.views.progress import declared
from tailrace.worker.declared import SNAPSHOTS


@verb("snapshot.plan", works_afar=True)
async def plan(subject: Subject, arguments: Arguments) -> object:
    """Arguments: as `snapshot.start`. What that would read and cost; None: it is known only where the app
    runs.
    """
    mapping = await _mirror(subject, arguments)
    planned = await _planned(subject, mapping, arguments)
    return None if planned is None else planned.value


@verb("snapshot.start", changes=True, works_afar=True)
async def start(subject: Subject, arguments: Arguments) -> object:
    """Arguments: handler; partitions (keys as JSON texts) or segment ([number, how many]); read_units a
    second; source, where exports lie (without: the table), and export, the id of the full one; read_price, US
    dollars for a million read units; where, names and values (a FilterExpression with its placeholders as
    JSON texts); yes, whatever it costs.
    """
    mapping = await _mirror(subject, arguments)
    if arguments.get("source"):
        await _check_no_other(subject, mapping)
    if not arguments.get("yes"):
        planned = await _planned(subject, mapping, arguments)
        if planned is not None and planned.asks:
            raise TailraceError(
                f"A snapshot of {mapping.handler!r} {planned.words}: so much is not begun unasked.",
                hint=f"tailrace snapshot start {mapping.handler} --yes, or with --read-units for a pace",
            )
    present = await _present(subject, mapping)
    return await _changed(subject, mapping, partial(_asked, subject, mapping, arguments, present))


def _asked(
    subject: Subject,
    mapping: MappingName,
    arguments: Arguments,
    present: Snapshot | None,
    wanted: WantedSnapshot | None,
) -> WantedSnapshot:
    """What a person wants after what was wanted before. Shape: `present` is how far the last one is that
    began.
    """
    segment, partitions = arguments.get("segment"), tuple(arguments.get("partitions") or ())
    part = Part(partitions, None if segment is None else (segment[0], segment[1]), _filter(arguments))
    after = asked(wanted, present, mapping.app, mapping.handler, part, subject.clock.now().wall_ms)
    return replace(
        after,
        read_units=arguments.get("read_units") or after.read_units,
        source=arguments.get("source") or "",
        export=arguments.get("export") or "",
    )


def _filter(arguments: Arguments) -> PartFilter | None:
    """Which items a person wants. Raises: ApiError in AWS's words for an expression that is none."""
    if not arguments.get("where"):
        return None
    chosen = PartFilter(arguments["where"], arguments.get("names") or "", arguments.get("values") or "")
    condition_of_filter(chosen)
    return chosen


async def _planned(subject: Subject, mapping: MappingName, arguments: Arguments) -> SnapshotPlan | None:
    """What a person's snapshot would read; None where that cannot be seen from here. Raises: Refused where
    exports may not be it; SourceError, StoreError.
    """
    row = await subject.state.get(wanted_key(mapping.app, mapping.handler))
    wanted = _asked(subject, mapping, arguments, None, read_wanted(mapping.app, mapping.handler, row))
    price = arguments.get("read_price")
    if price is not None and not (isinstance(price, int | float) and price >= 0):
        raise TailraceError("--read-price is a number of US dollars, 0 or more.")
    planner = subject.planner()
    if planner is not None and mapping.handler in planner.tables:
        if wanted.source and subject.is_far and not _is_seen(wanted.source):
            return None
        return await planner.plan(wanted, price)
    if wanted.source:
        return None
    size = TableSize(*await subject.table_size(mapping.table))
    return scan_plan(wanted, mapping.table, size, None, ASK)


def _is_seen(source: str) -> bool:
    """Whether a place of exports may be the same here as at a worker on another machine."""
    return "://" in source or source == JOURNAL or Path(source).is_dir()


@verb("snapshot.pause", changes=True, works_offline=True, works_afar=True)
async def pause(subject: Subject, arguments: Arguments) -> object:
    """Arguments: handler. It ends with the page that is being written."""
    mapping = await _mirror(subject, arguments)
    return await _changed(subject, mapping, lambda wanted: replace(_known(mapping, wanted), paused_by="you"))


@verb("snapshot.resume", changes=True, works_offline=True, works_afar=True)
async def resume(subject: Subject, arguments: Arguments) -> object:
    """Arguments: handler. It goes on with the next page."""
    mapping = await _mirror(subject, arguments)
    return await _changed(subject, mapping, lambda wanted: replace(_known(mapping, wanted), paused_by=""))


@verb("snapshot.status", works_offline=True, works_afar=True)
async def status(subject: Subject, arguments: Arguments) -> object:
    """Arguments: handler, or none for all that have one. Units: *_ms since the epoch; bytes as they were
    estimated and read.
    """
    if arguments.get("handler") is None:
        mappings = await declared(subject.reading)
    else:
        mappings = [await _mirror(subject, arguments)]
    now_ms = subject.clock.now().wall_ms
    values = [
        await snapshot_value(subject.state, mapping.app, mapping.handler, now_ms) for mapping in mappings
    ]
    return [value for value in values if value is not None]


async def _check_no_other(subject: Subject, mapping: MappingName) -> None:
    """Require that no exports are being read: begun anew, they would meet the rows that they have brought."""
    present = await _present(subject, mapping)
    if present is not None and present.source and not present.is_over:
        raise TailraceError(
            f"Exports from {present.source} are being read into {mapping.handler!r}; it goes on by itself.",
            hint=f"tailrace snapshot status {mapping.handler}",
        )


async def _present(subject: Subject, mapping: MappingName) -> Snapshot | None:
    """How far the last one is that began."""
    row = await subject.state.get(snapshot_key(mapping.app, mapping.handler))
    return read_snapshot(mapping.app, mapping.handler, row)


async def _changed(
    subject: Subject, mapping: MappingName, step: Callable[[WantedSnapshot | None], WantedSnapshot]
) -> object:
    state, key = subject.state, wanted_key(mapping.app, mapping.handler)
    while True:
        wanted = read_wanted(mapping.app, mapping.handler, await state.get(key))
        try:
            await state.transact([step(wanted).write()])
        except StateConflict:
            continue  # a worker wants one at this moment
        return await snapshot_value(state, mapping.app, mapping.handler, subject.clock.now().wall_ms)


async def _mirror(subject: Subject, arguments: Arguments) -> MappingName:
    mapping = await named(subject, arguments)
    row = await subject.state.get(MAPPING.key(mapping.app, mapping.handler))
    if row is None or SNAPSHOTS not in row.fields:
        there = await subject.state.get(snapshot_key(mapping.app, mapping.handler))
        if there is None:
            raise TailraceError(
                f"{mapping.handler!r} is given no whole table: its sink keeps no versions and deletions, or "
                "no worker of this version has run it.",
                hint="docs/snapshots.md says which sinks are mirrors",
            )
    return mapping


def _known(mapping: MappingName, wanted: WantedSnapshot | None) -> WantedSnapshot:
    if wanted is None:
        raise TailraceError(
            f"No snapshot of {mapping.handler!r} was ever wanted.",
            hint=f"tailrace snapshot start {mapping.handler}",
        )
    return wanted
