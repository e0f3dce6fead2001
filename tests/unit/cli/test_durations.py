"""Durations and instants as people type them."""

import pytest

from tailrace.cli.durations import format_duration, format_instant, parse_duration, parse_instant


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("90s", 90_000), ("15m", 900_000), ("25h", 90_000_000), ("2d", 172_800_000), ("250ms", 250),
        ("1h30m", 5_400_000), (" 1h 30m ", 5_400_000), ("0.5h", 1_800_000), ("1d0h", 86_400_000),
    ],
)  # fmt: skip
def test_a_duration_is_a_sum_of_numbers_with_units(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize(
    "text", ["", "25", "h", "25 hours", "-1h", "1w", "1h-5m", "0s", "3651d", "1e3s", "٣h"]
)
def test_anything_else_is_refused_with_the_text_in_the_message(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration|out of bounds") as raised:
        parse_duration(text)
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:01Z", 1_000),
        ("1970-01-01T01:00:01+01:00", 1_000),
        ("1970-01-01T00:00:01", 1_000),
        ("1970-01-01", 0),
        ("2013-01-01T05:15:00.250Z", 1_357_017_300_250),
    ],
)
def test_an_instant_is_iso_8601_and_utc_without_a_zone(text: str, ms: int) -> None:
    assert parse_instant(text) == ms


def test_a_wrong_instant_names_the_form_that_works() -> None:
    with pytest.raises(ValueError, match="2026-10-31T23:59Z"):
        parse_instant("tomorrow")


@pytest.mark.parametrize("ms", [0, 1, 999, 1_357_017_300_250, 4_102_444_800_000])
def test_an_instant_survives_being_written_and_read(ms: int) -> None:
    assert parse_instant(format_instant(ms)) == ms


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0s"), (5, "5ms"), (1_000, "1s"), (61_500, "1m1s"), (86_400_000, "1d"), (93_784_000, "1d2h")],
)
def test_a_length_of_time_shows_its_largest_two_units(ms: int, text: str) -> None:
    assert format_duration(ms) == text
