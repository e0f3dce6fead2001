"""The aggregates in a test world, where minutes take no time. `pytest examples/aggregates`."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from aggregates import Reading, app, heat, log, minutes

from tailrace.testing import World

pytestmark = pytest.mark.world(app)


@pytest.fixture(autouse=True)
def _own_file(tmp_path: Path) -> Iterator[None]:
    """A file for each test, and nothing told yet."""
    log.lines.clear()
    minutes.close()
    minutes.path = tmp_path / "aggregates.duckdb"
    yield
    minutes.close()


def measure(world: World, seconds: float, celsius: str, sensor: str = "roof") -> Reading:
    """A reading of so many seconds after the world's begin, which is a whole minute."""
    reading = Reading(sensor=sensor, at=BEGIN + timedelta(seconds=seconds), celsius=Decimal(celsius))
    world.put(reading)
    return reading


BEGIN = World(app).moment


def rows() -> list[tuple[object, ...]]:
    """Sensor, minute, count, lowest, highest, revision."""
    query = "SELECT key, start[12:16], count::INT, lowest, highest, revision::INT FROM minutes ORDER BY ALL"
    return minutes.query(query)[1]


def test_a_minute_has_a_row_when_it_is_over(world: World) -> None:
    measure(world, 0, "20")
    measure(world, 59, "22.5")
    measure(world, 60, "30")
    measure(world, 5, "5", sensor="cellar")
    world.advance("75s")
    assert rows() == [
        ("cellar", "00:00", 1, Decimal(5), Decimal(5), 1),
        ("roof", "00:00", 2, Decimal(20), Decimal("22.5"), 1),
    ]


def test_what_comes_late_is_corrected_or_taken_back_replaces_the_row(world: World) -> None:
    wrong = measure(world, 0, "99")
    measure(world, 10, "20")
    world.advance("2m")
    assert rows() == [("roof", "00:00", 2, Decimal(20), Decimal(99), 1)]
    measure(world, 50, "18")
    world.settle()
    assert rows() == [("roof", "00:00", 3, Decimal(18), Decimal(99), 2)]
    world.delete(Reading, sensor="roof", at=wrong.at)
    world.settle()
    assert rows() == [("roof", "00:00", 2, Decimal(18), Decimal(20), 3)]


def test_what_comes_a_day_late_is_counted_and_in_no_row(world: World) -> None:
    measure(world, 0, "20")
    world.advance("24h")
    measure(world, 1, "50")
    world.settle()
    assert [row[2] for row in rows()] == [1]
    assert world.late("by_minute") == 1


def test_a_sensor_that_stays_hot_is_told_for_each_look(world: World) -> None:
    for minute in range(4):
        measure(world, 60 * minute, "95")
    world.advance("10m")
    assert [line for line in log.lines if "hot" in line] == [
        "roof is hot, 00:00 to 00:03",
        "roof is hot, 00:01 to 00:04",
    ]
    assert world.dead_letters(heat) == []


def test_a_session_ends_with_five_minutes_of_silence(world: World) -> None:
    for second in (0, 200, 450, 900):
        measure(world, second, "20")
    world.advance("30m")
    assert [line for line in log.lines if "line" in line] == [
        "roof was on line, 00:00:00 to 00:07:30",
        "roof was on line, 00:15:00 to 00:15:00",
    ]


@pytest.mark.parametrize("seed", [1])
def test_the_rows_are_what_the_readings_say_whatever_goes_wrong(world: World, seed: int) -> None:
    with world.faults(duplicates=0.4, crash="anywhere", reshard="1h", throttle=0.2, seed=seed):
        for number in range(30):
            measure(world, (number * 37) % 180, str(number))
            if number % 10 == 0:
                world.advance("1m")
        world.advance("5m")
        world.settle()
    expected: dict[str, list[int]] = {}
    for number in range(30):
        expected.setdefault(f"00:0{(number * 37) % 180 // 60}", []).append(number)
    assert [row[1:5] for row in rows()] == [
        (minute, len(values), Decimal(min(values)), Decimal(max(values)))
        for minute, values in sorted(expected.items())
    ]
