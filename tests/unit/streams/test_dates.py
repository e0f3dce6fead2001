"""Dates against the standard library's."""

from datetime import UTC, datetime, timedelta

import pytest

from tailrace.streams.dates import label, moment, spoken

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = [
    datetime(*parts, tzinfo=UTC)
    for parts in (
        (1970, 1, 1),
        (1969, 12, 31, 23, 59, 59),
        (1900, 3, 1),
        (2000, 2, 29),
        (2000, 3, 1),
        (2013, 1, 1),
        (2013, 12, 31, 23, 59, 59, 999_000),
        (2024, 2, 29, 12),
        (2100, 2, 28),
        (2100, 3, 1),
        (2400, 2, 29),
        (9999, 12, 31, 23, 59, 59, 999_000),
        (1, 1, 1),
    )
]


def milliseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)


@pytest.mark.parametrize("at", MOMENTS)
def test_moments_agree_with_the_standard_library(at: datetime) -> None:
    parts = moment(milliseconds(at))
    assert parts[:7] == (*at.timetuple()[:6], at.microsecond // 1_000)
    assert parts.weekday == (at.weekday() - EPOCH.weekday()) % 7


def test_every_day_of_five_centuries_agrees() -> None:
    day = datetime(1900, 1, 1, tzinfo=UTC)
    while day.year < 2401:
        parts = moment(milliseconds(day))
        assert parts[:3] == (day.year, day.month, day.day)
        day += timedelta(days=1)


@pytest.mark.parametrize("at", MOMENTS)
def test_texts_agree_with_the_standard_library(at: datetime) -> None:
    wall_ms = milliseconds(at)
    assert label(wall_ms) == at.isoformat(timespec="milliseconds").removesuffix("+00:00")
    year = f"{at.year}"
    assert spoken(wall_ms) == f"{at:%a %b %d %H:%M:%S} UTC {year}"
