"""The figures that the handlers kept, beside the control figures.

Rules of this file: plain values in, differences and a table out; every row of both sides is compared, also
those that the table sums up. Called by `demo`.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from tailrace.sinks.duckdb_table import DuckDB

from .writing import DemoFailure

Figures = Mapping[str, Mapping[str, int]]
COLUMNS: Final = {
    "scheduled": "flights",
    "departed": "left",
    "cancelled": "cancelled",
    "arrived": "landed",
    "diverted": "diverted",
    "unreported": "unknown",
    "departure_delay": "late out",
    "arrival_delay": "late in",
    "late": ">60",
}
"""Figure → heading. Units: the two delays in minutes, summed; `>60` flights that left more than an hour
late.
"""
HOME: Final = ("airport EWR", "airport JFK", "airport LGA")
AWAY: Final = "elsewhere"


@dataclass(frozen=True, slots=True)
class Result:
    """Both sides. Shape: row name → figure name → value; flight id → minutes late; `hours` by hour of the
    day, which the data alone says.
    """

    statistics: Figures
    alerts: Mapping[str, int]
    hours: Figures = field(default_factory=dict)

    def total(self, name: str) -> int:
        """A figure summed over carriers, so that each flight counts once."""
        return sum(row.get(name, 0) for key, row in self.statistics.items() if key.startswith("carrier "))


def control_figures(program: Path, data: Path) -> Result:
    """Run the control program over the data, in an interpreter that cannot see Tailrace's modules."""
    run = subprocess.run(
        [sys.executable, "-I", str(program), str(data)], capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise DemoFailure(f"The control program failed: {run.stderr.strip()[-500:]}")
    figures = json.loads(run.stdout)
    return Result(figures["statistics"], figures["alerts"], figures["hours"])


def kept_figures(statistics: Iterable[Mapping[str, Any]], alerts: Iterable[Mapping[str, Any]]) -> Result:
    """What the handlers kept, from the items of both tables."""
    return Result(
        {
            row["id"]["S"]: {name: int(value["N"]) for name, value in row.items() if name != "id"}
            for row in statistics
        },
        {item["id"]["S"]: int(item["delay"]["N"]) for item in alerts},
    )


MIRROR: Final = """
SELECT 'carrier ' || carrier,
       count(*) AS scheduled, count(departure_delay) AS departed,
       count(*) FILTER (status = 'cancelled') AS cancelled,
       count(*) FILTER (status = 'arrived') AS arrived, count(*) FILTER (status = 'diverted') AS diverted,
       count(*) FILTER (status = 'unreported') AS unreported,
       coalesce(sum(departure_delay), 0) AS departure_delay,
       coalesce(sum(arrival_delay), 0) AS arrival_delay, count(*) FILTER (departure_delay > 60) AS late
FROM flights GROUP BY carrier"""


def mirror_figures(file: Path) -> Figures | None:
    """The figures of each carrier in the DuckDB table that followed the flights, if there is one."""
    if not file.exists():
        return None
    names, rows = DuckDB.ask(file, MIRROR)
    return {row[0]: dict(zip(names[1:], map(int, row[1:]), strict=True)) for row in rows}


def mirror_differences(mirror: Figures, control: Result) -> list[str]:
    """Every figure of a carrier that the DuckDB table has otherwise."""
    carriers = {name: row for name, row in control.statistics.items() if name.startswith("carrier ")}
    return [f"DuckDB, {difference}" for difference in differences(Result(mirror, {}), Result(carriers, {}))]


def differences(kept: Result, control: Result) -> list[str]:
    """Every figure and every alert that is not the same on both sides."""
    lines = []
    for row in sorted({*kept.statistics, *control.statistics}):
        ours, theirs = kept.statistics.get(row, {}), control.statistics.get(row, {})
        for name in sorted({*ours, *theirs}):
            if ours.get(name, 0) != theirs.get(name, 0):
                lines.append(f"{row}, {name}: {ours.get(name, 0)} kept, {theirs.get(name, 0)} in the data")
    for flight in sorted({*kept.alerts, *control.alerts}):
        if kept.alerts.get(flight) != control.alerts.get(flight):
            lines.append(
                f"alert {flight}: {kept.alerts.get(flight)} min kept, {control.alerts.get(flight)} "
                "min in the data"
            )
    return lines


def summed(statistics: Figures) -> dict[str, dict[str, int]]:
    """The rows of the table: each carrier, the three airports of New York, and all others together."""
    rows: dict[str, dict[str, int]] = {}
    for name in sorted(statistics, key=lambda name: (not name.startswith("carrier"), name)):
        shown = name if name.startswith("carrier ") or name in HOME else AWAY
        row = rows.setdefault(shown, dict.fromkeys(COLUMNS, 0))
        for column in COLUMNS:
            row[column] += statistics[name].get(column, 0)
    return rows


def table_of(kept: Result, control: Result) -> Table:
    """Two lines a row: what the handlers kept, and the control figures below."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", no_wrap=True)
    for title in COLUMNS.values():
        table.add_column(title, justify="right", no_wrap=True)
    ours, theirs = summed(kept.statistics), summed(control.statistics)
    for name in {**theirs, **ours}:
        left, right = ours.get(name, {}), theirs.get(name, {})
        cells = (_cell(left.get(column, 0), right.get(column, 0)) for column in COLUMNS)
        table.add_row(name.rpartition(" ")[2], *cells)
        table.add_row("  data", *(f"{right.get(column, 0):,}" for column in COLUMNS), style="dim")
    return table


def _cell(ours: int, theirs: int) -> str:
    return f"{ours:,}" if ours == theirs else f"[bold red]{ours:,}[/]"
