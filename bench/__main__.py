"""`python -m bench`: measure, print the table, write JSON. A benchmark, never a test.

Rules of this file: a figure below 80 % of its target is marked MISSED; a figure that could not be measured
says why and the others go on. Quote ratios from one run: the limit beside a figure was measured minutes
before it.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import (
    aws_figures,
    checksum_figures,
    concurrency_figures,
    delivery_figures,
    fan_out_figures,
    fleet_figures,
    http_figures,
    journal_figures,
    kinesis_figures,
    lake_figures,
    peers,
    plan_figures,
    process_figures,
    sql_figures,
    stall_figures,
    state_figures,
    typed_figures,
)
from bench.targets import TARGETS, Target, is_missed, ratio
from tailrace.cli.main import keep_little

Figures = Iterator[tuple[str, float]]
console = Console(stderr=True)


def groups(quick: bool) -> dict[str, Callable[[], Figures]]:
    """Every group of figures by name."""
    seconds = 3.0 if quick else 9.0
    return {
        "limit": lambda: http_figures.limit_figures(seconds),
        "operations": lambda: http_figures.basic_figures(seconds),
        "full": lambda: http_figures.full_sync_figures(seconds),
        "stall": stall_figures.figures,
        "checksums": lambda: checksum_figures.figures(quick),
        "streams": http_figures.stream_figures,
        "start": lambda: process_figures.start_figures(3 if quick else 7),
        "world": lambda: process_figures.world_figures(5 if quick else 25),
        "import": lambda: process_figures.import_figures(5 if quick else 15),
        "delivery": lambda: delivery_figures.figures(quick),
        "concurrency": lambda: concurrency_figures.figures(quick),
        "kinesis": lambda: kinesis_figures.figures(quick),
        "fan-out": lambda: fan_out_figures.figures(quick),
        "fleet": lambda: fleet_figures.figures(quick),
        "aws": lambda: aws_figures.figures(quick),
        "state": lambda: state_figures.figures(quick),
        "lake": lambda: lake_figures.figures(quick),
        "journal": lambda: journal_figures.figures(quick),
        "analytics": lambda: sql_figures.figures(quick),
        "plan": lambda: plan_figures.figures(quick),
        "types": lambda: typed_figures.figures(quick),
        "simulation": lambda: delivery_figures.simulation_figures(quick),
        "tables": lambda: http_figures.table_figures(100 if quick else 1_000),
        "growth": lambda: http_figures.growth_figures(100_000 if quick else 1_000_000),
    }


def measure(chosen: dict[str, Callable[[], Figures]]) -> dict[str, float]:
    """Run the groups one after another and say what is going on."""
    figures: dict[str, float] = {}
    for name, group in chosen.items():
        begun = time.perf_counter()
        try:
            for figure, value in group():
                figures[figure] = value
                console.print(f"  {figure}: {value:,.2f}", highlight=False)
        # A figure that cannot be measured must not cost the others.
        except Exception as error:
            console.print(f"[red]{name} could not be measured:[/] {error}", highlight=False)
        console.print(f"[dim]{name} took {time.perf_counter() - begun:.0f} s[/]", highlight=False)
    return figures


def table(figures: dict[str, float], beside: dict[str, dict[str, float]]) -> Table:
    """Figures, targets, limits and peers."""
    result = Table(
        "figure", "measured", "target", "of target", "limit", "of limit", *beside, title="tailrace"
    )
    for target in TARGETS:
        if target.name in figures:
            result.add_row(
                *_row(target, figures), *(_number(peer.get(target.name)) for peer in beside.values())
            )
    return result


def _row(target: Target, figures: dict[str, float]) -> list[str]:
    value = figures[target.name]
    limit = figures.get(target.limit or "")
    reached = ratio(target, value)
    missed = " [red]MISSED[/]" if is_missed(target, value) else ""
    return [
        target.name,
        f"{_number(value)} {target.unit}",
        _number(target.target),
        "" if reached is None else f"{reached:.0%}{missed}",
        _number(limit),
        "" if limit is None else f"{value / limit:.0%}",
    ]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter runs and a smaller table, for a look")
    parser.add_argument("--only", action="append", metavar="GROUP", help=f"one of: {', '.join(groups(True))}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--peers", action="store_true", help="also measure moto_server and dynalite, where installed"
    )
    parser.add_argument(
        "--peer-url", action="append", default=[], metavar="NAME=PORT", help="another server on loopback"
    )
    arguments = parser.parse_args()
    keep_little()  # as in a worker's process
    available = groups(arguments.quick)
    for name in arguments.only or ():
        if name not in available:
            parser.error(f"no group {name!r}; there are: {', '.join(available)}")
    figures = measure({name: available[name] for name in arguments.only or available})
    beside = peers.figures(arguments.peer_url, console, installed=arguments.peers)
    Console(width=160).print(table(figures, beside))
    summary = {
        "figures": figures,
        "peers": beside,
        "missed": [t.name for t in TARGETS if t.name in figures and is_missed(t, figures[t.name])],
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(summary, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
