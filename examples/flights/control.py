"""The control figures: the same statistics, counted straight from the data.

Rules of this file: it imports nothing of tailrace and nothing of the replay, so that it can only agree by
being right. What the application adds up change by change is here one pass over the lines. Run as
`python control.py FILE`, where FILE is the sample (`week.csv.gz`) or the year (`flights.csv.zip`); prints
JSON. Called by `tailrace demo`.
"""

import csv
import gzip
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from typing import Any, TextIO

LATE = 60
COUNTS = (
    "scheduled",
    "departed",
    "cancelled",
    "arrived",
    "diverted",
    "unreported",
    "departure_delay",
    "arrival_delay",
    "late",
)


def opened(path: str) -> TextIO:
    """The lines of either file."""
    if path.endswith(".zip"):
        return io.TextIOWrapper(zipfile.ZipFile(path).open("flights.csv"), "utf-8")
    return gzip.open(path, "rt", encoding="utf-8")


def figures(row: dict[str, str]) -> tuple[dict[str, int], dict[str, int]]:
    """What one flight adds to where it left from, and to where it was to land."""
    left, landed = {"scheduled": 1}, dict[str, int]()
    if row["dep_time"] in ("", "NA"):
        left["cancelled"] = 1
        return left, landed
    delay = int(float(row["dep_delay"]))
    left |= {"departed": 1, "departure_delay": delay, "late": int(delay > LATE)}
    if row["arr_time"] in ("", "NA"):
        landed["unreported"] = 1
    elif row["arr_delay"] in ("", "NA"):
        landed["diverted"] = 1
    else:
        landed |= {"arrived": 1, "arrival_delay": int(float(row["arr_delay"]))}
    return left, landed


def add(total: dict[str, int], part: dict[str, int]) -> None:
    """Add a part to a total, name by name."""
    for name, value in part.items():
        total[name] += value


def count(rows: Iterator[dict[str, str]]) -> dict[str, Any]:
    """The statistics by carrier and by airport, what left in each hour of New York's clocks, and the delay of
    every late departure.
    """
    statistics: dict[str, dict[str, int]] = {}
    hours: dict[str, dict[str, int]] = {}
    alerts: dict[str, int] = {}
    for row in rows:
        left, landed = figures(row)
        carrier, origin, destination = (
            statistics.setdefault(name, dict.fromkeys(COUNTS, 0))
            for name in (f"carrier {row['carrier']}", f"airport {row['origin']}", f"airport {row['dest']}")
        )
        add(carrier, left)
        add(carrier, landed)
        add(origin, left)
        add(destination, landed)
        hour = hours.setdefault(str(int(row["sched_dep_time"]) // 100 % 24), dict.fromkeys(COUNTS, 0))
        add(hour, left)
        if left.get("late"):
            date = f"{row['year']}-{row['month']:0>2}-{row['day']:0>2}"
            alerts[f"{date} {row['carrier']} {row['flight']} {row['origin']}"] = left["departure_delay"]
    return {"statistics": statistics, "alerts": alerts, "hours": hours}


if __name__ == "__main__":
    with opened(sys.argv[1]) as lines:
        print(json.dumps(count(csv.DictReader(lines))))
