"""What one sees of `tailrace demo --fleet`: who was killed, who took over, and whether both sides agree.

Rules of this file: words; what runs is `fleet_run`. The last line begins with `agree:` or `disagree:`, and
the exit code says the same. Called by the command.
"""

import asyncio
import functools
import json
import os
import signal
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from tailrace.cli.durations import format_instant
from tailrace.cli.failures import FAILURE, CommandFailure

from . import comparing
from .fleet import LEASE_S, STATE, DemoFleet
from .fleet_run import KILLS_A_WORKER, FleetProgress, FleetRun, WorkerKill
from .showing import PLANT, TERMINATED, make_console, plant, read_data, verdict_words, working_directory


def watch(
    files: Path,
    program: Any,
    size: int,
    whole_year: bool,
    seed: int,
    sample: Path | None,
    keep: Path | None,
    as_json: bool,
) -> int:
    """Run it. Returns: the exit code. Shape: `files` is the example, `program` its replay. Raises:
    CommandFailure.
    """
    if find_spec("aiohttp") is None or find_spec("botocore") is None:
        raise CommandFailure(
            "Workers need the extra `aws`.", hint="pip install '.[aws]' in the checkout, and start again"
        )
    console = make_console(quiet=as_json)
    data, rows = read_data(program, files, sample, whole_year)
    writes = program.replay(rows)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(TERMINATED))
    with working_directory(keep) as directory:
        fleet = DemoFleet(directory, files / "app.py", size)
        introduce(console, fleet, rows, writes, seed)
        run = FleetRun(fleet, writes, seed)
        run.on_progress = Lines(console).tell
        kept = comparing.kept_figures(*asyncio.run(until_terminated(run)))
    if os.environ.get(PLANT):
        plant(kept)
    control = comparing.control_figures(files / "control.py", data)
    return conclude(console, kept, control, run.progress, as_json)


async def until_terminated(run: FleetRun) -> tuple[list[Any], list[Any]]:
    """The run, which SIGTERM ends between two steps: one that came while a worker is started would leave a
    process that is not known yet. Raises: SystemExit.
    """
    task, is_terminated = asyncio.current_task(), asyncio.Event()
    assert task is not None

    def terminate() -> None:
        is_terminated.set()
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
    try:
        return await run.run()
    except asyncio.CancelledError:
        if is_terminated.is_set():
            sys.exit(TERMINATED)
        raise


def introduce(console: Console, fleet: DemoFleet, rows: list[Any], writes: list[Any], seed: int) -> None:
    """Say what is about to happen."""
    say = functools.partial(console.print, soft_wrap=True)
    first, last = (format_instant(write.instant * 60_000)[:10] for write in (writes[0], writes[-1]))
    say(f"· data: {len(rows):,} flights from New York, {first} to {last} (U.S. Department of Transportation)")
    say(f"· writes: {len(writes):,}; each makes one change record, which two handlers see")
    say(f"· AWS: `tailrace serve` on a free port, the flights' stream in {fleet.shards} shards")
    say(
        f"· fleet: {fleet.size} × `tailrace worker examples/flights/app.py --state dynamodb:{STATE} --lease "
        f"{LEASE_S}s`"
    )
    say(f"· kills: {KILLS_A_WORKER * fleet.size} by SIGKILL, seed {seed}; another worker comes for each")


class Lines:
    """A line for each day of the flights and for each kill, as soon as it is known who took over."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._day = ""
        self._told = 0

    def tell(self, progress: FleetProgress) -> None:
        """Show where it is."""
        day = format_instant(progress.now_ms)[:10]
        if day != self._day and progress.written:
            self._day = day
            rate = progress.settled / 2 / progress.seconds if progress.seconds else 0.0
            self._console.print(
                f"  {day}: {progress.flights:,} flights, {progress.written:,} writes, {rate:,.0f} changes/s",
                soft_wrap=True,
            )
        for number, kill in enumerate(progress.kills[self._told :], self._told + 1):
            self._console.print(line(number, kill), soft_wrap=True)
        self._told = len(progress.kills)


def line(number: int, kill: WorkerKill) -> str:
    """One kill, for people."""
    heirs = ", ".join(f"worker {heir} ({count})" for heir, count in kill.heirs.items())
    return (
        f"kill {number:>2}  worker {kill.victim} with {len(kill.shards)} shards, after {kill.written:>6,} "
        f"writes; taken over by {heirs} in {kill.seconds:.1f} s; worker {kill.successor} came"
    )


def conclude(
    console: Console,
    kept: comparing.Result,
    control: comparing.Result,
    progress: FleetProgress,
    as_json: bool,
) -> int:
    """Both sides, then the verdict as the last line; the exit code."""
    different = comparing.differences(kept, control)
    if as_json:
        click.echo(json.dumps(report(kept, control, progress, different)))
        return FAILURE if different else 0
    console.print("· figures: kept by the handlers from the stream, and below each, counted from the data")
    console.print(comparing.table_of(kept, control))
    for difference in different[:20]:
        console.print(f"  {difference}", style="red")
    console.print(
        f"· {progress.written:,} writes in {progress.seconds:.1f} s, {progress.settled:,} changes settled; "
        f"handlers were called {progress.calls:,} times, {progress.repeated:,} of them again: what they "
        "wrote counts once",
        soft_wrap=True,
    )
    click.echo(verdict(control, progress, different))
    return FAILURE if different else 0


def verdict(control: comparing.Result, progress: FleetProgress, different: list[str]) -> str:
    """The last line."""
    return verdict_words(control, different, f", through {len(progress.kills)} kills of workers")


def report(
    kept: comparing.Result, control: comparing.Result, progress: FleetProgress, different: list[str]
) -> Mapping[str, object]:
    """Everything, for --json."""
    return {
        "agree": not different,
        "differences": different,
        "flights": control.total("scheduled"),
        "writes": progress.written,
        "seconds": round(progress.seconds, 3),
        "settled": progress.settled,
        "calls": progress.calls,
        "repeated_calls": progress.repeated,
        "alerts": len(kept.alerts),
        "statistics": {"kept": kept.statistics, "control": control.statistics},
        "kills": [kill.as_json() for kill in progress.kills],
    }
