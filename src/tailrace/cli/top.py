"""`tailrace top`: a fleet or a node, live in the terminal.

Rules of this file: options, drawing and keys; what is shown are two answers of the `top` verb and what lies
between them (views/fleet.py), and the workers' own metrics where they are given. On a terminal it redraws
until q or Ctrl-C; elsewhere, or with --once, it says it once. Registered in `main`.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from tailrace.cli import options
from tailrace.cli.changes import counted, printable
from tailrace.cli.connection import answers
from tailrace.cli.durations import duration, format_duration, format_instant
from tailrace.cli.place import Place, StateAt
from tailrace.cli.scraping import WorkerMetrics, scraped
from tailrace.cli.screen import screen
from tailrace.cli.top_cost import costs

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

PLAIN_WIDTH: Final = 1_000
"""Nothing is cut where no terminal is."""
NAMES: Final = ("HANDLER", "TABLE", "WORKER", "SHARD", "HOT KEY", "CALL")
LEAST_ROWS: Final = 3
OVERHEAD: Final = 14
"""Lines of a screen that are headings and totals."""


@click.command()
@click.option("--once", is_flag=True, help="Look twice, say what lies between, and end.")
@click.option(
    "--every",
    callback=duration,
    metavar="DURATION",
    help="How often to look: 2s of a node, 5s of a fleet, where each look reads every shard.",
)
@click.option(
    "--metrics",
    "urls",
    multiple=True,
    metavar="URL",
    help="A worker's /metrics, for its calls of AWS: http://host:8181/metrics. Repeatable.",
)
@options.options(*options.place_or_fleet, options.as_json)
def top(once: bool, every: int | None, urls: tuple[str, ...], place: Place, as_json: bool) -> None:
    """Watch workers, shards, lag, hot keys, calls and what they cost, live. q or Ctrl-C ends it.

    Writes of the state are counted from its rows, whichever worker made them; calls of AWS by the workers
    whose --metrics are given. Costs are AWS's list prices (docs/reference/prices.md), by the month at this
    rate.

    \b
    Example: tailrace top
             tailrace top --state dynamodb:shop-state --app app.py
             tailrace top --once --json
    Next:    tailrace status
    """
    every_ms = every or (5_000 if isinstance(place, StateAt) else 2_000)
    is_live = sys.stdout.isatty() and not (once or as_json)
    looks = _looks(place, every_ms, urls)
    if is_live:
        _watch(looks, place)
        return
    for _, look in looks if not as_json or not once else [next(looks)]:
        click.echo(json.dumps(look) if as_json else "\n".join(lines(look)))
        if once or not as_json:
            return


def _looks(place: Place, every_ms: int, urls: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """One look after the other, each with what lies between it and the one before."""
    from tailrace.views.fleet import between

    frames = answers(place, "top", {"every_ms": every_ms}, endless=True)
    measured = ((frame, scraped(urls)) for frame in frames)
    for number, ((before, was), (after, now)) in enumerate(pairwise(measured)):
        rates = between(before, after)
        shown = {name: value for name, value in after.items() if name not in ("writes", "monotonic_ms")}
        is_dynamodb = isinstance(place, StateAt) and place.state.startswith("dynamodb:")
        calls = costs(rates["writes"], _calls(was, now, rates["seconds"]), is_dynamodb=is_dynamodb)
        yield number, {**shown, "rates": {**rates, "calls": [call.value() for call in calls]}}


def _calls(was: WorkerMetrics, now: WorkerMetrics, seconds: float) -> dict[tuple[str, str], float] | None:
    """Calls a second of the workers that were asked, by service and operation; None: none was asked."""
    if now.asked == 0:
        return None
    return {call: max(0.0, count - was.calls.get(call, count)) / seconds for call, count in now.calls.items()}


# ---- in words ----------------------------------------------------------------------------------------------


def lines(look: Mapping[str, Any]) -> Iterator[str]:
    """A look as plain lines."""
    from rich.console import Console

    console = Console(width=PLAIN_WIDTH, no_color=True, highlight=False)
    with console.capture() as capture:
        for part in parts(look, rows=1_000):
            console.print(part)
    yield from (line.rstrip() for line in capture.get().splitlines())


def parts(look: Mapping[str, Any], rows: int) -> list["RenderableType"]:
    """A look as tables, of at most so many rows each."""
    return [
        _heading(look),
        _table(
            ("HANDLER", "TABLE", "STATE", "LAG", "CHANGES/S", "SHARDS", "WAITING", "PARKED", "GAPS"),
            [_handler(handler, look["rates"]["settled"]) for handler in look["handlers"]],
            rows,
        ),
        _table(
            ("WORKER", "SHARDS", "LAG"),
            [
                (printable(worker["worker"]), str(worker["leases"]), format_duration(worker["lag_ms"]))
                for worker in look["workers"]
            ],
            rows,
        ),
        _table(
            ("SHARD", "TABLE", "LAG", "WORKER"),
            [
                (
                    printable(shard["shard"]),
                    printable(shard["table"]),
                    format_duration(shard["lag_ms"]),
                    printable(shard["owner"] or "-"),
                )
                for shard in look["shards"]
                if not shard["finished"]
            ],
            rows,
        ),
        _table(
            ("HOT KEY", "HANDLER", "WAITING"),
            [
                (
                    f"{printable(hot['table'])}/{printable(hot['key'])}",
                    printable(hot["handler"]),
                    str(hot["changes"]),
                )
                for hot in look["hot_keys"]
            ],
            rows,
        ),
        _table(
            ("CALL", "A SECOND", "USD A MONTH"),
            [
                (
                    call["call"],
                    f"{call['per_second']:.2f}",
                    "-" if call["usd_per_month"] is None else f"{call['usd_per_month']:,.2f}",
                )
                for call in look["rates"]["calls"]
            ],
            rows,
        ),
    ]


def _heading(look: Mapping[str, Any]) -> str:
    reading = [shard for shard in look["shards"] if not shard["finished"]]
    lag_ms = max((handler["lag_ms"] for handler in look["handlers"]), default=0)
    usd = [call["usd_per_month"] for call in look["rates"]["calls"] if call["usd_per_month"] is not None]
    cost = f" · {sum(usd):,.2f} USD a month" if usd else ""
    workers, shards = counted(len(look["workers"]), "worker"), counted(len(reading), "shard")
    return (
        f"{format_instant(look['wall_ms'])} · {workers} · {shards} · "
        f"lag {format_duration(lag_ms)} · {sum(look['rates']['settled'].values()):.1f} changes/s{cost}"
    )


def _handler(handler: Mapping[str, Any], settled: Mapping[str, float]) -> tuple[str, ...]:
    name = f"{handler['app']}/{handler['handler']}"
    return (
        printable(handler["handler"]),
        printable(handler["table"]),
        "paused" if handler["paused"] else "running",
        format_duration(handler["lag_ms"]),
        f"{settled.get(name, 0.0):.1f}",
        str(handler["shards"]),
        str(handler["waiting_shards"]),
        str(handler["parked_keys"]),
        str(handler["open_gaps"]),
    )


def _table(heading: Sequence[str], body: Sequence[Sequence[str]], rows: int) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, name in enumerate(heading):
        is_name = name in NAMES  # a figure is shown whole as long as names can be shortened
        justify: Literal["left", "right"] = "left" if index == 0 else "right"
        table.add_column(name, no_wrap=not is_name, overflow="ellipsis", justify=justify)
    for row in body[:rows]:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    if len(body) > rows:
        table.add_row(f"… and {len(body) - rows} more", *[""] * (len(heading) - 1))
    return table


# ---- on a terminal -----------------------------------------------------------------------------------------


def _watch(looks: Iterator[tuple[int, dict[str, Any]]], place: Place) -> None:
    """Draw each look over the one before, as large as the terminal is, until q or Ctrl-C."""
    from rich.console import Group

    with screen(f"looking at {printable(str(place))}: the first figures come with the second look") as drawn:
        for _, look in looks:
            rows = max(LEAST_ROWS, (drawn.console.height - OVERHEAD) // 5)
            drawn.draw(Group(*parts(look, rows)))
