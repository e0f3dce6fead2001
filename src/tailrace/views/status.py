"""How far every handler is: its lag, what it settled, its shards, and what fails now.

Rules of this file: values that are JSON, in the units of their names. Called by the `status` verb and, in
numbers, by what `/metrics` and `/ready` gather.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tailrace.deadletters.views.letters import letter_counts
from tailrace.leases.lease import Lease
from tailrace.runtime.watermark import HandlerPosition, MappingName, positions
from tailrace.snapshots.views.snapshots import snapshot_value
from tailrace.streams.envelopes import event_id
from tailrace.telemetry import AWS_METRICS
from tailrace.views.gaps import gap_age_ms, open_gaps
from tailrace.views.leases import leases
from tailrace.views.live import Live, live_status, sink_of, windows_of
from tailrace.views.pauses import is_paused, pause_reason
from tailrace.views.progress import begun, totals
from tailrace.views.reading import ViewSources

if TYPE_CHECKING:
    from tailrace.ports import Now
    from tailrace.runtime.driver import Status
    from tailrace.runtime.threads import Threads


async def status(reading: ViewSources) -> list[dict[str, Any]]:
    """Every handler that is running or has ever saved a checkpoint."""
    return [await handler_value(reading, mapping) for mapping in await begun(reading)]


async def handler_value(reading: ViewSources, mapping: MappingName) -> dict[str, Any]:
    """What one handler has come to, as `tailrace status --json` has it."""
    state, live = reading.state, live_status(reading.live, mapping)
    held = await leases(state, mapping.app)
    now = reading.clock.now()
    shards = [
        shard_value(place, live.get(place.shard.shard_id), held.get((place.label, place.shard.shard_id)), now)
        async for place in positions(state, reading.log, [mapping])
    ]
    there = await letter_counts(state, mapping.app, mapping.handler)
    lost = await open_gaps(state, mapping)
    moved = [shard["last_progress_ms"] for shard in shards if shard["last_progress_ms"] is not None]
    return {
        "handler": mapping.handler,
        "app": mapping.app,
        "table": mapping.table,
        "running": bool(live),
        "paused": await is_paused(state, mapping.app, mapping.handler),
        "pause_reason": await pause_reason(state, mapping.app, mapping.handler),
        "settled": await totals(state, mapping),
        "aws_metrics": aws_metrics(reading.live, mapping.handler),
        "threads": threads_value(reading.live, mapping.handler),
        "windows": windows_value(reading.live, mapping.handler),
        "dead_letters": there.discarded + there.parked,
        "parked_keys": there.parked_keys,
        "parked_changes": there.parked,
        "lag_ms": max([gap_age_ms(reading, lost) or 0, *(shard["lag_ms"] for shard in shards)]),
        "open_gaps": len(lost),
        "snapshot": await snapshot_value(state, mapping.app, mapping.handler, now.wall_ms),
        "waiting": any(shard["waiting"] for shard in shards),
        "last_progress_ms": min(moved, default=None),
        "failing": failing_together([shard["failing"] for shard in shards if shard["failing"]]),
        "shards": shards,
    }


def shard_value(
    place: HandlerPosition, seen: "Status | None", lease: Lease | None, now: "Now"
) -> dict[str, Any]:
    """One shard of a handler: how far it is, who reads it, and what only its worker knows."""
    oldest = place.oldest
    return {
        "shard": place.shard.shard_id,
        "closed": place.shard.is_closed,
        "finished": place.finished,
        "watermark": str(place.watermark),
        "ranges": [[str(first), str(last)] for first, last in place.ranges],
        "lag_ms": 0 if oldest is None else max(0, now.wall_ms - oldest.created_ms),
        "waiting": oldest is not None,
        "owner": lease.owner or None if lease is not None else None,
        "in_flight": None if seen is None else seen.in_flight,
        "retrying_keys": None if seen is None else seen.retrying_keys,
        "blocked": None if seen is None else seen.blocked,
        "failing": failing_value(seen),
        "parked_keys": None if seen is None else seen.parked_keys,
        "last_progress_ms": None if seen is None else max(0, now.monotonic_ms - seen.last_progress_ms),
    }


def failing_value(seen: "Status | None") -> dict[str, Any] | None:
    """What fails now in one shard and is tried again: the last error, of which change, and since when
    something does. None: nothing, or it does not run.
    """
    trouble = None if seen is None or seen.attempts is None else seen.attempts.trouble
    if trouble is None:
        return None
    last = trouble.last
    return {
        "error": last.failure.error,
        "event_id": event_id(last.record),
        "attempts": last.attempts,
        "last_ms": last.last_ms,
        "since_ms": trouble.since_ms,
        "changes": trouble.changes,
    }


def failing_together(shards: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The same for all shards of a handler."""
    if not shards:
        return None
    return {
        **max(shards, key=lambda shard: shard["last_ms"]),
        "since_ms": min(shard["since_ms"] for shard in shards),
        "changes": sum(shard["changes"] for shard in shards),
    }


def aws_metrics(live: Live | None, handler: str) -> dict[str, int] | None:
    """What AWS's metrics would say of a handler since the start, by their names and in their units; None when
    it does not run here.
    """
    sink = sink_of(live, handler)
    return (
        None if sink is None else {metric.name: getattr(sink.tally, metric.member) for metric in AWS_METRICS}
    )


def threads_value(live: Live | None, handler: str) -> dict[str, int] | None:
    """The threads in which what blocks of a handler runs: busy ones, the most there may be, calls that wait;
    None when it does not run here.
    """
    sink = sink_of(live, handler)
    return None if sink is None else pool_value(sink.threads)


def pool_value(threads: "Threads") -> dict[str, int]:
    """How busy a pool is."""
    return {"busy": threads.busy, "of": threads.most, "waiting": threads.waiting}


def windows_value(live: Live | None, handler: str) -> dict[str, Any] | None:
    """Panes with something still to tell, changes that came too late for any, and what fails when they are
    told; None without windows, or when it does not run.
    """
    windows = windows_of(live, handler)
    if windows is None:
        return None
    failing = windows.failing()
    trouble = (
        None
        if failing is None
        else dict(zip(("error", "since_ms", "last_ms", "windows"), failing, strict=True))
    )
    return {"open": windows.open, "late": windows.late, "failing": trouble}
