"""The verbs of the admin API that answer once: status, the clock, coverage, stop. `tail` and `why` are beside it.

Rules of this file: a verb reads its arguments strictly, changes nothing that it does not name, and answers values that
are JSON. Importing it registers every verb. Called through `control` and, without a server, by `cli.offline`.
"""

from collections.abc import AsyncGenerator, Iterator
from typing import Any

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine
from tailrace.errors import TailraceError
from tailrace.runtime.driver import Status
from tailrace.runtime.threads import Threads
from tailrace.runtime.watermark import MappingName
from tailrace.runtime.windowing import Windows
from tailrace.server import (
    audit_verbs,
    dlq,
    explaining,
    gaps,
    handlers,
    mapping_verbs,
    projections,
    shards,
    sql,
    story,
    tail,
)
from tailrace.server.control import Arguments, Subject, verb
from tailrace.server.handlers import is_paused, pause_reason
from tailrace.server.letters import kept
from tailrace.server.progress import known_mappings, positions, tables, totals
from tailrace.server.remembered import remember_time
from tailrace.streams.envelopes import event_id
from tailrace.telemetry import AWS_METRICS

__all__ = [
    "audit_verbs",
    "dlq",
    "explaining",
    "gaps",
    "handlers",
    "mapping_verbs",
    "projections",
    "shards",
    "sql",
    "story",
    "tail",
]


@verb("status")
async def status(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """How far every handler is, and what tables there are."""
    engine, now = subject.engine, subject.clock.now()
    yield {
        **subject.about,
        "wall_ms": now.wall_ms,
        "tables": [table_value(engine, table) for table in tables(engine)],
        "handlers": [handler_value(subject, mapping) for mapping in mappings(subject)],
        "sql": pool_value(sql.THREADS),
    }


def mappings(subject: Subject) -> list[MappingName]:
    """Every handler that is running or has ever saved a checkpoint."""
    found = dict.fromkeys(story.running(subject))
    found.update(dict.fromkeys(known_mappings(subject.engine)))
    return sorted(found, key=lambda each: (each.app, each.table, each.handler))


def table_value(engine: Engine, table: str) -> dict[str, Any]:
    """One table: its stream and the shards of it."""
    description = engine.describe_table(table)
    stream = description.get("StreamSpecification") or {}
    shards = {"open": 0, "closed": 0}
    if stream.get("StreamEnabled"):
        for shard in engine.shards_of(description["LatestStreamArn"]):
            shards["closed" if shard.is_closed else "open"] += 1
    return {
        "table": table,
        "items": description.get("ItemCount", 0),
        "view_type": stream.get("StreamViewType"),
        "shards": shards,
    }


def handler_value(subject: Subject, mapping: MappingName) -> dict[str, Any]:
    """One handler: its lag, what it settled, and its shards."""
    engine, now = subject.engine, subject.clock.now()
    settled = totals(engine, mapping)
    there = kept(engine, mapping.app, mapping.handler)
    live = {each.shard_id: each for each in live_status(subject, mapping)}
    shards: list[dict[str, Any]] = []
    for each in positions(engine, [mapping]):
        seen = live.get(each.shard.shard_id)
        oldest = each.oldest
        shards.append(
            {
                "shard": each.shard.shard_id,
                "closed": each.shard.is_closed,
                "finished": each.finished,
                "watermark": str(each.watermark),
                "ranges": [[str(first), str(last)] for first, last in each.ranges],
                "lag_ms": 0 if oldest is None else max(0, now.wall_ms - oldest.created_ms),
                "waiting": oldest is not None,
                "in_flight": None if seen is None else seen.in_flight,
                "retrying_keys": None if seen is None else seen.retrying_keys,
                "blocked": None if seen is None else seen.blocked,
                "failing": failing_value(seen),
                "parked_keys": None if seen is None else seen.parked_keys,
                "last_progress_ms": None
                if seen is None
                else max(0, now.monotonic_ms - seen.last_progress_ms),
            }
        )
    lost_ms = gaps.gap_age_ms(engine, mapping)
    moved = [shard["last_progress_ms"] for shard in shards if shard["last_progress_ms"] is not None]
    return {
        "handler": mapping.handler,
        "app": mapping.app,
        "table": mapping.table,
        "running": bool(live),
        "paused": is_paused(engine, mapping.app, mapping.handler),
        "pause_reason": pause_reason(engine, mapping.app, mapping.handler),
        "settled": settled,
        "aws_metrics": aws_metrics(subject, mapping.handler),
        "threads": threads_value(subject, mapping.handler),
        "windows": windows_value(subject, mapping.handler),
        "dead_letters": there.discarded + there.parked,
        "parked_keys": there.parked_keys,
        "parked_changes": there.parked,
        "lag_ms": max([lost_ms or 0, *(shard["lag_ms"] for shard in shards)]),
        "open_gaps": len(gaps.open_gaps(engine, mapping)),
        "waiting": any(shard["waiting"] for shard in shards),
        "last_progress_ms": min(moved, default=None),
        "failing": failing_together([each["failing"] for each in shards if each["failing"]]),
        "shards": shards,
    }


def failing_value(seen: Status | None) -> dict[str, Any] | None:
    """What fails now in one shard and is tried again: the last error, of which change, and since when something does. None: nothing, or it does not run."""
    trouble = None if seen is None or seen.attempts is None else seen.attempts.trouble
    if trouble is None:
        return None
    last = trouble.last
    return {
        "error": last.failure.error, "event_id": event_id(last.record), "attempts": last.attempts, "last_ms": last.last_ms,
        "since_ms": trouble.since_ms, "changes": trouble.changes,
    }  # fmt: skip


def failing_together(shards: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The same for all shards of a handler."""
    if not shards:
        return None
    return {
        **max(shards, key=lambda each: each["last_ms"]),
        "since_ms": min(each["since_ms"] for each in shards),
        "changes": sum(each["changes"] for each in shards),
    }


def aws_metrics(subject: Subject, handler: str) -> dict[str, int] | None:
    """What AWS's metrics would say of a handler since the start, by their names and in their units; None when it does not run here."""
    sink = None if subject.worker is None else subject.worker.sinks.get(handler)
    if sink is None:
        return None
    return {each.name: getattr(sink.tally, each.member) for each in AWS_METRICS}


def threads_value(subject: Subject, handler: str) -> dict[str, int] | None:
    """The threads in which what blocks of a handler runs: busy ones, the most there may be, calls that wait; None when it does not run here."""
    sink = None if subject.worker is None else subject.worker.sinks.get(handler)
    if sink is None:
        return None
    return pool_value(sink.threads)


def pool_value(threads: Threads) -> dict[str, int]:
    """How busy a pool is."""
    return {"busy": threads.busy, "of": threads.most, "waiting": threads.waiting}


def windows_value(subject: Subject, handler: str) -> dict[str, Any] | None:
    """The windows of a handler: panes with something still to tell, changes that came too late for any, and what fails when they are told; None without windows, or when it does not run."""
    windows = windows_of(subject, handler)
    if windows is None:
        return None
    failing = windows.failing()
    told = (
        None
        if failing is None
        else dict(zip(("error", "since_ms", "last_ms", "windows"), failing, strict=True))
    )
    return {"open": windows.open, "late": windows.late, "failing": told}


def windows_of(subject: Subject, handler: str) -> Windows | None:
    """The windows of a handler that runs here."""
    found = [] if subject.worker is None else subject.worker.windows
    return next((each for each in found if each.owner.mapping_id == handler), None)


def live_status(subject: Subject, mapping: MappingName) -> Iterator[Status]:
    """What the worker alone knows about one handler."""
    if subject.worker is not None:
        for each in subject.worker.status():
            if (each.app, each.mapping_id, each.table) == (mapping.app, mapping.handler, mapping.table):
                yield each


# ---- time --------------------------------------------------------------------------------------------------------


@verb("clock.show")
async def clock_show(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """What time it is."""
    yield clock_value(subject, 0)


@verb("clock.advance", changes=True)
async def clock_advance(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: ms."""
    ms = arguments.get("ms")
    if not isinstance(ms, int) or ms <= 0:
        raise TailraceError("`clock.advance` needs milliseconds above 0.", hint="tailrace clock advance 25h")
    manual_clock(subject).advance(ms)
    await keep_time(subject)
    yield clock_value(subject, ms)


@verb("clock.set", changes=True)
async def clock_set(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: wall_ms, at or after the present."""
    wall_ms = arguments.get("wall_ms")
    if not isinstance(wall_ms, int):
        raise TailraceError("`clock.set` needs an instant.", hint="tailrace clock set 2026-10-31T23:59Z")
    clock = manual_clock(subject)
    moved = wall_ms - clock.now().wall_ms
    if moved < 0:
        raise TailraceError("Time does not go back: that instant has passed.", hint="tailrace clock show")
    if moved:
        clock.advance(moved)
        await keep_time(subject)
    yield clock_value(subject, moved)


def manual_clock(subject: Subject) -> ManualClock:
    """The clock, if it may be bent. Raises: TailraceError."""
    if not isinstance(subject.clock, ManualClock):
        raise TailraceError("This server runs on the system's clock.", hint="tailrace serve --clock manual")
    return subject.clock


async def keep_time(subject: Subject) -> None:
    """Return when the clock's time is kept with the data."""
    remember_time(subject.engine)
    if subject.flushed is not None:
        await subject.flushed()


def clock_value(subject: Subject, moved_ms: int) -> dict[str, object]:
    """The time, and how far it was moved. Units: ms since the epoch, ms."""
    kind = "manual" if isinstance(subject.clock, ManualClock) else "system"
    return {"wall_ms": subject.clock.now().wall_ms, "clock": kind, "moved_ms": moved_ms}


# ---- the rest ----------------------------------------------------------------------------------------------------


@verb("coverage")
async def coverage(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """What of the API is there."""
    from tailrace.server.coverage import coverage as covered

    yield covered()


@verb("stop", changes=True)
async def stop(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Drain and end, as Ctrl-C does; the answer comes first."""
    if subject.stop is None:
        raise TailraceError("Nothing runs here that could be stopped.", hint="tailrace serve")
    subject.stop()
    yield {"stopping": True}
