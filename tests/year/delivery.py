"""`python -m tests.year.delivery write|deliver …`: the processes of the campaign. One writes every change of
the replay through the engine; others deliver them to places, with a worker as `tailrace dev` has it.

Rules of this file: a line for whatever the campaign must know, at once: it kills by them. Called by
campaign.py.
"""

import argparse
import asyncio
import logging
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tailrace import App
from tailrace.cli.demo import flights_directory, load
from tailrace.cli.main import keep_little
from tailrace.compose import EngineOptions, create_tables, open_engine, running_worker
from tailrace.engine.engine import Engine
from tailrace.engine.state import state_of
from tailrace.ports import Outcome, RecordBatch, TargetPosition
from tailrace.runtime.watermark import MappingName, oldest_of
from tailrace.sources.embedded_log import EmbeddedLog
from tailrace.tables.mutate import Put
from tests.patience import BETWEEN_LOOKS_S
from tests.year.places import KINDS, TABLE, place_of

GROUP: Final = 500
"""Writes in one commit."""
MIB: Final = 1 << 20


def source_rows(is_week: bool) -> list[dict[str, str]]:
    """The lines of the data: the bundled week, or the year. Raises: YearNotInstalled."""
    replay: Any = load(flights_directory() / "replay.py")
    rows: list[dict[str, str]] = replay.week_rows() if is_week else replay.year_rows(replay.year_path())
    return rows


def write(directory: Path, is_week: bool) -> int:
    """Write the flights as an airline's operations would. Returns: how many changes that were."""
    replay: Any = load(flights_directory() / "replay.py")
    app = App(app_of(()))
    app.table(TABLE, pk="id")
    engine = open_engine(EngineOptions(directory))
    create_tables(app, engine)
    items: dict[str, dict[str, Any]] = {}
    writes: Sequence[Any] = replay.replay(source_rows(is_week))
    for number, one in enumerate(writes, 1):
        item = {"id": {"S": one.flight}} if one.is_first else items.pop(one.flight)
        items[one.flight] = item = {**item, **attributes(one.changes)}
        engine.put(Put(TABLE, item))
        if number % GROUP == 0:
            engine.committer.flush()
    engine.committer.flush()
    engine.close()
    return len(writes)


def attributes(changes: Mapping[str, str | int]) -> dict[str, Any]:
    """What a write sets, as DynamoDB has it.

    >>> attributes({"status": "arrived", "arrival_delay": -3})
    {'status': {'S': 'arrived'}, 'arrival_delay': {'N': '-3'}}
    """
    return {
        name: {"N": str(value)} if isinstance(value, int) else {"S": value} for name, value in changes.items()
    }


async def deliver(directory: Path, places: Mapping[str, str], batch_size: int) -> None:
    """Deliver until each place has every change."""
    app = App(app_of(places))
    flights = app.table(TABLE, pk="id")
    for kind, where in places.items():
        app.sink(flights, told(kind, where), id=kind, batch_size=batch_size)
    async with running_worker(app, EngineOptions(directory)) as engine:
        while not await is_settled(engine, places):
            await asyncio.sleep(BETWEEN_LOOKS_S)


async def is_settled(engine: Engine, places: Mapping[str, str]) -> bool:
    """Whether nothing waits for any place."""
    state, log = state_of(engine), EmbeddedLog(engine)
    return all(
        [await oldest_of(state, log, MappingName(app_of(places), kind, TABLE)) is None for kind in places]
    )


def app_of(places: Iterable[str]) -> str:
    """The application of these places: each set of them is another one, that knows nothing of the others.

    >>> app_of(["lake", "log"])
    'year-lake-log'
    """
    return "-".join(["year", *places])


class Told:
    """Tells when it begins a commit, and when it is done: of how many changes, in which time and memory."""

    kind = ""

    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        """As the sink."""
        tell("begun", self.kind, len(batch.records))
        begun = time.perf_counter()
        outcome: Outcome = await super().commit(batch, position)  # type: ignore[misc]
        tell("committed", self.kind, len(batch.records), time.perf_counter() - begun, resident_mib())
        return outcome


def told(kind: str, where: str) -> Any:
    """The sink of a place, which tells its commits."""
    place = place_of(kind, where)
    return type("ToldSink", (Told, place.form), {"kind": kind})(*place.arguments)


def tell(*words: object) -> None:
    """One line to the campaign."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def resident_mib() -> float:
    """What this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def main() -> int:
    """Do one part."""
    parser = argparse.ArgumentParser(prog="python -m tests.year.delivery", description=__doc__)
    parser.add_argument("part", choices=["write", "deliver"])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--week", action="store_true")
    parser.add_argument("--batch-size", type=int, default=10_000)
    for kind in KINDS:
        parser.add_argument(f"--{kind}", metavar="PLACE")
    asked = parser.parse_args()
    logging.disable(logging.ERROR)
    keep_little()
    if asked.part == "write":
        tell("written", write(asked.directory, asked.week))
    else:
        places = {kind: getattr(asked, kind) for kind in KINDS if getattr(asked, kind)}
        asyncio.run(deliver(asked.directory, places, asked.batch_size))
    return 0


if __name__ == "__main__":
    sys.exit(main())
