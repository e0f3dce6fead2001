"""One look at a running node: what `/metrics` and `/ready` are views of.

Rules of this file: it gathers, `observe` decides and words. A handler that does not run here may be late, and
cannot be stuck. Between two handlers the loop is given back, because scrapes come every
few seconds. Called by node.py for each scrape.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tailrace.deadletters.views.letters import letter_counts
from tailrace.ports import Now
from tailrace.runtime.attempts import Tally
from tailrace.runtime.driver import Status
from tailrace.runtime.watermark import MappingName, evacuations, positions
from tailrace.server.control import Subject
from tailrace.server.http import HttpServer
from tailrace.server.observe import Durations, HandlerTotals, Observed, ShardProgress
from tailrace.server.tables import table_value, tables
from tailrace.snapshots.views.snapshots import snapshot_value
from tailrace.views.gaps import gap_age_ms, gaps
from tailrace.views.live import live_status, sink_of, windows_of
from tailrace.views.progress import Ledgers, begun, ledgers, summed
from tailrace.views.reading import ViewSources


async def observed(
    subject: Subject,
    http: HttpServer,
    version: str,
    functions: Callable[[], Mapping[str, Tally]] | None = None,
) -> Observed:
    """A node at this moment. Raises: StoreError, SourceError."""
    reading = subject.reading
    progress, handlers = await handlers_observed(reading, own_changes(subject.worker))
    snapshots = await snapshots_observed(reading, [(name.app, name.handler) for name in await begun(reading)])
    return Observed(
        version=version,
        progress=progress,
        handlers=handlers,
        snapshots=snapshots,
        requests=http.requests,
        shards=shard_counts(subject),
        destinations=subject.engine.destinations.deliveries.standing(),
        functions={} if functions is None else functions(),
        commits=http.turns.commits,
        commit_error=http.turns.commit_error,
        retention_ms=reading.retention_ms,
        wall_ms=reading.clock.now().wall_ms,
    )


def own_changes(worker: object) -> Mapping[str, int]:
    """How many changes that a handler itself made each handler was called for, since the start."""
    guards = getattr(worker, "guards", None)
    return {} if guards is None else guards.own


async def handlers_observed(
    reading: ViewSources, own: Mapping[str, int]
) -> tuple[list[ShardProgress], list[HandlerTotals]]:
    """How every handler stands. Raises: StoreError, SourceError."""
    progress: list[ShardProgress] = []
    handlers: list[HandlerTotals] = []
    for mapping in await begun(reading):
        progress += await shard_progress(reading, mapping)
        handlers.append(await handler_totals(reading, mapping, own.get(mapping.handler, 0)))
        await asyncio.sleep(0)
    return progress, handlers


async def snapshots_observed(
    reading: ViewSources, handlers: Iterable[tuple[str, str]]
) -> list[dict[str, Any]]:
    """How far snapshots are, of those handlers (app and id) that have one. Raises: StoreError."""
    now_ms = reading.clock.now().wall_ms
    values = [await snapshot_value(reading.state, app, handler, now_ms) for app, handler in handlers]
    return [value for value in values if value is not None]


async def shard_progress(reading: ViewSources, mapping: MappingName) -> list[ShardProgress]:
    """How a handler stands in each shard of its table's streams, running or not."""
    live = live_status(reading.live, mapping)
    now = reading.clock.now()
    progress: list[ShardProgress] = []
    async for place in positions(reading.state, reading.log, [mapping]):
        seen, oldest = live.get(place.shard.shard_id), place.oldest
        progress.append(
            ShardProgress(
                handler=mapping.handler,
                table=mapping.table,
                shard=place.shard.shard_id,
                oldest_unsettled_ms=None if oldest is None else max(0, now.wall_ms - oldest.created_ms),
                still_ms=still_ms(seen, now) if live else None,
            )
        )
    return progress


def still_ms(seen: Status | None, now: Now) -> int:
    """Since when a shard has not moved; 0 where it has not been begun."""
    return 0 if seen is None else max(0, now.monotonic_ms - seen.last_progress_ms)


async def handler_totals(
    reading: ViewSources, mapping: MappingName, own: int, said: Ledgers | None = None
) -> HandlerTotals:
    """A handler's totals, running or not. Shape: `said` are its ledgers, if they are known."""
    state = reading.state
    if said is None:
        said = await ledgers(state, mapping)
    letters = await letter_counts(state, mapping.app, mapping.handler)
    every_gap = await gaps(state, mapping, said)
    lost = [gap for gap in every_gap if not gap.acknowledged_ms]
    now_ms = reading.clock.now().wall_ms
    sink, windows = sink_of(reading.live, mapping.handler), windows_of(reading.live, mapping.handler)
    tally = Tally() if sink is None else sink.tally
    return HandlerTotals(
        handler=mapping.handler,
        table=mapping.table,
        settled=summed(said.values()),
        duplicates=tally.suppressed,
        dead_letters=letters.discarded + letters.parked,
        parked_keys=letters.parked_keys,
        own_changes=own,
        open_windows=0 if windows is None else windows.open,
        late_changes=0 if windows is None else windows.late,
        open_gaps=len(lost),
        gap_age_ms=gap_age_ms(reading, lost),
        gap_records=sum(gap.skipped or 1 for gap in every_gap),
        unbalanced=sum(status.unbalanced for status in live_status(reading.live, mapping).values()),
        evacuating_shards=len(await evacuations(state, mapping)),
        parked_oldest_ms=0 if letters.oldest_parked_ms is None else max(0, now_ms - letters.oldest_parked_ms),
        durations=Durations(tally.buckets(), tally.total_ms / 1_000),
        tally=tally,
    )


def shard_counts(subject: Subject) -> Mapping[tuple[str, str], int]:
    """Shards of the present streams by table and state."""
    return {
        (table, state): count
        for table in tables(subject.engine)
        for state, count in table_value(subject.engine, table)["shards"].items()
    }
