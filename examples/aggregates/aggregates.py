"""Aggregates per minute: what each sensor measured in each minute.
`tailrace dev examples/aggregates/aggregates.py`.

Sensors measure, and send when they have a connection: readings come late, twice, and are corrected. Each
minute is told when it is over, and told again when a reading of it comes late; the row of a minute is
replaced, so the table is always what the readings say.
"""

import os
from datetime import datetime
from decimal import Decimal

from tailrace import App, Item, Window, sinks

app = App("aggregates")
readings = app.table("readings", pk="sensor", sk="at")


class Reading(Item, table=readings):
    """One measurement. It is corrected by writing it again, and taken back by deleting it."""

    sensor: str
    at: datetime
    celsius: Decimal


@app.window(Reading, every="1m", by=Reading.sensor, at=Reading.at, lateness="10s", keep="6h")
def by_minute(window: Window[Reading]) -> dict[str, object]:
    """One row for each sensor and minute. A projection cannot take a maximum back: it is computed anew."""
    values = [reading.celsius for reading in window]
    return {
        "count": len(window),
        "lowest": min(values, default=None),
        "highest": max(values, default=None),
        "mean": sum(values, Decimal(0)) / len(values) if values else None,
        "revision": window.revision,
    }


minutes = sinks.DuckDB(os.environ.get("AGGREGATES_DUCKDB", "aggregates.duckdb"), "minutes")
app.sink(by_minute, minutes)


class Log:
    """Where the other two tell what they see."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tell(self, line: str) -> None:
        """One line more."""
        self.lines.append(line)
        print(line, flush=True)


log = Log()


@app.window(Reading, every="1m", length="3m", by=Reading.sensor, at=Reading.at)
def heat(window: Window[Reading]) -> None:
    """Three minutes, looked at every minute: told for each look at which all of at least three readings were
    hot.
    """
    if len(window) >= 3 and all(reading.celsius > 90 for reading in window):
        log.tell(f"{window.key} is hot, {window.start:%H:%M} to {window.end:%H:%M}")


@app.window(Reading, gap="5m", by=Reading.sensor, at=Reading.at)
def online(window: Window[Reading]) -> None:
    """How long a sensor was on line: a session that ends with five minutes of silence."""
    if window:
        log.tell(f"{window.key} was on line, {window[0].at:%H:%M:%S} to {window[-1].at:%H:%M:%S}")
