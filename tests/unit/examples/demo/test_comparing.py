"""Both sides are compared to the last figure."""

import pytest
from flights_demo.comparing import (
    Result,
    differences,
    kept_figures,
    mirror_differences,
    summed,
    table_of,
)

CONTROL = Result(
    {
        "carrier UA": {"scheduled": 2, "late": 0},
        "airport JFK": {"scheduled": 2},
        "airport IAH": {"arrived": 2},
    },
    {"2013-02-04 UA 1 JFK": 61},
)


def test_equal_figures_have_no_difference() -> None:
    assert differences(CONTROL, CONTROL) == []


def test_a_figure_that_is_absent_is_zero() -> None:
    kept = Result({**CONTROL.statistics, "carrier UA": {"scheduled": 2}}, CONTROL.alerts)
    assert differences(kept, CONTROL) == []


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (
            Result({**CONTROL.statistics, "carrier UA": {"scheduled": 3}}, CONTROL.alerts),
            "carrier UA, scheduled: 3 kept, 2 in the data",
        ),
        (
            Result({**CONTROL.statistics, "airport IAH": {}}, CONTROL.alerts),
            "airport IAH, arrived: 0 kept, 2 in the data",
        ),
        (
            Result({**CONTROL.statistics, "carrier XX": {"late": 1}}, CONTROL.alerts),
            "carrier XX, late: 1 kept, 0 in the data",
        ),
        (Result(CONTROL.statistics, {}), "alert 2013-02-04 UA 1 JFK: None min kept, 61 min in the data"),
        (
            Result(CONTROL.statistics, {"2013-02-04 UA 1 JFK": 62}),
            "alert 2013-02-04 UA 1 JFK: 62 min kept, 61 min in the data",
        ),
    ],
)
def test_one_difference_is_found_and_named(kept: Result, expected: str) -> None:
    assert differences(kept, CONTROL) == [expected]


def test_items_become_figures() -> None:
    kept = kept_figures(
        [
            {"id": {"S": "carrier UA"}, "scheduled": {"N": "2"}},
            {"id": {"S": "airport JFK"}, "scheduled": {"N": "2"}},
            {"id": {"S": "airport IAH"}, "arrived": {"N": "2"}},
        ],
        [{"id": {"S": "2013-02-04 UA 1 JFK"}, "delay": {"N": "61"}}],
    )
    assert differences(kept, CONTROL) == []


def test_airports_outside_new_york_are_shown_together() -> None:
    rows = summed({**CONTROL.statistics, "airport ATL": {"arrived": 3}})
    assert list(rows) == ["carrier UA", "elsewhere", "airport JFK"]
    assert rows["elsewhere"]["arrived"] == 5


def test_the_table_shows_both_sides() -> None:
    assert table_of(CONTROL, CONTROL).row_count == 2 * 3


def test_a_total_counts_each_flight_once() -> None:
    assert CONTROL.total("scheduled") == 2


def test_a_wrong_figure_of_the_duckdb_table_is_told() -> None:
    assert mirror_differences({"carrier UA": {"scheduled": 2}}, CONTROL) == []
    assert mirror_differences({"carrier UA": {"scheduled": 1}}, CONTROL) == [
        "DuckDB, carrier UA, scheduled: 1 kept, 2 in the data"
    ]
    assert mirror_differences({}, CONTROL) != []
