"""`python -m tests.year.living live|rebuild …`: the processes of the year's history. One lives the year day
by day: a table, its journal, two projections; others build those projections anew from the journal.

Theory of operation: the clock is set to the minute of each flight's write, so that the stream forgets each
day and the journal alone keeps it. After each day it goes on by less than a minute, until all of it is
settled, and no write is ever late. What a rebuild comes to is told beside what the live projections say.
Rules of this file: a line for whatever the campaign must know, at once: it kills by them. Called by
history.py.
"""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tailrace import App
from tailrace.cli.demo import flights_directory, load
from tailrace.cli.main import keep_little
from tailrace.clocks.manual import ManualClock
from tailrace.compose import EngineOptions, running_worker
from tailrace.engine.engine import Engine
from tailrace.engine.state import state_of
from tailrace.projections.run.state_store import StateProjectionStore
from tailrace.projections.views.projections import projections
from tailrace.runtime.watermark import MappingName, oldest_of
from tailrace.sources.embedded_log import EmbeddedLog
from tailrace.tables.mutate import Put
from tests.year.delivery import attributes, source_rows, tell
from tests.year.places import TABLE

APP: Final = "year-history"
AIRLINES: Final = "airlines"
STATUSES: Final = "statuses"
MINUTE_MS: Final = 60_000
DAY: Final = 24 * 60
HASTE_MS: Final = 4_000
"""So long time goes on fast after a day, and then slowly: a worker has to keep up within a minute."""
LATE: Final = 60


@dataclass
class Airline:
    """What the control program counts of a carrier."""

    scheduled: int = 0
    departed: int = 0
    cancelled: int = 0
    arrived: int = 0
    diverted: int = 0
    unreported: int = 0
    departure_delay: int = 0
    arrival_delay: int = 0
    late: int = 0


def app_of(place: str, versions: Sequence[int] = ()) -> App:
    """The flights, their journal, and these versions of both projections."""
    app = App(APP)
    flights = app.table(TABLE, pk="id")
    app.archive(flights, place)
    for version in versions:
        declared: dict[str, Any] = {"version": version, "batch_size": 1_000}

        @app.projection(flights, by="carrier", id=AIRLINES, **declared)
        def airlines(airline: Airline, flight: dict[str, Any], sign: int) -> Airline:
            status, departure = flight["status"], flight.get("departure_delay")
            left = departure is not None
            return Airline(
                airline.scheduled + sign,
                airline.departed + sign * left,
                airline.cancelled + sign * (status == "cancelled"),
                airline.arrived + sign * (status == "arrived"),
                airline.diverted + sign * (status == "diverted"),
                airline.unreported + sign * (status == "unreported"),
                airline.departure_delay + sign * int(departure or 0),
                airline.arrival_delay + sign * int(flight.get("arrival_delay") or 0),
                airline.late + sign * (left and departure > LATE),
            )

        @app.projection(flights, by="status", id=STATUSES, history=True, **declared)
        def statuses(count: int, flight: dict[str, Any], sign: int) -> int:
            return count + (sign > 0)

    return app


def days_of(writes: Sequence[Any]) -> Iterator[list[Any]]:
    """The writes of each day."""
    day: list[Any] = []
    for write in writes:
        if day and write.instant // DAY != day[-1].instant // DAY:
            yield day
            day = []
        day.append(write)
    if day:
        yield day


def first_days(rows: Sequence[dict[str, str]], days: int) -> list[dict[str, str]]:
    """The flights of the first days that there are."""
    dates = dict.fromkeys((row["month"], row["day"]) for row in rows)
    wanted = set(list(dates)[:days])
    return [row for row in rows if (row["month"], row["day"]) in wanted]


async def live(directory: Path, place: str, rows: Sequence[dict[str, str]]) -> None:
    """Live through the days of these flights."""
    replay: Any = load(flights_directory() / "replay.py")
    writes: Sequence[Any] = replay.replay(rows)
    items: dict[str, dict[str, Any]] = {}
    app, begin_ms = app_of(place, [1]), (writes[0].instant - 60) * MINUTE_MS
    options = EngineOptions(directory, clock="manual", clock_start_ms=begin_ms)
    async with running_worker(app, options) as engine:
        done = 0
        await settled(engine, app)
        for day in days_of(writes):
            for write in day:
                put(engine, items, write)
            engine.committer.flush()
            await settled(engine, app)
            for _ in engine.housekeeping():  # as a server does: what has passed its day is removed
                pass
            engine.committer.flush()
            done += len(day)
            tell("lived", done)
    tell("written", len(writes))


def put(engine: Engine, items: dict[str, dict[str, Any]], write: Any) -> None:
    """Write at its minute."""
    clock = clock_of(engine)
    late_ms = clock.now().wall_ms - write.instant * MINUTE_MS
    assert late_ms < MINUTE_MS, f"the worker was {late_ms} ms late"
    if late_ms < 0:
        clock.advance(-late_ms)
    item = {"id": {"S": write.flight}} if write.is_first else items.pop(write.flight)
    items[write.flight] = item = {**item, **attributes(write.changes)}
    engine.put(Put(TABLE, item))


async def settled(engine: Engine, app: App) -> None:
    """Wait until every mapping has all of it; time goes on by less than a minute."""
    clock, state, log = clock_of(engine), state_of(engine), EmbeddedLog(engine)
    names = [MappingName(APP, mapping.id, TABLE) for mapping in app.mappings]
    begun_ms = clock.now().wall_ms
    while True:
        is_fast = clock.now().wall_ms - begun_ms < HASTE_MS
        clock.advance(200 if is_fast else 20)
        await asyncio.sleep(0.005 if is_fast else 0.1)
        if not is_fast and all([await oldest_of(state, log, name) is None for name in names]):
            return


def clock_of(engine: Engine) -> ManualClock:
    """The clock that stands still."""
    clock = engine.clock
    assert isinstance(clock, ManualClock)
    return clock


async def rebuild(directory: Path, place: str, begin_ms: int) -> None:
    """Build a second version of both projections from the journal, beside the live ones; tell what both say
    when it is served.
    """
    app = app_of(place, [1, 2])
    options = EngineOptions(directory, clock="manual", clock_start_ms=begin_ms)
    async with running_worker(app, options) as engine:
        clock, state = clock_of(engine), state_of(engine)
        tell("begun")
        while True:
            clock.advance(200)
            await asyncio.sleep(0.02)
            views = {view.id: view for view in await projections(state)}
            builds = [build for view in views.values() for build in view.builds if build.version == 2]
            for build in builds:
                if not build.is_filled:
                    tell("filling", build.projection, build.filled, build.total)
            if len(views) == 2 and all(view.served == "2" for view in views.values()):
                break
        for name in views:
            sources = {build.source for build in views[name].builds if build.version == 2}
            said = {
                version: {
                    row.key: [row.count, row.state]
                    for row in await StateProjectionStore(state, APP, f"{name}@v{version}").groups()
                    if row.count
                }
                for version in ("1", "2")
            }
            tell("said", name, json.dumps({"from": sorted(sources), **said}))
    tell("rebuilt")


def main() -> int:
    """Do one part."""
    parser = argparse.ArgumentParser(prog="python -m tests.year.living", description=__doc__)
    parser.add_argument("part", choices=["live", "rebuild"])
    parser.add_argument("directory", type=Path)
    parser.add_argument("place")
    parser.add_argument("--week", action="store_true")
    parser.add_argument("--days", type=int, default=366)
    parser.add_argument("--begin-ms", type=int, default=0)
    asked = parser.parse_args()
    logging.disable(logging.ERROR)
    keep_little()
    if asked.part == "live":
        rows = first_days(source_rows(asked.week), asked.days)
        asyncio.run(live(asked.directory, asked.place, rows))
    else:
        asyncio.run(rebuild(asked.directory, asked.place, asked.begin_ms))
    return 0


if __name__ == "__main__":
    sys.exit(main())
