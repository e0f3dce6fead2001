"""Verbs of the admin API that answer once: status, the clock, coverage, audit, stop; not `tail`, `why`.

Rules of this file: a verb reads its arguments strictly, changes nothing that it does not name, and answers
values that are JSON. Importing it registers every verb. Called through `control` and, without a server, by
`cli.offline`.
"""

from tailrace.clocks.manual import ManualClock
from tailrace.errors import TailraceError
from tailrace.server import (
    checkpoints,
    dlq,
    explaining,
    exports,
    gaps,
    handlers,
    items,
    lease_verbs,
    log_verbs,
    mapping_verbs,
    projections,
    shards,
    sinks,
    snapshots,
    sql,
    story,
    tail,
    top,
)
from tailrace.server.control import Arguments, Subject, verb
from tailrace.server.remembered import remember_time
from tailrace.views.audit import audit as audit_view
from tailrace.views.status import pool_value
from tailrace.views.status import status as status_view

__all__ = [
    "checkpoints",
    "dlq",
    "explaining",
    "exports",
    "gaps",
    "handlers",
    "items",
    "lease_verbs",
    "log_verbs",
    "mapping_verbs",
    "projections",
    "shards",
    "sinks",
    "snapshots",
    "sql",
    "story",
    "tail",
    "top",
]


@verb("status", works_afar=True)
async def status(subject: Subject, arguments: Arguments) -> object:
    """How far every handler is, and what tables there are. Shape: `running` is None of a fleet's handlers:
    its workers run whatever they were started with.
    """
    handlers = await status_view(subject.reading)
    if subject.is_far:
        handlers = [{**handler, "running": None} for handler in handlers]
    return {
        **subject.about,
        "wall_ms": subject.clock.now().wall_ms,
        "tables": await subject.tables(),
        "handlers": handlers,
        "sql": pool_value(sql.THREADS),
    }


# ---- time --------------------------------------------------------------------------------------------------


@verb("clock.show")
async def clock_show(subject: Subject, arguments: Arguments) -> object:
    """What time it is."""
    return clock_value(subject, 0)


@verb("clock.advance", changes=True)
async def clock_advance(subject: Subject, arguments: Arguments) -> object:
    """Arguments: ms."""
    ms = arguments.get("ms")
    if not isinstance(ms, int) or ms <= 0:
        raise TailraceError("`clock.advance` needs milliseconds above 0.", hint="tailrace clock advance 25h")
    manual_clock(subject).advance(ms)
    await keep_time(subject)
    return clock_value(subject, ms)


@verb("clock.set", changes=True)
async def clock_set(subject: Subject, arguments: Arguments) -> object:
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
    return clock_value(subject, moved)


def manual_clock(subject: Subject) -> ManualClock:
    """The clock, if it may be bent. Raises: TailraceError."""
    if not isinstance(subject.clock, ManualClock):
        raise TailraceError("This server runs on the system's clock.", hint="tailrace serve --clock manual")
    return subject.clock


async def keep_time(subject: Subject) -> None:
    """Return when the clock's time is kept with the data."""
    await remember_time(subject.state, subject.clock)


def clock_value(subject: Subject, moved_ms: int) -> dict[str, object]:
    """The time, and how far it was moved. Units: ms since the epoch, ms."""
    kind = "manual" if isinstance(subject.clock, ManualClock) else "system"
    return {"wall_ms": subject.clock.now().wall_ms, "clock": kind, "moved_ms": moved_ms}


# ---- the rest ----------------------------------------------------------------------------------------------


@verb("coverage")
async def coverage(subject: Subject, arguments: Arguments) -> object:
    """What of the API is there."""
    from tailrace.api.coverage import coverage as covered

    return covered()


@verb("stop", changes=True)
async def stop(subject: Subject, arguments: Arguments) -> object:
    """Drain and end, as Ctrl-C does; the answer comes first."""
    if subject.stop is None:
        raise TailraceError("Nothing runs here that could be stopped.", hint="tailrace serve")
    subject.stop()
    return {"stopping": True}


@verb("audit", works_afar=True)
async def audit(subject: Subject, arguments: Arguments) -> object:
    """What people did and how it ended, the newest last. Arguments: last (how many)."""
    last = arguments.get("last", 100)
    if not isinstance(last, int) or last < 1:
        raise TailraceError("`audit` needs a number above 0.", hint="tailrace audit --last 20")
    return await audit_view(subject.state, last)
