"""`python -m tests.evacuation --keys N`: what waits longer than a day, at scale: saved from the trim by
processes that are killed meanwhile, then handled.

Rules of this file: real processes on a data directory, time is a manual clock's. The parent kills whichever
process copies, between a copy and whatever follows it; at the end every change was handled once and in the
order of its item, no gap is told, and no process grew with what was saved. Called by `make evacuate`.
"""

import argparse
import asyncio
import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tailrace import App, Change, Unavailable
from tailrace.compose import EngineOptions, running_worker
from tailrace.engine.engine import Engine
from tailrace.engine.state import state_of
from tailrace.rows.kinds import EVACUATED, EVACUATION
from tailrace.runtime.watermark import MappingName, oldest_of
from tailrace.server.remembered import recall_time, remember_time
from tailrace.sources.embedded_log import EmbeddedLog
from tailrace.tables.mutate import Put
from tailrace.views.at_once import at_once
from tailrace.views.gaps import gaps
from tests.evidence import write_evidence

VERSIONS = 2
GROUP = 500
"""Writes in one commit."""
KILLS = 3
LOOKS = 20
"""So many looks without a further copy ask for a count."""
MOST_GROWTH_MIB = 150
"""What a process may grow by while it saves or handles: pages, buffers, SQLite's caches;
not what is saved.
"""
MAPPING = MappingName("scale", "note", "orders")
HOUR_MS = 3_600_000


class Scale:
    """The app, and what its handler saw: the next version of each key."""

    def __init__(self, keys: int, *, is_away: bool) -> None:
        self.app = App("scale")
        self.orders = self.app.table("orders", pk="id")
        self.next = bytearray(keys)
        self.handled = self.wrong = 0

        @self.app.on(self.orders, id="note")
        async def note(change: Change) -> None:
            if is_away:
                raise Unavailable
            key, number = int(str(change.keys["id"])), int(change.new["n"])  # type: ignore[index]
            self.wrong += self.next[key] != number
            self.next[key] = number + 1
            self.handled += 1


def rss_mib() -> float:
    """The most that this process has ever had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def waiting(engine: Engine) -> bool:
    """Whether something is not settled."""
    return at_once(oldest_of(state_of(engine), EmbeddedLog(engine), MAPPING)) is not None


def saved(engine: Engine) -> int:
    """How many changes are saved."""
    return engine.state.count(EVACUATED.prefix("scale"))


async def stage(name: str, directory: Path, keys: int) -> None:
    """What one process does."""
    scale = Scale(keys, is_away=name != "handle")
    async with running_worker(scale.app, EngineOptions(directory, clock="manual")) as engine:
        at_once(recall_time(state_of(engine), engine.clock))
        begun = rss_mib()
        if name == "write":
            await write(engine, keys)
        elif name == "save":
            await save(engine, keys)
        else:
            await handle(engine, scale, keys)
        at_once(remember_time(state_of(engine), engine.clock))
        engine.committer.flush()
        print(f"grew {rss_mib() - begun:.1f}", flush=True)


async def write(engine: Engine, keys: int) -> None:
    """Every key in every version."""
    for version in range(VERSIONS):
        for key in range(keys):
            engine.put(Put("orders", {"id": {"S": str(key)}, "n": {"N": str(version)}}))
            if key % GROUP == GROUP - 1:
                engine.committer.flush()
                await asyncio.sleep(0)
    engine.committer.flush()
    engine.clock.advance(22 * HOUR_MS + HOUR_MS // 2)  # type: ignore[attr-defined]


async def save(engine: Engine, keys: int) -> None:
    """Let the rounds come until all of it is saved, then a day pass."""
    still, through = 0, 0
    while still < LOOKS or saved(engine) < VERSIONS * keys:
        engine.clock.advance(1_000)  # type: ignore[attr-defined]
        now = max(
            (row.fields["through"] for row in engine.state.query(EVACUATION.prefix("scale"))), default=0
        )
        still, through = still + 1 if now == through else 0, now  # counting millions of rows takes a second
        print(f"saved {through}", flush=True)
        await asyncio.sleep(0.2)
    engine.clock.advance(30 * HOUR_MS)  # type: ignore[attr-defined]


async def handle(engine: Engine, scale: Scale, keys: int) -> None:
    """Handle everything, and forget what was saved."""
    while scale.handled < VERSIONS * keys or waiting(engine):
        engine.clock.advance(1_000)  # type: ignore[attr-defined]
        await asyncio.sleep(0.02)
    while engine.state.query(EVACUATED.prefix("scale"), limit=1):
        engine.clock.advance(60_000)  # type: ignore[attr-defined]
        await asyncio.sleep(0.05)
    left = len(engine.state.query(EVACUATED.prefix("scale"), limit=10))
    print(
        f"handled {scale.handled} wrong {scale.wrong} gaps "
        f"{len(at_once(gaps(state_of(engine), MAPPING)))} left {left}",
        flush=True,
    )


def child(name: str, directory: Path, keys: int, kills: int = 0) -> list[str]:
    """Run a stage in processes of its own, `kills` of them killed while they save. Returns: the lines
    of the last one.
    """
    command = [
        sys.executable,
        "-m",
        "tests.evacuation",
        "--keys",
        str(keys),
        "--stage",
        name,
        "--directory",
        str(directory),
    ]
    while True:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line.strip())
            if kills and line.startswith("saved ") and line.strip() != "saved 0":
                os.kill(process.pid, signal.SIGKILL)
                break
        process.communicate()
        if not kills:
            assert process.returncode == 0, lines[-3:]
            return lines
        kills -= 1


def main() -> int:
    """1 when something does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.evacuation", description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if asked.stage:
        asyncio.run(stage(asked.stage, asked.directory, asked.keys))
        return 0
    with tempfile.TemporaryDirectory() as directory:
        grown = {}
        for name, kills in (("write", 0), ("save", KILLS), ("handle", 0)):
            print(f"{name}: {VERSIONS * asked.keys:,} changes of {asked.keys:,} items", flush=True)
            lines = child(name, Path(directory) / "data", asked.keys, kills)
            grown[name] = float(lines[-1].removeprefix("grew "))
            print(f"  {lines[-2] if len(lines) > 1 else ''} grew by {grown[name]:.0f} MiB", flush=True)
    expected = f"handled {VERSIONS * asked.keys} wrong 0 gaps 0 left 0"
    is_flat = max(grown["save"], grown["handle"]) <= MOST_GROWTH_MIB
    holds = lines[-2] == expected and is_flat
    if asked.keys >= 100_000:
        write_evidence(
            "evacuation",
            {"keys": asked.keys, "kills": KILLS, "result": lines[-2], "grew_mib": grown, "holds": holds},
        )
    print(
        "evacuation: holds"
        if holds
        else f"evacuation: DOES NOT HOLD ({expected}; at most {MOST_GROWTH_MIB} MiB)"
    )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
