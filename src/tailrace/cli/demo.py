"""`tailrace demo`: the main job, on every flight that left New York in a week (or the year) of 2013.

Rules of this file: options alone, and where the example lies; what runs, and every word and picture of it,
is `examples/flights/demo`. Registered in `main`.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import click

import tailrace
from tailrace.cli import options
from tailrace.cli.failures import CommandFailure

DEMO: Final = "flights_demo"
"""What the example's package is called once it is loaded."""


@click.command()
@click.option(
    "--all", "whole_year", is_flag=True, help="The whole year: 336,776 flights, about a million writes."
)
@click.option("--kill", is_flag=True, help="Kill the server and worker at every named point while it works.")
@click.option(
    "--fleet",
    type=click.IntRange(2, 16),
    metavar="WORKERS",
    help="Run the handlers in so many `tailrace worker`s; some are killed, and others come.",
)
@click.option(
    "--kinesis",
    is_flag=True,
    help="Changes come to the handlers over a Kinesis data stream, some late and some twice, as at AWS.",
)
@click.option(
    "--seed", type=int, default=2013, show_default=True, help="Decides the kills, and what is late or twice."
)
@click.option(
    "--sample", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Another week.csv.gz."
)
@click.option(
    "--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep data and logs in this directory."
)
@options.options(options.as_json)
def demo(
    whole_year: bool,
    kill: bool,
    fleet: int | None,
    kinesis: bool,
    seed: int,
    sample: Path | None,
    keep: Path | None,
    as_json: bool,
) -> int:
    """Watch the main job run on real flights.

    A week of departures from New York is written to a table as an airline would write it. Handlers keep, from
    the stream of changes alone, statistics by carrier and by airport, and alerts for what leaves over an hour
    late. At the end the figures stand beside control figures, counted straight from the data by a program
    without Tailrace, and so do the answers to three questions to a DuckDB table that follows the flights.

    \b
    Example: tailrace demo
             tailrace demo --kill --seed 7     at least 20 hard kills on the way; the figures still agree
             tailrace demo --fleet 3           three workers in processes of their own, killed and replaced
             tailrace demo --kinesis           over a data stream, with records late and twice
             tailrace demo --all               the year; `make year` fetches it
    Next:    tailrace dev app.py               your own handlers
    """
    if kill and fleet is not None:
        raise click.UsageError("--fleet kills workers by itself: leave --kill out")
    if kinesis and (kill or whole_year or fleet is not None):
        raise click.UsageError(
            "--kinesis is of the week, in one process: leave --kill, --fleet and --all out"
        )
    files = flights_directory()
    if fleet is not None:
        return int(
            loaded("fleet_words").watch(
                files, load(files / "replay.py"), fleet, whole_year, seed, sample, keep, as_json
            )
        )
    code: int = loaded("showing").watch(
        files,
        load(files / "replay.py"),
        whole_year,
        seed if kill else None,
        sample,
        keep,
        as_json,
        seed if kinesis else None,
    )
    return code


def flights_directory() -> Path:
    """`examples/flights`, in a checkout or inside the installed package. Raises: CommandFailure."""
    package = Path(tailrace.__file__).parent
    for place in (package / "examples" / "flights", package.parents[1] / "examples" / "flights"):
        if (place / "replay.py").is_file():
            return place
    raise CommandFailure(
        "The flights of the demo are not installed.", hint="pip install --force-reinstall . (in the checkout)"
    )


def load(path: Path, name: str = "") -> ModuleType:
    """A program of the example as a module, or a package by its `__init__.py`."""
    spec = importlib.util.spec_from_file_location(name or f"flights_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def loaded(name: str) -> Any:
    """A module of the example's own package."""
    if DEMO not in sys.modules:
        load(flights_directory() / "demo" / "__init__.py", DEMO)
    return importlib.import_module(f"{DEMO}.{name}")
