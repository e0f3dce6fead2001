"""Flights as a Tailrace application: statistics and alerts, kept from the stream of changes alone.

Rules of this file: what a handler writes goes through `change.transaction`, so it is applied once although a
change may be delivered twice; adding is not idempotent, so a change counted twice would show. A DuckDB table
follows the flights, if DuckDB is installed:
`tailrace sql "select carrier, count(*) from flights group by all"`. A flight counts for its carrier, for the
airport it leaves from until it has left, and for the airport it was to land at afterwards. Run by
`tailrace demo`, or by hand: `tailrace dev examples/flights/app.py`.
"""

import os
from importlib.util import find_spec

from tailrace import App, Change, sinks

LATE = 60
"""Minutes: a departure that is later makes an alert."""
LEAVING = ("scheduled", "departed", "cancelled")

app = App("flights")
flights = app.table("flights", pk="id")
# A data stream of the flights' changes; handlers read it in the place of the table's own stream. The DuckDB
# table, which keeps its own checkpoint, needs the order of the latter.
_stream = os.environ.get("FLIGHTS_KINESIS")
_disorder = os.environ.get("FLIGHTS_DISORDER", "10s")
changes = app.kinesis(_stream, disorder=_disorder).of(flights) if _stream else flights
app.table("statistics", pk="id", stream=None)
app.table("alerts", pk="id", stream=None)

_mirror = os.environ.get("FLIGHTS_DUCKDB", "flights.duckdb")
if (
    _mirror and find_spec("duckdb") is not None
):  # empty where several processes run this: a file has one writer
    app.sink(
        flights,
        sinks.DuckDB(_mirror, "flights"),
        id="duckdb",
        batch_size=1_000,
    )

_calls = os.environ.get("FLIGHTS_CALLS")
_notes = os.open(_calls, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if _calls else None


def note(handler: str, change: Change) -> None:
    """For `tailrace demo --kill`: write down every call in a file that outlives this process."""
    if _notes is not None:
        os.write(_notes, f"{handler} {change.sequence_number}\n".encode())


@app.on(changes, id="statistics")
def keep_statistics(change: Change) -> None:
    """Add what this change means to its carrier and to its airport."""
    note("statistics", change)
    flight = change.new
    if flight is None or (change.old is not None and change.old["status"] == flight["status"]):
        return
    status = str(flight["status"])
    additions: dict[str, int] = {status: 1}
    if status == "departed":
        additions["departure_delay"] = int(flight["departure_delay"])
    elif status == "arrived":
        additions["arrival_delay"] = int(flight["arrival_delay"])
    airport = flight["origin"] if status in LEAVING else flight["destination"]
    for name in (f"carrier {flight['carrier']}", f"airport {airport}"):
        add(change, name, additions)


def departs_late(change: Change) -> bool:
    """Whether this change is a departure more than an hour late."""
    flight = change.new
    return flight is not None and flight["status"] == "departed" and flight["departure_delay"] > LATE


@app.on(changes, where=departs_late, id="alerts")
def alert(change: Change) -> None:
    """Write an alert and count it: both, or neither."""
    note("alerts", change)
    flight = change.new
    assert flight is not None
    change.transaction.put(
        "alerts",
        {"id": flight["id"], "delay": flight["departure_delay"], "destination": flight["destination"]},
    )
    for name in (f"carrier {flight['carrier']}", f"airport {flight['origin']}"):
        add(change, name, {"late": 1})


def add(change: Change, name: str, additions: dict[str, int]) -> None:
    """Add to the counts of one row of the statistics."""
    change.transaction.update(
        "statistics",
        {"id": name},
        "ADD " + ", ".join(f"#{count} :{count}" for count in additions),
        names={f"#{count}": count for count in additions},
        values={f":{count}": value for count, value in additions.items()},
    )
